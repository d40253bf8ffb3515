"""Prepare one document in the sandbox: read, fingerprint, extract, split.

It runs in a child process, because an untrusted PDF may hang, crash or exhaust the memory. The
child is given an open file, so it needs no path, no network and no token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, TypeAlias

from ingest.chunk.chunks import choose_title, make_chunks
from ingest.errors import DocumentError
from ingest.extract.attachments import extract_attachment, find_embedded_files
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
    """Request to prepare a source, unless its fingerprint is the known one."""

    source: Source
    known_fingerprint: str
    recipe: Recipe
    extractor: str
    passwords: tuple[str, ...] = field(default=(), repr=False)  # tried in turn, after none
    # name of the OCR engine; local_ocr.ENGINE_NAME runs here, any other one has left `ocr_results`
    ocr: str = ""
    ocr_results: Mapping[int, OcrResult] = field(default_factory=dict)  # by page number
    hanging_pages: frozenset[int] = frozenset()  # pages not to read, as they hang
    verify_share: float = 0.0  # of the lines, to be compared with their images
    figure_ocr: str = ""  # name of the OCR engine that reads words in figures; "" for none
    figure_results: Mapping[int, OcrResult] = field(default_factory=dict)  # by number
    # names that lead to the PDF inside the source, outermost first
    attachment_path: tuple[str, ...] = ()


def prepare(
    task: Task,
    file: BinaryIO,
    on_page: OnPage,
    edit: Callable[[Document], Document] | None = None,
) -> PreparedDocument | None:
    """Return a document and its chunks; None if its fingerprint is the known one.

    The fingerprint covers bytes, fields and recipe. `edit` is applied to the extracted document.
    Raises DocumentError.
    """
    try:
        file.seek(0)  # an earlier attempt may have read it
        data = file.read()
    except OSError as error:
        reason = f"cannot be read: {error.strerror}; check its disk"
        raise DocumentError(reason, Code.UNREADABLE) from error
    options = extract_options(task)
    if not task.attachment_path:
        find_embedded_files.cache_clear()
    for name in task.attachment_path:
        data = extract_attachment(data, options, name)
    content = hashlib.sha256(data)
    content.update(hash_fields(task.source.fields).encode())
    fingerprint = task.recipe.digest + content.hexdigest()[:52]
    if fingerprint == task.known_fingerprint:
        return None
    document = extract(data, options, on_page)
    if edit:
        document = edit(document)
    return PreparedDocument(
        fingerprint=fingerprint,
        pages=len(document.pages),
        empty_pages=document.pages.count(""),
        title=choose_title(document, task.source.name),
        chunks=tuple(make_chunks(document, task.source, task.recipe)),
        details=document.details,
        figures=document.figures,
    )


def extract_options(task: Task) -> ExtractOptions:
    """Return the options for extracting the document of a task."""
    return ExtractOptions(
        extractor=task.extractor,
        passwords=task.passwords,
        hanging_pages=task.hanging_pages,
        ocr=task.ocr,
        recognise=local_ocr.recognise if task.ocr == local_ocr.ENGINE_NAME else None,
        ocr_results=task.ocr_results,
        depth=len(task.attachment_path),
        verify_share=task.verify_share,
        recognise_line=local_ocr.recognise_line if task.verify_share else None,
        figures=bool(task.figure_ocr),
        recognise_figure=local_ocr.recognise if task.figure_ocr == local_ocr.ENGINE_NAME else None,
        figure_results=task.figure_results,
        kind="pdf" if task.attachment_path else document_kind(task.source.name),
    )


Prepare: TypeAlias = Callable[[Task, BinaryIO], PreparedDocument | None]
