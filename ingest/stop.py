"""A wish to end a run early, and what of it is worth waiting for."""

from __future__ import annotations

import math
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from ingest.errors import ConfigError, IngestError, ServiceError, StoppedError

R = TypeVar("R")

SENDER = "sender"  # what threads are called that nobody waits for once an end is overdue


@dataclass(slots=True)
class Stop:
    """A wish to end early. What is under way is settled, as far as `grace` seconds allow."""

    grace: float = 20.0
    since: float | None = None
    fault: IngestError | None = None  # why everything ends, if it was an error
    sated: bool = False  # nothing more is to be begun, and there is no hurry

    def request(self) -> None:
        self.since = self.since or time.monotonic()

    def enough(self) -> None:
        """Begin nothing more. What is under way has all the time it needs."""
        self.sated = True

    def watched(self, call: Future[R]) -> Future[R]:
        """The call. An error of it that ends the run ends the waits of all others at once."""

        def look(done: Future[R]) -> None:
            error = None if done.cancelled() else done.exception()
            if isinstance(error, StoppedError):
                return
            if isinstance(error, (ServiceError, ConfigError)):
                self.fault = self.fault or error
                self.abandon()

        call.add_done_callback(look)
        return call

    def complain(self) -> None:
        """Raises the error that ended everything, if one did."""
        if self.fault:
            raise self.fault

    def abandon(self) -> None:
        """End at once: nothing that is under way is worth waiting for."""
        self.since = -math.inf

    def requested(self) -> bool:
        return self.sated or self.since is not None

    def overdue(self) -> bool:
        return self.since is not None and time.monotonic() > self.since + self.grace
