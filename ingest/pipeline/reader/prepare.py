"""What happens to one document before anything is paid for: read, extract, split.

It runs in a child process, because reading a stranger's PDF may hang, crash or eat the memory. The
child is given an open file and needs no way to the source: no path, no network, no token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, TypeAlias

from ingest.chunk.chunks import chunks, titled
from ingest.errors import DocumentError
from ingest.extract.attachments import embedded
from ingest.extract.document import Means, extract
from ingest.extract.ocr import local as local_ocr
from ingest.extract.sandbox.pool import Beat
from ingest.models import Code, Prepared, Recipe, Recognised, Source, mark


@dataclass(frozen=True, slots=True)
class Task:
    """One source to prepare, unless its fingerprint is the known one."""

    source: Source
    known: str
    recipe: Recipe
    extractor: str
    passwords: tuple[str, ...] = field(default=(), repr=False)  # to try, after none
    ocr: str = ""  # what recognises text; local_ocr.NAME: this process; else `recognised` has it
    recognised: Mapping[int, Recognised] = field(default_factory=dict)  # pages, read elsewhere
    abandoned: frozenset[int] = frozenset()  # pages that are not to be read: they hung a reader
    within: tuple[str, ...] = ()  # the PDF inside the source that is meant, the outermost first


def prepare(task: Task, file: BinaryIO, beat: Beat) -> Prepared | None:
    """The chunks of a source; None if its bytes, fields and recipe are those known already.

    `beat` is told of each page before it is read, and of page 0 after the last. Raises
    DocumentError if it cannot be read.
    """
    try:
        file.seek(0)  # it may have been read before, by a process that died of it
        data = file.read()
    except OSError as error:
        reason = f"cannot be read: {error.strerror}; check its disk"
        raise DocumentError(reason, Code.UNREADABLE) from error
    allowed = means(task)
    for name in task.within:
        data = embedded(data, allowed, name)
    content = hashlib.sha256(data)
    content.update(mark(task.source.fields).encode())
    fingerprint = task.recipe.digest + content.hexdigest()[:52]
    if fingerprint == task.known:
        return None
    document = extract(data, allowed, beat)
    return Prepared(
        fingerprint=fingerprint,
        pages=len(document.pages),
        empty_pages=document.pages.count(""),
        title=titled(document, task.source.name),
        chunks=tuple(chunks(document, task.source, task.recipe)),
        details=document.details,
    )


def means(task: Task) -> Means:
    """What a task allows its document to be read with."""
    return Means(
        extractor=task.extractor,
        passwords=task.passwords,
        abandoned=task.abandoned,
        ocr=task.ocr,
        recognise=local_ocr.recognise if task.ocr == local_ocr.NAME else None,
        recognised=task.recognised,
        depth=len(task.within),
    )


Prepare: TypeAlias = Callable[[Task, BinaryIO], Prepared | None]
