"""Protection of the process that starts sandboxes against the processes in them."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from concurrent.futures import Future
from functools import cache
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")

PR_SET_DUMPABLE = 4  # linux/prctl.h


@cache
def hide_memory() -> None:
    """Keep processes of this user from reading this one's memory and environment (Linux).

    It also keeps this process from dumping core, which would hold tokens.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, *map(ctypes.c_ulong, (0, 0, 0, 0)))


@cache
def start_thread() -> SimpleQueue[tuple[Future[Any], Callable[[], Any]]]:
    """Start the thread that starts processes, and return its queue."""
    queue: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()

    def work() -> None:
        while True:
            future, call = queue.get()
            try:
                future.set_result(call())
            except BaseException as error:  # noqa: BLE001 - the caller raises it
                future.set_exception(error)

    Thread(target=work, name="spawner", daemon=True).start()
    return queue


def call_in_lasting_thread(call: Callable[[], T]) -> T:
    """Call a function in a thread that lives as long as this process, and return its result.

    A process that asked to die with its parent dies with the thread that started it.
    """
    future: Future[T] = Future()
    start_thread().put((future, call))
    return future.result()
