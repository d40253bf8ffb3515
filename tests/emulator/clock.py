"""The emulator's time: that of the machine, and what a test adds to it."""

from __future__ import annotations

import math
import threading
import time


class Clock:
    """Tokens expire, windows end and documents become visible by it. Only goes forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self.ahead

    def advance(self, seconds: float) -> None:
        """Let that much time pass at once."""
        self.ahead += seconds


class Window:
    """A counter that begins again a while after its first entry."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.ends = -math.inf
        self.used = 0.0
        self.lock = threading.Lock()

    def take(self, amount: float, allowance: float, seconds: float) -> float:
        """Count the amount and return 0, or count nothing and return the seconds to wait."""
        with self.lock:
            now = self.clock.now()
            if now >= self.ends:
                self.ends, self.used = now + seconds, 0.0
            if self.used + amount > allowance:
                return self.ends - now
            self.used += amount
            return 0.0
