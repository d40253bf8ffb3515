"""What a worker keeps open for a run: its services, and the way to the pacing.

A session begins with the first group and ends when the driver says so, is gone, or no longer holds
the index: nobody may write on behalf of a run that is not there, since the next run may be. A
worker that ends by itself fails the groups it has: none of their sources is passed over in silence.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from ingest.config.connections import Connections, connections_of_run, create_connections
from ingest.config.factory import SharedState, open_services
from ingest.config.settings import build_settings
from ingest.config.sources import PortableRoot, open_portable
from ingest.distributed.coordinator_client import (
    RemoteOcrRateLimiter,
    RemoteRateLimiter,
    reserve_budget,
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

HEARTBEAT_SECONDS = 1.0  # seconds between two beats
SESSION_POLL_SECONDS = 0.2  # seconds between looks at whether a session is over
LEASE_CHECK_SECONDS = 5.0  # seconds between looks at whether the run still holds the index
# Seconds without a sign that it does: then nothing new is begun, and then nothing written. Others
# may take the index after 90 (index/lease.py).
LEASE_DOUBT_SECONDS, LEASE_LOST_SECONDS = 55.0, 75.0
MAX_TAIL_GROUPS = 2  # groups of a process whose sources are all taken, while the next one is read
REQUEST_ID_BITS = 32  # bits of the names of requests that a worker has for itself

# The sessions of this process, by run and worker; some are being opened.
SESSIONS: dict[tuple[str, str], Future[Session]] = {}
SESSIONS_LOCK = threading.Lock()


@dataclass(slots=True)
class Session:
    """One run at one worker."""

    job: Job
    links: WorkerLinks
    services: Services
    run: Run
    connections: Connections
    rate_limiter: RemoteRateLimiter
    root_stack: ExitStack  # kept open
    opened_roots: dict[PortableRoot, Root] = field(default_factory=dict)
    progress: dict[int, RunProgress] = field(default_factory=dict)
    tail_slots: threading.Semaphore = field(
        default_factory=lambda: threading.Semaphore(MAX_TAIL_GROUPS)
    )
    groups: ReadWriteLock = field(default_factory=ReadWriteLock)  # exclusive: a suspect alone
    lease_stamp: str = ""  # of life, of the run in the index; and when it was seen last
    lease_seen: float = field(default_factory=time.monotonic)
    finished: threading.Event = field(default_factory=threading.Event)  # no more groups are to come
    closed: bool = False  # none can be begun
    lock: threading.Lock = field(default_factory=threading.Lock)
    roots_lock: threading.Lock = field(default_factory=threading.Lock)  # of roots

    def begin_group(self, group: int) -> bool:
        """A group is under way from now on; not so in a session that is closed."""
        with self.lock:
            if not self.closed:
                self.progress[group] = RunProgress()
            return not self.closed

    def add_progress(self, group: int, progress: RunProgress) -> None:
        """It has got on."""
        with self.lock:
            so_far = self.progress[group]
            self.progress[group] = RunProgress(
                so_far.pages + progress.pages,
                so_far.chunks + progress.chunks,
                so_far.tokens + progress.tokens,
            )

    def end_group(self, group: int) -> None:
        """It is not under way any more."""
        with self.lock:
            del self.progress[group]

    def try_close(self) -> bool:
        """Begin no more groups; not before the run is over here and all groups have ended."""
        with self.lock:
            over = self.finished.is_set() or self.run.stop.fault
            self.closed = bool(over) and not self.progress
            return self.closed

    def stop_with_error(self, why: str) -> None:
        """Settle what can be in the time for that, and fail: nobody has told this worker to end."""
        stop = self.run.stop
        if not stop.fault:
            log.warning("worker %s stops: %s", self.links.worker, why)
            stop.fault = ServiceError(f"a worker stopped, as {why}: run again")
        stop.request()

    def status(self) -> WorkerStatus:
        """How things are."""
        times, all_ = self.services.times, self.services
        names = list(times.spans)
        with self.lock:
            under_way = dict(self.progress)
        return WorkerStatus(
            self.links.worker,
            time.monotonic(),
            under_way,
            {name: (times.wall_seconds(name), times.thread_seconds(name)) for name in names},
            dict(times.counts),
            times.current_wait(),
            all_.reader.at_once,
            all_.embedder.at_once,
            all_.max_writes,
            all_.reader.max_waiting,
        )

    def root(self, portable: PortableRoot) -> Root:
        """A root as this node reaches it. Raises ConfigError if it does not."""
        with self.roots_lock:
            if portable not in self.opened_roots:
                found = open_portable(portable, self.job.settings, self.connections)
                self.opened_roots[portable] = self.root_stack.enter_context(found)
            return self.opened_roots[portable]


@contextmanager
def use_session(group: int, job: Job, links: WorkerLinks) -> Iterator[Session]:
    """The session of a run, while a group is under way in it; opened if there is none.

    Raises ConfigError or ServiceError if it cannot be: the next group tries again.
    """
    while not (here := get_session(job, links)).begin_group(group):
        pass  # it was closed just now
    try:
        yield here
    finally:
        here.end_group(group)


def get_session(job: Job, links: WorkerLinks) -> Session:
    """The session of a run at this worker, opened if there is none."""
    key = job.run, links.worker
    with SESSIONS_LOCK:
        there = SESSIONS.get(key)
        if there is None or (there.done() and there.result().closed):
            there = SESSIONS[key] = Future()
            # Its services are opened and closed by one thread, whichever group is first and last.
            threading.Thread(
                target=run_session, args=(job, links, there), name="session", daemon=True
            ).start()
    while not wait([there], SESSION_POLL_SECONDS).done:
        # It may wait for the pacing, which must have a place to begin in.
        if links.is_waiting():
            links.release_slot()
    return there.result()


def end_session(run: str) -> None:
    """A run is over: what this process keeps for it is closed as soon as nothing is under way."""

    def finish(there: Future[Session]) -> None:
        if not there.exception():
            there.result().finished.set()

    with SESSIONS_LOCK:
        of_run = [there for (whose, _), there in SESSIONS.items() if whose == run]
    for there in of_run:
        there.add_done_callback(finish)


def run_session(job: Job, links: WorkerLinks, future: Future[Session]) -> None:
    """The life of a session."""
    try:
        with open_session(job, links) as here, ThreadPoolExecutor(2, "session") as threads:
            others = [threads.submit(send_heartbeats, here), threads.submit(watch_lease, here)]
            future.set_result(here)
            try:
                guard_session(here)
            finally:
                here.finished.set()
                for other in others:
                    other.result()
                leave_coordinator(links)
    except BaseException as error:  # noqa: BLE001 - raised by whoever waits for the session
        forget_session(future)
        if future.done():
            log.warning("what a worker kept for a run was not closed in order: %s", error)
        else:
            future.set_exception(error)
    else:
        forget_session(future)


def leave_coordinator(links: WorkerLinks) -> None:
    """Tell the pacing; who is the last to do so after the driver has left lets it go."""
    last = False
    with suppress(CoordinatorUnavailableError):
        last = links.call("remove_worker", links.worker)
    links.disconnect(last)


def forget_session(future: Future[Session]) -> None:
    """Whoever comes next opens another session."""
    with SESSIONS_LOCK:
        for key in [key for key, other in SESSIONS.items() if other is future]:
            del SESSIONS[key]


def guard_session(session: Session) -> None:
    """Wait until the run is over here, and see to it where nothing shows that it is there."""
    while not session.try_close():
        if session.finished.is_set():
            session.run.stop.abandon()  # nobody waits for what is still under way
        silent = time.monotonic() - session.lease_seen
        if silent > LEASE_DOUBT_SECONDS:
            session.stop_with_error("its run may not hold the index any more")
        if silent > LEASE_LOST_SECONDS:
            session.run.stop.abandon()
        time.sleep(SESSION_POLL_SECONDS)


@contextmanager
def open_session(job: Job, links: WorkerLinks) -> Iterator[Session]:
    """The services of a run, as this node reaches them.

    Raises ServiceError if the run does not hold the index.
    """
    if job.version != __version__:
        raise ConfigError(
            f"worker {links.worker} has ingest {__version__}, and this is {job.version}: start "
            "the workers from the same image"
        )
    mine = apply_node_settings(job.settings, build_settings(os.environ, {}), links.threads)
    stop = Cancellation(mine.grace_seconds)
    to = connections_of_run(
        create_connections(mine, stop), job.run, None, lambda _: None, first_request_number()
    )
    call = wait_for_coordinator(links.call, stop)
    line = RemoteRateLimiter(links.worker, call)
    budget = Budget(stop, reserve_shared=partial(reserve_budget, call, stop))
    beside = SharedState(line, budget, RemoteOcrRateLimiter(links.worker, call))
    run = Run(job.run, has_passwords=bool(mine.passwords), stop=stop)
    with (
        open_services(mine, stop, write=True, connections=to, shared=beside) as all_,
        ExitStack() as roots,
    ):
        here = Session(job, links, all_, run, to, line, roots)
        here.lease_stamp = all_.index.lease_stamp(job.lease_holder)
        if not here.lease_stamp:
            raise ServiceError(f"run {job.run} does not hold the index any more: run again")
        yield here


def send_heartbeats(session: Session) -> None:
    """Say every second how things are, and do what is told, until the session is over."""
    stop = session.run.stop
    pause = 0.0
    while not session.finished.wait(pause):
        pause = HEARTBEAT_SECONDS
        try:
            orders: Orders = session.links.call("heartbeat", session.status())
        except CoordinatorUnavailableError:
            continue  # there will be another one, or the run is not there any more either
        session.rate_limiter.quota = orders.quota or session.rate_limiter.quota
        if orders.driver_lost:
            session.stop_with_error("nothing is heard of the run")
        if orders.drain:
            stop.drain()
        if orders.stop:
            stop.request()
        if orders.abandon:
            stop.abandon()


def watch_lease(session: Session) -> None:
    """Look now and then whether the run still holds the index."""
    while not session.finished.wait(LEASE_CHECK_SECONDS):
        try:
            sign = session.services.index.lease_stamp(session.job.lease_holder)
        except IngestError as error:
            log.info("whether the run still holds the index could not be seen: %s", error)
            continue
        if not sign:
            session.stop_with_error("its run does not hold the index any more")
            session.run.stop.abandon()
            return
        if sign != session.lease_stamp:
            session.lease_stamp, session.lease_seen = sign, time.monotonic()


def first_request_number() -> int:
    """Where a worker begins to count its requests: chance keeps it from what another counts."""
    return (1 + secrets.randbits(48 - REQUEST_ID_BITS - 1)) << REQUEST_ID_BITS


def process_name() -> str:
    """How people know this process."""
    return f"{socket.gethostname()}:{os.getpid()}"
