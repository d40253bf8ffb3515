"""How often a service is asked: evenly, never more often than it takes, less after a refusal."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field

from ingest.retry import Patience

MOST = 10.0  # requests a second; the service's standard tier takes 15 pages and 50 questions
FEWEST = 0.5
RECOVERY = 1.05  # times as many after each answer


@dataclass(slots=True)
class Pace:
    """Turns for any number of threads."""

    most: float = MOST  # requests a second
    rate: float = MOST  # that are sent now
    due: float = -math.inf  # when the next one may be sent
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def take(self, patience: Patience) -> None:
        """Wait for a turn. Raises StoppedError if it is called off."""
        while True:
            with self.lock:
                now = patience.clock()
                if now >= self.due:
                    self.due = now + 1 / self.rate
                    return
                left = self.due - now
            patience.wait(left)

    def answered(self) -> None:
        """A request was taken."""
        with self.lock:
            self.rate = min(self.most, self.rate * RECOVERY)

    def refused(self, floor: float, patience: Patience) -> None:
        """A request was one too many: nobody sends any before `floor` seconds from now."""
        with self.lock:
            self.rate = max(FEWEST, self.rate / 2)
            self.due = max(self.due, patience.clock() + max(floor, 1 / self.rate))
