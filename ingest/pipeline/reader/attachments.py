"""PDFs inside PDFs: sources of their own, read through the file they are in."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import BinaryIO

from ingest.errors import DocumentError
from ingest.models import ATTACHMENT_SEPARATOR, Attachment, PreparedDocument
from ingest.pipeline.reader.prepare import Prepare, Task

log = logging.getLogger(__name__)

MAX_ATTACHMENTS = 1000  # of one file, because all results are held until the last one is read


def prepare_with_attachments(
    task: Task, file: BinaryIO, prepare: Prepare
) -> PreparedDocument | None:
    """Prepare a document and every PDF inside it, each as a source of its own.

    Attachments of an unchanged document are not read. An attachment that cannot be read is an
    outcome of its own. The details of the document name all of them, at any depth.
    """
    made = prepare(task, file)
    if made is None or not made.details.attachments:
        return made
    found = list(islice(prepare_attachments(task, made, file, prepare), MAX_ATTACHMENTS + 1))
    if len(found) > MAX_ATTACHMENTS:
        log.warning(
            "%s: only the first %d PDFs inside it are read", task.source.name, MAX_ATTACHMENTS
        )
    attached = tuple(found[:MAX_ATTACHMENTS])
    begins = len(task.source.name + ATTACHMENT_SEPARATOR)
    names = tuple(one.source.name[begins:] for one in attached)
    return replace(made, attached=attached, details=replace(made.details, attachments=names))


def prepare_attachments(
    task: Task, prepared: PreparedDocument, file: BinaryIO, prepare: Prepare
) -> Iterator[Attachment]:
    """Prepare the attachments of a document, depth first."""
    for name in prepared.details.attachments:
        source = replace(task.source, name=f"{task.source.name}{ATTACHMENT_SEPARATOR}{name}")
        inner = replace(
            task, source=source, known_fingerprint="", attachment_path=(*task.attachment_path, name)
        )
        try:
            found = prepare(inner, file)
        except DocumentError as error:
            yield Attachment(source, error)
            continue
        assert found is not None, "nothing is known of it that could make it unchanged"
        # The outer record lists all of them; a second list would remove them twice.
        yield Attachment(source, replace(found, details=replace(found.details, attachments=())))
        yield from prepare_attachments(inner, found, file, prepare)
