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

from ingest.config.connections import Connections, connections, watched
from ingest.config.factory import Beside, Portable, reopened, services
from ingest.config.settings import settings
from ingest.distributed.coordinator_client import Leased, LeasedPace, lasting, spending
from ingest.distributed.messages import Beat, Job, Links, MissedError, Orders, at_home
from ingest.errors import ConfigError, IngestError, ServiceError
from ingest.models import Advanced, __version__
from ingest.pipeline.context import Run, Services
from ingest.pipeline.reader.recovery import ReadWriteLock
from ingest.runtime.budget import Budget
from ingest.runtime.cancellation import Stop
from ingest.sources import Root

log = logging.getLogger(__name__)

BEATS = 1.0  # seconds between two beats
PAUSE = 0.2  # seconds between looks at whether a session is over
LOOKS = 5.0  # seconds between looks at whether the run still holds the index
# Seconds without a sign that it does: then nothing new is begun, and then nothing written. Others
# may take the index after 90 (index/lease.py).
DOUBT, END = 55.0, 75.0
TAILS = 2  # groups of a process whose sources are all taken, while the next one is read
REQUESTS = 32  # bits of the names of requests that a worker has for itself

# The sessions of this process, by run and worker; some are being opened.
HERE: dict[tuple[str, str], Future[Session]] = {}
OPENING = threading.Lock()


@dataclass(slots=True)
class Session:
    """One run at one worker."""

    job: Job
    links: Links
    services: Services
    run: Run
    to: Connections
    line: Leased
    roots: ExitStack  # kept open
    opened: dict[Portable, Root] = field(default_factory=dict)
    under_way: dict[int, Advanced] = field(default_factory=dict)
    tails: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(TAILS))
    groups: ReadWriteLock = field(default_factory=ReadWriteLock)  # exclusive: a suspect alone
    sign: str = ""  # of life, of the run in the index; and when it was seen last
    seen: float = field(default_factory=time.monotonic)
    over: threading.Event = field(default_factory=threading.Event)  # no more groups are to come
    closed: bool = False  # none can be begun
    lock: threading.Lock = field(default_factory=threading.Lock)
    opening: threading.Lock = field(default_factory=threading.Lock)  # of roots

    def began(self, group: int) -> bool:
        """A group is under way from now on; not so in a session that is closed."""
        with self.lock:
            if not self.closed:
                self.under_way[group] = Advanced()
            return not self.closed

    def advance(self, group: int, more: Advanced) -> None:
        """It has got on."""
        with self.lock:
            so_far = self.under_way[group]
            self.under_way[group] = Advanced(
                so_far.pages + more.pages,
                so_far.chunks + more.chunks,
                so_far.tokens + more.tokens,
            )

    def ended(self, group: int) -> None:
        """It is not under way any more."""
        with self.lock:
            del self.under_way[group]

    def close(self) -> bool:
        """Begin no more groups; not before the run is over here and all groups have ended."""
        with self.lock:
            over = self.over.is_set() or self.run.stop.fault
            self.closed = bool(over) and not self.under_way
            return self.closed

    def leave(self, why: str) -> None:
        """Settle what can be in the time for that, and fail: nobody has told this worker to end."""
        stop = self.run.stop
        if not stop.fault:
            log.warning("worker %s stops: %s", self.links.who, why)
            stop.fault = ServiceError(f"a worker stopped, as {why}: run again")
        stop.request()

    def beat(self) -> Beat:
        """How things are."""
        times, all_ = self.services.times, self.services
        names = list(times.spells)
        with self.lock:
            under_way = dict(self.under_way)
        return Beat(
            self.links.who,
            time.monotonic(),
            under_way,
            {name: (times.wall(name), times.total(name)) for name in names},
            dict(times.counts),
            times.waiting(),
            all_.reader.at_once,
            all_.embedder.at_once,
            all_.writing,
            all_.reader.waiting,
        )

    def root(self, portable: Portable) -> Root:
        """A root as this node reaches it. Raises ConfigError if it does not."""
        with self.opening:
            if portable not in self.opened:
                found = reopened(portable, self.job.settings, self.to)
                self.opened[portable] = self.roots.enter_context(found)
            return self.opened[portable]


@contextmanager
def working(group: int, job: Job, links: Links) -> Iterator[Session]:
    """The session of a run, while a group is under way in it; opened if there is none.

    Raises ConfigError or ServiceError if it cannot be: the next group tries again.
    """
    while not (here := session(job, links)).began(group):
        pass  # it was closed just now
    try:
        yield here
    finally:
        here.ended(group)


