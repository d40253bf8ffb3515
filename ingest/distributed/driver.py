"""Driver: submit groups of sources to an engine, and monitor its workers."""

from __future__ import annotations

import itertools
import logging
import math
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from ingest.config.embedding import embedding_endpoints
from ingest.config.settings import Settings
from ingest.config.sources import to_portable
from ingest.distributed.coordinator import BudgetLimits
from ingest.distributed.messages import (
    ClusterStatus,
    Group,
    GroupResult,
    Job,
    Orders,
    WorkerStatus,
    group_sources,
    strip_secrets,
)
from ingest.errors import ServiceError
from ingest.models import RunEvent, RunProgress, Source, SourceResult, __version__
from ingest.pipeline.context import RemoteExecutor, Run, Services
from ingest.pipeline.diff import Stale, create_skip_rule
from ingest.pipeline.records import IDLE_EVENT
from ingest.runtime.bottleneck import Capacity
from ingest.runtime.concurrency import map_concurrent
from ingest.sources import Root

log = logging.getLogger(__name__)

MONITOR_INTERVAL_SECONDS = 0.5
GROUPS_AHEAD_PER_SLOT = 4  # submitted ahead, so that no worker waits for the next group
MIN_GROUPS_AHEAD = 16  # so that an engine that scales with its queue sees some work
BUDGET_SLICES = 20  # a grant is one part in 20 of the remaining budget
MIN_GRANT_TOKENS, MIN_GRANT_PAGES = 50_000, 20  # which cost a few cents
NO_WORKER_WARNING_SECONDS = (5.0, 60.0)  # without any worker: first warning, and between others
SHUTDOWN_TIMEOUT_SECONDS = 10.0  # for workers to become idle after an order to abandon
STOP_CONFIRMED_POLLS = 4  # until every worker has received the order, by its heartbeat each second


class ClusterEngine(Protocol):
    """Runs groups on other machines. Thread-safe."""

    # submit a group to be settled
    def submit(self, group: Group, job: Job) -> Future[GroupResult]: ...

    # groups that can run at once, on all workers together
    def slots(self) -> int: ...

    # start a Coordinator with these arguments, replacing a lost one
    def start_coordinator(self, *arguments: Any) -> None: ...

    # call a method of the coordinator; None: no answer yet; raises ServiceError if it is lost
    def call_coordinator(self, method: str, *arguments: Any) -> Any: ...

    # let the workers close their sessions of a run
    def end_run(self, run: str) -> None: ...


