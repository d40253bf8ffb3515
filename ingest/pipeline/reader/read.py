"""Read one document, from its source to its chunks.

    read                      open the source
     └ attachments.py          the document, then each PDF inside it
        └ figures.py              with descriptions of its figures by a model
           └ scanned_pages.py        once; again with the text that a service recognised
              └ recovery.py             again without pages that hang, or with the other engine
                 └ sandbox/pool.py         one attempt in a child process, within limits
                    └ prepare.py              extract and split, in that process

Each step calls the next one through a method of DocumentReader.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from ingest.extract.sandbox.pool import SandboxLimits, SandboxPool, TimedOut
from ingest.models import PreparedDocument, Recipe
from ingest.pipeline.diff import Stale
from ingest.pipeline.images import ImageStore, add_images
from ingest.pipeline.reader.attachments import prepare_with_attachments
from ingest.pipeline.reader.budget import FileBudget
from ingest.pipeline.reader.page_images import RenderTask
from ingest.pipeline.reader.prepare import RenderPool, Task, reader_owner
from ingest.pipeline.reader.recovery import ReadWriteLock, read_with_recovery
from ingest.runtime.timing import FETCHING_DOCUMENTS, HANGING_PAGES, READING_DOCUMENTS, Stopwatch
from ingest.sources import Root, check_size

if TYPE_CHECKING:
    from ingest.pipeline.reader.figures import FigureDescriber
    from ingest.pipeline.reader.scanned_pages import ScannedPageOcr


@dataclass(frozen=True, slots=True)
class DocumentReader:
    """Read documents and split them into chunks. Thread-safe.

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
    scanned_page_ocr: ScannedPageOcr | None = None  # OCR by a service; None for none
    verify_share: float = 0.0  # of the lines, to be compared with their images
    figure_ocr: str = ""  # name of the OCR engine that reads words in figures; "" for none
    describer: FigureDescriber | None = None  # descriptions of figures; None for none
    images: ImageStore | None = None  # of described figures; None: they are not kept
    lock: ReadWriteLock = field(default_factory=ReadWriteLock)  # exclusive: retry after a crash

    def warm_up(self) -> None:
        """Start a sandbox. The first documents wait for it, rather than start another one."""
        with self.cpu:
            self.sandbox.warm_up()

    def read(self, root: Root, stale: Stale) -> PreparedDocument | None:
        """Open a source and read it, including the PDFs inside it."""
        source = stale.source
        check_size(source.size, self.sandbox.limits.megabytes)
        task = Task(
            source,
            stale.known_fingerprint,
            self.recipe,
            self.extractor,
            ocr=self.ocr,
            verify_share=self.verify_share,
            figure_ocr=self.figure_ocr,
            lists_figures=self.describer is not None,
        )
        with ExitStack() as opened:
            with self.times.measure(FETCHING_DOCUMENTS, source.key):
                file = opened.enter_context(root.open(source))
            budget = FileBudget(self.sandbox.limits)
            read = partial(self.read_described, budget, stale.describes)
            return prepare_with_attachments(task, file, read, self.passwords)

    def read_described(
        self,
        budget: FileBudget,
        asks: bool,  # noqa: FBT001 - of a stale source
        task: Task,
        file: BinaryIO,
    ) -> PreparedDocument | None:
        """Read one PDF with the descriptions of its figures; `asks`: also those not paid for."""
        document = self.read_scanned(budget, task, file)
        if document is None or self.describer is None:
            return document
        draw = partial(self.draw, self.describer.sandbox, budget, task)
        described = self.describer.describe(task, file, document, draw, asks=asks)
        return add_images(described, self.images) if self.images else described

    def read_scanned(
        self, budget: FileBudget, task: Task, file: BinaryIO
    ) -> PreparedDocument | None:
        """Read one PDF, with OCR of its scanned pages by the service, if there is one."""
        read = partial(self.read_text, budget)
        if self.scanned_page_ocr is None:
            document = read(task, file)
        else:
            draw = partial(self.draw, self.scanned_page_ocr.sandbox, budget, task)
            document = self.scanned_page_ocr.prepare(task, file, read, draw)
        if document:
            budget.count(document)
        return document

    def read_text(self, budget: FileBudget, task: Task, file: BinaryIO) -> PreparedDocument | None:
        """Read one PDF; after a failure, without the pages that hang or with the other engine."""
        limits = budget.limits_of(task)
        with self.cpu, self.times.measure(READING_DOCUMENTS, task.source.key):
            started = self.times.clock()
            try:
                read = partial(self.read_in_sandbox, budget)
                return read_with_recovery(read, task, file, limits, self.lock)
            finally:
                budget.seconds += self.times.clock() - started

    def draw(
        self,
        sandbox: RenderPool,
        budget: FileBudget,
        task: Task,
        request: RenderTask,
        file: BinaryIO,
    ) -> dict[int, str] | bytes:
        """Hash or draw pages of one PDF in a child process."""
        with self.cpu:
            limits = budget.drawing_limits(task)
            started = self.times.clock()
            try:
                return sandbox(request, file, limits)
            finally:
                budget.drawing_seconds += self.times.clock() - started

    def read_in_sandbox(
        self, budget: FileBudget, task: Task, file: BinaryIO, limits: SandboxLimits
    ) -> PreparedDocument | None:
        """Read one PDF once, in a child process. Records the time lost if it times out."""
        started = self.times.clock()
        try:
            on_answer = partial(budget.count_answer, task)
            return self.sandbox(task, file, limits, reader_owner(task), on_answer)
        except TimedOut:
            self.times.add_elapsed(HANGING_PAGES, started)
            raise
