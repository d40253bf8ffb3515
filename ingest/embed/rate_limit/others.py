"""Other clients of a deployment, as seen in the remainder that the service reports. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ingest.embed.rate_limit.quota import SentRequest

SHARED_PERIOD_SECONDS = 600.0  # for which another client that was seen is considered
CHECKS_PER_WINDOW, CHECK_SECONDS = 2, 1.0  # single requests before a burst, and between them
RECHECK_SECONDS = 30.0  # after which a window that begins is checked again
OTHERS_SHARE = 0.1  # of the limit: others that use less need no share
AVERAGE_SECONDS = 10.0  # over which their use is averaged
COUNTING_TOLERANCE = 0.2  # of a request: the service may count its tokens differently


@dataclass(slots=True)
class OtherClients:
    """Record of other clients that use the quota, and of the checks for them."""

    seen_until: float = -math.inf  # until then, the quota is shared with them
    checks: int = 0  # single requests in this window, to see other clients
    next_check_at: float = -math.inf
    used: float = 0.0  # tokens that others sent since the last check
    rate: float = 0.0  # tokens per second, recently

    @property
    def are_checked(self) -> bool:
        """True if this window's checks are done."""
        return self.checks >= CHECKS_PER_WINDOW

    def record_seen(self, now: float) -> None:
        """Record that another client uses the quota."""
        self.seen_until = now + SHARED_PERIOD_SECONDS

    def check_again(self, now: float) -> None:
        """Let a window that begins be checked, unless the last check was a moment ago."""
        if now - self.next_check_at >= RECHECK_SECONDS:
            self.checks = 0

    def record_use(self, tokens: float, seconds: float) -> None:
        """Record the tokens that others sent between two requests."""
        self.used += tokens
        weight = 1 - math.exp(-seconds / AVERAGE_SECONDS)
        self.rate += (tokens / seconds - self.rate) * weight

    def check(self, request: SentRequest, quota: float, now: float) -> None:
        """Measure, after each of two single requests, how many tokens others sent between them.

        `quota`: tokens per second.
        """
        if not request.is_single or self.are_checked:
            return
        tolerated = max(
            COUNTING_TOLERANCE * request.tokens,
            OTHERS_SHARE * quota * CHECK_SECONDS,
        )
        if self.checks and self.used > tolerated:
            self.record_seen(now)
        self.checks += 1
        self.used, self.next_check_at = 0.0, request.sent_at + CHECK_SECONDS
