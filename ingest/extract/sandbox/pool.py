"""Work on untrusted input in child processes: a hang, a crash or a leak is one DocumentError.

Nothing of a child's is trusted, not its answers either: they are read as values of a few types. A
child that misses a deadline is killed and the next task gets a new one. A task comes with an open
file, which the child gets as such: not its bytes, which would then be in memory twice, nor its
path, so that it need not open anything.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.reduction import send_handle
from pickle import UnpicklingError
from queue import Empty, LifoQueue
from typing import Any, BinaryIO, Generic, TypeAlias, TypeVar

from ingest.errors import DocumentError, ServiceError
from ingest.extract.sandbox.progress import ProgressBuffer, ReadProgress, new_memory
from ingest.extract.sandbox.spawn import handle_of, preparation_data, spawn_process
from ingest.extract.sandbox.unpickle import load_answer
from ingest.models import Code

T = TypeVar("T")
R = TypeVar("R")

# Told of the page that is read next, counted from 1, and of how many: a sign of life. Of page 0,
# once all are read.
OnPage: TypeAlias = Callable[[int, int], None]

START_SECONDS = 60.0  # seconds; importing everything on a machine that is busy
CANNOT_START = "no process can be started to read documents in"
EXIT_SECONDS = 1.0  # seconds for a dying child to leave its exit code


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What one document may take."""

    seconds: float  # in all, before its pages are counted in
    megabytes: int
    page_seconds: float = 30.0  # for one of its pages
    seconds_per_page: float = 1.0  # in all, for each page that it has
    max_timed_pages: float = math.inf  # that more is given for, whatever it says of itself

    def total_seconds(self, pages: int) -> float:
        """The seconds for a document of so many pages."""
        return self.seconds + min(pages, self.max_timed_pages) * self.seconds_per_page


class ProcessDied(DocumentError):
    """The child did not survive the document, so another way of reading it may be tried."""


class TimedOut(ProcessDied):
    """It took too long, and where it was then."""

    def __init__(self, reason: str, progress: ReadProgress, *, overdue: bool) -> None:
        super().__init__(reason, Code.TOO_SLOW)
        self.page = progress.page
        self.pages = progress.pages
        self.overdue = overdue  # the whole document is, not the page


class SandboxPool(Generic[T, R]):
    """A function of a task and a file, run in a child process within limits.

    Raises what the function raises, Died if the child was killed, Stuck if it exceeded its time,
    ServiceError if no child can be started.
    Several threads may call it: there are as many children as were ever needed at the same time.
    """

    def __init__(self, function: Callable[[T, BinaryIO, OnPage], R], limits: SandboxLimits) -> None:
        self.function = function
        self.limits = limits
        self.idle: LifoQueue[SandboxProcess] = LifoQueue()
        self.processes: set[SandboxProcess] = set()
        self.closed = threading.Event()

    def __call__(self, task: T, file: BinaryIO, limits: SandboxLimits | None = None) -> R:
        """The function's result. A task may have limits of its own, but for its memory."""
        try:
            child = self.idle.get_nowait()
        except Empty:
            child = self.start_process()
        try:
            outcome = child.run(task, file, limits or self.limits)
        except BaseException:  # in the midst of something, or dead: it is not used again
            child.kill()
            self.processes.discard(child)
            raise
        self.idle.put(child)
        if isinstance(outcome, BaseException):
            raise outcome
        result: R = outcome
        return result

    def warm_up(self) -> None:
        """Start a child before it is needed."""
        self.idle.put(self.start_process())

    def start_process(self) -> SandboxProcess:
        """One more child. Raises Died once all have been ended."""
        if not self.closed.is_set():
            child = SandboxProcess(self.function, self.limits)
            self.processes.add(child)
            if not self.closed.is_set():
                return child
            child.kill()
        raise ProcessDied("the run has ended", Code.CRASHED)

    def close(self) -> None:
        """End all children, the busy ones too."""
        self.closed.set()
        for child in list(self.processes):
            child.kill()


