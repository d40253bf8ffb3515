"""Pool of sandbox processes: a hang, a crash or a memory leak becomes one DocumentError.

A child is not trusted, nor are its answers: they are decoded as values of one type, within limits.
A child that misses a deadline is killed, and the next task gets a new one. Each task comes with an
open file, whose handle is passed to the child: passing the bytes would hold them in memory twice,
and a path would require the right to open it.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Collection, Hashable, Sequence
from queue import Empty, LifoQueue
from typing import Any, BinaryIO, Generic, TypeAlias, TypeVar, overload

from ingest.errors import ConfigError, DocumentError
from ingest.extract.sandbox.answers import InvalidAnswerError
from ingest.extract.sandbox.fork_server import ForkServer
from ingest.extract.sandbox.limits import ProcessDied, SandboxLimits, TimedOut
from ingest.extract.sandbox.parent import hide_memory
from ingest.extract.sandbox.process import CAN_FORK, SandboxProcess, start_server
from ingest.extract.sandbox.unknown_calls import UnknownCalls
from ingest.models import Code

__all__ = ["OnPage", "ProcessDied", "SandboxLimits", "SandboxPool", "TimedOut", "missing_layers"]

log = logging.getLogger(__name__)

T = TypeVar("T")
A = TypeVar("A")
R = TypeVar("R")

# Progress callback: gets the page that is read next, counted from 1, and the number of pages; page
# 0 once all are read.
OnPage: TypeAlias = Callable[[int, int], None]

LAYERS = ("limits", "landlock", "seccomp")  # as named by isolation.enter


def missing_layers(layers: Collection[str]) -> str:
    """Describe the layers that a sandbox lacks here; "" for none."""
    names = [name for name in LAYERS if name not in layers]
    if not names:
        return ""
    return (
        f"this system lacks {' and '.join(names)} for the sandbox, so a PDF that takes over its "
        "reader could do more than docs/security.md says"
    )


class SandboxPool(Generic[T, R]):
    """Run a function of a task and a file in a child process, within limits. Thread-safe.

    There are as many children as concurrent calls. On Linux, each reads documents of one owner
    only, and is replaced after some; see `SandboxLimits.group_seconds`.

    Args:
        function: Function that the child calls. It imports the function by its name.
        limits: Of each task.
        answer: Type of the function's result; see answers.py.
        accept: Makes a result of an answer to a task, in this process. Raises InvalidAnswerError.
            None: the answer is the result.
        preload: Loads what the function needs, before readers are forked.

    Raises:
        ProcessDied: The child was killed, or its answer is invalid.
        TimedOut: It exceeded a time limit.
        ServiceError: No child can be started.
        ConfigError: The sandbox lacks a layer that the limits require.
        DocumentError: Raised by the function.
    """

    @overload
    def __init__(
        self,
        function: Callable[[T, BinaryIO, OnPage], R],
        limits: SandboxLimits,
        answer: Any = Any,
    ) -> None: ...

    @overload
    def __init__(
        self,
        function: Callable[[T, BinaryIO, OnPage], A],
        limits: SandboxLimits,
        answer: Any,
        *,
        accept: Callable[[T, A], R],
        preload: Callable[[], object] | None = None,
    ) -> None: ...

    def __init__(
        self,
        function: Callable[[T, BinaryIO, OnPage], Any],
        limits: SandboxLimits,
        answer: Any = Any,
        *,
        accept: Callable[[T, Any], R] | None = None,
        preload: Callable[[], object] | None = None,
    ) -> None:
        self.function = function
        self.limits = limits
        self.answer = answer
        self.accept = accept
        self.preload = preload
        self.idle: LifoQueue[SandboxProcess] = LifoQueue()
        self.processes: set[SandboxProcess] = set()
        self.closed = threading.Event()
        self.layers: tuple[str, ...] = ()  # of the first child
        self.unknown_calls = UnknownCalls()
        self.server: ForkServer | None = None  # started on first use, on Linux
        self.server_lock = threading.Lock()
        hide_memory()

    def __call__(
        self,
        task: T,
        file: BinaryIO,
        limits: SandboxLimits | None = None,
        owner: Hashable = None,
        on_answer: Callable[[int], None] | None = None,
    ) -> R:
        """Return the function's result. `limits` replace those of the pool, except for memory.

        `on_answer` gets the size of the answer, and may refuse it by an exception. The child has
        read no documents but those of this owner, and no files of another user.
        """
        user = None if owner is None else (owner, os.fstat(file.fileno()).st_uid)
        child = self.take_process(user)
        try:
            answer = child.run(task, file, limits or self.limits, on_answer)
            if not isinstance(answer, DocumentError):
                result = self.accept(task, answer) if self.accept else answer
        except InvalidAnswerError as error:
            self.give_up(child)
            reason = f"its sandbox sent an invalid result ({error})"
            raise ProcessDied(reason, Code.CRASHED) from None
        except BaseException:  # the reader is busy or dead, so it cannot be used again
            self.give_up(child)
            raise
        self.idle.put(child)
        if isinstance(answer, DocumentError):
            raise answer
        found: R = result
        return found

    def take_process(self, owner: Hashable = None) -> SandboxProcess:
        """Take an idle child for a document of this owner, or start one."""
        while True:
            try:
                child = self.idle.get_nowait()
            except Empty:
                child = self.start_process()
            if child.make_ready(owner):
                return child
            self.kill(child)

    def give_up(self, child: SandboxProcess) -> None:
        """End the reader of a child; the child too, if it cannot have another one."""
        try:
            child.end_reader()
        except (EOFError, OSError):
            self.kill(child)
        else:
            self.idle.put(child)

    def kill(self, child: SandboxProcess) -> None:
        """Kill a child, which is in no queue."""
        child.kill()
        self.processes.discard(child)

    def warm_up(self) -> None:
        """Start a child before the first call."""
        self.idle.put(self.start_process())

    def start_process(self) -> SandboxProcess:
        """Start another child. Raises ProcessDied after `close`."""
        if not self.closed.is_set():
            server = self.find_server() if CAN_FORK else None
            child = SandboxProcess(
                self.function, self.answer, self.limits, server, self.unknown_calls
            )
            self.processes.add(child)
            self.check_layers(child)
            if not self.closed.is_set():
                return child
            child.kill()
        raise ProcessDied("the run has ended", Code.CRASHED)

    def find_server(self) -> ForkServer:
        """Return the fork server; start it if there is none that lives."""
        with self.server_lock:
            if not self.server or not self.server.is_alive():
                self.server = start_server(self.function, self.preload, self.limits.megabytes)
            if self.closed.is_set():  # meanwhile
                self.server.close()
            return self.server

    def check_layers(self, child: SandboxProcess) -> None:
        """Warn once of layers that are lacking. Raises ConfigError if they are required."""
        missing = missing_layers(child.layers)
        if missing and self.limits.require_layers:
            self.kill(child)
            raise ConfigError(f"{missing}, and INGEST_SANDBOX=require reads nothing then")
        self.report_layers(child.layers)

    def report_layers(self, layers: Sequence[str]) -> None:
        """Log once which layers the sandbox has, and warn of those that it lacks."""
        if not self.layers:
            self.layers = tuple(layers)
            if missing := missing_layers(layers):
                log.warning("%s", missing)

    def describe(self) -> tuple[str, ...]:
        """Return the layers and the unknown system calls so far; () before the first child."""
        counted = "seccomp" in self.layers
        return (*self.layers, *([self.unknown_calls.describe()] if counted else []))

    def close(self) -> None:
        """Kill all children, busy ones too."""
        self.closed.set()
        for child in list(self.processes):
            child.kill()
        if self.server:
            self.server.close()
