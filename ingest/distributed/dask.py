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
from ingest.distributed.coordinator import Coordinator
from ingest.distributed.messages import (
    CoordinatorUnavailableError,
    Group,
    GroupResult,
    Job,
    WorkerLinks,
)
from ingest.distributed.worker import settle_group
from ingest.errors import ConfigError, IngestError, ServiceError
from ingest.models import __version__

log = logging.getLogger(__name__)

SCHEDULER_NOTICE_SECONDS = (
    3.0  # seconds without a scheduler, after which a person is told what is waited for
)
COORDINATOR_CALL_SECONDS = 10.0  # seconds for the pacing to answer, which takes it a millisecond
COORDINATOR_LOOKUP_SECONDS = 0.2  # seconds to look where it is, and for it to begin
RESULT_TIMEOUT_SECONDS = (
    120.0  # seconds for what became of a group to come here, which takes milliseconds
)
COORDINATOR_PRIORITY = 100  # the priority of the pacing: before all groups
LOST_STATUSES = frozenset({"error", "lost", "cancelled"})  # statuses of a pacing that is lost
PROFILER_CALLBACKS = (
    "profile",
    "profile-cycle",
)  # what a worker does every few milliseconds, by name
# What a call raises where the pacing, its worker or the scheduler is gone.
UNREACHABLE_ERRORS = (OSError, RuntimeError, ValueError, TimeoutError, CancelledError)


class DaskEngine:
    """An Engine on a cluster, for one run."""

    def __init__(
        self,
        address: str,
        client: distributed.Client,
        run: str,
        result_timeout: float = RESULT_TIMEOUT_SECONDS,
    ) -> None:
        self.address = address
        self.result_timeout = result_timeout
        self.finished_groups: dict[str, float] = {}  # groups that are not heard of, and since when
        self.client = client
        self.executor = client.get_executor(pure=False)  # no two calls are the same
        self.coordinator_variable = distributed.Variable(coordinator_name(run), client=client)
        self.coordinator: distributed.Future[Any] | None = None

    def submit(self, group: Group, job: Job) -> Future[GroupResult]:
        return explain_errors(self.executor.submit(run_group, group, job), self.address)

    def slots(self) -> int:
        workers = self.client.scheduler_info(n_workers=-1)["workers"]
        return sum(worker["nthreads"] for worker in workers.values())

    def start_coordinator(self, *arguments: Any) -> None:
        if self.client.status != "running":
            raise self.unreachable_error()
        try:
            pacing = self.client.submit(
                Coordinator, *arguments, actor=True, pure=False, priority=COORDINATOR_PRIORITY
            )
            self.coordinator_variable.set(pacing)
        except UNREACHABLE_ERRORS as error:
            raise self.unreachable_error() from error
        self.coordinator = pacing

    def call_coordinator(self, method: str, *arguments: Any) -> Any:
        assert self.coordinator is not None
        if self.client.status != "running":
            raise self.unreachable_error()
        try:
            if self.coordinator.status == "pending":
                return None
            with self.client.as_current():
                return call_actor(
                    self.coordinator.result(timeout=COORDINATOR_LOOKUP_SECONDS), method, *arguments
                )
        except TimeoutError:
            return None  # its worker is busy, or is not missed yet
        except UNREACHABLE_ERRORS as error:
            if self.coordinator.status in LOST_STATUSES:
                raise ServiceError("the worker that kept the pace is lost") from error
            return None

    def has_lost_results(self) -> bool:
        # Where fetching a result breaks off, Dask's Executor leaves its caller waiting for ever.
        now, pacing = time.monotonic(), self.coordinator.key if self.coordinator else None
        self.finished_groups = {
            key: self.finished_groups.get(key, now)
            for key, state in list(self.client.futures.items())
            if state.status == "finished" and key != pacing
        }
        return any(now - since > self.result_timeout for since in self.finished_groups.values())

    def unreachable_error(self) -> ServiceError:
        """What it means that the scheduler does not answer any more."""
        return scheduler_unreachable(self.address)

    def end_run(self, run: str) -> None:
        if self.client.status != "running":
            return
        with suppress(*UNREACHABLE_ERRORS):
            self.client.run(session.end_session, run)
            self.coordinator_variable.delete()


@contextmanager
def connect_cluster(address: str, run: str) -> Iterator[DaskEngine]:
    """A cluster, for one run.

    Raises ServiceError if nobody answers there in the time that Dask's settings give, 30 s.
    """
    # Who is lost, and what is done about it, we say ourselves.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    saying = threading.Timer(
        SCHEDULER_NOTICE_SECONDS, log.warning, ["waiting for the scheduler at %s", address]
    )
    saying.daemon = True
    saying.start()
    try:
        client = distributed.Client(address, set_as_default=False)
    except UNREACHABLE_ERRORS as error:
        raise scheduler_unreachable(address) from error
    finally:
        saying.cancel()
    with client:
        check_versions(client)
        client.forward_logging("ingest", logging.WARNING)
        yield DaskEngine(address, client, run)


