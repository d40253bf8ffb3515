"""OCR of scanned pages by a service: read, render, recognise, read again with the text.

The sandbox has no network, so it hashes and renders pages, and this process, which has the token,
sends them. A page that the service cannot read is a missing page of its document, not an error.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from ingest.errors import DocumentError, StoppedError
from ingest.extract.ocr.page_cache import CachedOcr, ScannedPages
from ingest.extract.sandbox.pool import SandboxLimits
from ingest.models import Code, PreparedDocument
from ingest.pipeline.reader.page_images import RenderTask
from ingest.pipeline.reader.prepare import Prepare, Task, render_pool

if TYPE_CHECKING:
    from ingest.extract.ocr.document_intelligence import DocumentIntelligence

log = logging.getLogger(__name__)

RenderPages: TypeAlias = Callable[[RenderTask, BinaryIO], dict[int, str] | bytes]


class ScannedPageOcr:
    """OCR of the scanned pages of documents by a service. Thread-safe, except for `close`."""

    def __init__(
        self, pages: CachedOcr, service: DocumentIntelligence | None, limits: SandboxLimits
    ) -> None:
        self.ocr = pages
        self.service = service
        self.sandbox = render_pool(limits)

    def count_unsent_pages(self) -> int:
        """Return the number of pages seen so far that a run would pay for."""
        return len(self.ocr.unsent_keys)

    def close(self) -> None:
        """End the processes and threads, and close the connections."""
        self.sandbox.close()
        self.ocr.close()
        if self.service:
            self.service.close()

    def prepare(
        self, task: Task, file: BinaryIO, prepare: Prepare, cpu: AbstractContextManager[object]
    ) -> PreparedDocument | None:
        """Prepare a document with the text that the service recognises on its scanned pages.

        `cpu` is held while a child process draws a page.
        """
        document = prepare(task, file)
        if document is None or not document.details.scanned:
            return document
        scans = find_scanned_pages(task, file, document.details.scanned, partial(self.render, cpu))
        recognised = self.ocr.recognise(scans)
        if recognised.texts:
            skipped = task.hanging_pages.union(document.details.missing)
            second = replace(task, ocr_results=recognised.texts, hanging_pages=skipped)
            document = prepare(second, file) or document
        details = document.details
        unread = {*details.scanned}.difference(scans.page_hashes).union(recognised.refused)
        missing = tuple(sorted(unread.union(details.missing)))
        ocr = task.ocr if recognised.texts or self.service else ""
        return replace(document, details=replace(details, missing=missing, ocr=ocr))

    def render(
        self, cpu: AbstractContextManager[object], task: RenderTask, file: BinaryIO
    ) -> dict[int, str] | bytes:
        """Hash or render pages in a child process."""
        with cpu:
            return self.sandbox(task, file)


def find_scanned_pages(
    task: Task, file: BinaryIO, pages: tuple[int, ...], render_pages: RenderPages
) -> ScannedPages:
    """Hash the scanned pages of a document; those that cannot be rendered are left out."""
    source = task.source
    request = RenderTask(
        pages, task.passwords, task.extractor, attachment_path=task.attachment_path
    )
    lock = Lock()  # processes that read a file share its position

    def draw(page: int) -> bytes:
        with lock:
            if file.closed:
                raise StoppedError("the run is ending")
            picture = render_pages(replace(request, pages=(page,), draw=True), file)
        assert isinstance(picture, bytes)
        return picture

    hashes: dict[int, str] | bytes = {}
    try:
        hashes = render_pages(request, file)
    except DocumentError as error:
        if error.code == Code.ENCRYPTED:  # with passwords, it is tried again
            raise
        log.warning("%s: its scanned pages cannot be rendered: %s", source.name, error)
    assert isinstance(hashes, dict)
    return ScannedPages(source.root, source.name, hashes, draw)
