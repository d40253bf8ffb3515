"""One quota and one budget for all workers, in simulated time, although parts get lost."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from ingest.distributed.coordinator import (
    DRIVER_TIMEOUT_SECONDS,
    REQUEST_TIMEOUT_SECONDS,
    WORKER_TIMEOUT_SECONDS,
    BudgetLimits,
    Coordinator,
)
from ingest.distributed.messages import Orders, WorkerStatus
from ingest.embed.deployments import Endpoint
from ingest.runtime.prices import Price, Rates
from ingest.runtime.rate_limit import Permit
from tests.embed.rate_limit.simulation import (
    FULL,
    REMAINING,
    Act,
    Quota,
    Seen,
    draw_latency,
    simulate,
)
from tests.embed.rate_limit.simulation import SILENT as SAYS_NOTHING
from tests.embed.rate_limit.simulation import Later as At

TPM = 120_000
MINUTES = 10
PAID = Rates(Price("m", 1.0, "2026-11-01"), Price("read", 10.0, "2026-11-01"))


def make_endpoint(tpm: float = TPM) -> Endpoint:
    return Endpoint("https://one", "d", "m", 8, "", tpm)


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class World:
    """A coordinator in simulated time, which may be lost."""

    tpm: float = TPM  # as configured; inf: to be learnt
    clock: Clock = field(default_factory=Clock)
    coordinator: Coordinator = field(init=False)

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Start another coordinator, which knows nothing of the one before."""
        self.coordinator = Coordinator([make_endpoint(self.tpm)], clock=self.clock)


@dataclass
class Worker:
    """A worker whose threads always have something to send."""

    name: str
    world: World
    at_once: int = 6
    dies: float = math.inf
    seen: Seen = field(default_factory=Seen)
    under_way: int = 0

    def start(self, quota: Quota, at: At) -> None:
        def here(act: Act) -> Act:
            """Act at that time, by the coordinator's clock too, if this worker lives."""

            def acted(now: float) -> None:
                self.world.clock.now = now
                if now < self.dies:
                    act(now)

            return acted

        def look(now: float) -> None:
            tokens = float(self.world.coordinator.get_quota().request_tokens)
            if self.under_way >= self.at_once:
                return at(now + 0.05, here(look))
            answer = self.world.coordinator.ask(self.name, tokens)
            if not isinstance(answer, Permit):
                return at(now + answer.seconds, here(look))
            self.under_way += 1
            way = draw_latency()
            at(now + way / 4, lambda then: arrive(then, answer, tokens, way))
            return at(now, here(look))

        def arrive(now: float, turn: Permit, tokens: float, way: float) -> None:
            accepted, headers = quota.ask(tokens, now)
            if accepted:
                self.seen.accepted.append((now, tokens))
                at(now + way * 3 / 4, here(lambda _: over(turn, headers, refused=False)))
            else:
                self.seen.refused.append(now)
                at(now + way / 4, here(lambda _: over(turn, headers, refused=True)))

        def over(turn: Permit, headers: Mapping[str, str], *, refused: bool) -> None:
            self.under_way -= 1
            if refused:
                self.world.coordinator.report_throttled(turn, headers)
            else:
                self.world.coordinator.report_success(turn, headers)

        def beat(now: float) -> None:
            self.world.coordinator.heartbeat(WorkerStatus(self.name))
            at(now + 1.0, here(beat))

        at(random.random(), here(beat))
        at(random.random(), here(look))


@dataclass
class Moment:
    """Something that happens once."""

    when: float
    what: Callable[[], None]
    seen: Seen = field(default_factory=Seen)

    def start(self, _: Quota, at: At) -> None:
        at(self.when, lambda _: self.what())


def measure_shares(workers: list[Worker], minutes: float = MINUTES) -> list[float]:
    """Return each worker's share of the quota."""
    return [sum(t for _, t in w.seen.accepted) / (TPM * minutes) for w in workers]


