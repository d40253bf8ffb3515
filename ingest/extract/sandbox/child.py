"""Main loop of a sandbox process: receive a task, run it, send the result.

Privileges are dropped for good before the first document is received. Code that runs afterwards
must not need them.
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
from multiprocessing.reduction import recv_handle
from pathlib import Path
from typing import Any, BinaryIO

from ingest.errors import IngestError
from ingest.extract.sandbox import isolation
from ingest.extract.sandbox.pool import ProcessDied, SandboxLimits
from ingest.extract.sandbox.progress import ProgressBuffer, ReadProgress
from ingest.extract.sandbox.spawn import open_handle
from ingest.models import Code

GARBAGE_OBJECTS = 50_000  # more than are freed, before a search for cycles


def serve(pipe: Connection) -> None:
    """Serve tasks until the parent closes the pipe. The first answer names the active layers."""
    with contextlib.suppress(EOFError, ConnectionError):
        function, megabytes, name = pipe.recv()
        progress = ProgressBuffer(name)
        silence_output()
        limit_memory(megabytes)
        collect_garbage_rarely()
        pipe.send(isolation.enter())
        for task, limits, file in receive_tasks(pipe):
            heartbeat = Heartbeat(progress, limits)
            with file:
                outcome = run_task(partial(function, task, file, heartbeat.on_page), megabytes)
            pipe.send(outcome)


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

            limit = int(time.process_time() + seconds) + 3  # `on_page` may lag by 1 s
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))


def run_task(function: Callable[[], Any], megabytes: int) -> object:
    """Return the result of a task, or the exception to raise in the parent."""
    try:
        return function()
    except MemoryError:
        return ProcessDied(
            f"reading it needs more than {megabytes} MB; INGEST_DOCUMENT_MEGABYTES allows more",
            Code.TOO_MUCH_MEMORY,
        )
    except IngestError as error:
        return error
    except Exception as error:  # noqa: BLE001 - our bug on one document must not end the run
        return ProcessDied(f"reading it failed ({type(error).__name__}: {error})", Code.CRASHED)


def silence_output() -> None:
    """Discard what native code prints, so that it does not reach the parent's output."""
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
