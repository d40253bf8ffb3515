"""The life of a child process: take a task, read, answer, until the parent is gone.

It has given up all it can before it is given the first document; nothing here may need it back.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from typing import Any, BinaryIO

from ingest.errors import IngestError
from ingest.extract.sandbox import isolation as sandbox
from ingest.extract.sandbox.pool import ProcessDied, SandboxLimits
from ingest.extract.sandbox.progress import ProgressBuffer, ReadProgress
from ingest.extract.sandbox.spawn import open_handle
from ingest.models import Code


def serve(pipe: Connection) -> None:
    """The child's whole life. Its first answer is which layers hold it back."""
    with contextlib.suppress(EOFError, ConnectionError):
        function, megabytes, name = pipe.recv()
        board = ProgressBuffer(name)
        silence_output()
        limit_memory(megabytes)
        pipe.send(sandbox.enter())
        for task, limits, file in receive_tasks(pipe):
            heart = Heartbeat(board, limits)
            with file:
                outcome = run_task(partial(function, task, file, heart.on_page), megabytes)
            pipe.send(outcome)


def receive_tasks(pipe: Connection) -> Iterator[tuple[object, SandboxLimits, BinaryIO]]:
    """The tasks as they come, with their limits and files; ends with EOFError."""
    while True:
        task, limits = pipe.recv()
        yield task, limits, open_handle(recv_handle(pipe))


class Heartbeat:
    """Shows the parent that reading goes on, and lets the process have the CPU to go on."""

    def __init__(self, progress: ProgressBuffer, limits: SandboxLimits) -> None:
        self.progress = progress
        self.limits = limits
        self.checked_at = time.monotonic()
        self.limit_cpu(limits.seconds)

    def on_page(self, page: int, pages: int) -> None:
        """Page `page` of `pages` is read next; with 0 for the page, none is."""
        now = time.monotonic()
        if not page or now - self.checked_at > 1:
            self.checked_at = now
            self.limit_cpu(self.limits.page_seconds if page else self.limits.total_seconds(pages))
        self.progress.write(ReadProgress(page, pages, now))

    def limit_cpu(self, seconds: float) -> None:
        """So much CPU from now on: a hang ends even when the parent is gone."""
        if sys.platform != "win32":
            import resource

            limit = int(time.process_time() + seconds) + 3  # a second since the last look
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))


def run_task(function: Callable[[], Any], megabytes: int) -> object:
    """The result, or the exception to raise in the parent."""
    try:
        return function()
    except MemoryError:
        return ProcessDied(
            f"reading it needs more than {megabytes} MB; INGEST_DOCUMENT_MEGABYTES allows more",
            Code.TOO_MUCH_MEMORY,
        )
    except IngestError as error:
        return error
    except Exception as error:  # noqa: BLE001 - a bug of ours on one document must not hide the others
        return ProcessDied(
            f"the reader failed on it ({type(error).__name__}: {error})", Code.CRASHED
        )


def silence_output() -> None:
    """Keep what native code prints away from the parent's output."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nothing, stream)


def limit_memory(megabytes: int) -> None:
    """Limit this process's address space for good, where the platform can."""
    if sys.platform != "win32":
        import resource

        limit = megabytes << 20
        with contextlib.suppress(ValueError, OSError):  # macOS has the name but not the limit
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
