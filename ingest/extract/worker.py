"""Work on untrusted input in child processes: a hang, a crash or a leak is one DocumentError.

Nothing of a child's is trusted but what it sends back; a child that misses its deadline is killed
and the next task gets a new one. A task comes with an open file, which the child gets as such: not
its bytes, which would then be in memory twice, nor its path, so that it need not open anything.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from queue import Empty, LifoQueue
from typing import Any, BinaryIO, Generic, TypeAlias, TypeVar

from ingest.errors import DocumentError, IngestError, ServiceError
from ingest.model import Code

T = TypeVar("T")
R = TypeVar("R")

# Told of the page that is read next, counted from 1, and of how many: a sign of life.
Beat: TypeAlias = Callable[[int, int], None]

# spawn, not fork: the parent has threads, and a child must not inherit their locks.
SPAWN = multiprocessing.get_context("spawn")
STARTING = 60.0  # seconds; importing everything on a machine that is busy
READY = "ready"
SETTLING = 1.0  # seconds for a dying child to leave its exit code


@dataclass(frozen=True, slots=True)
class Limits:
    """What one document may take."""

    seconds: float
    megabytes: int


class Died(DocumentError):
    """The child did not survive the document, so another way of reading it may be tried."""


class Contained(Generic[T, R]):
    """A function of a task and a file, run in a child process within limits.

    Raises what the function raises, Died if the child was killed or exceeded its time, ServiceError
    if no child can be started.
    Several threads may call it: there are as many children as were ever needed at the same time.
    """

    def __init__(self, function: Callable[[T, BinaryIO, Beat], R], limits: Limits) -> None:
        self.function = function
        self.limits = limits
        self.idle: LifoQueue[Child] = LifoQueue()
        self.children: set[Child] = set()
        self.closed = threading.Event()

    def __call__(self, task: T, file: BinaryIO) -> R:
        try:
            child = self.idle.get_nowait()
        except Empty:
            child = self.started()
        try:
            outcome = child.ask(task, file, self.limits.seconds)
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
        self.pipe, theirs = SPAWN.Pipe()
        self.process = SPAWN.Process(target=serve, args=(theirs, function, limits), daemon=True)
        self.process.start()
        theirs.close()
        # What dies before it was given anything to do says nothing about a document.
        try:
            ready = self.pipe.poll(STARTING) and self.pipe.recv()
        except (EOFError, ConnectionError):
            ready = False
        if not ready:
            self.process.join(SETTLING)
            cause = self.cause()
            self.end()
            raise ServiceError(f"no process can be started to read documents in ({cause})")

    def ask(self, task: object, file: BinaryIO, seconds: float) -> Any:
        """The function's result, or the exception it raised. Raises Died."""
        try:
            self.pipe.send(task)
            send_handle(self.pipe, handle(file), self.process.pid)
            if self.pipe.poll(seconds):
                return self.pipe.recv()
        except (EOFError, ConnectionError):
            self.process.join(SETTLING)
            self.end()
            raise Died(f"reading it crashed the reader ({self.cause()})", Code.CRASHED) from None
        self.end()
        reason = f"reading it took over {seconds:g} s; INGEST_DOCUMENT_SECONDS allows more"
        raise Died(reason, Code.TOO_SLOW)

    def cause(self) -> str:
        """How the process ended, in words."""
        code = self.process.exitcode
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return signal.Signals(-code).name
        return f"exit {code}"

    def end(self) -> None:
        """Kill the process; there is nothing in it to lose. Any thread may do this."""
        self.process.kill()
        self.process.join()


def serve(pipe: Connection, function: Callable[[Any, BinaryIO, Beat], Any], limits: Limits) -> None:
    """The child's whole life: take a task, answer it, until the parent is gone."""
    # The terminal's ^C goes to the whole group; it is the parent that decides what to finish.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    quiet()
    confine(limits.megabytes)
    with contextlib.suppress(EOFError, ConnectionError):
        pipe.send(READY)
        for task, file in tasks(pipe):
            allow_cpu(limits.seconds)
            with file:
                outcome = answer(partial(function, task, file, silent), limits)
            pipe.send(outcome)


def silent(page: int, pages: int) -> None:
    """A beat that nobody hears yet."""


def tasks(pipe: Connection) -> Iterator[tuple[object, BinaryIO]]:
    """The tasks as they come, with their files; ends with EOFError."""
    while True:
        yield pipe.recv(), opened(recv_handle(pipe))


def handle(file: BinaryIO) -> int:
    """What the system knows an open file by."""
    if sys.platform == "win32":
        import msvcrt

        return msvcrt.get_osfhandle(file.fileno())
    return file.fileno()


def opened(handle: int) -> BinaryIO:
    """The file that came from the parent."""
    if sys.platform == "win32":
        import msvcrt

        handle = msvcrt.open_osfhandle(handle, os.O_RDONLY)
    return os.fdopen(handle, "rb")


def answer(function: Callable[[], Any], limits: Limits) -> object:
    """The result, or the exception to raise in the parent."""
    try:
        return function()
    except MemoryError:
        return Died(
            f"reading it needs more than {limits.megabytes} MB; "
            "INGEST_DOCUMENT_MEGABYTES allows more",
            Code.TOO_MUCH_MEMORY,
        )
    except IngestError as error:
        return error
    except Exception as error:  # noqa: BLE001 - a bug of ours on one document must not hide the others
        return Died(f"the reader failed on it ({type(error).__name__}: {error})", Code.CRASHED)


def quiet() -> None:
    """Keep what native code prints away from the parent's output."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nothing, stream)


def confine(megabytes: int) -> None:
    """Limit this process's address space, where the platform can."""
    if sys.platform != "win32":
        import resource

        limit = megabytes * 1024 * 1024
        with contextlib.suppress(ValueError, OSError):  # macOS has the name but not the limit
            resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


def allow_cpu(seconds: float) -> None:
    """Let this process use so much CPU from now on: a hang ends even when the parent is gone."""
    if sys.platform != "win32":
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        soft = int(used.ru_utime + used.ru_stime + seconds) + 2
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))
