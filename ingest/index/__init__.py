"""Ports of the search index: a Protocol for each job, and `Index`, which combines them.

Any method may raise ServiceError or ConfigError.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from ingest.errors import BusyError
from ingest.index.manifest import Manifest
from ingest.models import (
    CachedPage,
    FigureFilter,
    Hit,
    IndexEntry,
    KnownRoot,
    Mode,
    Permissions,
    Record,
    Refusal,
    SourceKey,
    StoredChunk,
    Summary,
    Vectors,
)
from ingest.runtime.formatting import pluralize

MAX_SAVED_RUNS = 100  # older ones are deleted
# Weight of vectors in hybrid search, where words have 1. docs/eval.md has the measurements, and
# `ingest eval` finds the best one for other questions.
HYBRID_WEIGHT = 1.0


@dataclass(frozen=True, slots=True)
class IndexTotals:
    """Number of sources and chunks in an index, and its size."""

    sources: int  # with a record, whatever their outcome; 0 from a ChunkStore without records
    chunks: int
    size: int  # bytes; -1: unknown, as on a search service, which counts approximately

    def describe(self) -> str:
        """Describe the counts: "2 files, 72 chunks", or "about" so many."""
        text = f"{pluralize(self.sources, 'file')}, {pluralize(self.chunks, 'chunk')}"
        return f"about {text}" if self.size < 0 else text


@dataclass(frozen=True, slots=True)
class FreeSpace:
    """Bytes that still fit; inf where there is no limit, or none is reported."""

    disk: float = math.inf  # free
    memory: float = math.inf  # limit of the vectors held in memory
    memory_used: float = 0.0  # of that, by all indexes of the service


# Kinds of flaw.
VECTOR_FLAW, TEXT_FLAW, FIELD_FLAW, ORPHAN_FLAW = "vector", "words", "stale", "extra"


@dataclass(frozen=True, slots=True)
class Flaw:
    """Defect of a stored chunk; without a source: of rows that belong to no chunk."""

    kind: str  # VECTOR_FLAW, TEXT_FLAW, FIELD_FLAW or ORPHAN_FLAW
    reason: str
    id: str = ""
    root: str = ""
    source: str = ""


class ChunkStore(Protocol):
    """Vector store: chunks with their vectors. A new back end implements these eight methods."""

    # insert or overwrite by id; an entry without a vector keeps the stored one, and is refused if
    # there is none; returns every refusal
    def upload(self, entries: Sequence[IndexEntry]) -> list[Refusal]: ...

    # delete by id; an unknown id counts as deleted
    def delete(self, ids: Collection[str]) -> list[Refusal]: ...

    # return the ids that are stored
    def existing_ids(self, ids: Collection[str]) -> set[str]: ...

    # all chunks, or those of a root, or of one source in it, by id ascending
    def chunks(
        self, root: str | None = None, source: str | None = None, *, text: bool = True
    ) -> Iterator[StoredChunk]: ...

    # the stored vectors by chunk id, shape (dimensions,); unknown ids are left out
    def vectors(self, ids: Collection[str]) -> dict[str, Vectors]: ...

    # the best chunks for a query, best first; `vector` has shape (dimensions,)
    def search(self, text: str, vector: Vectors | None, mode: Mode, top: int) -> list[Hit]: ...

    def totals(self) -> IndexTotals: ...

    def close(self) -> None: ...


class PermittedSearch(Protocol):
    """Search on behalf of a person, or among the descriptions of figures."""

    # as ChunkStore.search, among the chunks that the person may read (None: all) and the filter
    # admits; raises ConfigError for a person if the index has no permissions
    def search_permitted(  # noqa: PLR0913 - a query, and what to search
        self,
        text: str,
        vector: Vectors | None,
        mode: Mode,
        top: int,
        person: Permissions | None,
        *,
        figures: FigureFilter = FigureFilter.INCLUDE,
    ) -> list[Hit]: ...


class RecordStore(Protocol):
    """Per-source records: what was indexed, from which bytes, with which outcome."""

    # the model that filled the index, and the dimensions of its vectors; None: not recorded
    def vector_space(self) -> tuple[str, int] | None: ...

    # all records, or those of a root, by root and source ascending; without chunk ids
    def records(self, root: str | None = None) -> Iterator[Record]: ...

    # one record, with its chunk ids; at least as new as the one that was listed
    def record(self, root: str, source: str, listed: Record | None = None, /) -> Record | None: ...

    # error messages of the sources that failed or were skipped; may lag behind writes
    def errors_of(self, sources: Collection[SourceKey]) -> dict[SourceKey, str]: ...

    # insert or overwrite; durable once the future is done
    def save(self, record: Record) -> Future[None]: ...

    # delete a record and the cached pages of its source, not its chunks; with `keeps_pages`, the
    # record alone, as the source is to be read again
    def forget(self, record: Record, *, keeps_pages: bool = False) -> None: ...


class TextLookup(Protocol):
    """Look-up of chunks by the text that they embed, so that no text is paid for twice."""

    # id of a stored chunk by text hash, where there is one; may lag behind writes
    def ids_by_text(self, hashes: Collection[str]) -> dict[str, str]: ...

    # the stored vectors of chunks by the hash of their text, where that is known
    def vectors_by_text(self, ids: Collection[str]) -> dict[str, Vectors]: ...


class RootRegistry(Protocol):
    """The roots of an index, and the names that they have in it."""

    # as last saved, by name; without roots that an earlier version indexed
    def roots(self) -> list[KnownRoot]: ...

    # replaces all of them
    def save_roots(self, roots: Sequence[KnownRoot]) -> None: ...

    # give the records, chunks and cached pages of a root another name; may be called again if the
    # process died in it; returns whether there were any
    def rename_root(self, old: str, new: str) -> bool: ...


class ManifestStore(Protocol):
    """The manifest of an index: the format and the recipe that it is written in."""

    # as last saved; None in a new index, or if a version without manifests made it
    def manifest(self) -> Manifest | None: ...

    # insert or overwrite
    def save_manifest(self, manifest: Manifest) -> None: ...


class Lock(Protocol):
    """Write lock of an index, and how far its reads lag behind its writes."""

    # created by this process, so that there is no record to compare with
    is_new: bool

    # `records` returns everything written before `hold`, which a service's listing may not
    read_after_write: bool

    # seconds by which listings may lag behind writes
    listing_lag: float

    # owner name for `lease_stamp`; "" where no other machine can write to the index
    @property
    def holder(self) -> str: ...

    # take the lock until `close`, for this process or the workers of a distributed engine, and wait
    # until reads show the writes of earlier runs; raises BusyError if another run has it.
    # `on_lost` is called if another run takes it nevertheless; from then on each write raises
    def hold(
        self, engine: str = "", on_lost: Callable[[BusyError], None] = lambda _: None, /
    ) -> None: ...

    # write under the lock of the run with this holder; raises BusyError if it has lost it
    def join(self, holder: str, /) -> None: ...

    # wait until listings show all that this process has written
    def wait_until_listed(self) -> None: ...

    # let the lock expire instead of releasing it at once: workers of this run may still write
    def stop_renewing(self) -> None: ...

    # timestamp of this owner's last lease renewal; "" if it no longer holds the lease
    def lease_stamp(self, holder: str, /) -> str: ...

    # seconds since another run may have written; 0 while one holds the lock, inf if none is known
    def seconds_since_write(self) -> float: ...


def confirm_lock(index: Index) -> None:
    """Raise BusyError if another run has taken the lock of an index that this one held.

    Call it right before any write outside the index; the index checks its own writes.
    """
    index.join(index.holder)


class RunHistory(Protocol):
    """Summaries of the last MAX_SAVED_RUNS runs."""

    def save_run(self, summary: Summary) -> None: ...

    # the last runs, newest first
    def runs(self, limit: int) -> list[Summary]: ...


class PageCache(Protocol):
    """Scanned pages that a paid OCR service has read. Thread-safe."""

    # the entry as it was last written
    def cached_page(self, key: str) -> CachedPage | None: ...

    # root and source of every entry
    def cached_page_sources(self) -> Iterator[tuple[str, str]]: ...

    # insert or overwrite; durable when this returns
    def cache_page(self, page: CachedPage) -> None: ...


class Diagnosable(Protocol):
    """Self-check and repair."""

    # chunks that a search cannot find as it should; `thorough` includes slow checks
    def flaws(self, dimensions: int, *, thorough: bool) -> Iterator[Flaw]: ...

    # repair the flaws that need no new vector
    def repair_local(self) -> None: ...

    # inf where the caller may not read it
    def free_space(self) -> FreeSpace: ...

    # bytes of each part, by its name for people; empty if they are not known
    def part_sizes(self) -> dict[str, int]: ...

    # return the space of deleted rows to the file system, if it is worth it
    def reclaim_space(self) -> None: ...


class Index(
    ChunkStore,
    PermittedSearch,
    RecordStore,
    TextLookup,
    RootRegistry,
    ManifestStore,
    Lock,
    RunHistory,
    PageCache,
    Diagnosable,
    Protocol,
):
    """A search index with all that runs, checks and reports need."""

    # weight of vectors in a hybrid search, where words have 1; without effect on a ChunkStore that
    # has no such attribute
    hybrid_weight: float
