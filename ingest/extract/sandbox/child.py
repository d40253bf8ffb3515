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
from ingest.extract.sandbox.pool import Died, Limits
from ingest.extract.sandbox.progress import Board, Place
from ingest.extract.sandbox.spawn import opened
from ingest.models import Code


def serve(pipe: Connection) -> None:
    """The child's whole life. Its first answer is which layers hold it back."""
    with contextlib.suppress(EOFError, ConnectionError):
        function, megabytes, name = pipe.recv()
        board = Board(name)
        quiet()
        confine(megabytes)
        pipe.send(sandbox.enter())
        for task, limits, file in tasks(pipe):
            heart = Heart(board, limits)
            with file:
                outcome = answer(partial(function, task, file, heart.beat), megabytes)
            pipe.send(outcome)


def tasks(pipe: Connection) -> Iterator[tuple[object, Limits, BinaryIO]]:
    """The tasks as they come, with their limits and files; ends with EOFError."""
    while True:
        task, limits = pipe.recv()
        yield task, limits, opened(recv_handle(pipe))


class Heart:
    """Shows the parent that reading goes on, and lets the process have the CPU to go on."""

    def __init__(self, board: Board, limits: Limits) -> None:
        self.board = board
        self.limits = limits
        self.looked = time.monotonic()
        self.allow(limits.seconds)

    def beat(self, page: int, pages: int) -> None:
        """Page `page` of `pages` is read next; with 0 for the page, none is."""
        now = time.monotonic()
        if not page or now - self.looked > 1:
            self.looked = now
            self.allow(self.limits.page_seconds if page else self.limits.due(pages))
        self.board.write(Place(page, pages, now))

    def allow(self, seconds: float) -> None:
        """So much CPU from now on: a hang ends even when the parent is gone."""
        if sys.platform != "win32":
            import resource

            limit = int(time.process_time() + seconds) + 3  # a second since the last look
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))


def answer(function: Callable[[], Any], megabytes: int) -> object:
    """The result, or the exception to raise in the parent."""
    try:
        return function()
    except MemoryError:
        return Died(
            f"reading it needs more than {megabytes} MB; INGEST_DOCUMENT_MEGABYTES allows more",
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
    """Limit this process's address space for good, where the platform can."""
    if sys.platform != "win32":
        import resource

        limit = megabytes << 20
        with contextlib.suppress(ValueError, OSError):  # macOS has the name but not the limit
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
