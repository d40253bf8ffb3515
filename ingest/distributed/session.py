"""Session: the services and the coordinator that a worker keeps open for a run.

A session begins with the first group. It ends when the driver orders that, is lost, or no longer
holds the index lock, which another run may hold then. A session that ends without an order fails
the groups in progress, so that none of their sources is silently omitted.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from ingest.config.connections import Connections, connections_of_run, create_connections
from ingest.config.factory import Replacements, SharedState, open_services
from ingest.config.settings import build_settings
from ingest.config.sources import PortableRoot, open_portable
from ingest.distributed.coordinator import DRIVER_TIMEOUT_SECONDS
from ingest.distributed.coordinator_client import (
    RemoteRateLimiter,
    reserve_budget,
    settle_budget,
    wait_for_coordinator,
)
from ingest.distributed.messages import (
    CoordinatorUnavailableError,
    Job,
    Orders,
    WorkerLinks,
    WorkerStatus,
    apply_node_settings,
)
from ingest.errors import ConfigError, IngestError, ServiceError
from ingest.models import RunProgress, __version__
from ingest.pipeline.context import Run, Services
from ingest.pipeline.reader.recovery import ReadWriteLock
from ingest.runtime.budget import Budget
from ingest.runtime.cancellation import Cancellation
from ingest.sources import Root

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 1.0
SESSION_POLL_SECONDS = 0.2  # between checks of whether a session is over
LEASE_CHECK_SECONDS = 5.0  # between checks of whether the run still holds the index
LEASE_LATE_SECONDS = 40.0  # without a renewal (every 20 s), a silent driver is taken for gone
# Without a renewed lease for this long, a worker begins no more work, and then stops writing.
# Another run may take the index after 90 s (index/azure/lease.py).
LEASE_DOUBT_SECONDS, LEASE_LOST_SECONDS = 55.0, 75.0
MAX_TAIL_GROUPS = 2  # groups that finish in a process while it reads the next one
REQUEST_NUMBER_BITS = 48  # a GUID ends in twelve hexadecimal digits

# Sessions of this process, by run and worker; some are being opened.
SESSIONS: dict[tuple[str, str], Future[Session]] = {}
SESSIONS_LOCK = threading.Lock()


@dataclass(slots=True)
class Session:
    """State of one run at one worker."""

    job: Job
    links: WorkerLinks
    services: Services
    run: Run
    connections: Connections
    rate_limiter: RemoteRateLimiter
    root_stack: ExitStack  # closes the roots
    opened_roots: dict[PortableRoot, Root] = field(default_factory=dict)
    progress: dict[int, RunProgress] = field(default_factory=dict)
    tail_slots: threading.Semaphore = field(
        default_factory=lambda: threading.Semaphore(MAX_TAIL_GROUPS)
    )
    groups: ReadWriteLock = field(default_factory=ReadWriteLock)  # exclusive for a suspect
    lease_stamp: str = ""  # of the last renewal, and when it was seen
    lease_seen: float = field(default_factory=time.monotonic)
    finished: threading.Event = field(default_factory=threading.Event)  # no more groups will come
    closed: bool = False  # no group can begin
    lock: threading.Lock = field(default_factory=threading.Lock)
    roots_lock: threading.Lock = field(default_factory=threading.Lock)

    def begin_group(self, group: int) -> bool:
        """Begin a group; returns False if the session is closed."""
        with self.lock:
            if not self.closed:
                self.progress[group] = RunProgress()
            return not self.closed

    def add_progress(self, group: int, progress: RunProgress) -> None:
        """Add to a group's progress."""
        with self.lock:
            so_far = self.progress[group]
            self.progress[group] = RunProgress(
                so_far.pages + progress.pages,
                so_far.chunks + progress.chunks,
                so_far.tokens + progress.tokens,
            )

    def end_group(self, group: int) -> None:
        """End a group."""
        with self.lock:
            del self.progress[group]

    def try_close(self) -> bool:
        """Close the session if its run is over and no group is in progress. True if closed."""
        with self.lock:
            over = self.finished.is_set() or self.run.stop.fault
            self.closed = bool(over) and not self.progress
            return self.closed

    def stop_with_error(self, reason: str) -> None:
        """Fail without an order from the driver, after a grace period for work in progress."""
        stop = self.run.stop
        if not stop.fault:
            log.warning("worker %s stops: %s", self.links.worker, reason)
            stop.fault = ServiceError(f"a worker stopped: {reason}; run again")
        stop.request()

    def status(self) -> WorkerStatus:
        """Return a snapshot of this worker's progress, sent as a heartbeat."""
        services, times = self.services, self.services.times
        names = list(times.spans)
        with self.lock:
            progress = dict(self.progress)
        return WorkerStatus(
            self.links.worker,
            time.monotonic(),
            progress,
            {name: (times.wall_seconds(name), times.thread_seconds(name)) for name in names},
            dict(times.counts),
            times.current_wait(),
            services.reader.at_once,
            services.embedder.at_once,
            services.max_writes,
            services.reader.max_waiting,
        )

    def root(self, portable: PortableRoot) -> Root:
        """Open a root on this node, once. Raises ConfigError if it is not here."""
        with self.roots_lock:
            if portable not in self.opened_roots:
                found = open_portable(portable, self.job.settings, self.connections)
                self.opened_roots[portable] = self.root_stack.enter_context(found)
            return self.opened_roots[portable]


