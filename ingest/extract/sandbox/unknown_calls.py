"""Count the system calls of a sandbox process that its filter does not know (Linux).

The kernel holds such a call and notifies the parent, which answers that there is no such call. So
the count does not depend on what the process says. Where the kernel cannot notify, or the parent no
longer listens, the kernel itself gives this answer, and nothing is counted.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import struct
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

if sys.platform == "linux":
    import fcntl

log = logging.getLogger(__name__)

# linux/seccomp.h: struct seccomp_notif and struct seccomp_notif_resp, and how to exchange them
RECEIVE, SEND = 0xC0502100, 0xC0182101
NOTIFICATION, RESPONSE = struct.Struct("=QIIi60x"), struct.Struct("=QqiI")
MAX_CALLS = 1000  # of one process, as a hostile one could keep its parent busy
MAX_WAIT_SECONDS = 86_400.0


@dataclass(slots=True)
class UnknownCalls:
    """Counts of unknown system calls by number. Thread-safe."""

    counts: Counter[int] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)
    is_counting: bool = False  # the kernel notifies of them

    def add(self, number: int) -> None:
        """Count a call, and log the first one of each number."""
        with self.lock:
            self.counts[number] += 1
            is_first = self.counts[number] == 1
        if is_first:
            log.info("a sandbox made system call %d, which reading does not need: ENOSYS", number)

    def describe(self) -> str:
        """Describe the calls so far."""
        if not self.is_counting:
            return "unknown system calls are not counted here"
        with self.lock:
            calls = ", ".join(f"{n} ({count:,} times)" for n, count in sorted(self.counts.items()))
        return f"unknown system calls: {calls or 'none'}"


class CallListener:
    """The parent's side of one process: counts its unknown calls while it waits for an answer."""

    def __init__(self, handle: int, calls: UnknownCalls) -> None:
        self.handle = handle
        self.calls = calls
        self.left = MAX_CALLS
        calls.is_counting = True

    def wait(self, pipe: Connection, seconds: float) -> bool:
        """Wait until the pipe can be read, a call was answered or the time is over.

        Return whether the pipe can be read.
        """
        poller = select.poll()
        poller.register(pipe.fileno(), select.POLLIN)
        if self.handle >= 0:
            poller.register(self.handle, select.POLLIN)
        ready = dict(poller.poll(max(0.0, min(seconds, MAX_WAIT_SECONDS)) * 1000))
        if events := ready.get(self.handle, 0):
            if events & select.POLLIN:
                self.answer_call()
            if not events & select.POLLIN or not self.left:  # its process has ended
                self.close()
        return pipe.fileno() in ready

    def answer_call(self) -> None:
        """Count a call, and answer that there is no such call."""
        self.left -= 1
        notification = bytearray(NOTIFICATION.size)
        with contextlib.suppress(OSError):  # the process has been killed
            fcntl.ioctl(self.handle, RECEIVE, notification)
            call, _, _, number = NOTIFICATION.unpack(notification)
            self.calls.add(number)
            fcntl.ioctl(self.handle, SEND, RESPONSE.pack(call, 0, -errno.ENOSYS, 0))

    def close(self) -> None:
        """Listen no longer: the kernel answers further calls."""
        handle, self.handle = self.handle, -1
        if handle >= 0:
            os.close(handle)

    __del__ = close
