"""The driver: groups of sources given to an engine, and what its workers say of themselves."""

from __future__ import annotations

import itertools
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
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
from ingest.pipeline.diff import Stale
from ingest.pipeline.records import IDLE_EVENT
from ingest.pipeline.stages import create_skip_rule
from ingest.runtime.bottleneck import Capacity
from ingest.runtime.concurrency import map_concurrent
from ingest.sources import Root

log = logging.getLogger(__name__)

MONITOR_INTERVAL_SECONDS = 0.5  # seconds between two looks at how the workers are
GROUPS_AHEAD_PER_SLOT = (
    4  # groups for each thing that the engine runs at once, so that no worker waits for one
)
MIN_GROUPS_AHEAD = 16  # groups, so that an engine that grows with its work sees some
BUDGET_SLICES = 20  # parts of what may be spent, of which one is granted at a time
MIN_GRANT_TOKENS, MIN_GRANT_PAGES = 50_000, 20  # granted at a time, at least: they cost a few cents
NO_WORKER_WARNING_SECONDS = (
    5.0,
    60.0,
)  # seconds without any worker, after which that is said, and said again
SHUTDOWN_TIMEOUT_SECONDS = (
    10.0  # seconds in which workers come to an end that were told to, at once
)
STOP_CONFIRMED_POLLS = 4  # looks after which every worker has been told: they beat once a second


class ClusterEngine(Protocol):
    """What runs groups on other machines. Any thread may ask."""

    # begin to settle a group
    def submit(self, group: Group, job: Job) -> Future[GroupResult]: ...

    # what may run at once, on all workers together
    def slots(self) -> int: ...

    # begin a Pacing of these arguments, in place of one that is lost
    def start_coordinator(self, *arguments: Any) -> None: ...

    # call a method of the pacing, None if it does not answer yet; raises ServiceError if it is lost
    def call_coordinator(self, method: str, *arguments: Any) -> Any: ...

    # whether groups are done, and it cannot be heard what became of them
    def has_lost_results(self) -> bool: ...

    # let the workers close what they keep for a run
    def end_run(self, run: str) -> None: ...


