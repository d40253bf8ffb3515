"""What a run is given: how it reads, what it works with, what it was asked to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field

from ingest.embed import Embedder
from ingest.index import Index
from ingest.models import Event, Prepared, Recipe, Settled
from ingest.pipeline.diff import Stale
from ingest.runtime.bottleneck import Capacity
from ingest.runtime.budget import Budget
from ingest.runtime.cancellation import Stop
from ingest.runtime.timing import Times
from ingest.sources import Root


@dataclass(frozen=True, slots=True)
class Reader:
    """How documents are read."""

    prepare: Callable[[Root, Stale], Prepared | None]  # None: its fingerprint is the known one
    threads: Executor  # in which that is called
    at_once: int = 1  # documents read side by side
    waiting: int = 0  # more that may be under way, since they wait for a service
    ocr: str = ""  # the name of what recognises text on scanned pages; "" for nothing
    unsent: Callable[[], int] = lambda: 0  # scanned pages that a run would pay for
    warm: Callable[[], None] = lambda: None  # make ready for a document before there is one


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Other processes that settle what this one has planned."""

    # every stale source settled; what is settled already passes
    settled: Callable[[Root, Iterable[Stale | Settled]], Iterator[Event]]
    capacity: Callable[[], Capacity]  # of all of them together


@dataclass(frozen=True, slots=True)
class Services:
    """What a run works with; `connect` makes it from settings."""

    index: Index
    embedder: Embedder
    recipe: Recipe
    reader: Reader
    senders: Executor  # threads in which the embedder is called
    writers: Executor  # threads in which the index is written to
    writing: int  # writes under way at once
    times: Times = field(default_factory=Times)
    budget: Budget = field(default_factory=Budget)
    earlier: Index | None = None  # the index that this one is to replace, with vectors to reuse
    elsewhere: Elsewhere | None = None  # who settles stale sources; None: this process


@dataclass(frozen=True, slots=True)
class Run:
    """One execution, and what it was asked to do."""

    id: str
    prune: bool = True
    max_deletes: int | None = None  # sources; None: as many as plan.usual_deletes allows
    retry_failed: bool = False
    passwords: bool = False  # there are some to try on what is locked
    exclude: tuple[str, ...] = ()  # globs of what its roots leave out
    stop: Stop = field(default_factory=Stop)
