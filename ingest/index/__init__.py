"""Where chunks are kept and found. One file per back end, one contract for all."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ingest.models import CachedPage, Hit, IndexEntry, Mode, Record, Refusal, StoredChunk, Summary

if TYPE_CHECKING:
    from ingest.models import Vectors


MAX_SAVED_RUNS = 100  # the runs an index remembers


@dataclass(frozen=True, slots=True)
class IndexTotals:
    """How much an index holds."""

    sources: int  # with a record, whatever their outcome
    chunks: int
    size: int  # bytes, -1 where it cannot be told


@dataclass(frozen=True, slots=True)
class FreeSpace:
    """How much more a place for indexes takes, in bytes; inf where that is not said."""

    disk: float = math.inf  # free
    memory: float = math.inf  # of the limit of vectors in memory
    memory_used: float = 0.0  # by all indexes there


# What can be wrong with a chunk in itself.
VECTOR_FLAW, TEXT_FLAW, ORPHAN_FLAW = "vector", "words", "extra"


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something wrong with a chunk in itself; without a source, with what belongs to no chunk."""

    kind: str  # VECTOR, WORDS or STRAY
    reason: str
    id: str = ""
    root: str = ""
    source: str = ""


class Index(Protocol):
    """A search index. Any method may raise ServiceError or ConfigError."""

    # whether it was made just now, so that everything is to be read
    is_new: bool

    # whether `records` shows all that was written before `hold`: a service's listing lags behind
    read_after_write: bool

    # seconds that listings may lag behind what was written; 0 where they do not
    listing_lag: float

    # the name by which it is held, for `stands`; "" where no other machine can write to it
    @property
    def holder(self) -> str: ...

    # keep others from writing until close, but for the workers of an engine, if one is named;
    # raises BusyError if another run does
    def hold(self, engine: str = "", /) -> None: ...

    # hold it no longer, and let nobody else do so yet: workers of this run may still write
    def stop_renewing(self) -> None: ...

    # what changes while a holder of that name lives; "" once it does not hold it
    def lease_stamp(self, holder: str, /) -> str: ...

    # seconds since another run may have written: 0 while one holds it, inf if none is known of
    def seconds_since_write(self) -> float: ...

    # the records of a root, or of all, by root and source ascending; without the ids
    def records(self, root: str | None = None) -> Iterator[Record]: ...

    # one record, whole
    def record(self, root: str, source: str) -> Record | None: ...

    # begin to insert or overwrite a record, which is done when the future is
    def save(self, record: Record) -> Future[None]: ...

    # remove a record, and the pages paid for in it; its chunks are the caller's business
    def forget(self, record: Record) -> None: ...

    # which of these chunks it has
    def existing_ids(self, ids: Collection[str]) -> set[str]: ...

    # insert or overwrite by id, or move what is there; returns the refused ones, never a subset
    def upload(self, entries: Sequence[IndexEntry]) -> list[Refusal]: ...

    # remove by id; what is not there counts as removed
    def delete(self, ids: Collection[str]) -> list[Refusal]: ...

    # the best chunks for a question, best first; `vector` has shape (dimensions,)
    def search(self, text: str, vector: Vectors | None, mode: Mode, top: int) -> list[Hit]: ...

    # every chunk, of a root and a source if they are named, by id ascending
    def chunks(
        self, root: str | None = None, source: str | None = None, *, text: bool = True
    ) -> Iterator[StoredChunk]: ...

    # the vectors of these chunks, by id, of those that it has; each has shape (dimensions,)
    def vectors(self, ids: Collection[str]) -> dict[str, Vectors]: ...

    # what cannot be found as it should; `thorough`: also where it takes a while to see that
    def flaws(self, dimensions: int, *, thorough: bool) -> Iterator[Flaw]: ...

    # mend the flaws that need no vector
    def repair_local(self) -> None: ...

    def totals(self) -> IndexTotals: ...

    # how much more would fit, as far as whoever asks may know
    def free_space(self) -> FreeSpace: ...

    # keep what a run came to, and forget those long ago
    def save_run(self, summary: Summary) -> None: ...

    # the last runs, the newest first
    def runs(self, limit: int) -> list[Summary]: ...

    # what is kept of a page that was paid for, as it was written last; any thread may ask
    def cached_page(self, key: str) -> CachedPage | None: ...

    # the root and source of each page that is kept
    def cached_page_sources(self) -> Iterator[tuple[str, str]]: ...

    # keep what was paid for, whatever becomes of this run; any thread may
    def cache_page(self, page: CachedPage) -> None: ...

    def close(self) -> None: ...
