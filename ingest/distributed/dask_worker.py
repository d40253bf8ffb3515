"""Worker's side of the Dask engine: groups as tasks, and the link to the run's coordinator."""

from __future__ import annotations

import os
import socket
import threading
from concurrent.futures import CancelledError
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import distributed

from ingest.distributed.messages import (
    CoordinatorUnavailableError,
    Group,
    GroupResult,
    Job,
    WorkerLinks,
)
from ingest.distributed.worker import settle_group
from ingest.errors import IngestError

COORDINATOR_CALL_SECONDS = 10.0  # timeout of a call, which normally takes a millisecond
COORDINATOR_LOOKUP_SECONDS = 0.2  # timeout for finding the coordinator
PROFILER_CALLBACKS = ("profile", "profile-cycle")  # periodic callbacks of a Dask worker
# Raised by a call if the coordinator, its worker or the scheduler is lost.
UNREACHABLE_ERRORS = (OSError, RuntimeError, ValueError, TimeoutError, CancelledError)


def coordinator_name(run: str) -> str:
    """Return the name of the Dask variable that refers to a run's coordinator."""
    return f"ingest-coordinator-{run}"


def run_group(group: Group, job: Job) -> GroupResult:
    """Settle a group in the process of a Dask worker."""
    worker = distributed.get_worker()
    link = coordinator_link(job.run, distributed.get_client())
    name = f"{worker.name} at {socket.gethostname()}:{os.getpid()}"
    threads = worker.state.nthreads
    links = WorkerLinks(
        name, link.call, link.is_waiting, release_slot, link.connect, link.disconnect, threads
    )
    THREAD_SLOT.held = True
    try:
        return settle_group(group, job, links)
    except IngestError as error:
        failure = error
    finally:
        THREAD_SLOT.held = False
    raise strip_causes(failure, name)


def strip_causes(error: IngestError, worker: str) -> IngestError:
    """Return a copy of an error without its causes, and with the worker's name.

    Dask follows the chain of causes, forever if it has a cycle.
    """
    stripped = copy(error)  # several groups may fail with one error
    stripped.__cause__ = stripped.__context__ = stripped.__traceback__ = None
    stripped.args = (f"{error} (worker {worker})", *error.args[1:])
    return stripped


THREAD_SLOT = threading.local()  # `held`: whether this thread occupies a slot of the engine


def release_slot() -> None:
    """Let Dask run another task besides this thread's group. No-op for other threads."""
    if getattr(THREAD_SLOT, "held", False):
        THREAD_SLOT.held = False
        distributed.secede()


@cache
def coordinator_link(run: str, client: distributed.Client) -> CoordinatorLink:
    """Return the link to a run's coordinator, one for each process."""
    stop_profiler(distributed.get_worker())
    return CoordinatorLink(coordinator_name(run), client)


def stop_profiler(worker: distributed.Worker) -> None:
    """Stop Dask's profiler, which samples all threads a hundred times a second.

    Before Python 3.12 a sample may deadlock the process (CPython's gh-106883): the worker hangs,
    and Dask only notices after ten minutes.
    """
    for name in PROFILER_CALLBACKS:
        if call := worker.periodic_callbacks.get(name):
            worker.loop.add_callback(call.stop)


@dataclass(slots=True, eq=False)
class CoordinatorLink:
    """Link to a run's coordinator, wherever that is now, for the sessions of one process.

    The scheduler keeps a coordinator as long as anyone has a proxy of it. So once no session uses
    the link, late calls, such as the report on an abandoned request, must not leave one.
    Thread-safe.
    """

    name: str
    client: distributed.Client
    sessions: int = 0
    actor: Any = None
    is_missing: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def is_waiting(self) -> bool:
        """Return whether the coordinator is unavailable at present."""
        return self.is_missing

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the coordinator.

        Raises CoordinatorUnavailableError if it does not answer, or no session uses the link.
        """
        if not self.sessions:
            raise CoordinatorUnavailableError
        actor = None
        try:
            with self.client.as_current():
                actor = self.find_actor()
                result = call_actor(actor, method, *arguments)
        except UNREACHABLE_ERRORS as error:
            self.is_missing = True
            self.drop(actor)
            # Another coordinator can only start in a free slot.
            release_slot()
            raise CoordinatorUnavailableError from error
        finally:
            if not self.sessions:  # it was disconnected meanwhile
                self.drop(actor)
        self.is_missing = False
        return result

    def find_actor(self) -> Any:
        """Return a proxy of the coordinator."""
        with self.lock:
            if self.actor is None:
                future = distributed.Variable(self.name, client=self.client).get(
                    timeout=COORDINATOR_LOOKUP_SECONDS
                )
                try:
                    self.actor = future.result(timeout=COORDINATOR_LOOKUP_SECONDS)
                finally:
                    future.release()  # an error refers to it, so it might outlive this call
            return self.actor

    def connect(self) -> None:
        """Begin to use the link for a session."""
        with self.lock:
            self.sessions += 1

    def disconnect(self, last: bool) -> None:  # noqa: FBT001 - as the links have it
        """End the use for a session, and the coordinator if this is its last client."""
        with self.lock:
            self.sessions -= 1
        if not self.sessions:
            self.drop(self.actor)
        if last:
            with suppress(*UNREACHABLE_ERRORS):
                distributed.Variable(self.name, client=self.client).delete()

    def drop(self, actor: Any) -> None:
        """Drop a proxy of the coordinator, so that the scheduler may end it."""
        if actor is None:
            return
        if self.actor is actor:
            self.actor = None
        # Each of its calls is a cycle of references, which only garbage collection would end.
        actor._future.release()  # noqa: SLF001 - it has no public method for that


def call_actor(actor: Any, method: str, *arguments: Any) -> Any:
    """Call a method of the coordinator. Raises one of UNREACHABLE_ERRORS if it does not answer."""
    return getattr(actor, method)(*arguments).result(timeout=COORDINATOR_CALL_SECONDS)