@contextmanager
def use_session(group: int, job: Job, links: WorkerLinks) -> Iterator[Session]:
    """Use the session of a run for one group; opened if there is none.

    Raises ConfigError or ServiceError if it cannot be opened; the next group tries again.
    """
    while not (session := get_session(job, links)).begin_group(group):
        pass  # it was closed meanwhile
    try:
        yield session
    finally:
        session.end_group(group)


def get_session(job: Job, links: WorkerLinks) -> Session:
    """Return the session of a run at this worker; opened if there is none."""
    key = job.run, links.worker
    with SESSIONS_LOCK:
        future = SESSIONS.get(key)
        if future is None or (future.done() and future.result().closed):
            future = SESSIONS[key] = Future()
            # One thread opens and closes the services, whichever group is first and last.
            threading.Thread(
                target=run_session, args=(job, links, future), name="session", daemon=True
            ).start()
    while not wait([future], SESSION_POLL_SECONDS).done:
        # It may wait for the coordinator, which needs a slot to start in.
        if links.is_waiting():
            links.release_slot()
    return future.result()


def end_session(run: str) -> None:
    """End the sessions of a run in this process once no group is in progress."""

    def finish(future: Future[Session]) -> None:
        if not future.exception():
            future.result().finished.set()

    with SESSIONS_LOCK:
        futures = [future for (run_id, _), future in SESSIONS.items() if run_id == run]
    for future in futures:
        future.add_done_callback(finish)


def run_session(job: Job, links: WorkerLinks, future: Future[Session]) -> None:
    """Open a session, keep it until its run is over, and close it."""
    try:
        with (
            join_coordinator(links),
            open_session(job, links) as session,
            ThreadPoolExecutor(2, "session") as threads,
        ):
            calls = [threads.submit(send_heartbeats, session), threads.submit(watch_lease, session)]
            future.set_result(session)
            try:
                guard_session(session)
            finally:
                session.finished.set()
                for call in calls:
                    call.result()
    except BaseException as error:  # noqa: BLE001 - raised where the future's result is taken
        forget_session(future)
        if future.done():
            log.warning("could not close the session of a run: %s", error)
        else:
            future.set_exception(error)
    else:
        forget_session(future)


@contextmanager
def join_coordinator(links: WorkerLinks) -> Iterator[None]:
    """Use the coordinator. The last worker to leave it after the driver ends it."""
    links.connect()
    try:
        yield
    finally:
        last = False
        with suppress(CoordinatorUnavailableError):
            last = links.call("remove_worker", links.worker)
        links.disconnect(last)


def forget_session(future: Future[Session]) -> None:
    """Remove a session, so that the next group opens another one."""
    with SESSIONS_LOCK:
        for key in [key for key, other in SESSIONS.items() if other is future]:
            del SESSIONS[key]


