"""OCR of scanned pages by a service: read, render, recognise, read again with the text.

The sandbox has no network, so it hashes and renders pages, and this process, which has the token,
sends them. A page that the service cannot read is a missing page of its document, not an error.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from ingest.errors import DocumentError, StoppedError
from ingest.extract.figures.scans import list_scan_figures
from ingest.extract.ocr.page_cache import FIGURE, PAGE, CachedOcr, ScannedPages
from ingest.extract.sandbox.pool import SandboxLimits
from ingest.models import Code, Figure, OcrResult, PreparedDocument
from ingest.pipeline.reader.page_images import RenderTask
from ingest.pipeline.reader.prepare import Prepare, Task, render_pool

if TYPE_CHECKING:
    from ingest.extract.ocr.document_intelligence import DocumentIntelligence

log = logging.getLogger(__name__)

READ_BYTES = 1 << 20

RenderPages: TypeAlias = Callable[[RenderTask, BinaryIO], dict[int, str] | bytes]


class ScannedPageOcr:
    """OCR of the scanned pages of documents by a service. Thread-safe, except for `close`."""

    def __init__(
        self, pages: CachedOcr, service: DocumentIntelligence | None, limits: SandboxLimits
    ) -> None:
        self.ocr = pages
        self.service = service
        self.sandbox = render_pool(limits)

    def count_unsent(self) -> tuple[int, int]:
        """Return the number of pages seen so far that a run would pay for, and of figures alone."""
        kinds = list(self.ocr.unsent.values())
        return kinds.count(PAGE), kinds.count(FIGURE)

    def close(self) -> None:
        """End the processes and threads, and close the connections."""
        self.sandbox.close()
        self.ocr.close()
        if self.service:
            self.service.close()

    def prepare(
        self, task: Task, file: BinaryIO, prepare: Prepare, render_pages: RenderPages
    ) -> PreparedDocument | None:
        """Prepare a document with the text that the service recognises on its scanned pages."""
        document = prepare(task, file)
        figures = document.figures if document and task.figure_ocr else ()
        if document is None or not (document.details.scanned or figures):
            return document
        scans = find_scanned_pages(task, file, document.details.scanned, render_pages)
        recognised = self.ocr.recognise(scans)
        shown = self.ocr.recognise(list_scanned_figures(task, file, figures, render_pages))
        if recognised.texts or shown.texts:
            skipped = task.hanging_pages.union(document.details.missing)
            second = replace(
                task,
                ocr_results=recognised.texts,
                figure_results=shown.texts,
                hanging_pages=skipped,
            )
            document = add_scan_figures(
                prepare(second, file) or document, recognised.texts, scans.page_hashes
            )
        if not document.details.scanned:
            return document
        details = document.details
        unread = {*details.scanned}.difference(scans.page_hashes).union(recognised.refused)
        missing = tuple(sorted(unread.union(details.missing)))
        ocr = task.ocr if recognised.texts or self.service else ""
        return replace(document, details=replace(details, missing=missing, ocr=ocr))


def add_scan_figures(
    document: PreparedDocument, results: Mapping[int, OcrResult], hashes: Mapping[int, str]
) -> PreparedDocument:
    """Return a document with the figures that the service has found on its scanned pages."""
    found = [
        figure
        for page in document.details.scanned
        if page in results and page in hashes
        for figure in list_scan_figures(page, results[page], hashes[page])
    ]
    if not found:
        return document
    captioned = [figure.page for figure in found if figure.caption]
    pages = tuple(sorted([*document.details.figures, *captioned]))
    return replace(
        document,
        figures=tuple(sorted([*document.figures, *found], key=lambda figure: figure.page)),
        details=replace(document.details, figures=pages),
    )


def find_scanned_pages(
    task: Task, file: BinaryIO, pages: tuple[int, ...], render_pages: RenderPages
) -> ScannedPages:
    """Hash the scanned pages of a document; those that cannot be rendered are left out."""
    source = task.source
    if not pages:
        return ScannedPages(source.root, source.name, {}, lambda _: b"")
    request = RenderTask(
        pages, task.passwords, task.extractor, attachment_path=task.attachment_path
    )
    render = partial(render_alone, render_pages, file, Lock())

    def draw(page: int) -> bytes:
        return render(replace(request, pages=(page,), draw=True))

    hashes: dict[int, str] | bytes = {}
    try:
        hashes = render_pages(request, file)
    except DocumentError as error:
        if error.code == Code.ENCRYPTED:  # with passwords, it is tried again
            raise
        log.warning("%s: its scanned pages cannot be rendered: %s", source.name, error)
    assert isinstance(hashes, dict)
    return ScannedPages(source.root, source.name, hashes, draw, file=hash_file(file, source.size))


def list_scanned_figures(
    task: Task, file: BinaryIO, figures: Sequence[Figure], render_pages: RenderPages
) -> ScannedPages:
    """Return the figures of a document as pages to recognise, numbered as the document does.

    Each is known by the objects of its page and its place there, so that a copy of the document, or
    an edit of another page, costs nothing.
    """
    numbers = tuple(sorted({figure.page for figure in figures}))
    found = find_scanned_pages(task, file, numbers, render_pages)
    pages = found.page_hashes
    hashes = {
        number: " ".join(["figure", pages[figure.page], *(f"{edge:.3f}" for edge in figure.box)])
        for number, figure in enumerate(figures)
        if figure.page in pages
    }
    request = RenderTask((), task.passwords, task.extractor, attachment_path=task.attachment_path)
    render = partial(render_alone, render_pages, file, Lock())

    def draw(number: int) -> bytes:
        one = figures[number]
        return render(replace(request, pages=(one.page,), draw=True, box=one.box))

    return replace(found, page_hashes=hashes, draw=draw, what=FIGURE)


def hash_file(file: BinaryIO, size: int) -> str:
    """Return the SHA-256 of a file; "" if it cannot be read, or no longer has its size."""
    digest = hashlib.sha256()
    with contextlib.suppress(OSError):
        if file.seek(0, io.SEEK_END) == size:
            file.seek(0)
            while size > 0 and (part := file.read(min(size, READ_BYTES))):
                digest.update(part)
                size -= len(part)
            return "" if size else digest.hexdigest()
    return ""


def render_alone(render_pages: RenderPages, file: BinaryIO, lock: Lock, task: RenderTask) -> bytes:
    """Render a picture while no other process reads the file: they share its position."""
    with lock:
        if file.closed:
            raise StoppedError("the run is ending")
        picture = render_pages(task, file)
    assert isinstance(picture, bytes)
    return picture