@dataclass(slots=True)
class WorkerMonitor:
    """What the driver knows of the workers, and tells them, twice a second."""

    engine: ClusterEngine
    settings: Settings
    services: Services
    run: Run
    job: Job
    statuses: dict[str, WorkerStatus] = field(default_factory=dict)  # the last of each, by who
    present_workers: tuple[str, ...] = ()  # who is there now
    slots: int = 0  # what may run at once there, when that was last looked at
    tokens_per_minute: float = math.inf  # a minute, as far as is known
    granted: tuple[float, float] = (0.0, 0.0)
    stop_polls: int = 0  # how often the workers were told to end at once
    is_lost: bool = False  # nothing is heard of them any more
    next_warning: float = field(
        default_factory=lambda: time.monotonic() + NO_WORKER_WARNING_SECONDS[0]
    )  # if nobody comes
    finished: threading.Event = field(default_factory=threading.Event)
    group_numbers: itertools.count[int] = field(default_factory=itertools.count)  # of groups
    lock: threading.Lock = field(default_factory=threading.Lock)
    poll_lock: threading.Lock = field(default_factory=threading.Lock)

    def start_coordinator(self) -> None:
        """Begin the pacing. All that was granted to an earlier one counts as spent."""
        budget = self.services.budget
        tokens, pages = (int(much) if much < math.inf else 0 for much in self.granted)
        most = budget.tokens + int(min(budget.remaining_tokens(), tokens))
        spent = max(budget.tokens, min(tokens, most)), max(budget.pages, pages)
        budget.tokens, budget.pages = spent
        limits = BudgetLimits(budget.max_tokens, budget.max_usd, budget.rates, spent)
        self.granted = self.next_grant((0, 0))
        endpoints = embedding_endpoints(self.settings)
        self.engine.start_coordinator(endpoints, limits, self.granted)

    def next_grant(self, requested: tuple[int, int]) -> tuple[float, float]:
        """What may be spent until the next look: a part of what is left, or what is waited for."""
        budget = self.services.budget
        if budget.max_tokens == budget.max_usd == math.inf:
            return math.inf, math.inf
        tokens = budget.tokens + max(
            budget.remaining_tokens() / BUDGET_SLICES, MIN_GRANT_TOKENS, requested[0]
        )
        return tokens, budget.pages + max(MIN_GRANT_PAGES, requested[1])

    def watch_workers(self) -> None:
        """Look after the workers until it is over."""
        while not self.finished.wait(MONITOR_INTERVAL_SECONDS):
            try:
                self.poll()
            except ServiceError as error:
                try:
                    self.start_coordinator()
                    log.warning("the pacing was begun anew: %s", error)
                except ServiceError as fault:
                    self.run.stop.fault = self.run.stop.fault or fault
                    self.run.stop.abandon()
                    self.is_lost = True
                    return

    def poll(self) -> None:
        """Tell the workers what to do, and hear how they are. Raises ServiceError."""
        with self.poll_lock:
            self.poll_locked()

    def poll_locked(self) -> None:
        """The same, for one thread at a time."""
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
        for beat in status.workers:
            self.update_status(beat)
        with self.lock:
            self.present_workers = tuple(beat.worker for beat in status.workers)
        if status.quota:
            self.tokens_per_minute = status.quota.tokens_per_minute
        budget = self.services.budget
        lately = status.tokens - budget.tokens
        budget.tokens, budget.pages = status.tokens, status.pages
        self.granted = self.next_grant((max(status.wanted[0], 2 * lately), status.wanted[1]))
        if status.limit_reached and not budget.limit_reached:
            budget.limit_reached = status.limit_reached
            stop.drain()
        self.mirror_times()
        if self.engine.has_lost_results():
            why = "what workers have done does not arrive here: check the network; run again"
            stop.fault = stop.fault or ServiceError(why)
            stop.abandon()

    def update_status(self, status: WorkerStatus) -> None:
        """A worker has said how it is."""
        with self.lock:
            known = self.statuses.get(status.worker)
            if known is None or known.clock_seconds <= status.clock_seconds:
                self.statuses[status.worker] = status

    def warn_if_no_worker(self) -> None:
        """Say it if nobody is there for long."""
        now = time.monotonic()
        if self.slots:
            self.next_warning = now + NO_WORKER_WARNING_SECONDS[0]
        elif now > self.next_warning:
            self.next_warning = now + NO_WORKER_WARNING_SECONDS[1]
            log.warning("no worker is there: the run waits for one (docs/scale.md)")

    def mirror_times(self) -> None:
        """Let the times of this process be those of all workers together."""
        beats = list(self.statuses.values())
        times = self.services.times
        now = {beat.worker: beat for beat in beats if beat.worker in self.present_workers}
        spells: dict[str, tuple[float, float]] = {}
        counts: dict[str, int] = {}
        for beat in beats:
            for what, (wall, threads) in beat.stage_seconds.items():
                longest, total = spells.get(what, (0.0, 0.0))
                spells[what] = max(longest, wall), total + threads
            for what, number in beat.counts.items():
                counts[what] = counts.get(what, 0) + number
        waits = [beat.waiting_for for beat in now.values()]
        times.mirror(spells, counts, max(set(waits), key=waits.count) if waits else "")

    def progress_by_group(self) -> dict[int, RunProgress]:
        """How far each group is that is under way."""
        with self.lock:
            beats = [self.statuses[who] for who in self.present_workers]
        return {number: much for beat in beats for number, much in beat.progress.items()}

    def capacity(self) -> Capacity:
        """How much all workers together, the lost ones too, could have under way at once."""
        beats = list(self.statuses.values())
        quotas = self.settings.openai_tpm

        def total(each: Callable[[WorkerStatus], int]) -> int:
            return max(1, sum(map(each, beats)))

        return Capacity(
            total(lambda beat: beat.reading),
            total(lambda beat: beat.embedding),
            total(lambda beat: beat.writing),
            self.tokens_per_minute,
            is_configured=bool(quotas) and self.tokens_per_minute < math.inf,
            recognising=sum(beat.recognising for beat in beats),
        )

    def wait_until_idle(self) -> bool:
        """Wait until no worker works any more that was told to stop at once; whether that is so."""
        ends = time.monotonic() + SHUTDOWN_TIMEOUT_SECONDS
        while time.monotonic() < ends and not self.is_lost:
            time.sleep(MONITOR_INTERVAL_SECONDS)
            if self.stop_polls >= STOP_CONFIRMED_POLLS and not any(
                self.statuses[who].progress for who in self.present_workers
            ):
                return True
        return False


