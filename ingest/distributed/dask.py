"""Groups on a Dask cluster, by the Executor of its client; the pacing is one of its actors."""

from __future__ import annotations

import gc
import logging
import pkgutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import distributed
from distributed.scheduler import KilledWorker

from ingest.distributed import session
from ingest.distributed.coordinator import Pacing
from ingest.distributed.messages import Done, Group, Job, Links, MissedError
from ingest.distributed.worker import settle
from ingest.errors import ConfigError, IngestError, ServiceError
from ingest.models import __version__

log = logging.getLogger(__name__)

SAID = 3.0  # seconds without a scheduler, after which a person is told what is waited for
ANSWERING = 10.0  # seconds for the pacing to answer, which takes it a millisecond
LOOK = 0.2  # seconds to look where it is, and for it to begin
ARRIVING = 120.0  # seconds for what became of a group to come here, which takes milliseconds
FIRST = 100  # the priority of the pacing: before all groups
FAILED = frozenset({"error", "lost", "cancelled"})  # statuses of a pacing that is lost
PROFILING = ("profile", "profile-cycle")  # what a worker does every few milliseconds, by name
# What a call raises where the pacing, its worker or the scheduler is gone.
GONE = (OSError, RuntimeError, ValueError, TimeoutError, CancelledError)


class Dask:
    """An Engine on a cluster, for one run."""

    def __init__(
        self,
        address: str,
        client: distributed.Client,
        run: str,
        arriving: float = ARRIVING,
    ) -> None:
        self.address = address
        self.arriving = arriving
        self.done: dict[str, float] = {}  # groups that are not heard of, and since when
        self.client = client
        self.executor = client.get_executor(pure=False)  # no two calls are the same
        self.name = distributed.Variable(pacing_of(run), client=client)
        self.pacing: distributed.Future[Any] | None = None

    def submit(self, group: Group, job: Job) -> Future[Done]:
        return explained(self.executor.submit(work, group, job), self.address)

    def slots(self) -> int:
        workers = self.client.scheduler_info(n_workers=-1)["workers"]
        return sum(worker["nthreads"] for worker in workers.values())

    def begin(self, *arguments: Any) -> None:
        if self.client.status != "running":
            raise self.lost()
        try:
            pacing = self.client.submit(Pacing, *arguments, actor=True, pure=False, priority=FIRST)
            self.name.set(pacing)
        except GONE as error:
            raise self.lost() from error
        self.pacing = pacing

    def call(self, method: str, *arguments: Any) -> Any:
        assert self.pacing is not None
        if self.client.status != "running":
            raise self.lost()
        try:
            if self.pacing.status == "pending":
                return None
            with self.client.as_current():
                return asked(self.pacing.result(timeout=LOOK), method, *arguments)
        except TimeoutError:
            return None  # its worker is busy, or is not missed yet
        except GONE as error:
            if self.pacing.status in FAILED:
                raise ServiceError("the worker that kept the pace is lost") from error
            return None

    def stuck(self) -> bool:
        # Where fetching a result breaks off, Dask's Executor leaves its caller waiting for ever.
        now, pacing = time.monotonic(), self.pacing.key if self.pacing else None
        self.done = {
            key: self.done.get(key, now)
            for key, state in list(self.client.futures.items())
            if state.status == "finished" and key != pacing
        }
        return any(now - since > self.arriving for since in self.done.values())

    def lost(self) -> ServiceError:
        """What it means that the scheduler does not answer any more."""
        return unreachable(self.address)

    def end(self, run: str) -> None:
        if self.client.status != "running":
            return
        with suppress(*GONE):
            self.client.run(session.end, run)
            self.name.delete()


@contextmanager
def cluster(address: str, run: str) -> Iterator[Dask]:
    """A cluster, for one run.

    Raises ServiceError if nobody answers there in the time that Dask's settings give, 30 s.
    """
    # Who is lost, and what is done about it, we say ourselves.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    saying = threading.Timer(SAID, log.warning, ["waiting for the scheduler at %s", address])
    saying.daemon = True
    saying.start()
    try:
        client = distributed.Client(address, set_as_default=False)
    except GONE as error:
        raise unreachable(address) from error
    finally:
        saying.cancel()
    with client:
        check(client)
        client.forward_logging("ingest", logging.WARNING)
        yield Dask(address, client, run)


def check(client: distributed.Client) -> None:
    """Whether all parts that are there have this program. Raises ConfigError if one has not.

    What Dask says of one that has not is hard to read, or nothing.
    """
    what = pkgutil.resolve_name, "ingest:__version__"
    found = client.run(*what, on_error="return")
    try:
        found["the scheduler"] = client.run_on_scheduler(*what)
    except ImportError as error:
        found["the scheduler"] = error
    for who, version in found.items():
        if isinstance(version, ImportError) or (
            isinstance(version, str) and version != __version__
        ):
            has = f"ingest {version}" if isinstance(version, str) else "no ingest"
            part = who if " " in who else f"worker {who}"
            raise ConfigError(
                f"{part} has {has}, and this is {__version__}: start all parts from the same image"
            )


