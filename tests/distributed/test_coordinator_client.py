"""A worker's rate limiters and budget, which ask the coordinator."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from ingest.azure.token_hosts import COGNITIVE_SERVICES_SCOPE
from ingest.distributed.coordinator import BudgetLimits, Coordinator
from ingest.distributed.coordinator_client import (
    RemoteRateLimiter,
    quota_headers,
    reserve_budget,
    settle_budget,
    wait_for_coordinator,
)
from ingest.distributed.messages import CoordinatorUnavailableError
from ingest.distributed.session import first_request_number
from ingest.errors import StoppedError
from ingest.extract.ocr.document_intelligence import DocumentIntelligence
from ingest.runtime.budget import Budget
from ingest.runtime.cancellation import Cancellation
from ingest.runtime.request_ids import request_ids
from ingest.runtime.retry import RetryPolicy
from tests.emulator.emulator import Azure
from tests.emulator.identity import COGNITIVE_USER
from tests.runs import managed_token
from tests.scans import squares


def create_link(coordinator: Coordinator) -> Any:
    """Return calls to a coordinator in this process."""
    return lambda method, *arguments: getattr(coordinator, method)(*arguments)


def test_all_workers_together_ask_the_service_that_reads_scans_as_often_as_it_takes(
    azure: Azure,
) -> None:
    """Four of them, and more at once than the service takes in a second: none is refused."""
    azure.identity.default.grant(COGNITIVE_USER)
    azure.ocr.tps = azure.ocr.get_tps = 15  # of which ten are used
    out = io.BytesIO()
    squares("Any.").save(out, "PNG")
    coordinator = Coordinator()
    token = managed_token(COGNITIVE_SERVICES_SCOPE)

    def work(who: str) -> None:
        pace = RemoteRateLimiter("ocr", who, create_link(coordinator))
        service = DocumentIntelligence(
            azure.ocr_endpoint, "prebuilt-read", token, RetryPolicy(60.0), rate_limiter=pace
        )
        for _ in range(4):
            service.submit(out.getvalue())
        service.close()

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(work, "abcd"))
    assert azure.ocr.throttled == 0
    assert sum(azure.ocr.billed.values()) == 16


def test_a_limit_is_kept_by_all_budgets_together() -> None:
    """Each worker asks before it spends: eight of them are let through to the token."""
    coordinator = Coordinator(limits=BudgetLimits(tokens=1000))
    stops = [Cancellation() for _ in range(8)]
    budgets = [
        Budget(
            stop,
            reserve_shared=partial(reserve_budget, create_link(coordinator), stop),
            settle_shared=partial(settle_budget, create_link(coordinator)),
        )
        for stop in stops
    ]

    def pay(number: int) -> bool:
        budget = budgets[number % 8]
        try:
            budget.reserve(30)
        except StoppedError:
            return False
        budget.settle(30, 30)
        return True

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(pay, range(100)))
    assert sum(answers) == 33
    assert coordinator.budget.tokens == 990
    assert all(stop.drained for stop in stops)
    assert {budget.limit_reached for budget in budgets} == {"--max-tokens 1,000"}


def test_who_waits_for_a_grant_hears_that_the_run_is_over() -> None:
    """A worker that waits for tokens stops waiting when the run ends."""
    coordinator, stop = (
        Coordinator(limits=BudgetLimits(tokens=1000), granted=(0, 0)),
        Cancellation(grace_seconds=0.0),
    )
    threading.Timer(0.3, stop.abandon).start()
    with pytest.raises(StoppedError):
        reserve_budget(create_link(coordinator), stop, 10, 0)


def test_who_misses_the_pacing_waits_for_another_one() -> None:
    """Without a coordinator, a worker waits for a new one, or for the end of the run."""
    missed = iter([True, True, False])

    def call(method: str) -> str:
        if next(missed, True):
            raise CoordinatorUnavailableError
        return method

    stop = Cancellation(grace_seconds=0.0)
    ask = wait_for_coordinator(call, stop)
    assert ask("get_quota") == "get_quota"
    threading.Timer(0.3, stop.abandon).start()
    with pytest.raises(StoppedError):
        ask("get_quota")


def test_only_what_is_said_of_quotas_goes_to_the_pacing() -> None:
    """Only rate-limit headers are sent on."""
    headers = {"X-RateLimit-Remaining-Tokens": "7", "Retry-After": "2", "Set-Cookie": "secret"}
    assert quota_headers(headers) == {"x-ratelimit-remaining-tokens": "7", "retry-after": "2"}


def test_no_two_workers_give_their_requests_one_name() -> None:
    """Request ids are unique across workers, so that support can find one."""
    workers = [request_ids("run", first_request_number()) for _ in range(5_000)]
    driver = request_ids("run")
    given = [name() for name in [*workers, driver] for _ in range(20)]
    assert len(set(given)) == len(given)
    assert len({name[:23] for name in given}) == 1