class SandboxProcess:
    """One process that answers tasks until its pipe closes."""

    def __init__(
        self, function: Callable[[Any, BinaryIO, OnPage], Any], limits: SandboxLimits
    ) -> None:
        self.max_answer_bytes = (
            limits.megabytes << 20
        )  # bytes in an answer: it fitted into the child
        self.pipe, theirs = multiprocessing.Pipe()
        with new_memory() as name:
            self.progress = ProgressBuffer(name)
            try:
                self.process = spawn_process(theirs, name)
            except OSError as error:
                raise ServiceError(f"{CANNOT_START} ({error})") from error
            finally:
                theirs.close()
        begun = time.monotonic()
        # What dies before it was given anything to do says nothing about a document.
        try:
            self.pipe.send(preparation_data(function))
            self.pipe.send((function, limits.megabytes, name))
            # What holds it back, by the names of sandbox.enter.
            self.layers: tuple[str, ...] = self.wait_for_answer(
                SandboxLimits(START_SECONDS, 0), begun
            )
        except (EOFError, OSError, TimedOut):
            cause = self.exit_cause()
            self.kill()
            raise ServiceError(f"{CANNOT_START} ({cause})") from None

    def run(self, task: object, file: BinaryIO, limits: SandboxLimits) -> Any:
        """The function's result, or the exception it raised. Raises Died."""
        begun = time.monotonic()
        self.progress.write(ReadProgress())  # what stands there is of the document before
        try:
            self.pipe.send((task, limits))
            send_handle(self.pipe, handle_of(file), self.process.pid)
            return self.wait_for_answer(limits, begun)
        except (EOFError, OSError):
            raise self.death_error() from None
        except UnpicklingError as error:
            raise ProcessDied(f"reading it upset the reader ({error})", Code.CRASHED) from None

    def wait_for_answer(self, limits: SandboxLimits, begun: float) -> Any:
        """The answer, if it comes in time. Raises Stuck, EOFError, OSError, UnpicklingError."""
        now = begun
        due = begun + min(limits.seconds, limits.page_seconds)
        while not self.pipe.poll(max(0.0, due - now)):
            now = time.monotonic()
            place = self.progress.read()
            whole = due = begun + limits.total_seconds(place.pages)
            if place.page:
                due = min(whole, place.since + limits.page_seconds)
            if due <= now:
                raise timed_out_error(place, limits, overdue=due == whole)
        return load_answer(self.pipe.recv_bytes(self.max_answer_bytes))

    def death_error(self) -> ProcessDied:
        """What to say of a child that is gone."""
        cause = self.exit_cause()
        if cause == "SIGXCPU":  # its own limit, in case nobody watches
            place = self.progress.read()
            return TimedOut(f"reading it took too long ({cause})", place, overdue=False)
        if cause == "SIGKILL":
            reason = f"reading it got the reader killed, most likely for want of memory ({cause})"
            return ProcessDied(reason, Code.TOO_MUCH_MEMORY)
        return ProcessDied(f"reading it crashed the reader ({cause})", Code.CRASHED)

    def exit_cause(self) -> str:
        """How the process ended, in words; it is given a moment for it."""
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
        """Kill the process; there is nothing in it to lose. Any thread may do this."""
        self.process.kill()
        self.process.wait()


def timed_out_error(progress: ReadProgress, limits: SandboxLimits, *, overdue: bool) -> TimedOut:
    """What to say of a child that took too long."""
    if overdue:
        seconds, setting = limits.total_seconds(progress.pages), "INGEST_DOCUMENT_SECONDS"
        reason = f"reading it took over {seconds:.4g} s; {setting} allows more"
    else:
        seconds, setting = limits.page_seconds, "INGEST_PAGE_SECONDS"
        reason = f"page {progress.page} took over {seconds:.4g} s; {setting} allows more"
    return TimedOut(reason, progress, overdue=overdue)
