"""Dask engine: groups are tasks of its client, and the coordinator is a Dask actor."""

from __future__ import annotations

import logging
import pkgutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import distributed
from distributed.scheduler import KilledWorker

from ingest.distributed import session
from ingest.distributed.coordinator import Coordinator
from ingest.distributed.dask_worker import (
    COORDINATOR_LOOKUP_SECONDS,
    UNREACHABLE_ERRORS,
    call_actor,
    coordinator_name,
    run_group,
)
from ingest.distributed.messages import Group, GroupResult, Job
from ingest.errors import ConfigError, ServiceError
from ingest.models import __version__

log = logging.getLogger(__name__)

SCHEDULER_NOTICE_SECONDS = 3.0  # without a scheduler, after which a warning is logged
# Timeout of one attempt to fetch a result (normally milliseconds), pause, and timeout of all.
FETCH_TIMEOUT_SECONDS, FETCH_PAUSE_SECONDS, RESULT_TIMEOUT_SECONDS = 10.0, 1.0, 300.0
COORDINATOR_PRIORITY = 100  # before all groups
LOST_STATUSES = frozenset({"error", "lost", "cancelled"})  # of a coordinator's future


class DaskEngine:
    """A ClusterEngine on a Dask cluster, for one run."""

    def __init__(self, address: str, client: distributed.Client, run: str) -> None:
        self.address = address
        self.client = client
        self.task: Callable[[Group, Job], GroupResult] = run_group
        self.coordinator_variable = distributed.Variable(coordinator_name(run), client=client)
        self.coordinator: distributed.Future[Any] | None = None

    def submit(self, group: Group, job: Job) -> Future[GroupResult]:
        # The client's Executor would let its caller wait forever if fetching a result fails.
        call = self.client.submit(self.task, group, job, pure=False)
        result: Future[GroupResult] = Future()

        def forward_cancel(_: Future[GroupResult]) -> None:
            if result.cancelled():
                call.cancel()

        result.add_done_callback(forward_cancel)
        call.add_done_callback(Delivery(result, self.address).fetch)
        return result

    def slots(self) -> int:
        workers = self.client.scheduler_info(n_workers=-1)["workers"]
        return sum(worker["nthreads"] for worker in workers.values())

    def start_coordinator(self, *arguments: Any) -> None:
        if self.client.status != "running":
            raise self.unreachable_error()
        try:
            coordinator = self.client.submit(
                Coordinator, *arguments, actor=True, pure=False, priority=COORDINATOR_PRIORITY
            )
            self.coordinator_variable.set(coordinator)
        except UNREACHABLE_ERRORS as error:
            raise self.unreachable_error() from error
        self.coordinator = coordinator

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
            return None  # its worker is busy, or its loss has not been noticed yet
        except UNREACHABLE_ERRORS as error:
            if self.coordinator.status in LOST_STATUSES:
                raise ServiceError("the worker that ran the coordinator is lost") from error
            return None

    def unreachable_error(self) -> ServiceError:
        """Return the error for a scheduler that no longer answers."""
        return scheduler_unreachable(self.address)

    def end_run(self, run: str) -> None:
        if self.client.status != "running":
            return
        with suppress(*UNREACHABLE_ERRORS):
            self.client.run(session.end_session, run)
            self.coordinator_variable.delete()


@contextmanager
def connect_cluster(address: str, run: str) -> Iterator[DaskEngine]:
    """Connect to a cluster, for one run.

    Raises ServiceError if the scheduler does not answer within Dask's own timeout, 30 s.
    """
    # The driver reports lost workers in its own words.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    notice = threading.Timer(
        SCHEDULER_NOTICE_SECONDS, log.warning, ["waiting for the scheduler at %s", address]
    )
    notice.daemon = True
    notice.start()
    try:
        client = distributed.Client(address, set_as_default=False)
    except UNREACHABLE_ERRORS as error:
        raise scheduler_unreachable(address) from error
    finally:
        notice.cancel()
    with client:
        check_versions(client)
        client.forward_logging("ingest", logging.WARNING)
        yield DaskEngine(address, client, run)


def check_versions(client: distributed.Client) -> None:
    """Check that the scheduler and all workers have this version. Raises ConfigError if not.

    Dask's own errors about that are hard to read, or missing.
    """
    call = pkgutil.resolve_name, "ingest:__version__"
    versions = client.run(*call, on_error="return")
    try:
        versions["the scheduler"] = client.run_on_scheduler(*call)
    except ImportError as error:
        versions["the scheduler"] = error
    for name, version in versions.items():
        if isinstance(version, ImportError) or (
            isinstance(version, str) and version != __version__
        ):
            has = f"ingest {version}" if isinstance(version, str) else "no ingest"
            part = name if " " in name else f"worker {name}"
            raise ConfigError(
                f"{part} has {has}, and this is {__version__}: start all parts from the same image"
            )


def scheduler_unreachable(address: str) -> ServiceError:
    """Return the error for a scheduler that does not answer."""
    return ServiceError(f"no scheduler answers at {address}: start it, or check --engine")


@dataclass(slots=True)
class Delivery:
    """Delivery of a group's result. Fetching it is tried again if that fails, for a while."""

    result: Future[GroupResult]
    address: str  # of the scheduler
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    failing_since: float | None = None

    def fetch(self, call: distributed.Future[GroupResult]) -> None:
        """Pass on the result of a call that is done, or its error with a remedy."""
        if self.result.done():  # cancelled
            return
        try:
            found = call.result(timeout=FETCH_TIMEOUT_SECONDS)
        except BaseException as error:  # noqa: BLE001 - raised where the result is taken
            if call.status in {"finished", "pending"}:
                self.try_again(call)
            else:
                self.fail(self.explain(error))
        else:
            with suppress(InvalidStateError):
                self.result.set_result(found)

    def try_again(self, call: distributed.Future[GroupResult]) -> None:
        """Fetch again, at once or when the group was done again after its worker was lost."""
        now = self.clock()
        if call.status == "pending" or self.failing_since is None:
            self.failing_since = now
        if now - self.failing_since > RESULT_TIMEOUT_SECONDS:
            reason = "results of workers do not arrive here: check the network, and run again"
            self.fail(ServiceError(reason))
            return
        self.sleep(FETCH_PAUSE_SECONDS)
        try:
            call.add_done_callback(self.fetch)
        except RuntimeError as error:  # the client was closed
            self.fail(error)

    def explain(self, error: BaseException) -> BaseException:
        """Return the error of a call, in our words."""
        if isinstance(error, CancelledError):
            return ServiceError(
                f"the scheduler at {self.address} is gone or was restarted: run again"
            )
        return translate_error(error)

    def fail(self, error: BaseException) -> None:
        """End the wait for the result."""
        with suppress(InvalidStateError):
            self.result.set_exception(error)


def translate_error(error: BaseException) -> BaseException:
    """Translate an error of a group for the user who started the run."""
    if isinstance(error, KilledWorker):
        return ServiceError(
            f"{error.allowed_failures + 1} workers were lost one after another with the same "
            "sources: find the cause in the workers' logs, such as too little memory, and run "
            "again; the next run reads these sources one at a time"
        )
    if isinstance(error, ImportError):
        return ConfigError(f"a worker cannot start ({error}): use the same image for all parts")
    return error