def measure_refusals(workers: list[Worker]) -> float:
    """Return the share of requests that were throttled."""
    no = sum(len(w.seen.refused) for w in workers)
    return no / (no + sum(len(w.seen.accepted) for w in workers))


@pytest.mark.parametrize("told", [FULL, REMAINING, SAYS_NOTHING])
@pytest.mark.parametrize("number", [1, 4, 8])
def test_all_workers_together_use_the_quota_and_never_more(
    told: tuple[str, ...], number: int
) -> None:
    """However many there are, whatever the service says: 95% of it, 1% refused, each its share."""
    world = World()
    workers = [Worker(f"w{n}", world) for n in range(number)]
    simulate(Quota(lambda _: TPM, told=told), MINUTES * 60, *workers)
    used = measure_shares(workers)
    assert 0.95 <= sum(used) <= 1.0
    assert measure_refusals(workers) <= 0.01
    assert max(used) <= 1.3 * min(used)


def test_the_quota_of_a_lost_worker_is_for_the_others() -> None:
    """Half of them die while they wait for answers: the rest takes all of it."""
    world = World()
    dying = [Worker(f"w{n}", world, dies=120.0) for n in range(2)]
    living = [Worker(f"w{n}", world) for n in range(2, 4)]
    simulate(Quota(lambda _: TPM, told=FULL), MINUTES * 60, *dying, *living)
    assert sum(measure_shares([*dying, *living])) >= 0.95
    assert measure_refusals([*dying, *living]) <= 0.01
    assert world.coordinator.rate_limiter.deployments[0].under_way <= sum(w.at_once for w in living)


@pytest.mark.parametrize("tpm", [TPM, math.inf])
def test_a_pacing_that_is_begun_anew_sends_no_burst(tpm: float) -> None:
    """A new coordinator knows of no earlier requests, so it starts slowly."""
    world = World(tpm)
    workers = [Worker(f"w{n}", world) for n in range(4)]
    losses = [Moment(when, world.begin) for when in (95.0, 230.0, 231.0, 400.0)]
    simulate(Quota(lambda _: TPM, told=FULL), MINUTES * 60, *workers, *losses)
    assert 0.90 <= sum(measure_shares(workers)) <= 1.0
    assert measure_refusals(workers) <= 0.01


def test_answers_to_turns_of_an_earlier_pacing_mean_nothing() -> None:
    """Answers to permits of an earlier coordinator are ignored, except for refusals."""
    world = World(math.inf)
    old = world.coordinator.ask("a", 10)
    assert isinstance(old, Permit)
    world.begin()
    mine = world.coordinator.ask("a", 10)
    assert isinstance(mine, Permit)
    assert mine.number != old.number
    world.coordinator.report_success(old, {"x-ratelimit-limit-tokens": "7"})
    assert world.coordinator.get_quota().tokens_per_minute == math.inf
    assert world.coordinator.rate_limiter.deployments[0].under_way == 1


def test_what_a_silent_worker_had_comes_back() -> None:
    """Permits of a worker return once its heartbeat stops, or when it leaves."""
    world = World(10**9)
    coordinator, pace = world.coordinator, world.coordinator.rate_limiter.deployments[0]
    pace.has_answered = True
    for who in "abc":
        coordinator.heartbeat(WorkerStatus(who))
        assert isinstance(coordinator.ask(who, 10), Permit)
        world.clock.now += 0.1
    coordinator.remove_worker("a")
    assert pace.under_way == 2
    world.clock.now += WORKER_TIMEOUT_SECONDS - 1
    coordinator.heartbeat(WorkerStatus("c"))
    world.clock.now += 2
    assert [beat.worker for beat in coordinator.update_orders(Orders(), (0, 0)).workers] == ["c"]
    assert pace.under_way == 1

    world.clock.now += REQUEST_TIMEOUT_SECONDS
    coordinator.heartbeat(WorkerStatus("c"))
    coordinator.drop_lost_workers()
    assert pace.under_way == 0


