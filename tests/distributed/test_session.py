"""A worker's session: what it makes of a driver that does not call."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest

from ingest.distributed.messages import Orders
from ingest.distributed.session import LEASE_LATE_SECONDS, Session, send_heartbeats
from ingest.runtime.cancellation import Cancellation


@dataclass
class Stub:
    """A session with a coordinator that has not heard from the driver; it ends after one call."""

    lease_seen: float
    finished: threading.Event = field(default_factory=threading.Event)
    reasons: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.run = SimpleNamespace(stop=Cancellation())
        self.links = SimpleNamespace(call=self.call)
        self.rate_limiter = SimpleNamespace(quota=None)
        self.stop_with_error = self.reasons.append

    def call(self, _method: str, _status: object) -> Orders:
        self.finished.set()
        return Orders(driver_lost=True)

    def status(self) -> None:
        """Nothing to tell."""


@pytest.mark.parametrize(("lease_age", "is_gone"), [(1.0, False), (LEASE_LATE_SECONDS + 1, True)])
def test_a_driver_that_is_only_slow_is_waited_for(lease_age: float, is_gone: bool) -> None:
    """Its machine is busy and its calls are late, but it holds the index: nobody stops."""
    session = Stub(time.monotonic() - lease_age)
    send_heartbeats(cast("Session", session))
    assert bool(session.reasons) == is_gone
    assert all("has not called for 20 s, nor renewed the index lock" in r for r in session.reasons)
