"""Watchdog: end the process on time, even if it is blocked.

A terminal stopped with ^S, or a pipe without a reader, blocks each thread that writes to it or
waits for that stream's lock, so an orderly shutdown may never finish. The watchdog therefore takes
no lock and writes nothing. It loses no more than a kill does: the next run resumes.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeAlias

EXTRA_SECONDS = 8.0  # for an orderly shutdown, after the grace period
FORCED_EXIT_SECONDS = 3.0  # for a shutdown without a grace period
SIGNALS = (signal.SIGINT, signal.SIGTERM)

SignalHandler: TypeAlias = "Callable[[int, FrameType | None], None]"

timers: list[threading.Timer] = []


def exit_within(seconds: float, code: int) -> None:
    """End the process with this exit code after some seconds, unless that is cancelled."""
    timer = threading.Timer(seconds, os._exit, [code])
    timer.daemon = True
    timer.start()
    timers.append(timer)


def cancel_forced_exits() -> None:
    """Cancel all forced exits: the process is shutting down in order."""
    while timers:
        timers.pop().cancel()


def exit_without_senders(code: int) -> None:
    """End the process at once if an embedding request is still unanswered.

    Python would wait for its thread. All output must have been written.
    """
    from ingest.runtime.cancellation import SENDER_THREADS

    if any(thread.name.startswith(SENDER_THREADS) for thread in threading.enumerate()):
        os._exit(code)


@contextmanager
def install_handler(handler: SignalHandler, signals: Iterable[int] = SIGNALS) -> Iterator[None]:
    """Handle signals with `handler`, and restore the previous handlers at the end of the block."""
    before = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@contextmanager
def listen_for_signals(on_signal: Callable[[int], None]) -> Iterator[None]:
    """Call `on_signal` with each signal's number as soon as it arrives, in a separate thread.

    The signal must have a Python handler as well. A handler alone is not enough: Python calls it
    in the main thread, and not while that waits for the lock of a blocked stream.
    """
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)

    def listen() -> None:
        while number := ours.recv(1):
            if number[0] in SIGNALS:
                on_signal(number[0])
        ours.close()

    before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=listen, name="signals", daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        theirs.close()
