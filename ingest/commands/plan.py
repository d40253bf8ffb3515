"""Estimate the requests, time, cost and storage of a run from the events of a dry run.

Tokens are exact. Requests, seconds and bytes are estimates: they depend on the service's answers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ingest.index import FreeSpace
from ingest.models import SourceResult, Summary
from ingest.pipeline.context import Services
from ingest.pipeline.dry_run import DryRunEvent, EmbeddingRequest, RecordCountChange, ReusedText
from ingest.runtime.budget import Budget
from ingest.runtime.prices import NO_CHAT, ChatTokens, Rates
from ingest.runtime.timing import EMBEDDING_CHUNKS

SECONDS_PER_MINUTE = 60.0
PACE_RUNS = 5  # last runs whose average pace is expected of the next one

FLOAT_BYTES = 4

# SQLite index: for each chunk, its row and index keys; and its text, once as stored and once as
# full-text terms. Measured on 3,000 and 6,000 chunks of the samples' words.
ROW_BYTES, TEXT_FACTOR = 950, 3.1

# Disk of Azure AI Search: a vector as it was sent, for rescoring, and as int8 (learn.microsoft.com,
# "Eliminate optional vector instances from storage"); the text as stored, and its terms.
BYTES_PER_DIMENSION, TEXT_COPIES = FLOAT_BYTES + FLOAT_BYTES + 1, 2

# Memory of Azure AI Search: int8, the links of HNSW with m = 4, and a tenth for deleted vectors
# that are not purged yet (learn.microsoft.com, "Vector index size": 2% of 768 floats, 1% of 1,536).
HNSW_LINK_BYTES, DELETED_FACTOR = 64, 1.1


@dataclass(slots=True)
class PlanTotals:
    """Running totals of a dry run."""

    budget: Budget  # only asked which limit would be exceeded
    requests: int = 0
    tokens: int = 0  # as billed
    quota: int = 0  # tokens as the quota counts them
    text_bytes: int = 0
    records: int = 0  # growth of the index
    chunks: int = 0  # to write
    deleted: int = 0  # chunks
    documents: int = 0  # with chunks to embed
    exceeds: str = ""  # the limit at which a run would stop; "" for none
    documents_before_limit: int = 0  # of `documents`, those finished by then

    def add(self, event: DryRunEvent, pages: int) -> None:
        """Count one more event. `pages` is the number of pages to send to OCR so far."""
        if isinstance(event, EmbeddingRequest):
            self.requests += 1
            self.tokens += event.tokens
            self.quota += event.quota_tokens
            self.text_bytes += event.size_bytes
        elif isinstance(event, ReusedText):
            self.text_bytes += event.size_bytes
        elif isinstance(event, RecordCountChange):
            self.records += event.change
        elif isinstance(event, SourceResult):
            self.chunks += event.embedded + event.reused
            self.deleted += event.deleted
            self.documents += event.embedded > 0
        self.exceeds = self.exceeds or self.budget.find_exceeded_limit(self.tokens, pages)
        if not self.exceeds:
            self.documents_before_limit = self.documents


@dataclass(frozen=True, slots=True)
class EmbeddingPace:
    """Pace of embedding: tokens and requests per minute; inf for unknown."""

    tokens: float
    requests: float = math.inf
    measured: bool = False  # in the last runs; otherwise the quota that the settings give


@dataclass(frozen=True, slots=True)
class Estimate:
    """Requests, time, cost and storage that a run would need."""

    requests: int
    tokens: int  # as billed, without the text of the pages below
    pages: int  # scans to send to OCR
    seconds: float | None  # of embedding; None if the pace is unknown
    pace: EmbeddingPace | None
    usd: float | None  # None if a price is unknown
    rates: Rates
    records: int  # growth of the index
    chunks: int  # growth of the index
    size: int  # approximate growth on disk, bytes
    memory: int  # approximate growth in a service's vector quota, bytes
    room: FreeSpace
    exceeds: str  # the limit at which the run would stop; "" for none
    documents: int  # with chunks to embed
    before: int  # of `documents`, those finished when the run would stop
    read_figures: int = 0  # to send to OCR for the words in them, each billed as a page
    figures: int = 0  # to be described by a model, after all text
    chat: ChatTokens = NO_CHAT  # tokens of that, sent and answered: an estimate
    figures_exceed: str = ""  # the limit at which the run would stop while it describes figures


def estimate(spending: PlanTotals, services: Services, *, remote: bool) -> Estimate:
    """Estimate a run from its totals; `remote`: the index is on Azure AI Search."""
    model, budget, index = services.embedder, services.budget, services.index
    pace = embedding_pace(model.allowed(), model.calls(), index.runs(PACE_RUNS))
    scans, read_figures = services.reader.unsent_pages()
    pages = scans + read_figures
    figures, chat = services.reader.unsent_figures()
    growth = spending.chunks - spending.deleted
    index_bytes = azure_index_bytes if remote else local_index_bytes
    return Estimate(
        requests=spending.requests,
        tokens=spending.tokens,
        pages=scans,
        seconds=embedding_seconds(spending, pace) if pace else None,
        pace=pace,
        usd=budget.rates.usd(spending.tokens, pages, chat),
        rates=budget.rates,
        records=spending.records,
        chunks=growth,
        size=index_bytes(spending.chunks, spending.text_bytes, model.dimensions),
        memory=vector_memory_bytes(growth, model.dimensions) if remote else 0,
        room=index.free_space(),
        exceeds=spending.exceeds,
        documents=spending.documents,
        before=spending.documents_before_limit,
        read_figures=read_figures,
        figures=figures,
        chat=chat,
        figures_exceed=budget.find_exceeded_limit(spending.tokens, pages, chat),
    )


def embedding_pace(tokens: float, requests: float, runs: Sequence[Summary]) -> EmbeddingPace | None:
    """Pace that the quota allows, or else the pace of the last runs; None if both are unknown."""
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
    """Seconds that a run would embed at this pace."""
    tokens = spending.tokens if pace.measured else spending.quota
    return SECONDS_PER_MINUTE * max(tokens / pace.tokens, spending.requests / pace.requests)


def local_index_bytes(chunks: int, size: int, dimensions: int) -> int:
    """Bytes that new chunks take in a SQLite index; `size` is the total bytes of their texts."""
    return int(chunks * (FLOAT_BYTES * dimensions + ROW_BYTES) + TEXT_FACTOR * size)


def azure_index_bytes(chunks: int, size: int, dimensions: int) -> int:
    """Bytes that new chunks take on Azure AI Search; `size` is the total bytes of their texts."""
    return chunks * BYTES_PER_DIMENSION * dimensions + TEXT_COPIES * size


def vector_memory_bytes(chunks: int, dimensions: int) -> int:
    """Bytes that chunks take of the vector quota of Azure AI Search."""
    return int(chunks * (dimensions + HNSW_LINK_BYTES) * DELETED_FACTOR)