def unreachable(address: str) -> ServiceError:
    """Nobody answers at the address of a scheduler."""
    return ServiceError(f"no scheduler answers at {address}: start it, or check --engine")


def explained(call: Future[Done], address: str) -> Future[Done]:
    """The call; what the engine raises is an error that says what to do."""
    told: Future[Done] = Future()

    def done(_: Future[Done]) -> None:
        if not told.set_running_or_notify_cancel():
            return
        try:
            told.set_result(call.result())
        except CancelledError:
            told.set_exception(
                ServiceError(f"the scheduler at {address} is gone or was restarted: run again")
            )
        except BaseException as error:  # noqa: BLE001 - raised by whoever takes the result
            told.set_exception(meant(error))

    def cancelled(_: Future[Done]) -> None:
        if told.cancelled():
            call.cancel()

    call.add_done_callback(done)
    told.add_done_callback(cancelled)
    return told


def meant(error: BaseException) -> BaseException:
    """What an error of a group means to whoever started the run."""
    if isinstance(error, KilledWorker):
        return ServiceError(
            f"{error.allowed_failures + 1} workers were lost one after another with the same "
            "sources, which are read alone by the next run: see in the workers' logs what "
            "ends them, as too little memory; run again"
        )
    if isinstance(error, ImportError):
        return ConfigError(f"a worker cannot begin ({error}): start it from the same image")
    return error


def pacing_of(run: str) -> str:
    """The name under which the pacing of a run is found."""
    return f"ingest-pacing-{run}"


# What a worker does.


def work(group: Group, job: Job) -> Done:
    """A group, settled in the process of a worker."""
    worker = distributed.get_worker()
    reach = reaching(job.run, distributed.get_client())
    who = f"{worker.name} at {session.name()}"
    threads = worker.state.nthreads
    links = Links(who, reach.call, reach.lacking, give_up_place, reach.forget, threads)
    PLACE.held = True
    try:
        return settle(group, job, links)
    except IngestError as error:
        told = error
    finally:
        PLACE.held = False
    raise telling(told, who)


def telling(error: IngestError, who: str) -> IngestError:
    """What is told of an error of this worker: without those that led to it.

    Dask follows them all, for ever where one has led to itself.
    """
    told = copy(error)  # several groups may end of the same one
    told.__cause__ = told.__context__ = told.__traceback__ = None
    told.args = (f"{error} (worker {who})", *error.args[1:])
    return told


PLACE = threading.local()  # whether this thread has one of those that the engine has here


def give_up_place() -> None:
    """Let Dask begin something else beside the group of this thread. Other threads have none."""
    if getattr(PLACE, "held", False):
        PLACE.held = False
        distributed.secede()


@cache
def reaching(run: str, client: distributed.Client) -> Reach:
    """The way to the pacing of a run, one for each process."""
    unwatched(distributed.get_worker())
    return Reach(pacing_of(run), client)


def unwatched(worker: distributed.Worker) -> None:
    """Let the engine's profiler rest, which looks at all threads a hundred times a second.

    Before Python 3.12 a look may stop a process for good (CPython's gh-106883): its worker does
    nothing from then on, and is missed after ten minutes.
    """
    for name in PROFILING:
        if call := worker.periodic_callbacks.get(name):
            worker.loop.add_callback(call.stop)


@dataclass(slots=True, eq=False)
class Reach:
    """The way to a pacing, wherever it is now. Any thread may call."""

    name: str
    client: distributed.Client
    found: Any = None  # the actor; each proxy of it lives until the next collection of garbage
    missed: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def lacking(self) -> bool:
        """Whether it is waited for at present."""
        return self.missed

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of it. Raises MissedError if it does not answer."""
        try:
            with self.client.as_current():
                answer = asked(self.look(), method, *arguments)
        except GONE as error:
            self.found, self.missed = None, True
            # Another one can only begin where there is a place.
            give_up_place()
            raise MissedError from error
        self.missed = False
        return answer

    def look(self) -> Any:
        """Where it is now."""
        with self.lock:
            if self.found is None:
                named = distributed.Variable(self.name, client=self.client).get(timeout=LOOK)
                self.found = named.result(timeout=LOOK)
            return self.found

    def forget(self, last: bool) -> None:  # noqa: FBT001 - as the links have it
        """Let it go, and with it the pacing, if this is the last way there."""
        self.found = None
        gc.collect()
        if last:
            with suppress(*GONE):
                distributed.Variable(self.name, client=self.client).delete()


def asked(actor: Any, method: str, *arguments: Any) -> Any:
    """What a method of the pacing answers. Raises one of GONE if it does not."""
    return getattr(actor, method)(*arguments).result(timeout=ANSWERING)
