"""What a worker's process keeps open for a run: its services, and the way to the pacing.

A session begins with the first group and ends when the driver says so, is gone, or no longer holds
the index: nobody may write on behalf of a run that is not there, since the next run may be.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

from ingest import __version__
from ingest.budget import Budget
from ingest.careful import Turns
from ingest.connect import Beside, Portable, reopened, services
from ingest.connections import Connections, connections, watched
from ingest.errors import ConfigError, IngestError
from ingest.model import Advanced
from ingest.scale.leased import Leased, spending
from ingest.scale.work import Beat, Job, Links
from ingest.services import Run, Services
from ingest.settings import Settings, settings
from ingest.sources import Root
from ingest.stop import Stop

log = logging.getLogger(__name__)

BEATS = 1.0  # seconds between two beats
LOOKS = 10.0  # seconds between looks at whether the run still holds the index
# Seconds without a sign that it does: then nothing new is begun, and then nothing written. Others
# may take the index after 90 (index/lease.py).
DOUBT, END = 45.0, 65.0
TAILS = 2  # groups of a process whose sources are all taken, while the next one is read
REQUESTS = 32  # bits of the names of requests that a worker has for itself

# What a node brings itself: who it is there, and what it can do.
OWN = ("openai_key", "openai_client_id", "tenant", "search_key", "hosted", "passwords", "workers")
HERE: dict[str, Session] = {}  # of this process, by run
OPENING = threading.Lock()


@dataclass(slots=True)
class Session:
    """One run in one process."""

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
    over: threading.Event = field(default_factory=threading.Event)
    turns: Turns = field(default_factory=Turns)  # of groups: what may end the process goes alone
    sign: str = ""  # of life, of the run in the index; and when it was seen last
    seen: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def advance(self, group: int, more: Advanced) -> None:
        """A group has got on."""
        with self.lock:
            so_far = self.under_way[group]
            self.under_way[group] = Advanced(
                so_far.pages + more.pages,
                so_far.chunks + more.chunks,
                so_far.tokens + more.tokens,
            )

    @contextmanager
    def working(self, group: int) -> Iterator[None]:
        """While a group is under way."""
        with self.lock:
            self.under_way[group] = Advanced()
        try:
            yield
        finally:
            with self.lock:
                del self.under_way[group]

    def beat(self) -> Beat:
        """How things are."""
        times, all_ = self.services.times, self.services
        names = list(times.spells)
        with self.lock:
            under_way = dict(self.under_way)
        return Beat(
            self.links.who,
            under_way,
            {name: (times.wall(name), times.total(name)) for name in names},
            dict(times.counts),
            times.waiting(),
            all_.reader.at_once,
            all_.embedder.at_once,
            all_.writing,
            all_.reader.waiting,
        )


def session(job: Job, links: Links) -> Session:
    """The session of a run in this process, opened if there is none.

    Raises ConfigError or ServiceError if it cannot be.
    """
    with OPENING:
        if (there := HERE.get(job.run)) and not there.over.is_set():
            return there
        if job.version != __version__:
            raise ConfigError(
                f"worker {links.who} has ingest {__version__}, and this is {job.version}: start "
                "the workers from the same image"
            )
        ready, found = threading.Event(), list[Session | BaseException]()
        # Its services are opened and closed by one thread, whichever group comes first and last.
        threading.Thread(
            target=kept, args=(job, links, ready, found), name="session", daemon=True
        ).start()
        ready.wait()
        (made,) = found
        if isinstance(made, BaseException):
            raise made
        HERE[job.run] = made
        return made


def end(run: str) -> None:
    """A run is over: what this process keeps for it is closed as soon as nothing is under way."""
    if there := HERE.get(run):
        there.over.set()


def kept(
    job: Job, links: Links, ready: threading.Event, found: list[Session | BaseException]
) -> None:
    """The life of a session."""
    try:
        with opened(job, links) as made, ThreadPoolExecutor(2, "session") as threads:
            found.append(made)
            ready.set()
            others = [threads.submit(beating, made), threads.submit(looking, made)]
            try:
                guarding(made)
            finally:
                made.over.set()
                for other in others:
                    other.result()
    except BaseException as error:  # noqa: BLE001 - raised by whoever waits for the session
        if ready.is_set():
            log.warning("what a worker kept for a run was not closed in order: %s", error)
        found.append(error)
        ready.set()
    finally:
        if HERE.get(job.run) in found:
            del HERE[job.run]


def guarding(here: Session) -> None:
    """Wait until the run is over, and end it here if nothing shows that it holds the index."""
    stop = here.run.stop
    while not here.over.wait(BEATS) or here.under_way:
        silent = time.monotonic() - here.seen
        if silent > DOUBT and not stop.requested():
            log.warning("worker %s stops: its run may not be there any more", here.links.who)
            stop.request()
        if silent > END:
            stop.abandon()
        if here.over.is_set():
            time.sleep(BEATS / 10)


@contextmanager
def opened(job: Job, links: Links) -> Iterator[Session]:
    """The services of a run, as this node reaches them."""
    mine = at_home(job.settings, settings(os.environ, {}), links.threads)
    stop = Stop(mine.grace_seconds)
    to = watched(connections(mine, stop), job.run, None, lambda _: None, mine_alone())
    line = Leased(links.who, links.call)
    budget = Budget(stop, agreed=lambda tokens, pages: spending(links.call, tokens, pages))
    run = Run(job.run, passwords=bool(mine.passwords), stop=stop)
    with (
        services(mine, stop, write=True, to=to, beside=Beside(line, budget)) as all_,
        ExitStack() as roots,
    ):
        yield Session(job, links, all_, run, to, line, roots)


def at_home(sent: Settings, own: Settings, threads: int) -> Settings:
    """The settings of a run on this node, which signs in as itself."""
    mine = {name: getattr(own, name) for name in OWN}
    mine["passwords"] = own.passwords or sent.passwords
    mine["workers"] = own.workers or sent.workers or threads
    return replace(sent, **mine)


def sent(chosen: Settings) -> Settings:
    """The settings that workers are sent: nothing that signs in, and no secret."""
    plain = Settings()
    kept_back = {name: getattr(plain, name) for name in OWN if name not in {"passwords", "workers"}}
    return replace(chosen, **kept_back)


def root(here: Session, portable: Portable) -> Root:
    """A root as this node reaches it. Raises ConfigError if it does not."""
    with here.lock:
        known = here.opened.get(portable)
        if known is None:
            known = here.roots.enter_context(reopened(portable, here.job.settings, here.to))
            here.opened[portable] = known
        return known


def beating(here: Session) -> None:
    """Say every second how things are, and do what is told, until the session is over."""
    stop = here.run.stop
    while not here.over.wait(BEATS):
        try:
            orders = here.links.call("beat", here.beat())
        except IngestError as error:
            log.warning("worker %s is on its own, and stops: %s", here.links.who, error)
            stop.request()
            return
        here.line.last = orders.known or here.line.last
        if orders.enough:
            stop.enough()
        if orders.stop:
            stop.request()
        if orders.abandon:
            stop.abandon()


def looking(here: Session) -> None:
    """Look now and then whether the run still holds the index."""
    wait = 0.0
    while not here.over.wait(wait):
        wait = LOOKS
        try:
            sign = here.services.index.stands(here.job.holder)
        except IngestError as error:
            log.info("whether the run still holds the index could not be seen: %s", error)
            continue
        if not sign:
            log.warning("worker %s stops: its run does not hold the index", here.links.who)
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
