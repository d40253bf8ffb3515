"""What a run is given: how it reads, what it works with, what it was asked to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field

from ingest.embed import Embedder
from ingest.index import Index
from ingest.models import PreparedDocument, Recipe, RunEvent, SourceResult
from ingest.pipeline.diff import Stale
from ingest.runtime.bottleneck import Capacity
from ingest.runtime.budget import Budget
from ingest.runtime.cancellation import Cancellation
from ingest.runtime.timing import Stopwatch
from ingest.sources import Root


@dataclass(frozen=True, slots=True)
class Reader:
    """How documents are read."""

    prepare: Callable[
        [Root, Stale], PreparedDocument | None
    ]  # None: its fingerprint is the known one
    threads: Executor  # in which that is called
    at_once: int = 1  # documents read side by side
    max_waiting: int = 0  # more that may be under way, since they wait for a service
    ocr: str = ""  # the name of what recognises text on scanned pages; "" for nothing
    unsent_pages: Callable[[], int] = lambda: 0  # scanned pages that a run would pay for
    warm_up: Callable[[], None] = lambda: None  # make ready for a document before there is one


@dataclass(frozen=True, slots=True)
class RemoteExecutor:
    """Other processes that settle what this one has planned."""

    # every stale source settled; what is settled already passes
    settle_sources: Callable[[Root, Iterable[Stale | SourceResult]], Iterator[RunEvent]]
    capacity: Callable[[], Capacity]  # of all of them together


@dataclass(frozen=True, slots=True)
class Services:
    """What a run works with; `connect` makes it from settings."""

    index: Index
    embedder: Embedder
    recipe: Recipe
    reader: Reader
    embed_threads: Executor  # threads in which the embedder is called
    write_threads: Executor  # threads in which the index is written to
    max_writes: int  # writes under way at once
    times: Stopwatch = field(default_factory=Stopwatch)
    budget: Budget = field(default_factory=Budget)
    previous_index: Index | None = (
        None  # the index that this one is to replace, with vectors to reuse
    )
    remote: RemoteExecutor | None = None  # who settles stale sources; None: this process


@dataclass(frozen=True, slots=True)
class Run:
    """One execution, and what it was asked to do."""

    id: str
    prune: bool = True
    max_deletes: int | None = None  # sources; None: as many as plan.usual_deletes allows
    retry_failed: bool = False
    has_passwords: bool = False  # there are some to try on what is locked
    exclude: tuple[str, ...] = ()  # globs of what its roots leave out
    stop: Cancellation = field(default_factory=Cancellation)
