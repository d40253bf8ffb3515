"""What a run would send, pay and store: a fold over a forecast.

Tokens are exact. Requests, seconds and bytes are estimates: they depend on what a service answers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ingest.index import FreeSpace
from ingest.models import SourceResult, Summary
from ingest.pipeline.context import Services
from ingest.pipeline.dry_run import DryRunEvent, EmbeddingRequest, RecordCountChange
from ingest.runtime.budget import Budget
from ingest.runtime.prices import Rates
from ingest.runtime.timing import EMBEDDING_CHUNKS

SECONDS_PER_MINUTE = 60.0
PACE_RUNS = 5  # whose pace is taken for that of the next one

FLOAT_BYTES = 4  # bytes

# In a folder, for each chunk, its row and the keys to it; and its text, once as it is and once as
# the words that it is found by. Measured on 3,000 and 6,000 chunks of the samples' words.
ROW_BYTES, TEXT_FACTOR = 950, 3.1

# On a service's disk: a vector as it was sent, for rescoring, and as int8 (learn.microsoft.com,
# "Eliminate optional vector instances from storage"); the text as it was sent, and its words.
BYTES_PER_DIMENSION, TEXT_COPIES = FLOAT_BYTES + FLOAT_BYTES + 1, 2

# In a service's memory: int8, the links of HNSW with m = 4, and a tenth for what was deleted and is
# not cleaned up yet (learn.microsoft.com, "Vector index size": 2% of 768 floats, 1% of 1,536).
HNSW_LINK_BYTES, DELETED_FACTOR = 64, 1.1


@dataclass(slots=True)
class PlanTotals:
    """What a run would have come to so far."""

    budget: Budget  # asked what it would refuse, no more
    requests: int = 0
    tokens: int = 0  # as they are billed
    quota: int = 0  # as the quota counts them
    text_bytes: int = 0  # bytes of the texts
    records: int = 0  # more in the index
    chunks: int = 0  # to be embedded
    deleted: int = 0  # chunks
    documents: int = 0  # that have something to embed
    exceeds: str = ""  # the limit at which a run would stop; "" for none
    documents_before_limit: int = (
        0  # documents with something to embed that it would have done by then
    )

    def add(self, event: DryRunEvent, pages: int) -> None:
        """One more event; until now so many pages are to be recognised by a service."""
        if isinstance(event, EmbeddingRequest):
            self.requests += 1
            self.tokens += event.tokens
            self.quota += event.quota_tokens
            self.text_bytes += event.size_bytes
        elif isinstance(event, RecordCountChange):
            self.records += event.change
        elif isinstance(event, SourceResult):
            self.chunks += event.embedded
            self.deleted += event.deleted
            self.documents += event.embedded > 0
        self.exceeds = self.exceeds or self.budget.find_exceeded_limit(self.tokens, pages)
        if not self.exceeds:
            self.documents_before_limit = self.documents


@dataclass(frozen=True, slots=True)
class EmbeddingPace:
    """How fast texts are embedded: tokens and requests a minute; inf where that is not known."""

    tokens: float
    requests: float = math.inf
    measured: bool = False  # in the last runs; else it is what the settings allow


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run would come to, beside the outcomes of its sources."""

    requests: int
    tokens: int  # as they are billed
    pages: int  # to be recognised by a service; what they say comes on top of this
    seconds: float | None  # of embedding; None where nobody knows the pace
    pace: EmbeddingPace | None
    usd: float | None  # None where a price is not known
    rates: Rates
    records: int  # more than now in the index; chunks as well
    chunks: int
    size: int  # bytes more on disk, about
    memory: int  # bytes more of a service's quota for vectors, about
    room: FreeSpace
    exceeds: str  # the limit at which the run would stop; "" for none
    documents: int  # that have something to embed
    before: int  # of those, done when it would stop


def estimate(spending: PlanTotals, services: Services, *, remote: bool) -> Estimate:
    """All that can be said of a run; `remote`: its index is on a service."""
    model, budget, index = services.embedder, services.budget, services.index
    at = embedding_pace(model.allowed(), model.calls(), index.runs(PACE_RUNS))
    pages = services.reader.unsent_pages()
    more = spending.chunks - spending.deleted
    disk = azure_index_bytes if remote else local_index_bytes
    return Estimate(
        requests=spending.requests,
        tokens=spending.tokens,
        pages=pages,
        seconds=embedding_seconds(spending, at) if at else None,
        pace=at,
        usd=budget.rates.usd(spending.tokens, pages),
        rates=budget.rates,
        records=spending.records,
        chunks=more,
        size=disk(spending.chunks, spending.text_bytes, model.dimensions),
        memory=vector_memory_bytes(more, model.dimensions) if remote else 0,
        room=index.free_space(),
        exceeds=spending.exceeds,
        documents=spending.documents,
        before=spending.documents_before_limit,
    )


def embedding_pace(tokens: float, requests: float, runs: Sequence[Summary]) -> EmbeddingPace | None:
    """What is allowed, else what the last runs made; None if neither is known."""
    if min(tokens, requests) < math.inf:
        return EmbeddingPace(tokens, requests)
    walls = [
        (run.tokens_embedded, run.stages.get(EMBEDDING_CHUNKS, {}).get("wall", 0.0)) for run in runs
    ]
    embedding = sum(wall for embedded, wall in walls if embedded)
    if not embedding:
        return None
    return EmbeddingPace(
        sum(embedded for embedded, _ in walls) * SECONDS_PER_MINUTE / embedding, measured=True
    )


def embedding_seconds(spending: PlanTotals, pace: EmbeddingPace) -> float:
    """How long a run would embed, if nothing else holds it up."""
    tokens = spending.tokens if pace.measured else spending.quota
    return SECONDS_PER_MINUTE * max(tokens / pace.tokens, spending.requests / pace.requests)


def local_index_bytes(chunks: int, size: int, dimensions: int) -> int:
    """Bytes of so many new chunks, with texts of that size in all, in a folder."""
    return int(chunks * (FLOAT_BYTES * dimensions + ROW_BYTES) + TEXT_FACTOR * size)


def azure_index_bytes(chunks: int, size: int, dimensions: int) -> int:
    """The same on a service."""
    return chunks * BYTES_PER_DIMENSION * dimensions + TEXT_COPIES * size


def vector_memory_bytes(chunks: int, dimensions: int) -> int:
    """Bytes of a service's quota for vectors that so many chunks take."""
    return int(chunks * (dimensions + HNSW_LINK_BYTES) * DELETED_FACTOR)
