"""Read sources of an index again, for the inspector of a report.

Nothing is written and nothing is paid for: text recognised by a service comes from the index.
Documents are read in the sandbox, so a bad one is shown with its error, and the others are not
affected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from typing import BinaryIO

from ingest.commands.inspect.child import (
    InspectAnswer,
    InspectImage,
    InspectText,
    accept_view,
    answer_request,
)
from ingest.commands.inspect.figures import add_figures, recall_descriptions
from ingest.commands.inspect.view import (
    DocumentView,
    InspectedSource,
    PageImage,
    PageView,
    SourceChoice,
    choose_sources,
    compare_with_index,
)
from ingest.config.capacity import count_cores, document_memory
from ingest.config.connections import Connections
from ingest.config.reader import sandbox_limits
from ingest.config.roots import open_known_root
from ingest.config.settings import Settings
from ingest.errors import ConfigError, DocumentError, IngestError
from ingest.extract.ocr import OCR_API_VERSION
from ingest.extract.ocr import local as local_ocr
from ingest.extract.ocr.page_cache import CachedOcr
from ingest.extract.passwords import read_passwords
from ingest.extract.sandbox.pool import ProcessDied, SandboxPool
from ingest.index import Index
from ingest.models import ATTACHMENT_SEPARATOR, Code, Details, Recipe, Record, Source, parent_name
from ingest.pipeline.reader.prepare import Task, load_modules, render_pool
from ingest.pipeline.reader.recovery import fallback_task, scale_limits
from ingest.pipeline.reader.scanned_pages import find_scanned_pages
from ingest.runtime.timing import Stopwatch
from ingest.sources import Root, check_size

STORAGE_RETRY_SECONDS = 10.0  # for storage that does not answer
MAX_IMAGES_BYTES = 6 << 20  # of all images of a report
IMAGES_FULL_REASON = "the report holds no more images"


@dataclass(frozen=True, slots=True)
class IndexAccess:
    """Access to an index and to its sources, and the current recipe."""

    settings: Settings
    connections: Connections
    index: Index
    recipe: Recipe


def inspect_sources(
    records: Sequence[Record],
    names: Sequence[str],
    access: IndexAccess,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[InspectedSource]:
    """Read the named sources, or those chosen by default, and compare them with the index.

    A source that cannot be opened or read is returned with its error. `records` may lack chunk ids.
    `on_progress` is called with the numbers of sources that were read, and of all.
    Raises ConfigError for a name that matches no source.
    """
    for name in names:
        if not choose_sources(records, [name]):
            raise ConfigError(
                f"--inspect {name}: no source has this name; the report without --inspect lists all"
            )
    choices = choose_sources(records, names)
    with closing(Viewer(access, {choice.record.root for choice in choices})) as viewer:
        threads = ThreadPoolExecutor(count_cores(), "viewer")
        try:
            views = []
            for view in threads.map(viewer.view, choices):
                views.append(view)
                on_progress(len(views), len(choices))
        finally:
            threads.shutdown(cancel_futures=True)
    return [
        replace(compare_view(choice.record, view, access), anchor=f"source-{number}")
        for number, (choice, view) in enumerate(zip(choices, views, strict=True), 1)
    ]


def compare_view(
    record: Record, view: DocumentView | IngestError, access: IndexAccess
) -> InspectedSource:
    """Compare a source as it is now with its chunks in the index."""
    if isinstance(view, IngestError):
        return InspectedSource(record, error=str(view))
    with_ids = access.index.record(record.root, record.source) or record
    stored = partial(access.index.chunks, record.root, record.source)
    return compare_with_index(with_ids, view, access.recipe.digest, stored)


class Viewer:
    """Open, read and render sources. Thread-safe, except for `close`."""

    def __init__(self, access: IndexAccess, root_names: Iterable[str]) -> None:
        self.settings = access.settings
        self.recipe = access.recipe
        self.index = access.index
        self.limits = sandbox_limits(access.settings)
        self.passwords = read_passwords(access.settings.passwords)
        self.inspect_pool = SandboxPool(
            answer_request, self.limits, InspectAnswer, accept=accept_view, preload=load_modules
        )
        self.render_pool = render_pool(self.limits)
        self.describer = recall_descriptions(access.index, self.limits)
        self.image_bytes = 0  # of all images so far
        self.root_stack = ExitStack()
        policy = access.connections.retry_policy
        max_seconds = min(STORAGE_RETRY_SECONDS, policy.max_seconds)
        policy = replace(policy, max_seconds=max_seconds, role_seconds=0.0)
        connections = replace(access.connections, retry_policy=policy)
        self.roots = {name: self.open_root(name, connections) for name in sorted(root_names)}

    def close(self) -> None:
        """End the processes and close the connections."""
        self.inspect_pool.close()
        self.render_pool.close()
        if self.describer:
            self.describer.close()
        self.root_stack.close()

    def open_root(self, name: str, connections: Connections) -> Root | IngestError:
        """Open a root by its name in the index; return the error if that fails."""
        try:
            # Sources that runs exclude, but that are in the index, can be inspected too.
            settings = replace(self.settings, exclude=())
            found = open_known_root(name, self.index, settings, connections)
            return self.root_stack.enter_context(found)
        except IngestError as error:
            return error

    def view(self, choice: SourceChoice) -> DocumentView | IngestError:
        """Read a source as it is now; return the error if that fails."""
        record = choice.record
        root = self.roots[record.root]
        if isinstance(root, IngestError):
            return root
        try:
            source = root.find(parent_name(record.source) or record.source)
            check_size(source.size, document_memory(self.settings))
            with root.open(source) as file:
                source = replace(source, name=record.source)
                try:
                    return self.view_source(source, choice, (), file)
                except DocumentError as error:
                    if error.code != Code.ENCRYPTED or not self.passwords:
                        raise
                # Only the reader of a locked document gets the passwords.
                return self.view_source(source, choice, self.passwords, file)
        except IngestError as error:
            return error

    def view_source(
        self, source: Source, choice: SourceChoice, passwords: tuple[str, ...], file: BinaryIO
    ) -> DocumentView:
        """Read a source as it is now. Raises DocumentError."""
        task = self.build_task(source, choice.record.details, passwords, file)
        view = self.read_document(task, choice.pages, file)
        if self.describer and view.drawn:
            view = add_figures(view, task, choice.record, file, self.describer)
        return self.add_images(add_agreement(view, choice.record.details), task, file)

    def build_task(
        self, source: Source, details: Details, passwords: tuple[str, ...], file: BinaryIO
    ) -> Task:
        """Build the task that reads a source as it was read for the index, at no cost."""
        task = Task(
            source=source,
            known_fingerprint="",
            recipe=self.recipe,
            extractor=self.settings.extractor,
            passwords=passwords,
            lists_figures=bool(details.figure_outcomes),
            hanging_pages=frozenset(details.missing).difference(details.scanned),
            attachment_path=tuple(source.name.split(ATTACHMENT_SEPARATOR)[1:]),
        )
        if not details.ocr:
            return task
        if details.ocr == local_ocr.ENGINE_NAME:
            return replace(task, ocr=details.ocr if can_recognise(self.settings) else "")
        pages = CachedOcr(self.index, None, f"{details.ocr} {OCR_API_VERSION}", Stopwatch())
        with closing(pages):
            recognised = pages.recognise(
                find_scanned_pages(task, file, details.scanned, self.render_pool)
            )
        return replace(task, ocr=details.ocr, ocr_results=recognised.texts)

    def read_document(self, task: Task, pages: range, file: BinaryIO) -> DocumentView:
        """Read a document; with the fallback engine if the first attempt kills the process."""
        try:
            return self.inspect_text(task, pages, file)
        except ProcessDied as death:
            retry = fallback_task(task, death)
            if retry is None:
                raise
            return self.inspect_text(retry, pages, file)

    def inspect_text(self, task: Task, pages: range, file: BinaryIO) -> DocumentView:
        """Read a document once in the sandbox. Raises DocumentError."""
        request = InspectText(task, pages.start, pages.stop - 1)
        view = self.inspect_pool(request, file, scale_limits(task, self.limits))
        assert isinstance(view, DocumentView)
        return view

    def add_images(self, view: DocumentView, task: Task, file: BinaryIO) -> DocumentView:
        """Add images to the pages, up to the first page that kills the sandbox process."""
        pages, stopped = [], ""
        for page in view.pages:
            reason = stopped or (IMAGES_FULL_REASON if self.image_bytes > MAX_IMAGES_BYTES else "")
            if page.missing and not page.scanned:
                reason = reason or "the page could not be read, so it is not rendered either"
            if not reason:
                try:
                    image = self.render_image(page, task, file)
                except DocumentError as error:
                    reason = str(error)
                    if isinstance(error, ProcessDied):
                        stopped = f"not rendered, because page {page.number} killed the renderer"
                else:
                    self.image_bytes += len(image.png)
                    pages.append(replace(page, image=image))
                    continue
            pages.append(replace(page, image_error=reason))
        return replace(view, pages=tuple(pages))

    def render_image(self, page: PageView, task: Task, file: BinaryIO) -> PageImage:
        """Render a page in the sandbox. Raises DocumentError."""
        texts = tuple(segment.text for segment in page.segments)
        request = InspectImage(
            page.number, texts, task.extractor, task.passwords, task.attachment_path
        )
        image = self.inspect_pool(request, file)
        assert isinstance(image, PageImage)
        return image


def can_recognise(settings: Settings) -> bool:
    """Return True if this machine can recognise text."""
    try:
        local_ocr.check_installed()
    except ConfigError:
        return False
    has_memory = document_memory(settings) >= local_ocr.MIN_MEGABYTES
    return has_memory and settings.extractor != "pypdf"


def add_agreement(view: DocumentView, details: Details) -> DocumentView:
    """Add how far the text of pages agreed with their images when the document was indexed."""
    if not details.verified:
        return view
    agreement = dict(zip(details.verified, details.agreement, strict=False))
    pages = (
        replace(
            page,
            agreement=agreement.get(page.number),
            doubtful=page.doubtful or page.number in details.doubtful,
        )
        for page in view.pages
    )
    return replace(view, pages=tuple(pages))
