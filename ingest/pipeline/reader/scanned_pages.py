"""A document whose scanned pages a service recognises: read, looked at, recognised, read again.

The children have no network, so they say what a page is and draw it; this process, which has the
token, sends it. A page that the service cannot read is a missing page of its document, no error.
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
from ingest.extract.sandbox.pool import SandboxLimits, SandboxPool
from ingest.models import PreparedDocument
from ingest.pipeline.reader.page_images import RenderTask, render
from ingest.pipeline.reader.prepare import Prepare, Task

if TYPE_CHECKING:
    from ingest.extract.ocr.document_intelligence import DocumentIntelligence

log = logging.getLogger(__name__)

RenderPages: TypeAlias = Callable[[RenderTask, BinaryIO], dict[int, str] | bytes]


class ScannedPageOcr:
    """What has the scanned pages of documents recognised."""

    def __init__(
        self, pages: CachedOcr, service: DocumentIntelligence | None, limits: SandboxLimits
    ) -> None:
        self.ocr = pages
        self.service = service
        self.sandbox = SandboxPool(render, limits)

    def count_unsent_pages(self) -> int:
        """How many pages a run would pay for, as far as a plan has come."""
        return len(self.ocr.unsent_keys)

    def close(self) -> None:
        """Give back processes, threads and connections."""
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
        made = prepare(task, file)
        if made is None or not made.details.scanned:
            return made
        scans = find_scanned_pages(task, file, made.details.scanned, partial(self.render, cpu))
        found = self.ocr.recognise(scans)
        if found.texts:
            hung = frozenset(made.details.missing)
            again = replace(task, ocr_results=found.texts, skipped_pages=task.skipped_pages | hung)
            made = prepare(again, file) or made
        unread = {*made.details.scanned}.difference(scans.page_hashes).union(found.refused)
        missing = tuple(sorted(unread.union(made.details.missing)))
        ocr = task.ocr if found.texts or self.service else ""
        return replace(made, details=replace(made.details, missing=missing, ocr=ocr))

    def render(
        self, cpu: AbstractContextManager[object], task: RenderTask, file: BinaryIO
    ) -> dict[int, str] | bytes:
        """Hash or draw pages in a child process."""
        with cpu:
            return self.sandbox(task, file)


def find_scanned_pages(
    task: Task, file: BinaryIO, pages: tuple[int, ...], render_pages: RenderPages
) -> ScannedPages:
    """The scanned pages of a document, as far as they can be told from others."""
    source = task.source
    lock = Lock()  # who reads a file moves its place, also for another process

    def draw(page: int) -> bytes:
        with lock:
            if file.closed:
                raise StoppedError("the run ends")
            drawn = render_pages(
                RenderTask((page,), task.passwords, task.extractor, True, task.attachment_path),
                file,
            )
        assert isinstance(drawn, bytes)
        return drawn

    identities: dict[int, str] | bytes = {}
    try:
        identities = render_pages(
            RenderTask(pages, task.passwords, task.extractor, False, task.attachment_path), file
        )
    except DocumentError as error:
        log.warning("%s: its scanned pages cannot be drawn: %s", source.name, error)
    assert isinstance(identities, dict)
    return ScannedPages(source.root, source.name, identities, draw)
