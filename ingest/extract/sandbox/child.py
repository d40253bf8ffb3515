"""Main loop of a sandbox process: receive a task, run it, send the result.

Privileges are dropped for good before the first document is received. Code that runs afterwards
must not need them. On Linux each process that reads is forked from one that has loaded all modules.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from pathlib import Path
from typing import Any, BinaryIO

from ingest.errors import DocumentError
from ingest.extract.sandbox import isolation
from ingest.extract.sandbox.answers import MAX_ANSWER_BYTES, encode_answer
from ingest.extract.sandbox.fork_server import die_with, serve_forks
from ingest.extract.sandbox.limits import SandboxLimits
from ingest.extract.sandbox.parent import hide_memory
from ingest.extract.sandbox.process import CAN_FORK, LISTENER
from ingest.extract.sandbox.progress import ProgressBuffer, ReadProgress
from ingest.extract.sandbox.spawn import open_handle
from ingest.models import Code

GARBAGE_OBJECTS = 50_000  # more than are freed, before a search for cycles
MAX_CPU_SECONDS = 86_400  # of a process, which reads many documents


def serve(pipe: Connection) -> None:
    """Serve tasks until the parent closes the pipe; on Linux, by readers that are forked."""
    with contextlib.suppress(EOFError, ConnectionError):
        function, preload, megabytes, memory = pipe.recv()
        die_with_parent(pipe)
        silence_output()
        limit_memory(megabytes)
        collect_garbage_rarely()
        limit_cpu_for_good()
        if not CAN_FORK:
            read_documents(function, megabytes, pipe, memory)
            return
        if preload:
            preload()
        isolation.prepare_isolation()
        gc.freeze()  # a search for cycles would copy the pages of memory that readers share
        hide_memory()
        serve_forks(pipe, partial(read_documents, function, megabytes))


def read_documents(
    function: Callable[..., Any], megabytes: int, pipe: Connection, memory: int | str
) -> None:
    """Drop privileges for good, tell which layers are active, and run tasks."""
    progress = ProgressBuffer(memory)

    def send_listener(handle: int) -> None:
        pipe.send_bytes(LISTENER)
        send_handle(pipe, handle, os.getppid())

    pipe.send_bytes(encode_answer(isolation.enter(send_listener)))
    for task, limits, file in receive_tasks(pipe):
        heartbeat = Heartbeat(progress, limits)
        with file:
            outcome = run_task(partial(function, task, file, heartbeat.on_page), megabytes)
        pipe.send_bytes(outcome)


def receive_tasks(pipe: Connection) -> Iterator[tuple[object, SandboxLimits, BinaryIO]]:
    """Yield tasks with their limits and files. Raises EOFError when the parent closes the pipe."""
    while True:
        task, limits = pipe.recv()
        yield task, limits, open_handle(recv_handle(pipe))


class Heartbeat:
    """Report progress to the parent, and extend this process's CPU limit as it progresses."""

    def __init__(self, progress: ProgressBuffer, limits: SandboxLimits) -> None:
        self.progress = progress
        self.limits = limits
        self.checked_at = time.monotonic()
        self.limit_cpu(limits.seconds)

    def on_page(self, page: int, pages: int) -> None:
        """Record that page `page` of `pages` is read next; page 0: all pages have been read."""
        now = time.monotonic()
        if not page or now - self.checked_at > 1:
            self.checked_at = now
            self.limit_cpu(self.limits.page_seconds if page else self.limits.total_seconds(pages))
        self.progress.write(ReadProgress(page, pages, now))

    def limit_cpu(self, seconds: float) -> None:
        """Limit CPU time from now on, so that a hang ends even if the parent is gone."""
        if sys.platform != "win32":
            import resource

            limit = int(time.process_time() + min(seconds, MAX_CPU_SECONDS)) + 3  # may lag by 1 s
            with contextlib.suppress(ValueError, OSError):
                hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
                resource.setrlimit(resource.RLIMIT_CPU, (min(limit, hard), hard))


def run_task(function: Callable[[], Any], megabytes: int) -> bytes:
    """Return the answer of a task: its result, or the error to raise in the parent."""
    try:
        answer = encode_answer(function())
        if len(answer) <= MAX_ANSWER_BYTES:
            return answer
        error = DocumentError("its extracted content is too large; split it", Code.TOO_LARGE)
    except MemoryError:
        error = DocumentError(
            f"reading it needs more than {megabytes} MB; INGEST_DOCUMENT_MEGABYTES allows more",
            Code.TOO_MUCH_MEMORY,
        )
    except DocumentError as raised:
        error = raised
    except Exception as raised:  # noqa: BLE001 - our bug on one document must not end the run
        reason = f"reading it failed ({type(raised).__name__}: {raised})"
        error = DocumentError(reason, Code.CRASHED)
    return encode_answer(error)


def die_with_parent(pipe: Connection) -> None:
    """Have the kernel kill this process when its parent ends (Linux)."""
    die_with(0)
    if sys.platform == "linux" and pipe.poll():
        raise EOFError  # the parent sends nothing yet, so it has ended before that


def limit_cpu_for_good() -> None:
    """Limit the CPU time of this process permanently, whatever the soft limit becomes."""
    if sys.platform != "win32":
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
        highest = MAX_CPU_SECONDS if hard == resource.RLIM_INFINITY else min(hard, MAX_CPU_SECONDS)
        lowest = highest if soft == resource.RLIM_INFINITY else min(soft, highest)
        resource.setrlimit(resource.RLIMIT_CPU, (lowest, highest))


def silence_output() -> None:
    """Discard the output of native code, so that it does not reach the parent's output."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(devnull, stream)


def collect_garbage_rarely() -> None:
    """Look for cyclic garbage less often: reading makes many objects and few cycles."""
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS)


def limit_memory(megabytes: int) -> None:
    """Limit this process's address space permanently, where the platform supports it.

    If a container runs out of memory all the same, the kernel ends this process before the run.
    """
    with contextlib.suppress(OSError):  # Linux only
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    if sys.platform != "win32":
        import resource

        limit = megabytes << 20
        with contextlib.suppress(ValueError, OSError):  # macOS has the name but not the limit
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
