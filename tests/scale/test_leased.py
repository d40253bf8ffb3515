"""What a worker asks the pacing of its run, and what it makes of the answers."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ingest.auth.credential import COGNITIVE_SERVICES, Login, credential
from ingest.auth.token_cache import TokenCache
from ingest.budget import Budget
from ingest.errors import StoppedError
from ingest.exchanges import names
from ingest.ocr.azure import DocumentIntelligence
from ingest.retry import Patience
from ingest.scale.leased import LeasedPace, lasting, spending, told
from ingest.scale.pacing import Limits, Pacing
from ingest.scale.session import mine_alone
from ingest.scale.work import MissedError
from ingest.stop import Stop
from tests.azure.emulator import Azure
from tests.azure.identity import COGNITIVE_USER
from tests.scans import squares


def asked(pacing: Pacing) -> Any:
    """The way to a pacing in this process."""
    return lambda method, *arguments: getattr(pacing, method)(*arguments)


def test_all_workers_together_ask_the_service_that_reads_scans_as_often_as_it_takes(
    azure: Azure,
) -> None:
    """Four of them, and more at once than the service takes in a second: none is refused."""
    azure.identity.default.grant(COGNITIVE_USER)
    azure.ocr.tps = azure.ocr.get_tps = 15  # of which ten are used
    out = io.BytesIO()
    squares("Any.").save(out, "PNG")
    pacing = Pacing()
    token = TokenCache(Login(lambda: credential("", "", hosted=True)), COGNITIVE_SERVICES)

    def work(who: str) -> None:
        pace = LeasedPace(who, asked(pacing))
        service = DocumentIntelligence(
            azure.ocr_endpoint, "prebuilt-read", token, Patience(60.0), pace=pace
        )
        for _ in range(4):
            service.take(out.getvalue())
        service.close()

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(work, "abcd"))
    assert azure.ocr.throttled == 0
    assert sum(azure.ocr.billed.values()) == 16


def test_a_limit_is_kept_by_all_budgets_together() -> None:
    """Each worker asks before it spends: eight of them are let through to the token."""
    pacing = Pacing(limits=Limits(tokens=1000))
    stops = [Stop() for _ in range(8)]
    budgets = [
        Budget(stop, agreed=lambda t, p, stop=stop: spending(asked(pacing), stop, t, p))  # type: ignore[misc]
        for stop in stops
    ]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda n: budgets[n % 8].take(30), range(100)))
    assert sum(answers) == 33
    assert pacing.budget.tokens == 990
    assert all(stop.sated for stop in stops)
    assert {budget.reached for budget in budgets} == {"--max-tokens 1,000"}


def test_who_waits_for_a_grant_hears_that_the_run_is_over() -> None:
    """The driver grants nothing any more: a worker does not wait for it for ever."""
    pacing, stop = Pacing(limits=Limits(tokens=1000), granted=(0, 0)), Stop(grace=0.0)
    threading.Timer(0.3, stop.abandon).start()
    with pytest.raises(StoppedError):
        spending(asked(pacing), stop, 10, 0)


def test_who_misses_the_pacing_waits_for_another_one() -> None:
    """Unless the run ends meanwhile."""
    missed = iter([True, True, False])

    def call(method: str) -> str:
        if next(missed, True):
            raise MissedError
        return method

    stop = Stop(grace=0.0)
    ask = lasting(call, stop)
    assert ask("known") == "known"
    threading.Timer(0.3, stop.abandon).start()
    with pytest.raises(StoppedError):
        ask("known")


def test_only_what_is_said_of_quotas_goes_to_the_pacing() -> None:
    """No header of an answer that is about anything else."""
    headers = {"X-RateLimit-Remaining-Tokens": "7", "Retry-After": "2", "Set-Cookie": "secret"}
    assert told(headers) == {"x-ratelimit-remaining-tokens": "7", "retry-after": "2"}


def test_no_two_workers_give_their_requests_one_name() -> None:
    """A service's people find the one that I ask about."""
    workers = [names("run", mine_alone()) for _ in range(50)]
    driver = names("run")
    given = [name() for name in [*workers, driver] for _ in range(20)]
    assert len(set(given)) == len(given)
    assert len({name[:23] for name in given}) == 1
