"""How often a service is asked: evenly, never more often than it takes, less after a refusal.

When a request may be sent is the Pace's to say: it neither sleeps nor sends, so it may be in
another process, and be asked by many.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

MAX_REQUESTS_PER_SECOND = (
    10.0  # requests a second; the service's standard tier takes 15 pages and 50 questions
)
MIN_REQUESTS_PER_SECOND = 0.5
RECOVERY_FACTOR = 1.05  # times as many after each answer


class OcrRateLimiter(Protocol):
    """When the next request may be sent. Any thread may ask, one at a time for each process."""

    # seconds after which to ask again; 0: send it now
    def ask(self) -> float: ...

    # a request was taken
    def report_success(self) -> None: ...

    # one was too many: nobody sends any before so many seconds from now
    def report_throttled(self, retry_after: float) -> None: ...


@dataclass(slots=True)
class LocalOcrRateLimiter:
    """Turns for all who ask, each by a name: in the order in which they came."""

    max_rate: float = MAX_REQUESTS_PER_SECOND  # requests a second
    rate: float = MAX_REQUESTS_PER_SECOND  # that are sent now
    next_free: float = -math.inf  # when the next one may be sent that nobody has asked for yet
    clock: Callable[[], float] = time.monotonic
    reserved: dict[str, float] = field(default_factory=dict)  # to whom, and when it may be sent
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def ask(self, who: str = "") -> float:
        with self.lock:
            now = self.clock()
            when = self.reserved.pop(who, None)
            if when is None:
                when = max(now, self.next_free)
                self.next_free = when + 1 / self.rate
            if when > now:
                self.reserved[who] = when
            return when - now if when > now else 0.0

    def report_success(self) -> None:
        with self.lock:
            self.rate = min(self.max_rate, self.rate * RECOVERY_FACTOR)

    def report_throttled(self, retry_after: float) -> None:
        with self.lock:
            self.rate = max(MIN_REQUESTS_PER_SECOND, self.rate / 2)
            self.next_free = max(self.next_free, self.clock() + max(retry_after, 1 / self.rate))
            self.reserved.clear()
