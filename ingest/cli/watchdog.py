"""A watchdog: the process ends on time, whatever it is blocked on.

A terminal under ^S, or a pipe that nobody reads, blocks whoever writes to it and whoever waits for
the lock of that stream, so an orderly end may never come. What ends the process therefore waits for
nobody and writes nothing. It loses what a kill loses: the next run goes on from there.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EXTRA_SECONDS = 8.0  # seconds for an orderly end, beyond the time that it was given
FORCED_EXIT_SECONDS = 3.0  # seconds for an end without any grace
SIGNALS = (signal.SIGINT, signal.SIGTERM)

due: list[threading.Timer] = []


def end_within(seconds: float, code: int) -> None:
    """End the process after so many seconds with this exit code, if it is still there then."""
    timer = threading.Timer(seconds, os._exit, [code])
    timer.daemon = True
    timer.start()
    due.append(timer)


def call_off() -> None:
    """The end has come in good order."""
    while due:
        due.pop().cancel()


def exit_without_senders(code: int) -> None:
    """End the process at once if an embedding request is still unanswered.

    Python would wait for its thread. All output must have been written.
    """
    from ingest.runtime.cancellation import SENDER_THREADS

    if any(thread.name.startswith(SENDER_THREADS) for thread in threading.enumerate()):
        os._exit(code)


@contextmanager
def listening(hear: Callable[[int], None]) -> Iterator[None]:
    """Call `hear` with each signal as soon as it arrives, in a thread of its own.

    It must have a handler in Python as well. That alone is not enough: Python calls it in the main
    thread, and not while this waits for the lock of a stream that another thread is blocked on.
    """
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)

    def listen() -> None:
        while number := ours.recv(1):
            if number[0] in SIGNALS:
                hear(number[0])
        ours.close()

    before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=listen, name="signals", daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        theirs.close()