def check_versions(client: distributed.Client) -> None:
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


def scheduler_unreachable(address: str) -> ServiceError:
    """Nobody answers at the address of a scheduler."""
    return ServiceError(f"no scheduler answers at {address}: start it, or check --engine")


def explain_errors(call: Future[GroupResult], address: str) -> Future[GroupResult]:
    """The call; what the engine raises is an error that says what to do."""
    told: Future[GroupResult] = Future()

    def forward_result(_: Future[GroupResult]) -> None:
        if not told.set_running_or_notify_cancel():
            return
        try:
            told.set_result(call.result())
        except CancelledError:
            told.set_exception(
                ServiceError(f"the scheduler at {address} is gone or was restarted: run again")
            )
        except BaseException as error:  # noqa: BLE001 - raised by whoever takes the result
            told.set_exception(translate_error(error))

    def forward_cancel(_: Future[GroupResult]) -> None:
        if told.cancelled():
            call.cancel()

    call.add_done_callback(forward_result)
    told.add_done_callback(forward_cancel)
    return told


def translate_error(error: BaseException) -> BaseException:
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


def coordinator_name(run: str) -> str:
    """The name under which the pacing of a run is found."""
    return f"ingest-pacing-{run}"


# What a worker does.


def run_group(group: Group, job: Job) -> GroupResult:
    """A group, settled in the process of a worker."""
    worker = distributed.get_worker()
    reach = coordinator_link(job.run, distributed.get_client())
    who = f"{worker.name} at {session.process_name()}"
    threads = worker.state.nthreads
    links = WorkerLinks(who, reach.call, reach.is_waiting, release_slot, reach.disconnect, threads)
    THREAD_SLOT.held = True
    try:
        return settle_group(group, job, links)
    except IngestError as error:
        told = error
    finally:
        THREAD_SLOT.held = False
    raise strip_causes(told, who)


def strip_causes(error: IngestError, who: str) -> IngestError:
    """What is told of an error of this worker: without those that led to it.

    Dask follows them all, for ever where one has led to itself.
    """
    told = copy(error)  # several groups may end of the same one
    told.__cause__ = told.__context__ = told.__traceback__ = None
    told.args = (f"{error} (worker {who})", *error.args[1:])
    return told


THREAD_SLOT = threading.local()  # whether this thread has one of those that the engine has here


def release_slot() -> None:
    """Let Dask begin something else beside the group of this thread. Other threads have none."""
    if getattr(THREAD_SLOT, "held", False):
        THREAD_SLOT.held = False
        distributed.secede()


@cache
def coordinator_link(run: str, client: distributed.Client) -> CoordinatorLink:
    """The way to the pacing of a run, one for each process."""
    stop_profiler(distributed.get_worker())
    return CoordinatorLink(coordinator_name(run), client)


def stop_profiler(worker: distributed.Worker) -> None:
    """Let the engine's profiler rest, which looks at all threads a hundred times a second.

    Before Python 3.12 a look may stop a process for good (CPython's gh-106883): its worker does
    nothing from then on, and is missed after ten minutes.
    """
    for name in PROFILER_CALLBACKS:
        if call := worker.periodic_callbacks.get(name):
            worker.loop.add_callback(call.stop)


@dataclass(slots=True, eq=False)
class CoordinatorLink:
    """The way to a pacing, wherever it is now. Any thread may call."""

    name: str
    client: distributed.Client
    actor: Any = None  # the actor; each proxy of it lives until the next collection of garbage
    is_missing: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def is_waiting(self) -> bool:
        """Whether it is waited for at present."""
        return self.is_missing

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of it. Raises MissedError if it does not answer."""
        try:
            with self.client.as_current():
                answer = call_actor(self.find_actor(), method, *arguments)
        except UNREACHABLE_ERRORS as error:
            self.actor, self.is_missing = None, True
            # Another one can only begin where there is a place.
            release_slot()
            raise CoordinatorUnavailableError from error
        self.is_missing = False
        return answer

    def find_actor(self) -> Any:
        """Where it is now."""
        with self.lock:
            if self.actor is None:
                named = distributed.Variable(self.name, client=self.client).get(
                    timeout=COORDINATOR_LOOKUP_SECONDS
                )
                self.actor = named.result(timeout=COORDINATOR_LOOKUP_SECONDS)
            return self.actor

    def disconnect(self, last: bool) -> None:  # noqa: FBT001 - as the links have it
        """Let it go, and with it the pacing, if this is the last way there."""
        self.actor = None
        gc.collect()
        if last:
            with suppress(*UNREACHABLE_ERRORS):
                distributed.Variable(self.name, client=self.client).delete()


def call_actor(actor: Any, method: str, *arguments: Any) -> Any:
    """What a method of the pacing answers. Raises one of GONE if it does not."""
    return getattr(actor, method)(*arguments).result(timeout=COORDINATOR_CALL_SECONDS)
