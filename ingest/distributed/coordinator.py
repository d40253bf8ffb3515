"""One quota and one budget for all workers of a run.

Workers ask before every request, so what they are given is never more than there is; what was given
to one that is gone comes back. It remembers nothing that the next answer of the service does not
say again, so it may be lost and begun anew: only what may be spent is known to the driver, which
grants it in slices, and counts a slice as spent once whoever had it is lost.
"""

from __future__ import annotations

import itertools
import math
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ingest.distributed.messages import ClusterStatus, Orders, WorkerStatus
from ingest.embed.deployments import Endpoint, create_rate_limiter
from ingest.embed.rate_limit.limiter import Permit, Quota, Wait
from ingest.extract.ocr.rate_limit import LocalOcrRateLimiter
from ingest.runtime.budget import Budget
from ingest.runtime.prices import Rates

WORKER_TIMEOUT_SECONDS = 10.0  # seconds without a beat, after which a worker is taken for lost
DRIVER_TIMEOUT_SECONDS = (
    20.0  # seconds without a word from the driver, after which workers are told to stop
)
REQUEST_TIMEOUT_SECONDS = 180.0  # seconds in which every request is answered, or was given up


@dataclass(frozen=True, slots=True)
class BudgetLimits:
    """What a run may spend, and has spent."""

    tokens: float = math.inf
    usd: float = math.inf
    rates: Rates = field(default_factory=Rates)
    spent: tuple[int, int] = (0, 0)  # tokens, and pages that a service recognises


class Coordinator:
    """What all workers ask. Every method answers at once; any thread may call."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint] = (),
        limits: BudgetLimits = BudgetLimits(),
        granted: tuple[float, float] = (math.inf, math.inf),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self.rate_limiter = create_rate_limiter(endpoints, clock)
        # Answers to turns that another one gave mean nothing to this one.
        self.rate_limiter.permit_numbers = itertools.count(secrets.randbits(48))
        self.ocr_rate_limiter = LocalOcrRateLimiter(clock=clock)
        self.budget = Budget(
            max_tokens=limits.tokens,
            max_usd=limits.usd,
            rates=limits.rates,
            tokens=limits.spent[0],
            pages=limits.spent[1],
        )
        self.grant = granted  # tokens and pages that may be spent until the driver says more
        self.requested = (0, 0)
        self.orders = Orders()
        self.driver_seen = clock()  # of the driver, last
        self.statuses: dict[str, tuple[float, WorkerStatus]] = {}  # by who, and when
        self.lock = threading.Lock()

    def ask(self, worker: str, tokens: float) -> Permit | Wait:
        """Whether a worker may send a request of so many tokens."""
        self.drop_lost_workers()
        return self.rate_limiter.ask(tokens, worker)

    def report_success(self, turn: Permit, headers: Mapping[str, str]) -> None:
        """Its request was accepted."""
        self.rate_limiter.report_success(turn, headers)

    def report_throttled(self, turn: Permit, headers: Mapping[str, str]) -> float:
        """It was refused for a quota: so many seconds more, all are held back."""
        return self.rate_limiter.report_throttled(turn, headers)

    def report_failure(self, turn: Permit, ailing: bool) -> None:  # noqa: FBT001 - as the wire has it
        """It came to nothing."""
        self.rate_limiter.report_failure(turn, avoid=ailing)

    def get_quota(self) -> Quota:
        """What is known of the quotas; nothing where nobody has any."""
        return (
            self.rate_limiter.get_quota()
            if self.rate_limiter.deployments
            else Quota(0, math.inf, math.inf)
        )

    def ask_ocr(self, worker: str) -> float:
        """Seconds until a worker may ask the service that recognises text; 0: now."""
        return self.ocr_rate_limiter.ask(worker)

    def report_ocr_success(self) -> None:
        """It has answered."""
        self.ocr_rate_limiter.report_success()

    def report_ocr_throttled(self, floor: float) -> None:
        """It was asked too often: nobody asks it before so many seconds from now."""
        self.ocr_rate_limiter.report_throttled(floor)

    def reserve_budget(self, tokens: int, pages: int) -> str | None:
        """Whether so much more may be spent: "" for yes, else the limit; None: ask again."""
        with self.lock:
            mine = self.budget
            wanted = mine.tokens + tokens, mine.pages + pages
            if not mine.find_exceeded_limit(*wanted) and any(
                much > most for much, most in zip(wanted, self.grant, strict=True)
            ):
                self.requested = max(self.requested[0], tokens), max(self.requested[1], pages)
                return None
            mine.try_reserve(tokens, pages)
            return mine.limit_reached

    def heartbeat(self, status: WorkerStatus) -> Orders:
        """A worker is there."""
        with self.lock:
            now = self.clock()
            self.statuses[status.worker] = now, status
            if now - self.driver_seen > DRIVER_TIMEOUT_SECONDS:
                return replace(self.orders, driver_lost=True)
            return self.orders

    def remove_worker(self, worker: str) -> bool:
        """A worker says goodbye. Whether it was the last who needs this, the driver included."""
        self.rate_limiter.forget_client(worker)
        with self.lock:
            self.statuses.pop(worker, None)
            return not self.statuses and self.clock() - self.driver_seen > DRIVER_TIMEOUT_SECONDS

    def drop_lost_workers(self) -> None:
        """What those had who are gone comes back."""
        with self.lock:
            now = self.clock()
            silent = [
                who for who, (at, _) in self.statuses.items() if now - at > WORKER_TIMEOUT_SECONDS
            ]
            for who in silent:
                del self.statuses[who]
        for who in silent:
            self.rate_limiter.forget_client(who)
        self.rate_limiter.expire_permits(REQUEST_TIMEOUT_SECONDS)

    def update_orders(self, orders: Orders, granted: tuple[float, float]) -> ClusterStatus:
        """The driver says what is to be done and what may be spent, and hears how things are."""
        self.drop_lost_workers()
        with self.lock:
            self.driver_seen = self.clock()
            wanted, self.requested, self.grant = self.requested, (0, 0), granted
            self.orders = replace(orders, quota=self.get_quota())
            return ClusterStatus(
                tuple(beat for _, beat in self.statuses.values()),
                self.budget.tokens,
                self.budget.pages,
                wanted,
                self.budget.limit_reached,
                self.orders.quota,
            )
