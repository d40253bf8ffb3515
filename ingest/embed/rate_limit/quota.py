"""Quota of a deployment: learnt from throttled requests, or reported by the service. Pure.

The service counts tokens per minute, and requests per second or per ten seconds; a window starts
with the first request after the previous window ended.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass

from ingest.runtime.timing import REQUEST_QUOTA, TOKEN_QUOTA

QUOTA_WINDOW_SECONDS = 60.0  # in which the tokens of a quota are counted
MIN_TOKENS_UNDER_WAY, SECONDS_UNDER_WAY = 64_000.0, 2.0  # or so many seconds of quota, if more
CHARACTERS_PER_TOKEN = 4  # the service estimates tokens before it tokenizes

# After a 429: multiplicative decrease, then cubic growth (TCP CUBIC, RFC 9438). Growing to ten
# times the limit takes three quarters of a minute.
DECREASE_FACTOR = 0.85
GROWTH_SECONDS = 20.0

SETTLED_SECONDS = 600.0  # for which a limit that a whole window revealed is kept

# While no limit is reported: slowly enough that a refusal is back before the next request, and only
# one request finds a window used up. It doubles after a while, as there may be no limit.
UNKNOWN_LIMIT_TOKENS_PER_SECOND, UNKNOWN_LIMIT_DOUBLING_SECONDS = 50_000.0, 4.0
STEADY_SECONDS, MAX_DOUBLINGS = 8.0, 30
# The first tokens of a run, sent at twice this rate: its first window may have only seconds left.
FAST_TOKENS = 128_000.0
LEARNT_BURST_SECONDS = 7.0  # in which a learnt limit is spent, if it is larger

FIRST_HOLD_SECONDS, MAX_HOLD_SECONDS = 0.5, 30.0  # after a 429 without Retry-After; doubling


def max_tokens_under_way(tokens_per_minute: float) -> float:
    """Return the tokens that a process may have in requests at once; a kill wastes them."""
    known = 0.0 if tokens_per_minute == math.inf else tokens_per_minute
    return max(MIN_TOKENS_UNDER_WAY, known * SECONDS_UNDER_WAY / QUOTA_WINDOW_SECONDS)


def count_quota_tokens(characters: int) -> int:
    """Return the tokens that the quota is charged for this many characters."""
    return -(-characters // CHARACTERS_PER_TOKEN)


@dataclass(slots=True, eq=False)
class SentRequest:
    """A request that was sent."""

    sent_at: float
    tokens: float  # as the quota counts them
    total_tokens: float  # of all requests up to this one
    is_single: bool = False  # no other request was under way
    is_exact: bool = False  # once it is answered: so were all requests up to this one
    is_test: bool = False  # it exceeded the tokens that the window was thought to have left


@dataclass(slots=True)
class LearntLimit:
    """Limit per minute, learnt from 429s if the service does not report it."""

    configured: float = math.inf  # by a setting
    reported: float = math.inf  # by the service
    peak: float = math.inf  # throughput at the last 429
    throttled_until: float = 0.0  # end of the hold after it
    settled_until: float = -math.inf  # `peak` is kept until then, as a whole window revealed it

    @property
    def limit(self) -> float:
        """The limit, as configured or reported."""
        return min(self.configured, self.reported)

    def estimate(self, now: float) -> float:
        """Return the limit to keep now, from the settings and past 429s."""
        if self.peak == math.inf or now < self.settled_until:
            return min(self.configured, self.peak)
        back = GROWTH_SECONDS * math.cbrt(1 - DECREASE_FACTOR)
        grown = 1 + ((now - self.throttled_until - back) / GROWTH_SECONDS) ** 3
        return min(self.configured, self.peak * max(DECREASE_FACTOR, grown))

    def allowed(self, now: float) -> float:
        """Return the limit to keep now."""
        return min(self.reported, self.estimate(now))

    def record_throttled(self, throughput: float, until: float, refusals: int) -> None:
        """Learn from a 429 at this throughput per minute; requests are held until a time.

        Only the first of several consecutive 429s sets the peak; each further one lowers it. A 429
        without recent throughput teaches nothing.
        """
        if refusals > 1:
            self.peak *= DECREASE_FACTOR
        elif throughput:
            self.peak = min(throughput, self.limit)
        self.throttled_until = until
        self.settled_until = -math.inf

    def record_window(self, tokens: float, now: float) -> None:
        """Learn the limit per minute from a window that is used up; keep it for a while."""
        self.peak = min(tokens, self.limit)
        self.settled_until = self.throttled_until = now + SETTLED_SECONDS


def read_rate_limit_header(headers: Mapping[str, str], limit: str) -> float | None:
    """Read a number from an `x-ratelimit-` header; None if absent or, as from some services, -1."""
    value = headers.get(f"x-ratelimit-{limit}", "")
    return float(value) if value.isdecimal() else None


def throttled_limits(headers: Mapping[str, str]) -> frozenset[str]:
    """Return the limits that a 429's headers name; both if they name none."""
    policy = headers.get("policy-id", "").lower()
    names = {TOKEN_QUOTA: "token", REQUEST_QUOTA: "call"}
    resets = {TOKEN_QUOTA: "x-ratelimit-reset-tokens", REQUEST_QUOTA: "x-ratelimit-reset-requests"}
    found = frozenset(kind for kind in names if names[kind] in policy or headers.get(resets[kind]))
    return found or frozenset(names)


def hold_seconds(refusals: int) -> float:
    """Return the seconds to hold requests after consecutive 429s without Retry-After."""
    longest = min(MAX_HOLD_SECONDS, FIRST_HOLD_SECONDS * 2**refusals)
    return random.uniform(longest / 2, longest)  # noqa: S311 - not a secret


def probe_rate(capacity: float, sent_tokens: float, seconds: float) -> float:
    """Return the tokens per second to send while a window's capacity is unknown or only learnt.

    `sent_tokens` in so many seconds, since the first request.
    """
    rate = UNKNOWN_LIMIT_TOKENS_PER_SECOND
    if capacity < math.inf:
        return max(rate, capacity / LEARNT_BURST_SECONDS)
    if sent_tokens < FAST_TOKENS:
        rate *= 2
    steady = max(0.0, seconds - STEADY_SECONDS)
    return rate * 2 ** min(steady / UNKNOWN_LIMIT_DOUBLING_SECONDS, MAX_DOUBLINGS)
