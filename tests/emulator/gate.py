"""Requests that wait at a service until a test lets them go on, so that no test races a clock."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.emulator.emulator import Azure
from tests.emulator.faults import Fault
from tests.emulator.server import Request, Response, Service
from tests.processes import PATIENCE, wait_until


@dataclass
class Gate:
    """Gate that holds back responses, after the work was done, until it is opened."""

    first: int  # requests that pass
    seen: int = 0
    opened: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self) -> Fault:
        """Middleware between the client and the service."""

        def act(request: Request, service: Service) -> Response:
            response = service(request)
            with self.lock:
                self.seen += 1
                passes = self.seen <= self.first
            if not passes:
                self.opened.wait(PATIENCE)
            return response

        return Fault("held", act)

    def reached(self, number: int = 1) -> None:
        """Until so many requests wait."""
        wait_until(lambda: self.seen >= self.first + number, f"{number} requests at the gate")


@contextmanager
def hold_requests(azure: Azure, service: str, path: str = "", after: int = 0) -> Iterator[Gate]:
    """Hold requests to a service, except the first ones, until the context ends."""
    gate = Gate(after)
    planned = azure.faults.add(gate.fault(), service, path=path)
    try:
        yield gate
    finally:
        gate.opened.set()
        azure.faults.planned.remove(planned)
