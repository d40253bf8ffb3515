"""Cooperative cancellation with a grace period."""

from __future__ import annotations

import math
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from ingest.errors import BusyError, ConfigError, IngestError, ServiceError, StoppedError

R = TypeVar("R")

SENDER_THREADS = "sender"  # name of the threads that a run does not wait for once it is overdue


@dataclass(slots=True)
class Cancellation:
    """Request to end a run early: running work may finish within `grace_seconds`."""

    grace_seconds: float = 20.0
    requested_at: float | None = None
    fault: IngestError | None = None  # the error that ends the run, if any
    drained: bool = False  # start nothing new; running work may take its time

    def request(self) -> None:
        self.requested_at = self.requested_at or time.monotonic()

    def drain(self) -> None:
        """Start nothing new. Running work may take all the time it needs."""
        self.drained = True

    def track(self, call: Future[R]) -> Future[R]:
        """Watch a call; if it fails with an error that ends the run, abandon all other calls."""

        def on_done(done: Future[R]) -> None:
            error = None if done.cancelled() else done.exception()
            if isinstance(error, StoppedError):
                return
            if isinstance(error, (ServiceError, ConfigError, BusyError)):
                self.fail(error)

        call.add_done_callback(on_done)
        return call

    def fail(self, error: IngestError) -> None:
        """End the run with an error, unless it ends with another one already."""
        self.fault = self.fault or error
        self.abandon()

    def raise_fault(self) -> None:
        """Raise the error that ended the run, if any."""
        if self.fault:
            raise self.fault

    def abandon(self) -> None:
        """End at once, without waiting for running work."""
        self.requested_at = -math.inf

    def is_requested(self) -> bool:
        return self.drained or self.requested_at is not None

    def is_overdue(self) -> bool:
        return (
            self.requested_at is not None
            and time.monotonic() > self.requested_at + self.grace_seconds
        )
