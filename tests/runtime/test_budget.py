"""A budget is never exceeded by concurrent callers, and is final once it is used up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from ingest.errors import StoppedError
from ingest.runtime.budget import Budget
from ingest.runtime.cancellation import Cancellation
from ingest.runtime.prices import Price, Rates

PAID = Rates(Price("m", 1.0, "2026-11-01"), Price("read", 10.0, "2026-11-01"))


def try_request(budget: Budget, tokens: int, billed: int | None = None) -> bool:
    """A request of so many tokens; whether it was sent. All of it is billed, or less."""
    try:
        budget.reserve(tokens)
    except StoppedError:
        return False
    budget.settle(tokens, tokens if billed is None else billed)
    return True


def test_many_threads_never_exceed_it_together() -> None:
    """A hundred requests at once are let through until it is full, to the token."""
    budget = Budget(max_tokens=1000)
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: try_request(budget, 30), range(100)))
    assert sum(answers) == 33
    assert (budget.tokens, budget.open_tokens) == (990, 0)


def test_after_a_no_there_is_no_yes() -> None:
    """Once a request exceeded the limit, smaller ones are refused too, and the run stops."""
    stop = Cancellation(grace_seconds=0.0)
    budget = Budget(stop, max_tokens=100)
    assert try_request(budget, 60)
    assert not stop.is_requested()
    assert not try_request(budget, 60)
    assert not try_request(budget, 1)
    assert budget.limit_reached == "--max-tokens 100"
    assert budget.is_closed()
    assert stop.is_requested()
    assert not stop.is_overdue()  # what is under way was paid for, and is waited for
    with pytest.raises(StoppedError, match="--max-tokens 100 is spent"):
        budget.reserve(1)


def test_what_the_service_refused_is_not_spent() -> None:
    """A limit is not said to be used up by requests that cost nothing, or less than feared."""
    budget = Budget(max_tokens=100)
    assert all(try_request(budget, 60, billed=0) for _ in range(9))
    assert try_request(budget, 60, billed=20)
    assert try_request(budget, 80)
    assert (budget.tokens, budget.limit_reached) == (100, "")


def test_what_may_be_given_back_is_waited_for() -> None:
    """Another request is under way, which the service may refuse: only then it is known."""
    budget = Budget(max_tokens=100)
    budget.reserve(60)
    assert budget.try_reserve(60, 0) is None
    assert budget.try_reserve(101, 0) == "--max-tokens 100"

    budget = Budget(max_tokens=100)
    budget.reserve(60)
    with ThreadPoolExecutor(1) as threads:
        waits = threads.submit(try_request, budget, 60)
        budget.settle(60, billed=10)
        assert waits.result()
    assert budget.tokens == 70


def test_who_waits_for_the_budget_hears_of_the_end() -> None:
    """The run is stopped while a request under way has no answer."""
    budget = Budget(Cancellation(grace_seconds=0.0), max_tokens=100)
    budget.reserve(60)
    budget.stop.request()
    with pytest.raises(StoppedError, match="run again"):
        budget.reserve(60)


def test_tokens_and_pages_share_the_money() -> None:
    """A dollar is 500,000 tokens and 50 pages; a page that is refused gives its money back."""
    budget = Budget(max_usd=1.0, rates=PAID)
    assert budget.remaining_tokens() == pytest.approx(1_000_000)
    budget.reserve(pages=60)
    budget.settle(pages=60, billed_pages=50)
    assert budget.remaining_tokens() == pytest.approx(500_000)
    assert try_request(budget, 500_000)
    assert budget.usd == pytest.approx(1.0)
    assert not try_request(budget, 1)
    assert budget.limit_reached == "--max-cost 1"
    assert budget.remaining_tokens() == 0


def test_nothing_may_be_spent_with_no_money() -> None:
    """A limit of 0 lets through what is free and nothing else."""
    assert try_request(Budget(max_usd=0.0), 10**9)
    assert not try_request(Budget(max_usd=0.0, rates=PAID), 1)
