"""Coordinator: the quota and the budget that all workers of a run share.

Workers ask before every request, so that together they never exceed a limit; permits of lost
workers are reclaimed. The coordinator learns quotas from the next responses, so it may be lost and
started again. Only the driver knows the budget: it grants it in slices, and counts a slice as spent
if the coordinator that had it is lost.
"""

from __future__ import annotations

import itertools
import math
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ingest.distributed.messages import UNLIMITED, ClusterStatus, Orders, ServiceName, WorkerStatus
from ingest.embed.deployments import Endpoint, create_rate_limiter
from ingest.embed.rate_limit.limiter import LocalRateLimiter, Quota
from ingest.extract.ocr.rate_limit import LeakyBucket
from ingest.runtime.budget import Budget
from ingest.runtime.prices import Rates
from ingest.runtime.rate_limit import Permit, Wait

WORKER_TIMEOUT_SECONDS = 10.0  # without a heartbeat, after which a worker counts as lost
DRIVER_TIMEOUT_SECONDS = 20.0  # without a call from the driver, after which workers stop
REQUEST_TIMEOUT_SECONDS = 180.0  # after which an unreported request counts as failed


@dataclass(frozen=True, slots=True)
class BudgetLimits:
    """Limits of a run's tokens and dollars, and the amounts already spent."""

    tokens: float = math.inf
    usd: float = math.inf
    rates: Rates = field(default_factory=Rates)
    spent: tuple[int, int] = (0, 0)  # tokens, and pages sent to OCR


class Coordinator:
    """Rate limiters and budget for all workers. Methods return at once; thread-safe."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint] = (),
        limits: BudgetLimits = BudgetLimits(),
        granted: tuple[float, float] = (math.inf, math.inf),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        # A coordinator that replaces another does not know how many tokens that one sent.
        self.rate_limiter = create_rate_limiter(endpoints, clock, is_shared=True)
        # Reports on permits of an earlier coordinator must match none of this one's.
        self.rate_limiter.permit_numbers = itertools.count(secrets.randbits(48))
        self.ocr_rate_limiter = LeakyBucket(clock=clock)
        self.budget = Budget(
            max_tokens=limits.tokens,
            max_usd=limits.usd,
            rates=limits.rates,
            tokens=limits.spent[0],
            pages=limits.spent[1],
        )
        self.grant = granted  # totals of tokens and pages, raised by the driver
        self.requested = (0, 0)  # more tokens and pages than were granted
        self.budget_used = clock()  # when a request was last paid for, or answered
        self.orders = Orders()
        self.driver_seen = clock()
        self.statuses: dict[str, tuple[float, WorkerStatus]] = {}  # time and status, by worker
        self.lock = threading.Lock()

    def ask(self, worker: str, units: float, service: ServiceName = "embedding") -> Permit | Wait:
        """Ask for a permit to send a request of so many tokens or pages."""
        self.drop_lost_workers()
        return self.find_limiter(service).ask(units, worker)

    def report_success(
        self, permit: Permit, headers: Mapping[str, str], service: ServiceName = "embedding"
    ) -> None:
        """The request was accepted."""
        self.find_limiter(service).report_success(permit, headers)

    def report_throttled(
        self, permit: Permit, headers: Mapping[str, str], service: ServiceName = "embedding"
    ) -> float:
        """The request was throttled. Returns the seconds for which all requests are held back."""
        return self.find_limiter(service).report_throttled(permit, headers)

    def report_failure(self, permit: Permit, avoid: bool) -> None:  # noqa: FBT001 - Dask actors
        """The embedding request failed for a reason other than throttling."""
        self.rate_limiter.report_failure(permit, avoid=avoid)

    def find_limiter(self, service: ServiceName) -> LocalRateLimiter | LeakyBucket:
        """Return the rate limiter of a service."""
        return self.ocr_rate_limiter if service == "ocr" else self.rate_limiter

    def get_quota(self) -> Quota:
        """Return the known quota; without limits for the local model."""
        return self.rate_limiter.get_quota() if self.rate_limiter.deployments else UNLIMITED

    def reserve_budget(self, tokens: int, pages: int) -> str | None:
        """Reserve tokens and pages: "" if they may be spent, else the limit; None: ask again."""
        with self.lock:
            budget = self.budget
            totals = budget.tokens + tokens, budget.pages + pages
            if not budget.find_exceeded_limit(*totals) and any(
                total > limit for total, limit in zip(totals, self.grant, strict=True)
            ):
                self.requested = max(self.requested[0], tokens), max(self.requested[1], pages)
                return None
            if self.clock() - self.budget_used > REQUEST_TIMEOUT_SECONDS:
                # Only lost workers have reservations now; they count as billed.
                budget.open_tokens = budget.open_pages = 0
            reached = budget.try_reserve(tokens, pages)
            if reached is not None:
                self.budget_used = self.clock()
            return reached

    def settle_budget(
        self, tokens: int, billed: int, pages: int, billed_pages: int, lost: int
    ) -> None:
        """End a reservation, as Budget.settle."""
        with self.lock:
            self.budget.settle(tokens, billed, pages, billed_pages, lost)
            self.budget_used = self.clock()

    def heartbeat(self, status: WorkerStatus) -> Orders:
        """Record a worker's status; returns its orders."""
        with self.lock:
            now = self.clock()
            self.statuses[status.worker] = now, status
            if now - self.driver_seen > DRIVER_TIMEOUT_SECONDS:
                return replace(self.orders, driver_lost=True)
            return self.orders

    def remove_worker(self, worker: str) -> bool:
        """Remove a worker that leaves; returns whether neither a worker nor the driver is left."""
        self.rate_limiter.forget_client(worker)
        with self.lock:
            self.statuses.pop(worker, None)
            return not self.statuses and self.clock() - self.driver_seen > DRIVER_TIMEOUT_SECONDS

    def drop_lost_workers(self) -> None:
        """Reclaim permits of workers whose heartbeat stopped, and of requests never reported."""
        with self.lock:
            now = self.clock()
            lost = [
                worker
                for worker, (seen, _) in self.statuses.items()
                if now - seen > WORKER_TIMEOUT_SECONDS
            ]
            for worker in lost:
                del self.statuses[worker]
        for worker in lost:
            self.rate_limiter.forget_client(worker)
        self.rate_limiter.expire_permits(REQUEST_TIMEOUT_SECONDS)

    def update_orders(self, orders: Orders, granted: tuple[float, float]) -> ClusterStatus:
        """Set the driver's orders and grant; returns the status of the cluster."""
        self.drop_lost_workers()
        with self.lock:
            self.driver_seen = self.clock()
            requested, self.requested, self.grant = self.requested, (0, 0), granted
            self.orders = replace(orders, quota=self.get_quota())
            return ClusterStatus(
                tuple(status for _, status in self.statuses.values()),
                self.budget.tokens,
                self.budget.pages,
                requested,
                self.budget.limit_reached,
                self.orders.quota,
                self.budget.lost_tokens,
            )
