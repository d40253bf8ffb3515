"""A wish to end a run early, and what of it is worth waiting for."""

from __future__ import annotations

import math
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from ingest.errors import ConfigError, IngestError, ServiceError, StoppedError

R = TypeVar("R")

SENDER_THREADS = "sender"  # name of the threads that a run does not wait for once it is overdue


@dataclass(slots=True)
class Cancellation:
    """A wish to end early. What is under way is settled, as far as `grace` seconds allow."""

    grace_seconds: float = 20.0
    requested_at: float | None = None
    fault: IngestError | None = None  # why everything ends, if it was an error
    drained: bool = False  # nothing more is to be begun, and there is no hurry

    def request(self) -> None:
        self.requested_at = self.requested_at or time.monotonic()

    def drain(self) -> None:
        """Begin nothing more. What is under way has all the time it needs."""
        self.drained = True

    def track(self, call: Future[R]) -> Future[R]:
        """The call. An error of it that ends the run ends the waits of all others at once."""

        def on_done(done: Future[R]) -> None:
            error = None if done.cancelled() else done.exception()
            if isinstance(error, StoppedError):
                return
            if isinstance(error, (ServiceError, ConfigError)):
                self.fault = self.fault or error
                self.abandon()

        call.add_done_callback(on_done)
        return call

    def raise_fault(self) -> None:
        """Raises the error that ended everything, if one did."""
        if self.fault:
            raise self.fault

    def abandon(self) -> None:
        """End at once: nothing that is under way is worth waiting for."""
        self.requested_at = -math.inf

    def is_requested(self) -> bool:
        return self.drained or self.requested_at is not None

    def is_overdue(self) -> bool:
        return (
            self.requested_at is not None
            and time.monotonic() > self.requested_at + self.grace_seconds
        )
