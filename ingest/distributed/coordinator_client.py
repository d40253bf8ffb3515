"""The lines and the budget of a worker: leased, request by request, from the pacing of its run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ingest.distributed.messages import CoordinatorCall, CoordinatorUnavailableError
from ingest.embed.rate_limit.limiter import Permit, Quota, Wait
from ingest.errors import ServiceError, StoppedError
from ingest.runtime.cancellation import Cancellation

QUOTA_HEADER_PREFIXES = (
    "x-ratelimit-",
    "retry-after",
    "policy-id",
)  # what headers of an answer say of a quota
COORDINATOR_POLL_SECONDS = 0.2  # seconds until more may be granted, or another pacing be there
COORDINATOR_TIMEOUT_SECONDS = (
    120.0  # seconds for that: an engine may take 30 to miss a worker whose machine is gone
)


class RemoteRateLimiter:
    """A Line whose turns are given elsewhere."""

    def __init__(self, worker: str, call: CoordinatorCall) -> None:
        self.worker = worker
        self.call = call
        self.quota: Quota = call("get_quota")

    def ask(self, tokens: float) -> Permit | Wait:
        answer: Permit | Wait = self.call("ask", self.worker, tokens)
        return answer

    def report_success(self, permit: Permit, headers: Mapping[str, str]) -> None:
        self.call("report_success", permit, quota_headers(headers))

    def report_throttled(self, permit: Permit, headers: Mapping[str, str]) -> float:
        wait: float = self.call("report_throttled", permit, quota_headers(headers))
        return wait

    def report_failure(self, permit: Permit, *, avoid: bool) -> None:
        self.call("report_failure", permit, avoid)

    def get_quota(self) -> Quota:
        return self.quota


def wait_for_coordinator(call: CoordinatorCall, stop: Cancellation) -> CoordinatorCall:
    """The calls; while the pacing is missed, they wait for another one.

    Raises ServiceError if that takes too long, StoppedError if the run is to end before.
    """

    def call_and_wait(method: str, *arguments: Any) -> Any:
        ends = time.monotonic() + COORDINATOR_TIMEOUT_SECONDS
        while True:
            try:
                return call(method, *arguments)
            except CoordinatorUnavailableError:
                if stop.is_overdue():
                    raise StoppedError("nobody keeps the pace of this run any more") from None
                if time.monotonic() > ends:
                    raise ServiceError("nobody keeps the pace of this run: run again") from None
                time.sleep(COORDINATOR_POLL_SECONDS)

    return call_and_wait


class RemoteOcrRateLimiter:
    """How often text is recognised, where others say so."""

    def __init__(self, worker: str, call: CoordinatorCall) -> None:
        self.worker = worker
        self.call = call

    def ask(self) -> float:
        seconds: float = self.call("ask_ocr", self.worker)
        return seconds

    def report_success(self) -> None:
        self.call("report_ocr_success")

    def report_throttled(self, retry_after: float) -> None:
        self.call("report_ocr_throttled", retry_after)


def quota_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """What an answer says of a quota, and nothing else of it."""
    return {
        name.lower(): value
        for name, value in headers.items()
        if name.lower().startswith(QUOTA_HEADER_PREFIXES)
    }


def reserve_budget(call: CoordinatorCall, stop: Cancellation, tokens: int, pages: int) -> str:
    """Speak for so much; returns the limit if there is none left of it.

    Raises StoppedError if the run is to end before it was granted.
    """
    while (answer := call("reserve_budget", tokens, pages)) is None:
        if stop.is_overdue():
            raise StoppedError("nobody grants more to be spent; run again to go on")
        time.sleep(COORDINATOR_POLL_SECONDS)
    reached: str = answer
    return reached
