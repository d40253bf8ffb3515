"""What a deployment's quota leaves room for: learnt from refusals, or said by the service. Pure.

The service counts the tokens of a minute and the requests of a second or of ten, from the first
that comes after the last count ended.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ingest.runtime.timing import REQUEST_QUOTA, TOKEN_QUOTA

QUOTA_WINDOW_SECONDS = 60.0  # seconds in which the tokens of a quota are counted
CHARACTERS_PER_TOKEN = 4  # the service counts before it tokenizes

# After a refusal: less than what got through, back there after a while, then ever faster on, which
# is how TCP's CUBIC (RFC 9438) shares a line. Ten times as much takes three quarters of a minute.
DECREASE_FACTOR = 0.85
GROWTH_SECONDS = 20.0  # seconds

BURST_SHARE = 0.25  # of the limit: what a run may spend as fast as it can, once
MIN_SPEND_SECONDS = 1.5  # seconds; what is left of a minute is not spent faster than in this
OTHER_CLIENTS_AVERAGE_SECONDS = (
    10.0  # seconds, over which the spending of other clients is averaged
)
RESET_JUMP_SHARE = (
    0.1  # of the limit: what is left rises by more only when the service begins to count anew
)
MAX_DOUBTS = 3  # requests accepted against what was said to be left, until that is ignored


def count_quota_tokens(characters: int) -> int:
    """The tokens that a quota is charged for so many characters."""
    return -(-characters // CHARACTERS_PER_TOKEN)


@dataclass(slots=True, eq=False)
class SentRequest:
    """One request on its way."""

    sent_at: float  # when it was sent
    tokens: float  # as the quota counts them
    total_tokens: float  # all tokens sent until then, its own included


@dataclass(slots=True)
class LearntLimit:
    """What may be used of a limit a minute, where only refusals tell what is too much."""

    configured: float = math.inf  # by a setting
    reported: float = math.inf  # by the service
    peak: float = math.inf  # what got through when the last refusal came
    throttled_until: float = 0.0  # when that refusal was over

    @property
    def limit(self) -> float:
        """How much a minute there is, as far as is known."""
        return min(self.configured, self.reported)

    def estimate(self, now: float) -> float:
        """How much a minute may be used now, going by what was set and refused."""
        if self.peak == math.inf:
            return self.configured
        back = GROWTH_SECONDS * math.cbrt(1 - DECREASE_FACTOR)
        grown = 1 + ((now - self.throttled_until - back) / GROWTH_SECONDS) ** 3
        return min(self.configured, self.peak * max(DECREASE_FACTOR, grown))

    def allowed(self, now: float) -> float:
        """How much a minute may be used now."""
        return min(self.reported, self.estimate(now))

    def record_throttled(self, throughput: float, until: float, refusals: int) -> None:
        """So much a minute got through, and nothing will before a moment.

        Of several refusals in a row only the first says how much; each of the others says less. If
        nothing got through lately, none says anything.
        """
        if refusals > 1:
            self.peak *= DECREASE_FACTOR
        elif throughput:
            self.peak = min(throughput, self.limit)
        self.throttled_until = until


@dataclass(slots=True)
class RemainingWindow:
    """What the service says is left of the minute's tokens, and what follows from it until then.

    `level` is what would be left had we never sent anything: it falls only by what others take, and
    rises only when the service begins to count anew (or goes by the last minute, whenever it is).
    """

    level: float = math.nan
    highest: float = 0.0  # the most that ever was left: about the limit
    resets_at: float = -math.inf  # when the service begins to count anew
    newest_total_tokens: float = (
        -1.0
    )  # what was spent up to the request whose answer is the newest known
    newest_sent_at: float = 0.0  # when that was sent
    other_clients_rate: float = 0.0  # tokens a second by other clients, lately
    doubts: int = 0

    @property
    def is_reported(self) -> bool:
        """Whether the service says what is left, and means it."""
        return not math.isnan(self.level) and self.doubts < MAX_DOUBTS

    def record_remaining(
        self, request: SentRequest, left: float, limit: float, arrived: float
    ) -> None:
        """An answer says what is left. Answers to requests before the newest known say nothing."""
        if request.total_tokens <= self.newest_total_tokens:
            return
        self.highest = min(limit, max(self.highest, left + request.tokens))
        level = left + request.total_tokens
        rise = level - self.level
        anew = rise > RESET_JUMP_SHARE * self.highest or (
            request.sent_at >= self.resets_at and left >= self.highest / 2
        )
        if math.isnan(self.level) or anew:
            self.resets_at = arrived + QUOTA_WINDOW_SECONDS
            self.doubts = 0 if left else self.doubts  # some always say that nothing is left
        elif request.sent_at > self.newest_sent_at:
            seconds = request.sent_at - self.newest_sent_at
            weight = 1 - math.exp(-seconds / OTHER_CLIENTS_AVERAGE_SECONDS)
            self.other_clients_rate += (-rise / seconds - self.other_clients_rate) * weight
        self.level, self.newest_total_tokens, self.newest_sent_at = (
            level,
            request.total_tokens,
            request.sent_at,
        )

    def record_exhausted(self, spent: float, until: float) -> None:
        """Nothing is left before a moment: that was said by a refusal."""
        self.level, self.resets_at, self.doubts = spent, until, 0

    def spend_rate(self, spent: float, now: float) -> float:
        """Tokens a second that use up what is left by the end, and leave others what they take.

        Never less than half of what is left, or a client that takes all would be left alone. A run
        that needs little does not wait at all.
        """
        if spent < BURST_SHARE * self.highest:
            return math.inf
        even = max(0.0, self.level - spent) / max(MIN_SPEND_SECONDS, self.resets_at - now)
        return max(even - max(0.0, self.other_clients_rate), even / 2)


def read_rate_limit_header(headers: Mapping[str, str], limit: str) -> float | None:
    """A number the service says of a quota, if it does: some say -1 for nothing."""
    value = headers.get(f"x-ratelimit-{limit}", "")
    return float(value) if value.isdecimal() else None


def throttled_limits(headers: Mapping[str, str]) -> frozenset[str]:
    """Which limit a refusal is of, by its headers; both, where they do not say."""
    said = headers.get("policy-id", "").lower()
    names = {TOKEN_QUOTA: "token", REQUEST_QUOTA: "call"}
    resets = {TOKEN_QUOTA: "x-ratelimit-reset-tokens", REQUEST_QUOTA: "x-ratelimit-reset-requests"}
    found = frozenset(kind for kind in names if names[kind] in said or headers.get(resets[kind]))
    return found or frozenset(names)