@contextmanager
def connect_engine(
    engine: ClusterEngine, settings: Settings, services: Services, run: Run
) -> Iterator[Services]:
    """The services of a run whose groups are settled by an engine."""
    job = Job(
        run.id,
        __version__,
        strip_secrets(settings),
        create_skip_rule(services, run),
        services.index.holder,
    )
    watch = WorkerMonitor(engine, settings, services, run, job)
    watch.start_coordinator()
    keeper = threading.Thread(target=watch.watch_workers, name="watch", daemon=True)
    keeper.start()
    try:
        yield replace(
            services, remote=RemoteExecutor(partial(settle_on_workers, watch), watch.capacity)
        )
    except BaseException:
        # They must not go on for a run that does not hold the index any more.
        run.stop.abandon()
        raise
    finally:
        if run.stop.is_overdue() and not watch.wait_until_idle():
            # They may write for a while, and nobody else is to write meanwhile.
            services.index.stop_renewing()
        watch.finished.set()
        keeper.join()
        engine.end_run(run.id)


def settle_on_workers(
    monitor: WorkerMonitor, root: Root, changes: Iterable[Stale | SourceResult]
) -> Iterator[RunEvent]:
    """Every stale source settled by the workers; what is settled already passes.

    Those that may have ended a process come last, each by itself in a process.
    """
    suspects: list[Source] = []
    yield from settle_groups(monitor, root, group_sources(changes, suspects), suspects)
    if not monitor.run.stop.is_requested():
        alone = [[suspect] for suspect in suspects]
        yield from settle_groups(monitor, root, alone, None)
    if not monitor.run.stop.is_overdue():
        with suppress(ServiceError):
            monitor.poll()  # what was spent and what took the time, to the end


def settle_groups(
    monitor: WorkerMonitor,
    root: Root,
    groups: Iterable[list[Source] | SourceResult],
    suspects: list[Source] | None,
) -> Iterator[RunEvent]:
    """What becomes of the groups; without a list for suspects, each is one."""
    where, stop = to_portable(root), monitor.run.stop
    shown: dict[int, RunProgress] = {}  # of the groups that are under way

    def start(item: list[Source] | SourceResult | RunProgress) -> Future[GroupResult] | None:
        if not isinstance(item, list):
            return None
        sources = tuple(sorted(item, key=lambda source: source.name))
        group = Group(next(monitor.group_numbers), where, sources, is_isolated=suspects is None)
        shown[group.number] = IDLE_EVENT
        return stop.track(monitor.engine.submit(group, monitor.job))

    def max_ahead() -> int:
        return max(MIN_GROUPS_AHEAD, GROUPS_AHEAD_PER_SLOT * monitor.slots)

    for item, call in map_concurrent(groups, start, max_ahead, stop.is_overdue, IDLE_EVENT):
        if call:
            done = call.result()
            monitor.update_status(done.status)
            yield progress_since(shown.pop(done.number), done.progress)
            yield from done.results
            if suspects is not None:
                suspects += done.suspects
        elif isinstance(item, SourceResult):
            yield item
        else:
            now = monitor.progress_by_group()
            for number in now.keys() & shown.keys():
                yield progress_since(shown[number], now[number])
                shown[number] = now[number]


def progress_since(before: RunProgress, now: RunProgress) -> RunProgress:
    """What was done since; nothing where a lost worker's work is done again."""
    return RunProgress(
        max(0, now.pages - before.pages),
        max(0, now.chunks - before.chunks),
        max(0, now.tokens - before.tokens),
    )
