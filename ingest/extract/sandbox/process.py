"""The parent's side of one sandbox process: start it, give it a task, take its answer, kill it.

On Linux the process that is started reads nothing. It forks a reader for each group of documents,
within milliseconds, as all modules are loaded. Elsewhere it reads documents itself, until it ends.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from typing import Any, BinaryIO

from ingest.errors import DocumentError, ServiceError
from ingest.extract.sandbox.answers import (
    MAX_ANSWER_BYTES,
    Failure,
    InvalidAnswerError,
    make_decoder,
    receive_answer,
)
from ingest.extract.sandbox.limits import ProcessDied, SandboxLimits, TimedOut, timed_out_error
from ingest.extract.sandbox.parent import call_in_lasting_thread
from ingest.extract.sandbox.progress import ProgressBuffer, ReadProgress, new_memory
from ingest.extract.sandbox.spawn import handle_of, preparation_data, spawn_process
from ingest.extract.sandbox.unknown_calls import CallListener, UnknownCalls
from ingest.models import Code

CAN_FORK = sys.platform == "linux"
UNUSED = object()  # owner of the documents of a reader that has read none
START_SECONDS = 60.0  # for all imports, on a busy machine
CANNOT_START = "cannot start a process to read documents"
MAX_PROCESS_SECONDS = 3600.0  # in which it uses less CPU time than child.MAX_CPU_SECONDS
EXIT_SECONDS = 1.0  # for a dying child to leave its exit code
SEND_SECONDS = 30  # for a child to take a task
FORK = b"fork"  # message that asks for a reader; its end of a pipe follows
LISTENER = b"listener"  # message of a new reader that the handle for its unknown calls follows
MAX_NUMBER_BYTES = 20  # of a number that the process that forks sends

decode_layers = make_decoder(tuple[str, ...])


class SandboxProcess:
    """A process that runs tasks, each in a reader that has read no other owner's documents."""

    def __init__(
        self,
        function: Callable[..., Any],
        answer: Any,
        limits: SandboxLimits,
        preload: Callable[[], object] | None = None,
        unknown_calls: UnknownCalls | None = None,
    ) -> None:
        self.limits = limits
        self.unknown_calls = unknown_calls or UnknownCalls()
        self.decode = make_decoder(answer)
        # The child cannot hold more.
        self.max_answer_bytes = min(limits.megabytes << 20, MAX_ANSWER_BYTES)
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
        self.started = time.monotonic()
        self.reader = ReaderHandle(self.pipe, self.process.pid)
        self.layers: tuple[str, ...] = ()  # as named by isolation.enter
        # A child that dies before its first task is not the fault of a document.
        try:
            self.pipe.send(preparation_data(function))
            self.pipe.send((function, preload, limits.megabytes, name))
            if CAN_FORK:
                self.receive_number(START_SECONDS)  # it has loaded all modules
                self.reader = self.fork_reader()
            self.layers = self.receive_layers()
        except (EOFError, OSError, TimedOut, InvalidAnswerError):
            cause = self.exit_cause()
            self.kill()
            raise ServiceError(f"{CANNOT_START} ({cause})") from None

    def make_ready(self, owner: Hashable) -> bool:
        """Return whether a reader is ready for a document of this owner; replace it if need be.

        It has read documents of this owner only, and not for long; without an owner, none.
        """
        if not CAN_FORK:
            return time.monotonic() - self.started < MAX_PROCESS_SECONDS
        reader = self.reader
        is_same = owner is not None and reader.owner == owner
        is_free = is_same and reader.cpu_seconds() < self.limits.group_seconds
        if not reader.is_gone and (is_free or reader.owner is UNUSED):
            reader.owner = owner
            return True
        try:
            self.end_reader()
            self.reader = self.fork_reader()
            is_ready = self.receive_layers() == self.layers
        except (EOFError, OSError, TimedOut, InvalidAnswerError):
            return False
        self.reader.owner = owner
        return is_ready

    def run(
        self,
        task: object,
        file: BinaryIO,
        limits: SandboxLimits,
        on_answer: Callable[[int], None] | None = None,
    ) -> Any:
        """Return the function's result, or the DocumentError it raised.

        `on_answer` gets the bytes of the answer before it is decoded. Raises ProcessDied,
        InvalidAnswerError, or what `on_answer` raises.
        """
        self.progress.write(ReadProgress())  # clear that of the previous document
        started = time.monotonic()
        try:
            self.reader.pipe.send((task, limits))
            send_handle(self.reader.pipe, handle_of(file), self.reader.pid)
            message = self.wait_for_answer(limits, started)
        except (EOFError, OSError):
            raise self.death_error() from None
        if on_answer:
            on_answer(len(message))
        answer = self.decode(message)
        return document_error(answer) if isinstance(answer, Failure) else answer

    def fork_reader(self) -> ReaderHandle:
        """Have the process fork a reader. Raises EOFError, OSError."""
        pipe, child_pipe = multiprocessing.Pipe()
        with child_pipe:
            self.pipe.send_bytes(FORK)
            send_handle(self.pipe, child_pipe.fileno(), self.process.pid)
        limit_sending(pipe)
        return ReaderHandle(pipe, self.receive_number(START_SECONDS), owner=UNUSED)

    def receive_number(self, seconds: float) -> int:
        """Receive a number from the process that forks. Raises EOFError, OSError."""
        if not self.pipe.poll(seconds):
            raise TimeoutError
        return int(self.pipe.recv_bytes(MAX_NUMBER_BYTES))

    def receive_layers(self) -> tuple[str, ...]:
        """Receive the layers of a new reader. Raises as wait_for_answer."""
        limits = SandboxLimits(START_SECONDS, 0)
        message = self.wait_for_answer(limits, time.monotonic())
        if message == LISTENER:
            handle = recv_handle(self.reader.pipe)
            self.reader.listener = CallListener(handle, self.unknown_calls)
            message = self.wait_for_answer(limits, time.monotonic())
        layers: tuple[str, ...] = decode_layers(message)
        return layers

    def wait_for_answer(self, limits: SandboxLimits, started: float) -> bytes:
        """Wait for the next answer. Raises TimedOut, EOFError, OSError or InvalidAnswerError."""

        def wait() -> None:
            now = started
            due = started + min(limits.seconds, limits.page_seconds, limits.max_seconds)
            while not self.reader.wait(max(0.0, due - now)):
                now = time.monotonic()
                progress = self.progress.read()
                total = due = started + limits.total_seconds(progress.pages)
                if progress.page:
                    due = min(total, progress.since + limits.page_seconds)
                if due <= now:
                    raise timed_out_error(progress, limits, overdue=due == total)

        return receive_answer(self.reader.pipe, self.max_answer_bytes, wait)

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
        """Return the signal or exit code of the reader; waits EXIT_SECONDS for it."""
        code: int | None = None
        if self.reader.pipe is self.pipe:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(EXIT_SECONDS)
            code = self.process.returncode
        else:
            with contextlib.suppress(EOFError, OSError, ValueError):
                code = self.receive_number(EXIT_SECONDS)
                self.reader.close()
        if code is None:
            return "no answer"
        if code < 0:
            with contextlib.suppress(ValueError):
                return signal.Signals(-code).name
        return f"exit {code}"

    def end_reader(self) -> None:
        """Kill the reader and wait for its end. Raises EOFError, OSError; it does so elsewhere."""
        if not CAN_FORK:
            raise OSError("the process is the reader")
        if not self.reader.is_gone:
            self.reader.kill()
            self.receive_number(START_SECONDS)
            self.reader.close()

    def kill(self) -> None:
        """Kill the process and its reader; they hold no state. Thread-safe."""
        self.process.kill()
        self.reader.kill()
        self.process.wait()


