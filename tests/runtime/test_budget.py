"""A budget: never exceeded, whoever asks at the same time, and final once it is used up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from ingest.errors import StoppedError
from ingest.runtime.budget import Budget
from ingest.runtime.cancellation import Cancellation
from ingest.runtime.prices import Price, Rates

PAID = Rates(Price("m", 1.0, "2026-11-01"), Price("read", 10.0, "2026-11-01"))


def test_many_threads_never_exceed_it_together() -> None:
    """A hundred requests at once are let through until it is full, to the token."""
    budget = Budget(max_tokens=1000)
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(budget.try_reserve, [30] * 100))
    assert sum(answers) == 33
    assert budget.tokens == 990


def test_after_a_no_there_is_no_yes() -> None:
    """A small document does not slip in behind a large one; the run is asked to end, no more."""
    stop = Cancellation(grace_seconds=0.0)
    budget = Budget(stop, max_tokens=100)
    assert budget.try_reserve(60)
    assert not stop.is_requested()
    assert not budget.try_reserve(60)
    assert not budget.try_reserve(1)
    assert budget.limit_reached == "--max-tokens 100"
    assert stop.is_requested()
    assert not stop.is_overdue()  # what is under way was paid for, and is waited for
    with pytest.raises(StoppedError, match="--max-tokens 100 is spent"):
        budget.reserve(1)


def test_tokens_and_pages_share_the_money() -> None:
    """A dollar is 500,000 tokens and 50 pages; a page that is refused gives its money back."""
    budget = Budget(max_usd=1.0, rates=PAID)
    assert budget.remaining_tokens() == pytest.approx(1_000_000)
    assert budget.try_reserve(pages=60)
    budget.release_pages(10)
    assert budget.remaining_tokens() == pytest.approx(500_000)
    assert budget.try_reserve(500_000)
    assert budget.usd == pytest.approx(1.0)
    assert not budget.try_reserve(1)
    assert budget.limit_reached == "--max-cost 1"
    assert budget.remaining_tokens() == 0


def test_nothing_may_be_spent_with_no_money() -> None:
    """A limit of 0 lets through what is free and nothing else."""
    assert Budget(max_usd=0.0).try_reserve(10**9)
    assert not Budget(max_usd=0.0, rates=PAID).try_reserve(1)
