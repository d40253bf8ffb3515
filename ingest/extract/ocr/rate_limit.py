"""Rate limiter of OCR requests: evenly spaced, fewer after a 429.

All its permits are equal: there is one endpoint, every page costs the same, and the service sends
no headers from which to learn its quota.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ingest.runtime.rate_limit import Permit, Wait
from ingest.runtime.retry import parse_retry_after
from ingest.runtime.timing import REQUEST_QUOTA

# The standard tier of the service accepts 15 pages and 50 polls per second.
MAX_REQUESTS_PER_SECOND = 10.0
MIN_REQUESTS_PER_SECOND = 0.5
RECOVERY_FACTOR = 1.05  # of the rate, after each response


@dataclass(slots=True)
class LeakyBucket:
    """Leaky bucket. Clients, each identified by a name, are served in the order of their calls."""

    max_rate: float = MAX_REQUESTS_PER_SECOND  # requests a second
    rate: float = MAX_REQUESTS_PER_SECOND  # current
    next_free: float = -math.inf  # time of the next slot that is not reserved
    clock: Callable[[], float] = time.monotonic
    reserved: dict[str, float] = field(default_factory=dict)  # client -> time of its slot
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def ask(self, units: float, client: str = "") -> Permit | Wait:
        with self.lock:
            now = self.clock()
            slot = self.reserved.pop(client, None)
            if slot is None:
                slot = max(now, self.next_free)
                self.next_free = slot + units / self.rate
            if slot > now:
                self.reserved[client] = slot
                return Wait(slot - now, REQUEST_QUOTA)
            return Permit()

    def report_success(self, permit: Permit, headers: Mapping[str, str]) -> None:  # noqa: ARG002 - the protocol's
        with self.lock:
            self.rate = min(self.max_rate, self.rate * RECOVERY_FACTOR)

    def report_throttled(self, permit: Permit, headers: Mapping[str, str]) -> float:  # noqa: ARG002 - the protocol's
        with self.lock:
            self.rate = max(MIN_REQUESTS_PER_SECOND, self.rate / 2)
            seconds = max(parse_retry_after(headers), 1 / self.rate)
            self.next_free = max(self.next_free, self.clock() + seconds)
            self.reserved.clear()
            return seconds
