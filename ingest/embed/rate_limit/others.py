"""Other clients of a deployment, as seen in what the service says is left. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ingest.embed.rate_limit.quota import RemainingWindow, SentRequest

SHARED_PERIOD_SECONDS = 600.0  # for which another client that was seen is considered
CHECKS_PER_WINDOW, CHECK_SECONDS = 2, 1.0  # single requests before a burst, and between them
OTHERS_SHARE = 0.1  # of the limit: others that use less need no share
COUNTING_TOLERANCE = 0.2  # of a request: the service may count its tokens differently


@dataclass(slots=True)
class OtherClients:
    """Record of other clients that use the quota, and of the checks for them."""

    seen_until: float = -math.inf  # until then, the quota is shared with them
    checks: int = 0  # single requests in this window, to see other clients
    checked_level: float = math.nan  # of the last of them
    checked_at: float = -math.inf

    @property
    def are_checked(self) -> bool:
        """True if this window's checks are done."""
        return self.checks >= CHECKS_PER_WINDOW

    def record_seen(self, now: float) -> None:
        """Record that another client uses the quota."""
        self.seen_until = now + SHARED_PERIOD_SECONDS

    def check(
        self, request: SentRequest, remaining: RemainingWindow, seconds: float, now: float
    ) -> None:
        """Compare what is left after two single requests: the difference is what others sent.

        `seconds`: length of a window.
        """
        if not request.is_single or self.are_checked:
            return
        tolerated = max(
            COUNTING_TOLERANCE * request.tokens,
            OTHERS_SHARE * remaining.highest * CHECK_SECONDS / seconds,
        )
        if self.checks and self.checked_level - remaining.level > tolerated:
            self.record_seen(now)
        self.checks += 1
        self.checked_level, self.checked_at = remaining.level, request.sent_at
