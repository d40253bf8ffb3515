"""Estimates of time and size: from what is known, and none where nothing is."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from ingest.commands.plan import (
    EmbeddingPace,
    PlanTotals,
    embedding_pace,
    embedding_seconds,
    vector_memory_bytes,
)
from ingest.models import Outcome, SourceResult, Summary
from ingest.pipeline.dry_run import EmbeddingRequest, RecordCountChange
from ingest.runtime.budget import Budget

RUN = Summary("r", "2026-11-01", 40.0, 0, {}, 9, 5, 0, 6000, {"embedding": {"wall": 20.0}}, "")


def test_time_goes_by_what_is_set_else_by_the_last_runs() -> None:
    """A quota counts before it tokenizes, a measured pace counts tokens; the slower limit holds."""
    spending = PlanTotals(Budget(), requests=30, tokens=9000, quota=12_000)
    idle = replace(RUN, tokens_embedded=0)
    assert embedding_pace(math.inf, math.inf, []) is None
    assert embedding_pace(math.inf, math.inf, [idle]) is None
    assert embedding_pace(60_000, 10, [RUN]) == EmbeddingPace(60_000, 10)
    measured = embedding_pace(math.inf, math.inf, [RUN, idle, RUN])
    assert measured == EmbeddingPace(18_000, measured=True)
    assert embedding_seconds(spending, measured) == 30
    assert embedding_seconds(spending, EmbeddingPace(60_000)) == 12
    assert embedding_seconds(spending, EmbeddingPace(60_000, 10)) == 180


def test_a_limit_stops_before_the_request_that_is_beyond_it() -> None:
    """What was complete by then is done; a page that must be recognised counts too."""
    spending = PlanTotals(Budget(max_tokens=100))
    done = SourceResult("r", "a.pdf", Outcome.NEW, chunks=2, embedded=2, tokens=60)
    for event in (
        EmbeddingRequest(60, 70, 240),
        RecordCountChange(),
        done,
        EmbeddingRequest(60, 70, 240),
        done,
        done,
    ):
        spending.add(event, 0)
    assert (spending.exceeds, spending.documents_before_limit, spending.documents) == (
        "--max-tokens 100",
        1,
        3,
    )
    assert (spending.requests, spending.tokens, spending.records) == (2, 120, 1)


def test_the_memory_of_vectors_is_about_what_microsoft_measured() -> None:
    """Their links take 2% of 768 floats and 1% of 1,536; ours are bytes, a tenth is not cleaned."""
    for dimensions, share in ((768, 0.02), (1536, 0.01)):
        wanted = (dimensions + 4 * dimensions * share) * 1.1 * 1000
        assert vector_memory_bytes(1000, dimensions) == pytest.approx(wanted, rel=0.02)