def guard_session(session: Session) -> None:
    """Wait until the run is over at this worker; stop it if its lease is not renewed."""
    while not session.try_close():
        if session.finished.is_set():
            session.run.stop.abandon()  # nothing waits for work in progress
        lease_age = time.monotonic() - session.lease_seen
        if lease_age > LEASE_DOUBT_SECONDS:
            session.stop_with_error("its run may have lost the index lock")
        if lease_age > LEASE_LOST_SECONDS:
            session.run.stop.abandon()
        time.sleep(SESSION_POLL_SECONDS)


@contextmanager
def open_session(job: Job, links: WorkerLinks) -> Iterator[Session]:
    """Open the services of a run on this node.

    Raises ConfigError for another version of ingest, BusyError if the run lost the index lock.
    """
    if job.version != __version__:
        raise ConfigError(
            f"worker {links.worker} has ingest {__version__}, and this is {job.version}: start "
            "the workers from the same image"
        )
    settings = apply_node_settings(job.settings, build_settings(os.environ, {}), links.threads)
    stop = Cancellation(settings.grace_seconds)
    connections = connections_of_run(
        create_connections(settings, stop), job.run, None, lambda _: None, first_request_number()
    )
    call = wait_for_coordinator(links.call, stop)
    rate_limiter = RemoteRateLimiter("embedding", links.worker, call, call("get_quota"))
    budget = Budget(
        stop,
        reserve_shared=partial(reserve_budget, call, stop),
        settle_shared=partial(settle_budget, call),
    )
    shared = SharedState(rate_limiter, budget, RemoteRateLimiter("ocr", links.worker, call))
    replacements = Replacements(shared=shared)
    run = Run(job.run, has_passwords=bool(settings.passwords), stop=stop)
    with (
        open_services(
            settings, stop, write=True, connections=connections, replacements=replacements
        ) as services,
        ExitStack() as roots,
    ):
        session = Session(job, links, services, run, connections, rate_limiter, roots)
        services.index.join(job.lease_holder)
        session.lease_stamp = services.index.lease_stamp(job.lease_holder)
        yield session


def send_heartbeats(session: Session) -> None:
    """Send the status every second and follow the orders received, until the session is over."""
    stop = session.run.stop
    pause = 0.0
    while not session.finished.wait(pause):
        pause = HEARTBEAT_SECONDS
        try:
            orders: Orders = session.links.call("heartbeat", session.status())
        except CoordinatorUnavailableError:
            continue  # another one will start, or the driver is lost too
        session.rate_limiter.quota = orders.quota or session.rate_limiter.quota
        lease_age = time.monotonic() - session.lease_seen
        # A driver whose machine is busy may call late, but it still renews the lease.
        if orders.driver_lost and lease_age > LEASE_LATE_SECONDS:
            session.stop_with_error(
                f"the driver of its run has not called for {DRIVER_TIMEOUT_SECONDS:.0f} s, nor "
                f"renewed the index lock for {lease_age:.0f} s: it is gone, or its machine is too "
                "busy"
            )
        if orders.drain:
            stop.drain()
        if orders.stop:
            stop.request()
        if orders.abandon:
            stop.abandon()


def watch_lease(session: Session) -> None:
    """Check every few seconds whether the run still holds the index lock."""
    while not session.finished.wait(LEASE_CHECK_SECONDS):
        try:
            stamp = session.services.index.lease_stamp(session.job.lease_holder)
        except IngestError as error:
            log.info("could not check the lock of the index: %s", error)
            continue
        if not stamp:
            session.stop_with_error("its run no longer holds the index")
            session.run.stop.abandon()
            return
        if stamp != session.lease_stamp:
            session.lease_stamp, session.lease_seen = stamp, time.monotonic()


def first_request_number() -> int:
    """Return a random number for a worker's first request, so that no two workers share one."""
    # Anywhere in the upper half: starts at multiples of 2**32 meet after a few hundred workers.
    return (1 << REQUEST_NUMBER_BITS - 1) + secrets.randbits(REQUEST_NUMBER_BITS - 2)