def document_error(failure: Failure) -> DocumentError:
    """Return the error that a reader answered."""
    is_dead = failure.code in (Code.CRASHED, Code.TOO_MUCH_MEMORY)
    return (ProcessDied if is_dead else DocumentError)(failure.reason, failure.code)


@dataclass(slots=True)
class ReaderHandle:
    """The process that reads, and the connection that carries its tasks and answers."""

    pipe: Connection
    pid: int
    owner: Hashable = None  # of the documents that it has read
    is_gone: bool = False  # it has ended, so its id may be that of another process
    handle: int = field(init=False, default=-1)  # of the process; -1 if it cannot be opened
    listener: CallListener | None = None  # for its unknown system calls

    def __post_init__(self) -> None:
        if sys.platform == "linux" and self.owner is UNUSED:
            with contextlib.suppress(OSError):
                self.handle = os.pidfd_open(self.pid)

    def wait(self, seconds: float) -> bool:
        """Return whether its answer can be read; it may return earlier than after this time."""
        if self.listener:
            return self.listener.wait(self.pipe, seconds)
        return self.pipe.poll(seconds)

    def cpu_seconds(self) -> float:
        """Return the CPU time that the process has used, as the kernel knows it (Linux)."""
        try:
            # CPUCLOCK_SCHED of a process id: linux/posix-timers.h
            return time.clock_gettime((~self.pid << 3) | 2)
        except OSError:
            return math.inf

    def kill(self) -> None:
        """Kill the process."""
        with contextlib.suppress(OSError):
            if self.handle >= 0 and sys.platform == "linux":
                signal.pidfd_send_signal(self.handle, signal.SIGKILL)

    def close(self) -> None:
        """Release the handles of a process that has ended."""
        self.is_gone = True
        self.pipe.close()
        if self.listener:
            self.listener.close()
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1


def limit_sending(pipe: Connection) -> None:
    """Limit the time for which a child that does not read holds its parent."""
    with socket.socket(fileno=os.dup(pipe.fileno())) as end:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_SECONDS, 0))
