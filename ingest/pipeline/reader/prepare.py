"""What happens to one document before anything is paid for: read, extract, split.

It runs in a child process, because reading a stranger's PDF may hang, crash or eat the memory. The
child is given an open file and needs no way to the source: no path, no network, no token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, TypeAlias

from ingest.chunk.chunks import choose_title, make_chunks
from ingest.errors import DocumentError
from ingest.extract.attachments import extract_attachment
from ingest.extract.document import ExtractOptions, extract
from ingest.extract.ocr import local as local_ocr
from ingest.extract.sandbox.pool import OnPage
from ingest.models import (
    Code,
    Document,
    OcrResult,
    PreparedDocument,
    Recipe,
    Source,
    document_kind,
    hash_fields,
)


@dataclass(frozen=True, slots=True)
class Task:
    """One source to prepare, unless its fingerprint is the known one."""

    source: Source
    known_fingerprint: str
    recipe: Recipe
    extractor: str
    passwords: tuple[str, ...] = field(default=(), repr=False)  # to try, after none
    ocr: str = ""  # what recognises text; local_ocr.NAME: this process; else `recognised` has it
    ocr_results: Mapping[int, OcrResult] = field(default_factory=dict)  # pages, read elsewhere
    skipped_pages: frozenset[int] = frozenset()  # pages that are not to be read: they hung a reader
    attachment_path: tuple[
        str, ...
    ] = ()  # the PDF inside the source that is meant, the outermost first


def prepare(
    task: Task,
    file: BinaryIO,
    on_page: OnPage,
    edit: Callable[[Document], Document] | None = None,
) -> PreparedDocument | None:
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
    allowed = extract_options(task)
    for name in task.attachment_path:
        data = extract_attachment(data, allowed, name)
    content = hashlib.sha256(data)
    content.update(hash_fields(task.source.fields).encode())
    fingerprint = task.recipe.digest + content.hexdigest()[:52]
    if fingerprint == task.known_fingerprint:
        return None
    document = extract(data, allowed, on_page)
    if edit:
        document = edit(document)
    return PreparedDocument(
        fingerprint=fingerprint,
        pages=len(document.pages),
        empty_pages=document.pages.count(""),
        title=choose_title(document, task.source.name),
        chunks=tuple(make_chunks(document, task.source, task.recipe)),
        details=document.details,
    )


def extract_options(task: Task) -> ExtractOptions:
    """What a task allows its document to be read with."""
    return ExtractOptions(
        extractor=task.extractor,
        passwords=task.passwords,
        skipped_pages=task.skipped_pages,
        ocr=task.ocr,
        recognise=local_ocr.recognise if task.ocr == local_ocr.ENGINE_NAME else None,
        ocr_results=task.ocr_results,
        depth=len(task.attachment_path),
        kind="pdf" if task.attachment_path else document_kind(task.source.name),
    )


Prepare: TypeAlias = Callable[[Task, BinaryIO], PreparedDocument | None]
