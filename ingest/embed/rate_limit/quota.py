"""What a deployment's quota leaves room for: learnt from refusals, or said by the service. Pure.

The service counts the tokens of a minute and the requests of a second or of ten, from the first
that comes after the last count ended.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ingest.runtime.timing import REQUESTS, TOKENS

MINUTE = 60.0  # seconds in which the tokens of a quota are counted
CHARACTERS_A_TOKEN = 4  # the service counts before it tokenizes

# After a refusal: less than what got through, back there after a while, then ever faster on, which
# is how TCP's CUBIC (RFC 9438) shares a line. Ten times as much takes three quarters of a minute.
LESS = 0.85
SLOWNESS = 20.0  # seconds

AT_ONCE = 0.25  # of the limit: what a run may spend as fast as it can, once
LAST = 1.5  # seconds; what is left of a minute is not spent faster than in this
FORGETTING = 10.0  # seconds, over which the spending of other clients is averaged
JUMP = 0.1  # of the limit: what is left rises by more only when the service begins to count anew
DOUBTS = 3  # requests accepted against what was said to be left, until that is ignored


def counted(characters: int) -> int:
    """The tokens that a quota is charged for so many characters."""
    return -(-characters // CHARACTERS_A_TOKEN)


@dataclass(slots=True, eq=False)
class Turn:
    """One request on its way."""

    at: float  # when it was sent
    tokens: float  # as the quota counts them
    spent: float  # all tokens sent until then, its own included


@dataclass(slots=True)
class Share:
    """What may be used of a limit a minute, where only refusals tell what is too much."""

    set: float = math.inf  # by a setting
    told: float = math.inf  # by the service
    peak: float = math.inf  # what got through when the last refusal came
    since: float = 0.0  # when that refusal was over

    @property
    def limit(self) -> float:
        """How much a minute there is, as far as is known."""
        return min(self.set, self.told)

    def learnt(self, now: float) -> float:
        """How much a minute may be used now, going by what was set and refused."""
        if self.peak == math.inf:
            return self.set
        back = SLOWNESS * math.cbrt(1 - LESS)
        grown = 1 + ((now - self.since - back) / SLOWNESS) ** 3
        return min(self.set, self.peak * max(LESS, grown))

    def allowed(self, now: float) -> float:
        """How much a minute may be used now."""
        return min(self.told, self.learnt(now))

    def refused(self, passed: float, until: float, refusals: int) -> None:
        """So much a minute got through, and nothing will before a moment.

        Of several refusals in a row only the first says how much; each of the others says less. If
        nothing got through lately, none says anything.
        """
        if refusals > 1:
            self.peak *= LESS
        elif passed:
            self.peak = min(passed, self.limit)
        self.since = until


@dataclass(slots=True)
class Left:
    """What the service says is left of the minute's tokens, and what follows from it until then.

    `level` is what would be left had we never sent anything: it falls only by what others take, and
    rises only when the service begins to count anew (or goes by the last minute, whenever it is).
    """

    level: float = math.nan
    top: float = 0.0  # the most that ever was left: about the limit
    ends: float = -math.inf  # when the service begins to count anew
    seen: float = -1.0  # what was spent up to the request whose answer is the newest known
    heard: float = 0.0  # when that was sent
    taken: float = 0.0  # tokens a second by other clients, lately
    doubts: int = 0

    @property
    def told(self) -> bool:
        """Whether the service says what is left, and means it."""
        return not math.isnan(self.level) and self.doubts < DOUBTS

    def hear(self, turn: Turn, left: float, limit: float, arrived: float) -> None:
        """An answer says what is left. Answers to requests before the newest known say nothing."""
        if turn.spent <= self.seen:
            return
        self.top = min(limit, max(self.top, left + turn.tokens))
        level = left + turn.spent
        rise = level - self.level
        anew = rise > JUMP * self.top or (turn.at >= self.ends and left >= self.top / 2)
        if math.isnan(self.level) or anew:
            self.ends = arrived + MINUTE
            self.doubts = 0 if left else self.doubts  # some always say that nothing is left
        elif turn.at > self.heard:
            seconds = turn.at - self.heard
            weight = 1 - math.exp(-seconds / FORGETTING)
            self.taken += (-rise / seconds - self.taken) * weight
        self.level, self.seen, self.heard = level, turn.spent, turn.at

    def exhausted(self, spent: float, until: float) -> None:
        """Nothing is left before a moment: that was said by a refusal."""
        self.level, self.ends, self.doubts = spent, until, 0

    def rate(self, spent: float, now: float) -> float:
        """Tokens a second that use up what is left by the end, and leave others what they take.

        Never less than half of what is left, or a client that takes all would be left alone. A run
        that needs little does not wait at all.
        """
        if spent < AT_ONCE * self.top:
            return math.inf
        even = max(0.0, self.level - spent) / max(LAST, self.ends - now)
        return max(even - max(0.0, self.taken), even / 2)


def stated(headers: Mapping[str, str], what: str) -> float | None:
    """A number the service says of a quota, if it does: some say -1 for nothing."""
    value = headers.get(f"x-ratelimit-{what}", "")
    return float(value) if value.isdecimal() else None


def refused_by(headers: Mapping[str, str]) -> frozenset[str]:
    """Which limit a refusal is of, by its headers; both, where they do not say."""
    said = headers.get("policy-id", "").lower()
    names = {TOKENS: "token", REQUESTS: "call"}
    resets = {TOKENS: "x-ratelimit-reset-tokens", REQUESTS: "x-ratelimit-reset-requests"}
    found = frozenset(kind for kind in names if names[kind] in said or headers.get(resets[kind]))
    return found or frozenset(names)
