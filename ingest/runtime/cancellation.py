"""Cooperative cancellation with a grace period."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
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
    is_idle: bool = False  # nothing is under way that would have to finish
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)

    def request(self) -> None:
        self.requested_at = self.requested_at or self.clock()

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

    def is_closing(self) -> bool:
        """Return whether nothing may be paid for any more: the answer might come too late.

        The second half of the grace period is for answers, and for writing them.
        """
        return self.is_past(self.grace_seconds / 2)

    def is_overdue(self) -> bool:
        """Return whether the grace period is over."""
        return self.is_past(self.grace_seconds)

    def is_past(self, seconds: float) -> bool:
        """Return whether the end was requested more than some seconds ago, or nothing runs."""
        return self.requested_at is not None and (
            self.is_idle or self.clock() > self.requested_at + seconds
        )
