"""The objects that a run works with, and the options it was given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field

from ingest.embed import Embedder
from ingest.index import Index
from ingest.models import PreparedDocument, Recipe, RunEvent, SourceResult
from ingest.pipeline.diff import Stale
from ingest.pipeline.figure_queue import FigureQueue
from ingest.pipeline.images import ImageStore
from ingest.pipeline.recent_vectors import RecentVectors
from ingest.runtime.bottleneck import Capacity
from ingest.runtime.budget import Budget
from ingest.runtime.cancellation import Cancellation
from ingest.runtime.prices import NO_CHAT, ChatTokens
from ingest.runtime.timing import Stopwatch
from ingest.sources import Root


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads documents, in its own threads."""

    # read and split a source; None if its fingerprint has not changed
    prepare: Callable[[Root, Stale], PreparedDocument | None]
    threads: Executor  # that call `prepare`
    at_once: int = 1  # documents read in parallel
    max_waiting: int = 0  # further documents in progress that wait for an OCR service
    ocr: str = ""  # name of the OCR engine; "" without OCR
    # scanned pages that a run would pay for, and figures whose words it would, each as a page
    unsent_pages: Callable[[], tuple[int, int]] = lambda: (0, 0)
    describes: bool = False  # a model describes figures, once the text is indexed
    # figures that a run would have described, and the tokens that it would pay for
    unsent_figures: Callable[[], tuple[int, ChatTokens]] = lambda: (0, NO_CHAT)
    warm_up: Callable[[], None] = lambda: None  # start a sandbox before the first document
    # layers of the sandboxes that were started, and their unknown system calls
    describe_sandbox: Callable[[], tuple[str, ...]] = tuple


@dataclass(frozen=True, slots=True)
class RemoteExecutor:
    """Workers on other machines that settle the sources planned here."""

    # settle stale sources; results pass
    settle_sources: Callable[[Root, Iterable[Stale | SourceResult]], Iterator[RunEvent]]
    capacity: Callable[[], Capacity]  # of all workers together


@dataclass(frozen=True, slots=True)
class Services:
    """The services of a run; `config.factory.open_services` creates them from settings."""

    index: Index
    embedder: Embedder
    recipe: Recipe
    reader: Reader
    embed_threads: Executor  # that call the embedder
    write_threads: Executor  # that write to the index
    max_writes: int  # at once
    times: Stopwatch = field(default_factory=Stopwatch)
    budget: Budget = field(default_factory=Budget)
    previous_index: Index | None = None  # index that a rebuild replaces; its vectors are reused
    recent_vectors: RecentVectors = field(default_factory=RecentVectors)
    has_more_roots: bool = False  # roots that follow in this run may have files of this one
    images: ImageStore | None = None  # images of figures; None: they are not kept
    remote: RemoteExecutor | None = None  # settles stale sources; None: this process does
    # of several roots, described after the text of all; None: of one root, after its text
    figure_queues: list[FigureQueue] | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its id, its options, and its cancellation."""

    id: str
    prune: bool = True
    max_deletes: int | None = None  # sources; None: diff.default_deletion_limit
    allow_empty: bool = False  # a root without PDFs is meant to be empty
    retry_failed: bool = False
    take_over: bool = False  # an index of another recipe is converted, not refused
    has_passwords: bool = False  # passwords were given for locked PDFs
    exclude: tuple[str, ...] = ()  # globs of excluded sources
    stop: Cancellation = field(default_factory=Cancellation)
