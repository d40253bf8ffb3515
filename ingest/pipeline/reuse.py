"""Reuse the vectors of an earlier index in a rebuild."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ingest.embed.batch import fill_batches
from ingest.embed.validation import find_flaw
from ingest.models import RunEvent
from ingest.pipeline.context import Services
from ingest.pipeline.records import IDLE_EVENT
from ingest.pipeline.transaction import Transaction
from ingest.pipeline.writes import EmbeddedBatch, NewChunk, is_new_chunk
from ingest.runtime.cancellation import Cancellation
from ingest.runtime.concurrency import map_concurrent
from ingest.runtime.timing import REUSING_VECTORS

if TYPE_CHECKING:
    from ingest.models import Vectors

REUSE_BATCH_CHUNKS = 256  # chunks whose vectors are read with one request


def reuse_vectors(
    chunks: Iterable[NewChunk | Transaction | RunEvent], services: Services, stop: Cancellation
) -> Iterator[NewChunk | EmbeddedBatch | Transaction | RunEvent]:
    """Attach the earlier index's vectors to chunks that it has; other items pass."""
    earlier = services.previous_index
    if earlier is None:
        yield from chunks
        return

    def start(item: list[NewChunk] | Transaction | RunEvent) -> Future[dict[str, Vectors]] | None:
        if not isinstance(item, list):
            return None
        call = partial(earlier.vectors, [piece.chunk.id for piece in item])
        return stop.track(services.write_threads.submit(services.times.wrap(REUSING_VECTORS, call)))

    filled: Iterator[list[NewChunk] | Transaction | RunEvent] = fill_batches(
        chunks,
        is_new_chunk,
        lambda _: 1,
        max_items=REUSE_BATCH_CHUNKS,
        max_tokens=lambda: REUSE_BATCH_CHUNKS,
    )
    for item, call in map_concurrent(
        filled, start, services.max_writes, stop.is_overdue, IDLE_EVENT
    ):
        if not isinstance(item, list):
            yield item
            continue
        assert call is not None
        found = {
            key: vector
            for key, vector in call.result().items()
            if not find_flaw(vector, services.embedder.dimensions)
        }
        known = [piece for piece in item if piece.chunk.id in found]
        if known:
            there: Future[Vectors] = Future()
            there.set_result(np.stack([found[piece.chunk.id] for piece in known]))
            yield EmbeddedBatch(known, there, paid=False)
        yield from (piece for piece in item if piece.chunk.id not in found)
