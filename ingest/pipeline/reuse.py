"""Reuse of vectors, so that no text is embedded twice.

Three stages: `hold_copies` passes on the first chunk of each text and holds back its copies,
`reuse_vectors` attaches vectors of equal texts from an index, and `release_copies` gives the copies
the vector of the first chunk, whether it came from an index or from the model.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TypeAlias, TypeGuard, TypeVar

from ingest.embed.batch import fill_batches
from ingest.embed.validation import find_flaw
from ingest.index import Index
from ingest.models import RunEvent, Vectors
from ingest.pipeline.context import Services
from ingest.pipeline.records import IDLE_EVENT
from ingest.pipeline.transaction import Transaction
from ingest.pipeline.writes import EmbeddedBatch, NewChunk, is_new_chunk
from ingest.runtime.cancellation import Cancellation
from ingest.runtime.concurrency import RESULT_POLL_SECONDS, map_concurrent
from ingest.runtime.timing import REUSING_VECTORS

T = TypeVar("T")

REUSE_BATCH_CHUNKS = 256  # chunks with reused vectors in one upload
LOOKUP_BATCH_CHUNKS = 32  # chunks in one look-up; more would delay the next documents
MAX_HELD_COPIES = 4096  # chunks that wait for the vector of another one

Item: TypeAlias = NewChunk | EmbeddedBatch | Transaction | RunEvent


class Copies:
    """Chunks that wait for the vector of an earlier chunk with equal text."""

    def __init__(self) -> None:
        self.held: dict[str, list[NewChunk]] = {}  # by the text hash of a chunk under way
        self.count = 0

    def hold(self, piece: NewChunk) -> bool:
        """Hold a chunk if one with equal text is under way; return False for the first."""
        if piece.text_hash in self.held:
            self.held[piece.text_hash].append(piece)
            self.count += 1
            return True
        self.held[piece.text_hash] = []
        return False

    def release(self, text_hash: str) -> list[NewChunk]:
        """Return the chunks that wait for a text."""
        released = self.held.pop(text_hash, [])
        self.count -= len(released)
        return released


def build_batches(
    pieces: Sequence[NewChunk], results: Sequence[Vectors | str]
) -> Iterator[EmbeddedBatch]:
    """Yield batches of chunks, each with its reused vector or the reason why it has none."""
    for start in range(0, len(pieces), REUSE_BATCH_CHUNKS):
        end = start + REUSE_BATCH_CHUNKS
        yield EmbeddedBatch(list(pieces[start:end]), results[start:end], paid=False)


def hold_copies(
    items: Iterable[NewChunk | Transaction | RunEvent],
    services: Services,
    copies: Copies,
    stop: Cancellation,
) -> Iterator[Item]:
    """Pass the first chunk of each text on, and hold its copies until it has a vector.

    A copy of a text that the run has embedded before gets its vector at once.
    """
    recent = services.recent_vectors
    known: list[NewChunk] = []
    rows: list[Vectors] = []
    for item in items:
        vector = recent.get(item.text_hash) if isinstance(item, NewChunk) else None
        if known and (vector is None or len(known) == REUSE_BATCH_CHUNKS):
            yield from build_batches(known, rows)
            known, rows = [], []
            if isinstance(item, NewChunk) and vector is None:
                vector = recent.get(item.text_hash)  # it may have come meanwhile
        if isinstance(item, NewChunk) and vector is not None:
            known.append(item)
            rows.append(vector)
        elif not (isinstance(item, NewChunk) and copies.hold(item)):
            yield item
        # The copies of a huge document must not pile up while its first chunks are embedded.
        while copies.count > MAX_HELD_COPIES and not stop.is_requested():
            time.sleep(RESULT_POLL_SECONDS)
            yield IDLE_EVENT
    yield from build_batches(known, rows)


def release_copies(
    items: Iterable[EmbeddedBatch | Transaction | RunEvent], services: Services, copies: Copies
) -> Iterator[EmbeddedBatch | Transaction | RunEvent]:
    """Pass everything on, and the copies of a text after its first chunk."""
    for item in items:
        yield item
        if not isinstance(item, EmbeddedBatch):
            continue
        released: list[NewChunk] = []
        given: list[Vectors | str] = []
        for piece, result in zip(item.chunks, item.results, strict=True):
            same = copies.release(piece.text_hash)
            released += same
            given += [result] * len(same)
            if not isinstance(result, str):
                services.recent_vectors.add(piece.text_hash, result)
        yield from build_batches(released, given)


def reuse_vectors(chunks: Iterable[Item], services: Services, stop: Cancellation) -> Iterator[Item]:
    """Attach the vectors of equal texts in the index, or an earlier one; other items pass.

    A new index has only vectors of this run, which `recent_vectors` may have dropped.
    """
    recent = services.recent_vectors
    has_others = services.previous_index is not None or not services.index.is_new

    def may_be_known(item: object) -> TypeGuard[NewChunk]:
        return is_new_chunk(item) and (has_others or recent.may_have_dropped(item.text_hash))

    def start(item: list[NewChunk] | Item) -> Future[dict[str, Vectors]] | None:
        if not isinstance(item, list):
            return None
        call = partial(find_vectors, item, services)
        return stop.track(services.write_threads.submit(services.times.wrap(REUSING_VECTORS, call)))

    batches = batch_lookups(chunks, may_be_known)
    for item, call in map_concurrent(
        batches, start, services.max_writes, stop.is_overdue, IDLE_EVENT
    ):
        if not isinstance(item, list):
            yield item
            continue
        assert call is not None
        found = call.result()
        known = [piece for piece in item if piece.text_hash in found]
        rows = [found[piece.text_hash] for piece in known]
        yield from build_batches(known, rows)
        yield from (piece for piece in item if piece.text_hash not in found)


def batch_lookups(
    items: Iterable[T], is_wanted: Callable[[object], TypeGuard[NewChunk]]
) -> Iterator[list[NewChunk] | T]:
    """Group the chunks to look up; other items pass."""
    return fill_batches(
        items,
        is_wanted,
        lambda _: 1,
        max_items=LOOKUP_BATCH_CHUNKS,
        max_tokens=lambda: LOOKUP_BATCH_CHUNKS,
    )


def find_vectors(pieces: Sequence[NewChunk], services: Services) -> dict[str, Vectors]:
    """Find the valid vectors of texts, by text hash: in the earlier index, then in this one."""
    found: dict[str, Vectors] = {}

    def add(index: Index, ids: dict[str, str]) -> None:
        vectors = index.vectors(ids.values()) if ids else {}
        for text_hash, id_ in ids.items():
            if id_ in vectors and not find_flaw(vectors[id_], services.embedder.dimensions):
                found[text_hash] = vectors[id_]

    def unknown() -> list[str]:
        return [piece.text_hash for piece in pieces if piece.text_hash not in found]

    if earlier := services.previous_index:
        add(earlier, {piece.text_hash: piece.chunk.id for piece in pieces})
        add(earlier, earlier.ids_by_text(unknown()))
    add(services.index, services.index.ids_by_text(unknown()))
    for text_hash in unknown():  # a chunk may have been deleted just now
        if (vector := services.recent_vectors.get(text_hash)) is not None:
            found[text_hash] = vector
    return found


def keep_vectors(ids: Collection[str], services: Services) -> None:
    """Keep the vectors of chunks to be deleted: another file may contain their texts now."""
    if not ids:  # as of most documents: the index is not asked
        return
    for text_hash, vector in services.index.vectors_by_text(ids).items():
        if not find_flaw(vector, services.embedder.dimensions):
            services.recent_vectors.add(text_hash, vector)
