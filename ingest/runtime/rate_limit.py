"""Rate limiter: the protocol of the limiters of embedding requests and of OCR requests.

A rate limiter neither sleeps nor sends, so it may be in another process and serve many clients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Permit:
    """Permission to send one request now."""

    deployment_index: int = 0  # in the order of the settings
    number: int = 0  # unique per rate limiter of several deployments


@dataclass(frozen=True, slots=True)
class Wait:
    """No permit yet: ask again after `seconds`."""

    seconds: float
    reason: str  # an activity of ingest.runtime.timing


class RateLimiter(Protocol):
    """Rate limiter of requests to one service. Thread-safe."""

    # a permit for a request of this many units (tokens, or pages), or the time to wait
    def ask(self, units: float) -> Permit | Wait: ...

    # the request succeeded; `headers` are the response's
    def report_success(self, permit: Permit, headers: Mapping[str, str]) -> None: ...

    # the request was throttled (429); returns the seconds for which all requests are held back
    def report_throttled(self, permit: Permit, headers: Mapping[str, str]) -> float: ...
