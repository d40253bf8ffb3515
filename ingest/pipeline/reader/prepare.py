"""Prepare one document in the sandbox: read, fingerprint, extract, split.

It runs in a child process, because an untrusted PDF may hang, crash or exhaust the memory. The
child is given an open file, so it needs no path, no network and no token.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, TypeAlias

from ingest.chunk import MIN_CHUNK_TOKENS
from ingest.chunk.chunks import make_chunks, own_title
from ingest.errors import DocumentError
from ingest.extract.attachments import extract_attachment, find_embedded_files
from ingest.extract.document import ExtractOptions, extract, ignore_progress
from ingest.extract.ocr import local as local_ocr
from ingest.extract.sandbox.pool import OnPage, SandboxLimits, SandboxPool
from ingest.models import (
    ATTACHMENT_SEPARATOR,
    Code,
    Document,
    OcrResult,
    PreparedDocument,
    Recipe,
    Source,
    document_kind,
    hash_fields,
)
from ingest.pipeline.reader.answer import DocumentAnswer, accept_document, answer_with
from ingest.pipeline.reader.page_images import RenderTask, accept_pages, render

# A page with some words of English; its cross-reference table is missing, as engines rebuild it.
SMALLEST_PDF = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R
/Resources<</Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>>>endobj
4 0 obj<</Length 91>>stream
BT /F 12 Tf 72 720 Td (This page has a few words, as most pages of a document have.) Tj ET
endstream endobj
trailer<</Root 1 0 R>>
"""


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
    lists_figures: bool = False  # for a model to describe
    # names that lead to the PDF inside the source, outermost first
    attachment_path: tuple[str, ...] = ()


def prepare(
    task: Task,
    file: BinaryIO,
    on_page: OnPage,
    edit: Callable[[Document], Document] | None = None,
) -> PreparedDocument | None:
    """Return a document and its chunks; None if its fingerprint is the known one.

    It reads in this process. Raises DocumentError.
    """
    return accept_document(task, read_document(task, file, on_page, edit))


def read_document(
    task: Task,
    file: BinaryIO,
    on_page: OnPage,
    edit: Callable[[Document], Document] | None = None,
) -> DocumentAnswer | None:
    """Read a document, in a sandbox; answer with None if its fingerprint is the known one.

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
    chunks = make_chunks(document, task.source, task.recipe)
    return answer_with(fingerprint, document, own_title(document), chunks)


def reader_owner(task: Task) -> tuple[str, ...]:
    """Return the owner of the documents that the reader of a task may have read: one root.

    With passwords, one file, since the reader must not pass them on.
    """
    root, name = task.source.key
    return (root, name.split(ATTACHMENT_SEPARATOR)[0]) if task.passwords else (root,)


ReadDocument: TypeAlias = Callable[[Task, BinaryIO, OnPage], DocumentAnswer | None]


def document_pool(
    limits: SandboxLimits, read: ReadDocument = read_document
) -> SandboxPool[Task, PreparedDocument | None]:
    """Return a pool of sandboxes that read documents."""
    return SandboxPool(
        read, limits, DocumentAnswer | None, accept=accept_document, preload=load_modules
    )


RenderPool: TypeAlias = SandboxPool[RenderTask, dict[int, str] | bytes]


def render_pool(limits: SandboxLimits) -> RenderPool:
    """Return a pool of sandboxes that hash and render pages."""
    return SandboxPool(
        render, limits, dict[int, str] | bytes, accept=accept_pages, preload=load_modules
    )


def load_modules() -> None:
    """Load the modules that reading an ordinary document needs, by reading one.

    Each reader would import the rest, once for all documents of its group.
    """
    import ingest.extract.engines.glyph_names
    import ingest.extract.engines.page_tree
    import ingest.extract.engines.pdfium_figure_words
    import ingest.extract.engines.pypdf
    import ingest.extract.layout.words  # noqa: F401 - all of these

    source = Source("", "warm-up.pdf", "", len(SMALLEST_PDF), "")
    task = Task(source, "", Recipe("auto", MIN_CHUNK_TOKENS, 0.0, "", 0), "auto")
    with contextlib.suppress(DocumentError):
        read_document(task, io.BytesIO(SMALLEST_PDF), ignore_progress)
    find_embedded_files.cache_clear()


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
        describes=task.lists_figures,
        kind="pdf" if task.attachment_path else document_kind(task.source.name),
    )


Prepare: TypeAlias = Callable[[Task, BinaryIO], PreparedDocument | None]
