"""Pool of sandbox processes: a hang, a crash or a memory leak becomes one DocumentError.

A child is not trusted, nor are its answers: they are unpickled as values of a few types. A child
that misses a deadline is killed, and the next task gets a new one. Each task comes with an open
file, whose handle is passed to the child: passing the bytes would hold them in memory twice, and a
path would require the right to open it.
"""

from __future__ import annotations

import contextlib
import logging
import math
import multiprocessing
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from multiprocessing.reduction import send_handle
from pickle import UnpicklingError
from queue import Empty, LifoQueue
from typing import Any, BinaryIO, Generic, TypeAlias, TypeVar

from ingest.errors import ConfigError, DocumentError, ServiceError
from ingest.extract.sandbox.parent import call_in_lasting_thread, hide_memory
from ingest.extract.sandbox.progress import ProgressBuffer, ReadProgress, new_memory
from ingest.extract.sandbox.spawn import handle_of, preparation_data, spawn_process
from ingest.extract.sandbox.unpickle import load_answer
from ingest.models import Code

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

# Progress callback: gets the page that is read next, counted from 1, and the number of pages; page
# 0 once all are read.
OnPage: TypeAlias = Callable[[int, int], None]

START_SECONDS = 60.0  # for all imports, on a busy machine
LAYERS = ("limits", "landlock", "seccomp")  # as named by isolation.enter
CANNOT_START = "cannot start a process to read documents"
MAX_PROCESS_SECONDS = 3600.0  # in which it uses less CPU time than child.MAX_CPU_SECONDS
EXIT_SECONDS = 1.0  # for a dying child to leave its exit code


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """Time and memory limits of one document."""

    seconds: float  # for the document, without the allowance for its pages
    megabytes: int  # address space of the process
    page_seconds: float = 30.0  # for any one page
    seconds_per_page: float = 1.0  # allowance added for each page
    max_timed_pages: float = math.inf  # pages that add to it, as a file may claim any number
    require_layers: bool = False  # read nothing without all layers of the sandbox

    def total_seconds(self, pages: int) -> float:
        """Return the time limit, in seconds, of a document with this number of pages."""
        return self.seconds + min(pages, self.max_timed_pages) * self.seconds_per_page


def missing_layers(layers: Collection[str]) -> str:
    """Describe the layers that a sandbox lacks here; "" for none."""
    names = [name for name in LAYERS if name not in layers]
    if not names:
        return ""
    return (
        f"this system lacks {' and '.join(names)} for the sandbox, so a PDF that takes over its "
        "reader could do more than docs/security.md says"
    )


class ProcessDied(DocumentError):
    """The sandbox process died, so another way of reading the document may succeed."""


class TimedOut(ProcessDied):
    """The sandbox process exceeded a time limit; says at which page."""

    def __init__(self, reason: str, progress: ReadProgress, *, overdue: bool) -> None:
        super().__init__(reason, Code.TOO_SLOW)
        self.page = progress.page
        self.pages = progress.pages
        self.overdue = overdue  # the document took too long, not one page


class SandboxPool(Generic[T, R]):
    """Run a function of a task and a file in a child process, within limits. Thread-safe.

    There are as many children as calls were ever made at the same time.

    Raises:
        ProcessDied: The child was killed.
        TimedOut: It exceeded a time limit.
        ServiceError: No child can be started.
        IngestError: Raised by the function.
    """

    def __init__(self, function: Callable[[T, BinaryIO, OnPage], R], limits: SandboxLimits) -> None:
        self.function = function
        self.limits = limits
        self.idle: LifoQueue[SandboxProcess] = LifoQueue()
        self.processes: set[SandboxProcess] = set()
        self.closed = threading.Event()
        self.was_reported = False
        hide_memory()

    def __call__(self, task: T, file: BinaryIO, limits: SandboxLimits | None = None) -> R:
        """Return the function's result. `limits` replace those of the pool, except for memory."""
        child = self.take_process()
        try:
            outcome = child.run(task, file, limits or self.limits)
        except BaseException:  # the child is busy or dead, so it cannot be used again
            child.kill()
            self.processes.discard(child)
            raise
        self.idle.put(child)
        if isinstance(outcome, BaseException):
            raise outcome
        result: R = outcome
        return result

    def take_process(self) -> SandboxProcess:
        """Take an idle child, or start one; one that is old is replaced, before its CPU limit."""
        while True:
            try:
                child = self.idle.get_nowait()
            except Empty:
                return self.start_process()
            if time.monotonic() - child.started < MAX_PROCESS_SECONDS:
                return child
            child.kill()
            self.processes.discard(child)

    def warm_up(self) -> None:
        """Start a child before the first call."""
        self.idle.put(self.start_process())

    def start_process(self) -> SandboxProcess:
        """Start another child. Raises ProcessDied after `close`."""
        if not self.closed.is_set():
            child = SandboxProcess(self.function, self.limits)
            self.processes.add(child)
            self.report_layers(child.layers)
            if not self.closed.is_set():
                return child
            child.kill()
        raise ProcessDied("the run has ended", Code.CRASHED)

    def report_layers(self, layers: Sequence[str]) -> None:
        """Log once which layers the sandbox has, and warn of those that it lacks."""
        if not self.was_reported:
            self.was_reported = True
            if missing := missing_layers(layers):
                log.warning("%s", missing)

    def close(self) -> None:
        """Kill all children, busy ones too."""
        self.closed.set()
        for child in list(self.processes):
            child.kill()