def session(job: Job, links: Links) -> Session:
    """The session of a run at this worker, opened if there is none."""
    key = job.run, links.who
    with OPENING:
        there = HERE.get(key)
        if there is None or (there.done() and there.result().closed):
            there = HERE[key] = Future()
            # Its services are opened and closed by one thread, whichever group is first and last.
            threading.Thread(
                target=kept, args=(job, links, there), name="session", daemon=True
            ).start()
    while not wait([there], PAUSE).done:
        # It may wait for the pacing, which must have a place to begin in.
        if links.lacking():
            links.release()
    return there.result()


def end(run: str) -> None:
    """A run is over: what this process keeps for it is closed as soon as nothing is under way."""

    def ended(there: Future[Session]) -> None:
        if not there.exception():
            there.result().over.set()

    with OPENING:
        of_run = [there for (whose, _), there in HERE.items() if whose == run]
    for there in of_run:
        there.add_done_callback(ended)


def kept(job: Job, links: Links, there: Future[Session]) -> None:
    """The life of a session."""
    try:
        with opened(job, links) as here, ThreadPoolExecutor(2, "session") as threads:
            others = [threads.submit(beating, here), threads.submit(looking, here)]
            there.set_result(here)
            try:
                guarding(here)
            finally:
                here.over.set()
                for other in others:
                    other.result()
                goodbye(links)
    except BaseException as error:  # noqa: BLE001 - raised by whoever waits for the session
        forgotten(there)
        if there.done():
            log.warning("what a worker kept for a run was not closed in order: %s", error)
        else:
            there.set_exception(error)
    else:
        forgotten(there)


def goodbye(links: Links) -> None:
    """Tell the pacing; who is the last to do so after the driver has left lets it go."""
    last = False
    with suppress(MissedError):
        last = links.call("gone", links.who)
    links.forget(last)


def forgotten(there: Future[Session]) -> None:
    """Whoever comes next opens another session."""
    with OPENING:
        for key in [key for key, other in HERE.items() if other is there]:
            del HERE[key]


def guarding(here: Session) -> None:
    """Wait until the run is over here, and see to it where nothing shows that it is there."""
    while not here.close():
        if here.over.is_set():
            here.run.stop.abandon()  # nobody waits for what is still under way
        silent = time.monotonic() - here.seen
        if silent > DOUBT:
            here.leave("its run may not hold the index any more")
        if silent > END:
            here.run.stop.abandon()
        time.sleep(PAUSE)


@contextmanager
def opened(job: Job, links: Links) -> Iterator[Session]:
    """The services of a run, as this node reaches them.

    Raises ServiceError if the run does not hold the index.
    """
    if job.version != __version__:
        raise ConfigError(
            f"worker {links.who} has ingest {__version__}, and this is {job.version}: start "
            "the workers from the same image"
        )
    mine = at_home(job.settings, settings(os.environ, {}), links.threads)
    stop = Stop(mine.grace_seconds)
    to = watched(connections(mine, stop), job.run, None, lambda _: None, mine_alone())
    call = lasting(links.call, stop)
    line = Leased(links.who, call)
    budget = Budget(stop, agreed=partial(spending, call, stop))
    beside = Beside(line, budget, LeasedPace(links.who, call))
    run = Run(job.run, passwords=bool(mine.passwords), stop=stop)
    with (
        services(mine, stop, write=True, to=to, beside=beside) as all_,
        ExitStack() as roots,
    ):
        here = Session(job, links, all_, run, to, line, roots)
        here.sign = all_.index.stands(job.holder)
        if not here.sign:
            raise ServiceError(f"run {job.run} does not hold the index any more: run again")
        yield here


def beating(here: Session) -> None:
    """Say every second how things are, and do what is told, until the session is over."""
    stop = here.run.stop
    pause = 0.0
    while not here.over.wait(pause):
        pause = BEATS
        try:
            orders: Orders = here.links.call("beat", here.beat())
        except MissedError:
            continue  # there will be another one, or the run is not there any more either
        here.line.last = orders.known or here.line.last
        if orders.left:
            here.leave("nothing is heard of the run")
        if orders.enough:
            stop.enough()
        if orders.stop:
            stop.request()
        if orders.abandon:
            stop.abandon()


def looking(here: Session) -> None:
    """Look now and then whether the run still holds the index."""
    while not here.over.wait(LOOKS):
        try:
            sign = here.services.index.stands(here.job.holder)
        except IngestError as error:
            log.info("whether the run still holds the index could not be seen: %s", error)
            continue
        if not sign:
            here.leave("its run does not hold the index any more")
            here.run.stop.abandon()
            return
        if sign != here.sign:
            here.sign, here.seen = sign, time.monotonic()


def mine_alone() -> int:
    """Where a worker begins to count its requests: chance keeps it from what another counts."""
    return (1 + secrets.randbits(48 - REQUESTS - 1)) << REQUESTS


def name() -> str:
    """How people know this process."""
    return f"{socket.gethostname()}:{os.getpid()}"
