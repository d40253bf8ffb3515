"""Client of the coordinator: a worker's rate limiters and budget."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ingest.distributed.messages import CoordinatorCall, CoordinatorUnavailableError
from ingest.embed.rate_limit.limiter import Permit, Quota, Wait
from ingest.errors import ServiceError, StoppedError
from ingest.runtime.cancellation import Cancellation

QUOTA_HEADER_PREFIXES = ("x-ratelimit-", "retry-after", "policy-id")
COORDINATOR_POLL_SECONDS = 0.2  # between attempts to reach a coordinator, or to get a grant
# An engine may take 30 s to notice that a worker's machine is gone, before it starts another one.
COORDINATOR_TIMEOUT_SECONDS = 120.0


class RemoteRateLimiter:
    """A RateLimiter whose permits come from the coordinator."""

    def __init__(self, worker: str, call: CoordinatorCall) -> None:
        self.worker = worker
        self.call = call
        self.quota: Quota = call("get_quota")

    def ask(self, tokens: float) -> Permit | Wait:
        permit: Permit | Wait = self.call("ask", self.worker, tokens)
        return permit

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
    """Wrap calls so that they wait for another coordinator while there is none.

    Raises ServiceError after COORDINATOR_TIMEOUT_SECONDS, StoppedError if the run ends before.
    """

    def call_and_wait(method: str, *arguments: Any) -> Any:
        deadline = time.monotonic() + COORDINATOR_TIMEOUT_SECONDS
        while True:
            try:
                return call(method, *arguments)
            except CoordinatorUnavailableError:
                if stop.is_overdue():
                    raise StoppedError("the coordinator of this run is lost") from None
                if time.monotonic() > deadline:
                    raise ServiceError("the coordinator of this run is lost: run again") from None
                time.sleep(COORDINATOR_POLL_SECONDS)

    return call_and_wait


class RemoteOcrRateLimiter:
    """An OcrRateLimiter that asks the coordinator."""

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
    """Return the response headers about quotas, and no others."""
    return {
        name.lower(): value
        for name, value in headers.items()
        if name.lower().startswith(QUOTA_HEADER_PREFIXES)
    }


def reserve_budget(call: CoordinatorCall, stop: Cancellation, tokens: int, pages: int) -> str:
    """Reserve tokens and pages; returns the limit that would be exceeded, or "".

    Raises StoppedError if the run ends before they are granted.
    """
    while (exceeded := call("reserve_budget", tokens, pages)) is None:
        if stop.is_overdue():
            raise StoppedError("the run ended before its budget was granted; run again to continue")
        time.sleep(COORDINATOR_POLL_SECONDS)
    limit: str = exceeded
    return limit