@dataclass(slots=True)
class WorkerMonitor:
    """Sends orders to the workers and collects their status, twice a second."""

    engine: ClusterEngine
    settings: Settings
    services: Services
    run: Run
    job: Job
    statuses: dict[str, WorkerStatus] = field(default_factory=dict)  # latest, by worker
    present_workers: tuple[str, ...] = ()  # with a heartbeat
    slots: int = 0  # of the engine, at the last poll
    tokens_per_minute: float = math.inf  # of the known quota
    granted: tuple[float, float] = (0.0, 0.0)  # totals of tokens and pages
    stop_polls: int = 0  # orders to abandon that were sent
    is_lost: bool = False  # the engine can no longer be reached
    # when to warn if there is still no worker
    next_warning: float = field(
        default_factory=lambda: time.monotonic() + NO_WORKER_WARNING_SECONDS[0]
    )
    finished: threading.Event = field(default_factory=threading.Event)
    group_numbers: itertools.count[int] = field(default_factory=itertools.count)
    lock: threading.Lock = field(default_factory=threading.Lock)
    poll_lock: threading.Lock = field(default_factory=threading.Lock)

    def start_coordinator(self) -> None:
        """Start a coordinator. The grants of an earlier one count as spent."""
        budget = self.services.budget
        tokens, pages = (int(total) if total < math.inf else 0 for total in self.granted)
        max_tokens = budget.tokens + int(min(budget.remaining_tokens(), tokens))
        spent = max(budget.tokens, min(tokens, max_tokens)), max(budget.pages, pages)
        budget.tokens, budget.pages = spent
        limits = BudgetLimits(budget.max_tokens, budget.max_usd, budget.rates, spent)
        self.granted = self.next_grant((0, 0))
        endpoints = embedding_endpoints(self.settings)
        self.engine.start_coordinator(endpoints, limits, self.granted)

    def next_grant(self, requested: tuple[int, int]) -> tuple[float, float]:
        """Return the totals that may be spent until the next poll.

        They grow by a slice of the remaining budget, or by the demand of waiting workers if larger.
        """
        budget = self.services.budget
        if budget.max_tokens == budget.max_usd == math.inf:
            return math.inf, math.inf
        tokens = budget.tokens + max(
            budget.remaining_tokens() / BUDGET_SLICES, MIN_GRANT_TOKENS, requested[0]
        )
        return tokens, budget.pages + max(MIN_GRANT_PAGES, requested[1])

    def watch_workers(self) -> None:
        """Poll until the run is over; replaces a lost coordinator."""
        while not self.finished.wait(MONITOR_INTERVAL_SECONDS):
            try:
                self.poll()
            except ServiceError as error:
                try:
                    self.start_coordinator()
                    log.warning("started another coordinator: %s", error)
                except ServiceError as fault:
                    self.run.stop.fault = self.run.stop.fault or fault
                    self.run.stop.abandon()
                    self.is_lost = True
                    return

    def poll(self) -> None:
        """Send orders to the workers and collect their status. Raises ServiceError."""
        with self.poll_lock:
            self.poll_locked()

    def poll_locked(self) -> None:
        """Poll, with the lock held."""
        stop = self.run.stop
        orders = Orders(stop.drained, stop.is_requested() and not stop.drained, stop.is_overdue())
        status: ClusterStatus | None = self.engine.call_coordinator(
            "update_orders", orders, self.granted
        )
        self.slots = self.engine.slots()
        self.warn_if_no_worker()
        if status is None:
            return
        self.stop_polls += orders.abandon
        for worker_status in status.workers:
            self.update_status(worker_status)
        with self.lock:
            self.present_workers = tuple(each.worker for each in status.workers)
        if status.quota:
            self.tokens_per_minute = status.quota.tokens_per_minute
        budget = self.services.budget
        recent_tokens = status.tokens - budget.tokens
        budget.tokens, budget.pages = status.tokens, status.pages
        budget.lost_tokens = status.lost_tokens
        self.granted = self.next_grant((max(status.wanted[0], 2 * recent_tokens), status.wanted[1]))
        if status.limit_reached and not budget.limit_reached:
            budget.limit_reached = status.limit_reached
            stop.drain()
        self.mirror_times()

    def update_status(self, status: WorkerStatus) -> None:
        """Keep a worker's status, unless a later one is known."""
        with self.lock:
            known = self.statuses.get(status.worker)
            if known is None or known.clock_seconds <= status.clock_seconds:
                self.statuses[status.worker] = status

    def warn_if_no_worker(self) -> None:
        """Log a warning if there is no worker for long."""
        now = time.monotonic()
        if self.slots:
            self.next_warning = now + NO_WORKER_WARNING_SECONDS[0]
        elif now > self.next_warning:
            self.next_warning = now + NO_WORKER_WARNING_SECONDS[1]
            log.warning("no worker is connected: the run waits for one (docs/scale.md)")

    def mirror_times(self) -> None:
        """Set this process's times and counts to the totals of all workers."""
        stage_seconds: dict[str, tuple[float, float]] = {}
        counts: dict[str, int] = {}
        for status in self.statuses.values():
            for stage, (wall, threads) in status.stage_seconds.items():
                longest, total = stage_seconds.get(stage, (0.0, 0.0))
                stage_seconds[stage] = max(longest, wall), total + threads
            for name, number in status.counts.items():
                counts[name] = counts.get(name, 0) + number
        waits = [s.waiting_for for s in self.statuses.values() if s.worker in self.present_workers]
        most_frequent = max(set(waits), key=waits.count) if waits else ""
        self.services.times.mirror(stage_seconds, counts, most_frequent)

    def progress_by_group(self) -> dict[int, RunProgress]:
        """Return the progress of each group that is being settled."""
        with self.lock:
            present = [self.statuses[worker] for worker in self.present_workers]
        return {number: done for status in present for number, done in status.progress.items()}

    def capacity(self) -> Capacity:
        """Return how many calls of each kind all workers, lost ones included, can run at once."""
        statuses = list(self.statuses.values())
        is_configured = bool(self.settings.openai_tpm) and self.tokens_per_minute < math.inf
        return Capacity(
            max(1, sum(status.reading for status in statuses)),
            max(1, sum(status.embedding for status in statuses)),
            max(1, sum(status.writing for status in statuses)),
            self.tokens_per_minute,
            is_configured=is_configured,
            recognising=sum(status.recognising for status in statuses),
        )

    def wait_until_idle(self) -> bool:
        """Wait until workers ordered to abandon are idle; returns whether they are."""
        deadline = time.monotonic() + SHUTDOWN_TIMEOUT_SECONDS
        while time.monotonic() < deadline and not self.is_lost:
            time.sleep(MONITOR_INTERVAL_SECONDS)
            if self.stop_polls >= STOP_CONFIRMED_POLLS and not any(
                self.statuses[worker].progress for worker in self.present_workers
            ):
                return True
        return False


