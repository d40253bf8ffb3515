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

MOST = 10.0  # requests a second; the service's standard tier takes 15 pages and 50 questions
FEWEST = 0.5
RECOVERY = 1.05  # times as many after each answer


class Paced(Protocol):
    """When the next request may be sent. Any thread may ask, one at a time for each process."""

    # seconds after which to ask again; 0: send it now
    def ask(self) -> float: ...

    # a request was taken
    def answered(self) -> None: ...

    # one was too many: nobody sends any before so many seconds from now
    def refused(self, floor: float) -> None: ...


@dataclass(slots=True)
class Pace:
    """Turns for all who ask, each by a name: in the order in which they came."""

    most: float = MOST  # requests a second
    rate: float = MOST  # that are sent now
    due: float = -math.inf  # when the next one may be sent that nobody has asked for yet
    clock: Callable[[], float] = time.monotonic
    promised: dict[str, float] = field(default_factory=dict)  # to whom, and when it may be sent
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def ask(self, who: str = "") -> float:
        with self.lock:
            now = self.clock()
            when = self.promised.pop(who, None)
            if when is None:
                when = max(now, self.due)
                self.due = when + 1 / self.rate
            if when > now:
                self.promised[who] = when
            return when - now if when > now else 0.0

    def answered(self) -> None:
        with self.lock:
            self.rate = min(self.most, self.rate * RECOVERY)

    def refused(self, floor: float) -> None:
        with self.lock:
            self.rate = max(FEWEST, self.rate / 2)
            self.due = max(self.due, self.clock() + max(floor, 1 / self.rate))
            self.promised.clear()
