"""Requests to services: what each is called, and how it was answered.

So that a service's people can find it in their logs. Knows no SDK and no telemetry.
"""

from __future__ import annotations

import hashlib
import itertools
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

# Azure's services note it in their logs, and some give it back. It must be a GUID.
REQUEST_ID_HEADER = "x-ms-client-request-id"


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request and how it was answered."""

    method: str
    url: str
    status: int  # 0: there was no answer
    seconds: float


OnResponse: TypeAlias = Callable[[LoggedRequest], None]  # from any thread


@dataclass(frozen=True, slots=True)
class RequestLog:
    """How requests are named, and who is told of each."""

    new_id: Callable[[], str] = lambda: str(uuid.uuid4())
    on_response: OnResponse = lambda _: None


def request_id_prefix(run: str) -> str:
    """What the names of all requests of a run begin with; the rest of them counts."""
    digits = hashlib.sha256(run.encode()).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-"


def request_ids(run: str, start: int = 1) -> Callable[[], str]:
    """Names for the requests of a run, for any number of threads: GUIDs that count."""
    numbers = itertools.count(start)
    first = request_id_prefix(run)
    return lambda: f"{first}{next(numbers):012x}"
