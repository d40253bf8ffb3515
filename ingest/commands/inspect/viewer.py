"""Sources of an index opened once more, to be looked at: what the inspectors of a report are from.

Nothing is written and nothing is paid for: what a service recognised comes from the index. What
reads the documents are children within limits, so a bad one shows its reason and no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from typing import BinaryIO

from ingest.commands.inspect.child import InspectImage, InspectText, inspect
from ingest.commands.inspect.view import (
    DocumentView,
    InspectedSource,
    PageImage,
    PageView,
    SourceChoice,
    choose_sources,
    compare_with_index,
)
from ingest.config.connections import Connections
from ingest.config.reader import sandbox_limits
from ingest.config.settings import Settings, count_cores
from ingest.config.sources import open_roots
from ingest.errors import ConfigError, DocumentError, IngestError
from ingest.extract.ocr import OCR_API_VERSION
from ingest.extract.ocr import local as local_ocr
from ingest.extract.ocr.page_cache import CachedOcr
from ingest.extract.passwords import read_passwords
from ingest.extract.sandbox.pool import ProcessDied, SandboxPool
from ingest.index import Index
from ingest.models import ATTACHMENT_SEPARATOR, Recipe, Record, Source, parent_name
from ingest.pipeline.reader.page_images import render
from ingest.pipeline.reader.prepare import Task
from ingest.pipeline.reader.recovery import fallback, scaled_limits
from ingest.pipeline.reader.scanned_pages import find_scanned_pages
from ingest.runtime.timing import Stopwatch
from ingest.sources import Root, check_size

STORAGE_RETRY_SECONDS = 10.0  # seconds for a storage that does not answer
MAX_IMAGES_BYTES = 6 << 20  # bytes of all pictures of a report
IMAGES_FULL_REASON = "the report has as many pictures as it can hold"


@dataclass(frozen=True, slots=True)
class IndexAccess:
    """How an index and the sources it is from are reached, and how they are cut today."""

    settings: Settings
    connections: Connections
    index: Index
    recipe: Recipe


def inspect_sources(
    records: Sequence[Record], names: Sequence[str], access: IndexAccess
) -> list[InspectedSource]:
    """The sources named, or those most worth a look, as they are in their roots now.

    Raises ConfigError for a name that means no source. A source that cannot be opened or read says
    why. `records` may be without ids.
    """
    for name in names:
        if not choose_sources(records, [name]):
            raise ConfigError(
                f"--inspect {name}: there is no such source; ingest status --json lists them"
            )
    choices = choose_sources(records, names)
    with closing(Viewer(access, {choice.record.root for choice in choices})) as viewer:
        threads = ThreadPoolExecutor(count_cores(), "viewer")
        try:
            views = list(threads.map(viewer.view, choices))
        finally:
            threads.shutdown(cancel_futures=True)
    found = [
        compare_view(choice.record, view, access)
        for choice, view in zip(choices, views, strict=True)
    ]
    return [replace(one, anchor=f"source-{number}") for number, one in enumerate(found, 1)]


def compare_view(
    record: Record, view: DocumentView | IngestError, access: IndexAccess
) -> InspectedSource:
    """A source as it is now, beside what the index has of it."""
    if isinstance(view, IngestError):
        return InspectedSource(record, fault=str(view))
    whole = access.index.record(record.root, record.source) or record
    stored = partial(access.index.chunks, record.root, record.source)
    return compare_with_index(whole, view, access.recipe.digest, stored)


class Viewer:
    """What opens, reads and draws sources, in any number of threads."""

    def __init__(self, access: IndexAccess, names: Iterable[str]) -> None:
        self.settings = access.settings
        self.recipe = access.recipe
        self.index = access.index
        self.limits = sandbox_limits(access.settings)
        self.passwords = read_passwords(access.settings.passwords)
        self.inspect_pool = SandboxPool(inspect, self.limits)
        self.render_pool = SandboxPool(render, self.limits)
        self.image_bytes = 0  # bytes
        self.root_stack = ExitStack()
        patience = access.connections.retry_policy
        patience = replace(
            patience, max_seconds=min(STORAGE_RETRY_SECONDS, patience.max_seconds), role_seconds=0.0
        )
        to = replace(access.connections, retry_policy=patience)
        self.roots = {name: self.open_root(name, to) for name in sorted(names)}

    def close(self) -> None:
        """Give back processes and connections."""
        self.inspect_pool.close()
        self.render_pool.close()
        self.root_stack.close()

    def open_root(self, name: str, connections: Connections) -> Root | IngestError:
        """A root by its name in the index, or why it cannot be had."""
        try:
            # What is excluded from runs, and in the index, can be looked at.
            settings = replace(self.settings, exclude=())
            (root,) = self.root_stack.enter_context(open_roots([name], settings, connections))
        except IngestError as error:
            return error
        return root

    def view(self, choice: SourceChoice) -> DocumentView | IngestError:
        """A source as it is now, or why it cannot be seen."""
        record = choice.record
        root = self.roots[record.root]
        if isinstance(root, IngestError):
            return root
        try:
            source = root.find(parent_name(record.source) or record.source)
            check_size(source.size, self.settings.document_megabytes)
            with root.open(source) as file:
                task = self.make_task(replace(source, name=record.source), record, file)
                return self.add_images(self.read_document(task, choice.pages, file), task, file)
        except IngestError as error:
            return error

    def make_task(self, source: Source, record: Record, file: BinaryIO) -> Task:
        """How to read a source as it was read for the index, without paying for it again."""
        details = record.details
        task = Task(
            source=source,
            known_fingerprint="",
            recipe=self.recipe,
            extractor=self.settings.extractor,
            passwords=self.passwords,
            skipped_pages=frozenset(details.missing).difference(details.scanned),
            attachment_path=tuple(record.source.split(ATTACHMENT_SEPARATOR)[1:]),
        )
        if not details.ocr:
            return task
        if details.ocr == local_ocr.ENGINE_NAME:
            return replace(task, ocr=details.ocr if can_recognise(self.settings) else "")
        pages = CachedOcr(self.index, None, f"{details.ocr} {OCR_API_VERSION}", Stopwatch())
        with closing(pages):
            found = pages.recognise(
                find_scanned_pages(task, file, details.scanned, self.render_pool)
            )
        return replace(task, ocr=details.ocr, ocr_results=found.texts)

    def read_document(self, task: Task, pages: range, file: BinaryIO) -> DocumentView:
        """A document read, by the other engine too where it does not survive the first."""
        try:
            seen = self.inspect_pool(
                text_request(task, pages), file, scaled_limits(task, self.limits)
            )
        except ProcessDied as death:
            other = fallback(task, death)
            if other is None:
                raise
            seen = self.inspect_pool(
                text_request(other, pages), file, scaled_limits(other, self.limits)
            )
        assert isinstance(seen, DocumentView)
        return seen

    def add_images(self, view: DocumentView, task: Task, file: BinaryIO) -> DocumentView:
        """The document with pictures of its pages, up to the first that ends its reader."""
        sheets, over = [], ""
        for sheet in view.sheets:
            reason = over or (IMAGES_FULL_REASON if self.image_bytes > MAX_IMAGES_BYTES else "")
            if sheet.missing and not sheet.scanned:
                reason = reason or "it could not be read, so it is not drawn either"
            if not reason:
                try:
                    picture = self.render_image(sheet, task, file)
                except DocumentError as error:
                    reason = str(error)
                    if isinstance(error, ProcessDied):
                        over = f"not drawn, since page {sheet.number} ended what draws them"
                else:
                    self.image_bytes += len(picture.png)
                    sheets.append(replace(sheet, drawn=picture))
                    continue
            sheets.append(replace(sheet, undrawn=reason))
        return replace(view, sheets=tuple(sheets))

    def render_image(self, sheet: PageView, task: Task, file: BinaryIO) -> PageImage:
        """The picture of a page. Raises DocumentError."""
        texts = tuple(segment.text for segment in sheet.segments)
        wanted = InspectImage(
            sheet.number, texts, task.extractor, task.passwords, task.attachment_path
        )
        drawn = self.inspect_pool(wanted, file)
        assert isinstance(drawn, PageImage)
        return drawn


def text_request(task: Task, pages: range) -> InspectText:
    """What a child is asked for of a document."""
    return InspectText(task, pages.start, pages.stop - 1)


def can_recognise(settings: Settings) -> bool:
    """Whether this machine can recognise text."""
    try:
        local_ocr.check_installed()
    except ConfigError:
        return False
    enough = settings.document_megabytes >= local_ocr.MIN_MEGABYTES
    return enough and settings.extractor != "pypdf"
