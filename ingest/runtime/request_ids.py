"""Client request ids, and a callback per response. Knows no SDK and no telemetry.

Azure's support can find a request in a service's logs by its id.
"""

from __future__ import annotations

import hashlib
import itertools
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

# Azure services log this header, and some return it. It must be a GUID.
REQUEST_ID_HEADER = "x-ms-client-request-id"


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """A request and the status of its response."""

    method: str
    url: str
    status: int  # 0: no response
    seconds: float


OnResponse: TypeAlias = Callable[[LoggedRequest], None]  # from any thread


@dataclass(frozen=True, slots=True)
class RequestLog:
    """Source of request ids, and callback for responses."""

    new_id: Callable[[], str] = lambda: str(uuid.uuid4())
    on_response: OnResponse = lambda _: None


def request_id_prefix(run: str) -> str:
    """Return the common prefix of a run's request ids; the remaining digits are a counter."""
    digits = hashlib.sha256(run.encode()).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-"


def request_ids(run: str, start: int = 1) -> Callable[[], str]:
    """Return a thread-safe generator of a run's request ids: GUIDs that end in a counter."""
    numbers = itertools.count(start)
    prefix = request_id_prefix(run)
    return lambda: f"{prefix}{next(numbers):012x}"
