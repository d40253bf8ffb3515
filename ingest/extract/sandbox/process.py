"""The parent's side of one sandbox process: start it, give it a task, take its answer, kill it.

On Linux a fork server starts a reader for each group of documents. Elsewhere a process reads all
documents until it ends.
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
    build_decoder,
    receive_answer,
)
from ingest.extract.sandbox.fork_server import START_SECONDS, ForkServer, receive
from ingest.extract.sandbox.limits import ProcessDied, SandboxLimits, TimedOut, timed_out_error
from ingest.extract.sandbox.parent import call_in_lasting_thread
from ingest.extract.sandbox.progress import ProgressBuffer, ReadProgress, create_memory
from ingest.extract.sandbox.spawn import handle_of, preparation_data, spawn_process
from ingest.extract.sandbox.unknown_calls import CallListener, UnknownCalls
from ingest.models import Code

CAN_FORK = sys.platform == "linux"
UNUSED = object()  # owner of the documents of a reader that has read none
CANNOT_START = "cannot start a process to read documents"
MAX_PROCESS_SECONDS = 3600.0  # in which it uses less CPU time than child.MAX_CPU_SECONDS
EXIT_SECONDS = 1.0  # for a dying child to leave its exit code
SEND_SECONDS = 30  # for a child to take a task
LISTENER = b"listener"  # message of a new reader that the handle for its unknown calls follows

decode_layers = build_decoder(tuple[str, ...])


class SandboxProcess:
    """A process that runs tasks, each in a reader that has read no other owner's documents.

    `server` forks its readers; without one, it is a new process, which is its own reader.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        answer: Any,
        limits: SandboxLimits,
        server: ForkServer | None,
        unknown_calls: UnknownCalls,
    ) -> None:
        self.function = function
        self.limits = limits
        self.server = server
        self.unknown_calls = unknown_calls
        self.decode = build_decoder(answer)
        # The child cannot hold more.
        self.max_answer_bytes = min(limits.megabytes << 20, MAX_ANSWER_BYTES)
        self.started = time.monotonic()
        # A child that dies before its first task is not the fault of a document.
        try:
            self.start_reader()
        except (EOFError, OSError):
            raise ServiceError(f"{CANNOT_START} (no answer)") from None
        try:
            self.layers = self.receive_layers()  # as named by isolation.enter
        except (EOFError, OSError, TimedOut, InvalidAnswerError):
            cause = self.exit_cause()
            self.kill()
            raise ServiceError(f"{CANNOT_START} ({cause})") from None

    def make_ready(self, owner: Hashable) -> bool:
        """Return whether a reader is ready for a document of this owner; replace it if need be.

        It has read documents of this owner only, and not for long; without an owner, none.
        """
        if not self.server:
            return time.monotonic() - self.started < MAX_PROCESS_SECONDS
        reader = self.reader
        is_same = owner is not None and reader.owner == owner
        is_free = is_same and reader.cpu_seconds() < self.limits.group_seconds
        if not reader.is_gone and (is_free or reader.owner is UNUSED):
            reader.owner = owner
            return True
        try:
            self.end_reader()
            self.start_reader()
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

    def start_reader(self) -> None:
        """Start a reader. Raises ServiceError, EOFError or OSError."""
        with create_memory() as memory:
            self.progress = ProgressBuffer(memory)
            if self.server:
                pid, pipe, status = self.server.fork(int(memory))
                limit_sending(pipe)
                self.reader = ReaderHandle(pipe, pid, owner=UNUSED, status=status)
            else:
                process, pipe = start_child(self.function, None, self.limits.megabytes, memory)
                self.reader = ReaderHandle(pipe, process.pid, process=process)

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
        return describe_exit(self.reader.exit_code(EXIT_SECONDS))

    def end_reader(self) -> None:
        """Kill the reader and wait for its end. Raises OSError if there can be no other one."""
        if not self.server:
            raise OSError("the process is the reader")
        if not self.reader.is_gone:
            self.reader.kill()
            if self.reader.exit_code(START_SECONDS) is None:
                raise OSError("the reader does not end")

    def kill(self) -> None:
        """Kill the reader, which holds no state. Thread-safe."""
        self.reader.kill()


def start_server(
    function: Callable[..., Any], preload: Callable[[], object] | None, megabytes: int
) -> ForkServer:
    """Start a fork server, which has loaded all modules. Raises ServiceError."""
    process, pipe = start_child(function, preload, megabytes)
    server = ForkServer(process, pipe)
    try:
        server.wait_until_ready()
    except (EOFError, OSError):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(EXIT_SECONDS)
        cause = describe_exit(process.returncode)
        server.close()
        raise ServiceError(f"{CANNOT_START} ({cause})") from None
    return server


def start_child(
    function: Callable[..., Any],
    preload: Callable[[], object] | None,
    megabytes: int,
    memory: int | str = "",
) -> tuple[subprocess.Popen[bytes], Connection]:
    """Start a process that runs child.serve; returns it and its pipe. Raises ServiceError."""
    pipe, child_pipe = multiprocessing.Pipe()
    try:
        # Looked up here, because tests replace it.
        process = call_in_lasting_thread(lambda: spawn_process(child_pipe, memory))
    except OSError as error:
        raise ServiceError(f"{CANNOT_START} ({error})") from error
    finally:
        child_pipe.close()
    with contextlib.suppress(OSError):  # it has died, which its silence will show
        pipe.send(preparation_data(function))
        pipe.send((function, preload, megabytes, memory))
    return process, pipe


def describe_exit(code: int | None) -> str:
    """Return the signal or exit code of a process as text; None: it has not ended."""
    if code is None:
        return "no answer"
    if code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit {code}"


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
    status: Connection | None = None  # its exit code arrives here, if a fork server started it
    process: subprocess.Popen[bytes] | None = None  # if this process started it
    is_gone: bool = False  # it has ended, so another process may have its id
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

    def exit_code(self, seconds: float) -> int | None:
        """Wait for the end of the process; None if that takes longer, or cannot be known."""
        if self.process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self.process.wait(seconds)
        elif self.status and not self.is_gone:
            with contextlib.suppress(EOFError, OSError, ValueError):
                code = int(receive(self.status, seconds))
                self.close()
                return code
        return None

    def kill(self) -> None:
        """Kill the process."""
        if self.process:
            self.process.kill()
            self.process.wait()
        with contextlib.suppress(OSError):
            if self.handle >= 0 and sys.platform == "linux":
                signal.pidfd_send_signal(self.handle, signal.SIGKILL)

    def close(self) -> None:
        """Release the handles of a process that has ended."""
        self.is_gone = True
        self.pipe.close()
        if self.status:
            self.status.close()
        if self.listener:
            self.listener.close()
        self.close_handle()

    def close_handle(self) -> None:
        """Close the handle of the process."""
        handle, self.handle = self.handle, -1
        if handle >= 0:
            os.close(handle)

    __del__ = close_handle  # a reader that is killed at the end of a run is not closed otherwise


def limit_sending(pipe: Connection) -> None:
    """Limit the time for which a child that does not read holds its parent."""
    with socket.socket(fileno=os.dup(pipe.fileno())) as end:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_SECONDS, 0))
