"""Reading one document: open → attachments → scanned pages → recovery → sandbox.

Each step is a method that calls the next, from top to bottom. Callers do not know how many child
processes a document meets, or whether a service has seen one of its pages.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from ingest.extract.sandbox.pool import SandboxLimits, SandboxPool, TimedOut
from ingest.models import PreparedDocument, Recipe
from ingest.pipeline.diff import Stale
from ingest.pipeline.reader.attachments import prepare_with_attachments
from ingest.pipeline.reader.prepare import Task
from ingest.pipeline.reader.recovery import ReadWriteLock, read_with_recovery
from ingest.runtime.timing import FETCHING_DOCUMENTS, HANGING_PAGES, READING_DOCUMENTS, Stopwatch
from ingest.sources import Root, check_size

if TYPE_CHECKING:
    from ingest.pipeline.reader.scanned_pages import ScannedPageOcr


@dataclass(frozen=True, slots=True)
class DocumentReader:
    """Turns sources into chunks. Thread-safe.

    Every method raises DocumentError if the document cannot be read, and returns None if its
    fingerprint is the known one.
    """

    sandbox: SandboxPool[Task, PreparedDocument | None]
    cpu: AbstractContextManager[object]  # held while a child process works
    times: Stopwatch
    recipe: Recipe
    extractor: str = "auto"
    passwords: tuple[str, ...] = field(default=(), repr=False)
    ocr: str = ""  # name of the OCR engine; "" for none
    scanned_page_ocr: ScannedPageOcr | None = None  # a service that recognises scanned pages
    lock: ReadWriteLock = field(default_factory=ReadWriteLock)  # exclusive: retry after a crash

    def read(self, root: Root, stale: Stale) -> PreparedDocument | None:
        """Open a source and read it, with the PDFs inside it."""
        source = stale.source
        check_size(source.size, self.sandbox.limits.megabytes)
        task = Task(
            source, stale.known_fingerprint, self.recipe, self.extractor, self.passwords, self.ocr
        )
        with ExitStack() as opened:
            with self.times.measure(FETCHING_DOCUMENTS, source.key):
                file = opened.enter_context(root.open(source))
            return prepare_with_attachments(task, file, self.read_scanned)

    def read_scanned(self, task: Task, file: BinaryIO) -> PreparedDocument | None:
        """Read one PDF; its scanned pages with the text that the service recognises on them."""
        if self.scanned_page_ocr is None:
            return self.read_text(task, file)
        return self.scanned_page_ocr.prepare(task, file, self.read_text, self.cpu)

    def read_text(self, task: Task, file: BinaryIO) -> PreparedDocument | None:
        """Read one PDF, if need be without the pages that hang, or with the other engine."""
        with self.cpu, self.times.measure(READING_DOCUMENTS, task.source.key):
            return read_with_recovery(
                self.read_in_sandbox, task, file, self.sandbox.limits, self.lock
            )

    def read_in_sandbox(
        self, task: Task, file: BinaryIO, limits: SandboxLimits
    ) -> PreparedDocument | None:
        """Read one PDF, once, in a child process. Time in which it hung is counted as lost."""
        began = self.times.clock()
        try:
            return self.sandbox(task, file, limits)
        except TimedOut:
            self.times.add_elapsed(HANGING_PAGES, began)
            raise