@contextmanager
def connect_engine(
    engine: ClusterEngine, settings: Settings, services: Services, run: Run
) -> Iterator[Services]:
    """Return the services of a run whose groups are settled by the engine's workers."""
    rule = create_skip_rule(services, run)
    job = Job(
        run.id,
        __version__,
        strip_secrets(settings),
        # Unlike a local process, which people stop, a worker seldom dies without a cause.
        replace(rule, max_deaths=rule.max_attempts),
        services.index.holder,
    )
    monitor = WorkerMonitor(engine, settings, services, run, job)
    monitor.start_coordinator()
    thread = threading.Thread(target=monitor.watch_workers, name="monitor", daemon=True)
    thread.start()
    try:
        remote = RemoteExecutor(partial(settle_on_workers, monitor), monitor.capacity)
        yield replace(services, remote=remote)
    except BaseException:
        # Workers must not continue once the run has released the index.
        run.stop.abandon()
        raise
    finally:
        if run.stop.is_overdue() and not monitor.wait_until_idle():
            # Workers may still write: let the lease expire instead of releasing it.
            services.index.stop_renewing()
        monitor.finished.set()
        thread.join()
        engine.end_run(run.id)


def settle_on_workers(
    monitor: WorkerMonitor, root: Root, changes: Iterable[Stale | SourceResult]
) -> Iterator[RunEvent]:
    """Settle stale sources on the workers; results pass.

    Suspects, which may crash a process, come last, each alone in a process.
    """
    suspects: list[Source] = []
    yield from settle_groups(monitor, root, group_sources(changes, suspects), suspects)
    if not monitor.run.stop.is_requested():
        isolated = [[suspect] for suspect in suspects]
        yield from settle_groups(monitor, root, isolated, None)
    if not monitor.run.stop.is_overdue():
        with suppress(ServiceError):
            monitor.poll()  # final totals and times


def settle_groups(
    monitor: WorkerMonitor,
    root: Root,
    groups: Iterable[list[Source] | SourceResult],
    suspects: list[Source] | None,
) -> Iterator[RunEvent]:
    """Submit groups and yield their events. `suspects` None: each group is a single suspect."""
    portable, stop = to_portable(root), monitor.run.stop
    reported: dict[int, RunProgress] = {}  # progress yielded so far, by group number

    def start(item: list[Source] | SourceResult | RunProgress) -> Future[GroupResult] | None:
        if not isinstance(item, list):
            return None
        sources = tuple(sorted(item, key=lambda source: source.name))
        group = Group(next(monitor.group_numbers), portable, sources, is_isolated=suspects is None)
        reported[group.number] = IDLE_EVENT
        return stop.track(monitor.engine.submit(group, monitor.job))

    def max_ahead() -> int:
        return max(MIN_GROUPS_AHEAD, GROUPS_AHEAD_PER_SLOT * monitor.slots)

    for item, call in map_concurrent(groups, start, max_ahead, stop.is_overdue, IDLE_EVENT):
        if call:
            result = call.result()
            monitor.update_status(result.status)
            yield progress_since(reported.pop(result.number), result.progress)
            yield from result.results
            if suspects is not None:
                suspects += result.suspects
        elif isinstance(item, SourceResult):
            yield item
        else:
            current = monitor.progress_by_group()
            for number in current.keys() & reported.keys():
                yield progress_since(reported[number], current[number])
                reported[number] = current[number]


def progress_since(before: RunProgress, now: RunProgress) -> RunProgress:
    """Return the progress between two states; zero while a lost worker's work is repeated."""
    return RunProgress(
        max(0, now.pages - before.pages),
        max(0, now.chunks - before.chunks),
        max(0, now.tokens - before.tokens),
    )
