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
from ingest.extract.sandbox.progress import Board, Place, fresh
from ingest.extract.sandbox.spawn import handle, preparation, started
from ingest.extract.sandbox.unpickle import value
from ingest.models import Code

T = TypeVar("T")
R = TypeVar("R")

# Told of the page that is read next, counted from 1, and of how many: a sign of life. Of page 0,
# once all are read.
Beat: TypeAlias = Callable[[int, int], None]

STARTING = 60.0  # seconds; importing everything on a machine that is busy
NO_READER = "no process can be started to read documents in"
SETTLING = 1.0  # seconds for a dying child to leave its exit code


@dataclass(frozen=True, slots=True)
class Limits:
    """What one document may take."""

    seconds: float  # in all, before its pages are counted in
    megabytes: int
    page_seconds: float = 30.0  # for one of its pages
    more_seconds: float = 1.0  # in all, for each page that it has
    most_pages: float = math.inf  # that more is given for, whatever it says of itself

    def due(self, pages: int) -> float:
        """The seconds for a document of so many pages."""
        return self.seconds + min(pages, self.most_pages) * self.more_seconds


class Died(DocumentError):
    """The child did not survive the document, so another way of reading it may be tried."""


class Stuck(Died):
    """It took too long, and where it was then."""

    def __init__(self, reason: str, place: Place, *, overdue: bool) -> None:
        super().__init__(reason, Code.TOO_SLOW)
        self.page = place.page
        self.pages = place.pages
        self.overdue = overdue  # the whole document is, not the page


class Contained(Generic[T, R]):
    """A function of a task and a file, run in a child process within limits.

    Raises what the function raises, Died if the child was killed, Stuck if it exceeded its time,
    ServiceError if no child can be started.
    Several threads may call it: there are as many children as were ever needed at the same time.
    """

    def __init__(self, function: Callable[[T, BinaryIO, Beat], R], limits: Limits) -> None:
        self.function = function
        self.limits = limits
        self.idle: LifoQueue[Child] = LifoQueue()
        self.children: set[Child] = set()
        self.closed = threading.Event()

    def __call__(self, task: T, file: BinaryIO, limits: Limits | None = None) -> R:
        """The function's result. A task may have limits of its own, but for its memory."""
        try:
            child = self.idle.get_nowait()
        except Empty:
            child = self.started()
        try:
            outcome = child.ask(task, file, limits or self.limits)
        except BaseException:  # in the midst of something, or dead: it is not used again
            child.end()
            self.children.discard(child)
            raise
        self.idle.put(child)
        if isinstance(outcome, BaseException):
            raise outcome
        result: R = outcome
        return result

    def prepare(self) -> None:
        """Start a child before it is needed."""
        self.idle.put(self.started())

    def started(self) -> Child:
        """One more child. Raises Died once all have been ended."""
        if not self.closed.is_set():
            child = Child(self.function, self.limits)
            self.children.add(child)
            if not self.closed.is_set():
                return child
            child.end()
        raise Died("the run has ended", Code.CRASHED)

    def close(self) -> None:
        """End all children, the busy ones too."""
        self.closed.set()
        for child in list(self.children):
            child.end()


class Child:
    """One process that answers tasks until its pipe closes."""

    def __init__(self, function: Callable[[Any, BinaryIO, Beat], Any], limits: Limits) -> None:
        self.most = limits.megabytes << 20  # bytes in an answer: it fitted into the child
        self.pipe, theirs = multiprocessing.Pipe()
        with fresh() as name:
            self.board = Board(name)
            try:
                self.process = started(theirs, name)
            except OSError as error:
                raise ServiceError(f"{NO_READER} ({error})") from error
            finally:
                theirs.close()
        begun = time.monotonic()
        # What dies before it was given anything to do says nothing about a document.
        try:
            self.pipe.send(preparation(function))
            self.pipe.send((function, limits.megabytes, name))
            # What holds it back, by the names of sandbox.enter.
            self.layers: tuple[str, ...] = self.awaited(Limits(STARTING, 0), begun)
        except (EOFError, OSError, Stuck):
            cause = self.cause()
            self.end()
            raise ServiceError(f"{NO_READER} ({cause})") from None

    def ask(self, task: object, file: BinaryIO, limits: Limits) -> Any:
        """The function's result, or the exception it raised. Raises Died."""
        begun = time.monotonic()
        self.board.write(Place())  # what stands there is of the document before
        try:
            self.pipe.send((task, limits))
            send_handle(self.pipe, handle(file), self.process.pid)
            return self.awaited(limits, begun)
        except (EOFError, OSError):
            raise self.death() from None
        except UnpicklingError as error:
            raise Died(f"reading it upset the reader ({error})", Code.CRASHED) from None

    def awaited(self, limits: Limits, begun: float) -> Any:
        """The answer, if it comes in time. Raises Stuck, EOFError, OSError, UnpicklingError."""
        now = begun
        due = begun + min(limits.seconds, limits.page_seconds)
        while not self.pipe.poll(max(0.0, due - now)):
            now = time.monotonic()
            place = self.board.read()
            whole = due = begun + limits.due(place.pages)
            if place.page:
                due = min(whole, place.since + limits.page_seconds)
            if due <= now:
                raise too_slow(place, limits, overdue=due == whole)
        return value(self.pipe.recv_bytes(self.most))

    def death(self) -> Died:
        """What to say of a child that is gone."""
        cause = self.cause()
        if cause == "SIGXCPU":  # its own limit, in case nobody watches
            place = self.board.read()
            return Stuck(f"reading it took too long ({cause})", place, overdue=False)
        if cause == "SIGKILL":
            reason = f"reading it got the reader killed, most likely for want of memory ({cause})"
            return Died(reason, Code.TOO_MUCH_MEMORY)
        return Died(f"reading it crashed the reader ({cause})", Code.CRASHED)

    def cause(self) -> str:
        """How the process ended, in words; it is given a moment for it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(SETTLING)
        code = self.process.returncode
        if code is None:
            return "no answer"
        if code < 0:
            with contextlib.suppress(ValueError):
                return signal.Signals(-code).name
        return f"exit {code}"

    def end(self) -> None:
        """Kill the process; there is nothing in it to lose. Any thread may do this."""
        self.process.kill()
        self.process.wait()


def too_slow(place: Place, limits: Limits, *, overdue: bool) -> Stuck:
    """What to say of a child that took too long."""
    if overdue:
        seconds, setting = limits.due(place.pages), "INGEST_DOCUMENT_SECONDS"
        reason = f"reading it took over {seconds:.4g} s; {setting} allows more"
    else:
        seconds, setting = limits.page_seconds, "INGEST_PAGE_SECONDS"
        reason = f"page {place.page} took over {seconds:.4g} s; {setting} allows more"
    return Stuck(reason, place, overdue=overdue)