class SandboxProcess:
    """A child process that serves tasks until its pipe is closed."""

    def __init__(
        self, function: Callable[[Any, BinaryIO, OnPage], Any], limits: SandboxLimits
    ) -> None:
        self.max_answer_bytes = limits.megabytes << 20  # the child cannot hold more
        self.pipe, child_pipe = multiprocessing.Pipe()
        with new_memory() as name:
            self.progress = ProgressBuffer(name)
            try:
                # Looked up here, because tests replace it.
                self.process = call_in_lasting_thread(lambda: spawn_process(child_pipe, name))
            except OSError as error:
                raise ServiceError(f"{CANNOT_START} ({error})") from error
            finally:
                child_pipe.close()
        self.started = started = time.monotonic()
        # A child that dies before its first task is not the fault of a document.
        try:
            self.pipe.send(preparation_data(function))
            self.pipe.send((function, limits.megabytes, name))
            # The active layers, as named by isolation.enter.
            self.layers: tuple[str, ...] = self.wait_for_answer(
                SandboxLimits(START_SECONDS, 0), started
            )
        except (EOFError, OSError, TimedOut):
            cause = self.exit_cause()
            self.kill()
            raise ServiceError(f"{CANNOT_START} ({cause})") from None
        missing = missing_layers(self.layers)
        if missing and limits.require_layers:
            self.kill()
            raise ConfigError(f"{missing}, and INGEST_SANDBOX=require does not read without")

    def run(self, task: object, file: BinaryIO, limits: SandboxLimits) -> Any:
        """Return the function's result, or the exception it raised. Raises ProcessDied."""
        started = time.monotonic()
        self.progress.write(ReadProgress())  # clear that of the previous document
        try:
            self.pipe.send((task, limits))
            send_handle(self.pipe, handle_of(file), self.process.pid)
            return self.wait_for_answer(limits, started)
        except (EOFError, OSError):
            raise self.death_error() from None
        except UnpicklingError as error:
            raise ProcessDied(
                f"its sandbox sent an invalid result ({error})", Code.CRASHED
            ) from None

    def wait_for_answer(self, limits: SandboxLimits, started: float) -> Any:
        """Wait for the next answer. Raises TimedOut, EOFError, OSError or UnpicklingError."""
        now = started
        due = started + min(limits.seconds, limits.page_seconds)
        while not self.pipe.poll(max(0.0, due - now)):
            now = time.monotonic()
            progress = self.progress.read()
            total = due = started + limits.total_seconds(progress.pages)
            if progress.page:
                due = min(total, progress.since + limits.page_seconds)
            if due <= now:
                raise timed_out_error(progress, limits, overdue=due == total)
        return load_answer(self.pipe.recv_bytes(self.max_answer_bytes))

    def death_error(self) -> ProcessDied:
        """Return the error for a child that has died, by its exit cause."""
        cause = self.exit_cause()
        if cause == "SIGXCPU":  # the CPU limit that it set for itself
            progress = self.progress.read()
            return TimedOut(f"reading it took too long ({cause})", progress, overdue=False)
        if cause == "SIGKILL":
            reason = f"its sandbox was killed, most likely for lack of memory ({cause})"
            return ProcessDied(reason, Code.TOO_MUCH_MEMORY)
        return ProcessDied(f"reading it crashed the sandbox ({cause})", Code.CRASHED)

    def exit_cause(self) -> str:
        """Return the signal or exit code of the process; waits EXIT_SECONDS for it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(EXIT_SECONDS)
        code = self.process.returncode
        if code is None:
            return "no answer"
        if code < 0:
            with contextlib.suppress(ValueError):
                return signal.Signals(-code).name
        return f"exit {code}"

    def kill(self) -> None:
        """Kill the process; it holds no state. Thread-safe."""
        self.process.kill()
        self.process.wait()


def timed_out_error(progress: ReadProgress, limits: SandboxLimits, *, overdue: bool) -> TimedOut:
    """Return the error for a child that took too long."""
    if overdue:
        seconds, setting = limits.total_seconds(progress.pages), "INGEST_DOCUMENT_SECONDS"
        reason = f"reading it took over {seconds:.4g} s; {setting} allows more"
    else:
        seconds, setting = limits.page_seconds, "INGEST_PAGE_SECONDS"
        reason = f"page {progress.page} took over {seconds:.4g} s; {setting} allows more"
    return TimedOut(reason, progress, overdue=overdue)
