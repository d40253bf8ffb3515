"""Client of the coordinator: a worker's rate limiters and budget."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ingest.distributed.messages import (
    UNLIMITED,
    CoordinatorCall,
    CoordinatorUnavailableError,
    ServiceName,
)
from ingest.embed.rate_limit.limiter import Quota
from ingest.errors import ServiceError, StoppedError
from ingest.runtime.cancellation import Cancellation
from ingest.runtime.rate_limit import Permit, Wait

QUOTA_HEADER_PREFIXES = ("x-ratelimit-", "retry-after", "policy-id")
COORDINATOR_POLL_SECONDS = 0.2  # between attempts to reach a coordinator, or to get a grant
# An engine may take 30 s to notice that a worker's machine is gone, before it starts another one.
COORDINATOR_TIMEOUT_SECONDS = 120.0


@dataclass(slots=True)
class RemoteRateLimiter:
    """RateLimiter of a service whose permits come from the coordinator."""

    service: ServiceName
    worker: str
    call: CoordinatorCall
    quota: Quota = UNLIMITED

    def ask(self, units: float) -> Permit | Wait:
        permit: Permit | Wait = self.call("ask", self.worker, units, self.service)
        return permit

    def report_success(self, permit: Permit, headers: Mapping[str, str]) -> None:
        self.call("report_success", permit, quota_headers(headers), self.service)

    def report_throttled(self, permit: Permit, headers: Mapping[str, str]) -> float:
        wait: float = self.call("report_throttled", permit, quota_headers(headers), self.service)
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


def settle_budget(call: CoordinatorCall, *amounts: int) -> None:
    """End a reservation. If the coordinator is lost, all of it counts as billed."""
    with suppress(ServiceError, StoppedError):
        call("settle_budget", *amounts)
