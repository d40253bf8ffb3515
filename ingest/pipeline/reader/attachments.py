"""PDFs inside PDFs: sources of their own, read through the file they are in."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import BinaryIO

from ingest.errors import DocumentError
from ingest.models import INSIDE, Attached, Prepared
from ingest.pipeline.reader.prepare import Prepare, Task

log = logging.getLogger(__name__)

MOST = 1000  # of one file: what they give is held until the last of them is read


def with_attached(prepare: Prepare) -> Prepare:
    """Prepare a document and all that is inside it, each on its own.

    What is inside an unchanged document is not looked at, and what is wrong with one of them is the
    outcome of that one. The names in the document's details are those of all, however deep.
    """

    def whole(task: Task, file: BinaryIO) -> Prepared | None:
        made = prepare(task, file)
        if made is None or not made.details.attachments:
            return made
        found = list(islice(inside(task, made, file, prepare), MOST + 1))
        if len(found) > MOST:
            log.warning("%s: only the first %d PDFs inside it are read", task.source.name, MOST)
        attached = tuple(found[:MOST])
        begins = len(task.source.name + INSIDE)
        names = tuple(one.source.name[begins:] for one in attached)
        return replace(made, attached=attached, details=replace(made.details, attachments=names))

    return whole


def inside(task: Task, made: Prepared, file: BinaryIO, prepare: Prepare) -> Iterator[Attached]:
    """What is inside a document, and inside that."""
    for name in made.details.attachments:
        source = replace(task.source, name=f"{task.source.name}{INSIDE}{name}")
        inner = replace(task, source=source, known="", within=(*task.within, name))
        try:
            found = prepare(inner, file)
        except DocumentError as error:
            yield Attached(source, error)
            continue
        assert found is not None, "nothing is known of it that could make it unchanged"
        # The outer record lists all of them; a second list would remove them twice.
        yield Attached(source, replace(found, details=replace(found.details, attachments=())))
        yield from inside(inner, found, file, prepare)