def test_workers_are_told_what_the_driver_wants_and_that_it_has_left() -> None:
    """Workers learn with a heartbeat that the run was stopped, or its driver lost."""
    world = World()
    world.coordinator.update_orders(Orders(stop=True), (0, 0))
    orders = world.coordinator.heartbeat(WorkerStatus("a"))
    assert (orders.stop, orders.abandon, orders.driver_lost) == (True, False, False)
    assert orders.quota == world.coordinator.get_quota()

    world.coordinator.update_orders(Orders(), (0, 0))
    world.clock.now += DRIVER_TIMEOUT_SECONDS + 1
    assert world.coordinator.heartbeat(WorkerStatus("a")).driver_lost
    world.coordinator.update_orders(Orders(), (0, 0))
    assert not world.coordinator.heartbeat(WorkerStatus("a")).driver_lost


def test_nothing_is_spent_that_was_not_granted() -> None:
    """A request waits until the driver grants more tokens."""
    coordinator = Coordinator(limits=BudgetLimits(tokens=1000), granted=(100, 0))
    assert coordinator.reserve_budget(60, 0) == ""
    assert coordinator.reserve_budget(60, 0) is None
    assert coordinator.update_orders(Orders(), (150, 0)).wanted == (60, 0)
    assert coordinator.reserve_budget(60, 0) == ""

    status = coordinator.update_orders(Orders(), (1000, 0))
    assert (status.tokens, status.wanted, status.limit_reached) == (120, (0, 0), "")


def test_a_limit_that_is_reached_is_final_for_all() -> None:
    """Once the limit is reached, no smaller request is granted, and all learn which limit."""
    coordinator = Coordinator(limits=BudgetLimits(tokens=100), granted=(math.inf, math.inf))
    assert coordinator.reserve_budget(60, 0) == ""
    coordinator.settle_budget(60, 60, 0, 0, 0)
    assert coordinator.reserve_budget(60, 0) == "--max-tokens 100"
    assert coordinator.reserve_budget(1, 0) == "--max-tokens 100"
    assert coordinator.update_orders(Orders(), (0, 0)).limit_reached == "--max-tokens 100"


def test_what_a_lost_worker_reserved_is_waited_for_no_longer_than_an_answer() -> None:
    """What a lost worker reserved counts as spent, since it may have been billed."""
    clock = Clock()
    coordinator = Coordinator(
        limits=BudgetLimits(tokens=100), granted=(math.inf, math.inf), clock=clock
    )
    assert coordinator.reserve_budget(60, 0) == ""
    assert coordinator.reserve_budget(60, 0) is None
    clock.now += REQUEST_TIMEOUT_SECONDS + 1
    assert coordinator.reserve_budget(60, 0) == "--max-tokens 100"
    assert coordinator.update_orders(Orders(), (0, 0)).tokens == 60


def test_pages_are_paid_from_the_same_money_and_given_back() -> None:
    """The money of a refused page is granted to another one."""
    coordinator = Coordinator(
        limits=BudgetLimits(usd=0.02, rates=PAID), granted=(math.inf, math.inf)
    )
    assert coordinator.reserve_budget(0, 2) == ""
    coordinator.settle_budget(0, 0, 2, 1, 0)
    assert coordinator.reserve_budget(0, 1) == ""
    coordinator.settle_budget(0, 0, 1, 1, 0)
    assert coordinator.reserve_budget(0, 1) == "--max-cost 0.02"


def test_a_pacing_begun_anew_knows_what_was_spent() -> None:
    """A new coordinator is told what earlier ones granted, so the limit holds."""
    coordinator = Coordinator(
        limits=BudgetLimits(tokens=100, spent=(90, 0)), granted=(math.inf, math.inf)
    )
    assert coordinator.reserve_budget(10, 0) == ""
    coordinator.settle_budget(10, 10, 0, 0, 0)
    assert coordinator.reserve_budget(1, 0) == "--max-tokens 100"
