"""Turns at one or several deployments: which of them, and threads that wait."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from ingest.embed.rate_limit.deployment import DeploymentLimiter
from ingest.embed.rate_limit.limiter import AVOID_FAILED_SECONDS, Gate, LocalRateLimiter
from ingest.embed.rate_limit.others import OtherClients
from ingest.embed.rate_limit.quota import LearntLimit
from ingest.errors import ServiceError
from ingest.runtime.retry import RetryPolicy
from ingest.runtime.timing import TOKEN_QUOTA, Stopwatch
from tests.embed.rate_limit.simulation import REMAINING, Hurried, Quota, Slept

TPM = 60_000
SIZE = 500.0  # tokens of a request


def create_limiter(tpm: float = math.inf) -> DeploymentLimiter:
    """A pace that another client has been seen beside, so that nothing is spent at once."""
    seen = OtherClients(seen_until=math.inf)
    return DeploymentLimiter(LearntLimit(tpm), others=seen, has_answered=True)


def create_gate(paces: Sequence[DeploymentLimiter]) -> tuple[Gate, Slept]:
    """The turns of a single thread, whose time passes by sleeping alone."""
    slept = Slept()
    patience = RetryPolicy(clock=slept.clock, sleep=slept.sleep)
    return Gate(LocalRateLimiter(paces, slept.clock), patience, Stopwatch(slept.clock)), slept


def limiter_of(turns: Gate) -> LocalRateLimiter:
    """The paces behind some turns."""
    assert isinstance(turns.rate_limiter, LocalRateLimiter)
    return turns.rate_limiter


def measure_used_shares(turns: Gate, slept: Slept, minutes: int, idle: float = 0.0) -> list[float]:
    """The share of each deployment's quota that one thread uses, idle for a while each time.

    Fails if anything is refused.
    """
    quotas = [Quota(lambda _: TPM, told=REMAINING) for _ in limiter_of(turns).deployments]
    tokens: Counter[int] = Counter()
    while slept.now < minutes * 60:
        turn = turns.acquire(SIZE)
        accepted, headers = quotas[turn.deployment_index].ask(SIZE, slept.now)
        assert accepted
        tokens[turn.deployment_index] += int(SIZE)
        turns.rate_limiter.report_success(turn, headers)
        slept.now += idle
    return [tokens[place] / (TPM * minutes) for place in range(len(quotas))]


def test_each_deployment_has_a_pace_of_its_own() -> None:
    """Three resources are three quotas, and all of each is used."""
    turns, slept = create_gate([create_limiter(), create_limiter(), create_limiter()])
    assert all(share >= 0.97 for share in measure_used_shares(turns, slept, 4))


def test_the_first_deployment_is_filled_before_the_next_is_asked() -> None:
    """What is paid for anyway comes first; the others take what it has no room for."""
    half = SIZE / (0.5 * TPM / 60)  # seconds between requests that take half of a quota
    first, second = measure_used_shares(
        *create_gate([create_limiter(TPM), create_limiter(TPM)]),
        10,
        idle=half,
    )
    assert first == pytest.approx(0.5, abs=0.05)
    assert second == 0

    first, second = measure_used_shares(
        *create_gate([create_limiter(TPM), create_limiter(TPM)]),
        10,
        idle=half / 3,
    )
    assert first >= 0.95
    assert second == pytest.approx(0.5, abs=0.1)


def test_a_deployment_that_fails_is_passed_over_for_a_while() -> None:
    """One region is down: the other does the work, and the first is tried again in a moment."""
    turns, slept = create_gate([create_limiter(TPM), create_limiter(TPM)])
    turn = turns.acquire(SIZE)
    assert turn.deployment_index == 0
    turns.rate_limiter.report_failure(turn, avoid=True)
    places = []
    while slept.now < 2 * AVOID_FAILED_SECONDS:
        turn = turns.acquire(SIZE)
        places.append((slept.now, turn.deployment_index))
        turns.rate_limiter.report_success(turn, {})
    assert {place for at, place in places if at < AVOID_FAILED_SECONDS - 1} == {1}
    assert {place for at, place in places if at > AVOID_FAILED_SECONDS} == {0, 1}


def test_the_only_deployment_is_not_passed_over() -> None:
    """If there is only one deployment, it is tried again despite a failure."""
    turns, slept = create_gate([create_limiter(TPM)])
    turns.rate_limiter.report_failure(turns.acquire(SIZE), avoid=True)
    turns.acquire(SIZE)
    assert slept.now < AVOID_FAILED_SECONDS


def test_a_deployment_that_refuses_leaves_the_work_to_the_others() -> None:
    """One of two has nothing for 20 seconds: the other goes on, nobody waits."""
    turns, slept = create_gate([create_limiter(TPM), create_limiter(TPM)])
    turn = turns.acquire(SIZE)
    assert turns.rate_limiter.report_throttled(turn, {"retry-after": "20"}) == 20
    places = set()
    while slept.now < 19:
        turn = turns.acquire(SIZE)
        places.add(turn.deployment_index)
        turns.rate_limiter.report_success(turn, {})
    assert places == {1}


def test_a_request_is_as_large_as_the_smallest_deployment_likes() -> None:
    """A request fits each deployment, since it may go to any of them."""
    turns, _ = create_gate([create_limiter(TPM), create_limiter(TPM / 10)])
    assert turns.rate_limiter.get_quota().request_tokens == TPM // 10 // 150
    assert turns.rate_limiter.get_quota().tokens_per_minute == TPM * 1.1


def run_threads(count: int, work: Callable[[int], None]) -> None:
    """Several threads; raises what one of them raised."""
    with ThreadPoolExecutor(count) as threads:
        list(threads.map(work, range(count)))


def test_threads_send_one_after_another_at_the_pace() -> None:
    """Twelve threads share one quota as if they were one, and all of them get on."""
    hurried = Hurried(20)
    pace = create_limiter(TPM)
    turns = Gate(
        LocalRateLimiter([pace], hurried.clock),
        RetryPolicy(clock=hurried.clock, sleep=hurried.sleep),
        Stopwatch(hurried.clock),
    )
    sent: list[float] = []
    began = hurried.clock()

    def work(_: int) -> None:
        for _ in range(3):
            turn = turns.acquire(SIZE)
            sent.append(hurried.clock())
            hurried.sleep(1)
            turns.rate_limiter.report_success(turn, {})

    run_threads(12, work)
    spaced = SIZE / (TPM / 60)
    assert len(sent) == 36
    assert max(sent) - began >= 35 * spaced - 1
    assert turns.times.wall_seconds(TOKEN_QUOTA) > 0


def test_a_stop_ends_every_wait() -> None:
    """^C while eight threads wait for a quota: all are free in a moment, none sends."""
    stopped = threading.Event()
    frozen = RetryPolicy(is_cancelled=stopped.is_set, clock=lambda: 0.0)  # the quota never comes
    turns = Gate(LocalRateLimiter([create_limiter(TPM)], frozen.clock), frozen, Stopwatch())
    turn = turns.acquire(SIZE)
    turns.rate_limiter.report_throttled(turn, {"retry-after": "100"})
    outcomes: list[str] = []

    def work(_: int) -> None:
        with pytest.raises(ServiceError, match="stopped"):
            turns.acquire(SIZE)
        outcomes.append("stopped")

    threading.Timer(0.3, stopped.set).start()
    run_threads(8, work)
    assert len(outcomes) == 8
    assert limiter_of(turns).deployments[0].under_way == 0


def test_an_answer_is_noticed_by_who_waits() -> None:
    """The first answer wakes up all threads that wait for it."""
    hurried = Hurried(10)
    turns = Gate(
        LocalRateLimiter([create_limiter()], hurried.clock),
        RetryPolicy(clock=hurried.clock, sleep=hurried.sleep),
        Stopwatch(),
    )
    turn = turns.acquire(SIZE)
    freed: list[float] = []

    def work(thread: int) -> None:
        if thread == 0:
            hurried.sleep(3)
            freed.append(hurried.clock())
            turns.rate_limiter.report_success(turn, {})
        else:
            turns.acquire(SIZE)
            freed.append(hurried.clock())

    run_threads(4, work)
    assert freed == sorted(freed)
    assert freed[-1] - freed[0] < 20


def test_the_quotas_of_several_deployments_add_up() -> None:
    """A plan goes by all of them together; one that has no known limit leaves it open."""
    two = LocalRateLimiter(
        [
            DeploymentLimiter(LearntLimit(60e3), LearntLimit(100)),
            DeploymentLimiter(LearntLimit(40e3), LearntLimit(50)),
        ]
    ).get_quota()
    assert two.tokens_per_minute == 100e3
    assert two.requests_per_minute == pytest.approx(135)  # a tenth is left free
    one = LocalRateLimiter([DeploymentLimiter(LearntLimit(60e3)), create_limiter()]).get_quota()
    assert (one.tokens_per_minute, one.requests_per_minute) == (math.inf, math.inf)
