"""Rate limiter for OCR requests: evenly spaced, fewer after a 429.

A rate limiter neither sleeps nor sends, so it may be in another process and serve many callers.
Unlike the one for embedding, this one has no permits: there is one endpoint to choose, every page
costs the same, and the service sends no headers from which to learn its quota.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

# The standard tier of the service accepts 15 pages and 50 polls per second.
MAX_REQUESTS_PER_SECOND = 10.0
MIN_REQUESTS_PER_SECOND = 0.5
RECOVERY_FACTOR = 1.05  # of the rate, after each response


class OcrRateLimiter(Protocol):
    """Decides when the next request may be sent. Thread-safe; one caller at a time per process."""

    # seconds to wait before asking again; 0: send now
    def ask(self) -> float: ...

    # the service accepted a request
    def report_success(self) -> None: ...

    # the service sent a 429: no request is sent for this number of seconds
    def report_throttled(self, retry_after: float) -> None: ...


@dataclass(slots=True)
class LocalOcrRateLimiter:
    """Leaky bucket. Callers, each identified by a name, are served in the order of their calls."""

    max_rate: float = MAX_REQUESTS_PER_SECOND  # requests a second
    rate: float = MAX_REQUESTS_PER_SECOND  # current
    next_free: float = -math.inf  # time of the next slot that is not reserved
    clock: Callable[[], float] = time.monotonic
    reserved: dict[str, float] = field(default_factory=dict)  # caller -> time of its slot
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def ask(self, who: str = "") -> float:
        with self.lock:
            now = self.clock()
            slot = self.reserved.pop(who, None)
            if slot is None:
                slot = max(now, self.next_free)
                self.next_free = slot + 1 / self.rate
            if slot > now:
                self.reserved[who] = slot
            return max(0.0, slot - now)

    def report_success(self) -> None:
        with self.lock:
            self.rate = min(self.max_rate, self.rate * RECOVERY_FACTOR)

    def report_throttled(self, retry_after: float) -> None:
        with self.lock:
            self.rate = max(MIN_REQUESTS_PER_SECOND, self.rate / 2)
            self.next_free = max(self.next_free, self.clock() + max(retry_after, 1 / self.rate))
            self.reserved.clear()
