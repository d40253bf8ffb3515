"""One deployment's pace: all of its quota, smoothly, and never more than it.

What the service says is left is spread over what is left of the minute; where it says nothing, the
limit is a setting or is learnt from what it refuses. A Pace neither sleeps nor asks a clock: `now`
is a parameter, in seconds, so that an hour can be tried out in a moment. Several make one line
(line.py), in which threads wait.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from ingest.embed.rate_limit.quota import JUMP, MINUTE, Left, Share, Turn, refused_by, stated
from ingest.runtime.retry import floor_of
from ingest.runtime.timing import FIRST_ANSWER, REQUESTS, TOKENS

# Of a limit that the service does not report on: its minute may begin anywhere in ours.
MARGIN = 0.985
# Of a limit of requests, which is counted by the second: some take longer on their way than others.
CALLS_MARGIN = 0.9
LATE = 0.25  # seconds by which a request may be late and the next one still come on time
LATE_CALL = 0.04  # the same, where the number of requests is what is limited
AFTER = 0.5  # seconds after the end of a minute: clocks differ, and requests take their way
SHORT = 2.0  # seconds; a refusal for so little is of a rate, one for longer is of a minute's count
ROUNDED = 1.5  # seconds by which a request may have been sent before a minute that it began
RATED = 10.0  # seconds, over which a rate is taken
FIRST_HOLD, LONGEST_HOLD = 0.5, 30.0  # seconds without a word from the service, doubling

ROOM_UNKNOWN = 8_000  # tokens of a request before the quota is known
ROOM_UNLIMITED = 32_000  # and where it is none: full enough to be cheap, small enough to flow
REQUESTS_A_MINUTE = 150  # that a quota is divided into, if it allows so many


@dataclass(slots=True)
class Pace:
    """When the next request to a deployment may be sent."""

    tokens: Share = field(default_factory=Share)
    requests: Share = field(default_factory=Share)
    left: Left = field(default_factory=Left)
    spent: float = 0.0  # tokens sent so far
    due: float = -math.inf  # when the last request ought to have been sent, by its tokens
    called: float = -math.inf  # the same, by the number of requests
    size: float = 0.0  # tokens of the last request
    held: float = -math.inf  # nothing is sent before
    why_held: str = TOKENS
    under_way: int = 0
    heard: bool = False  # whether there was any answer yet
    refusals: int = 0  # in a row
    ailing: float = -math.inf  # until then others are preferred
    sent: deque[Turn] = field(default_factory=deque)  # in the last minute, but for the refused

    def allowed(self, now: float) -> float:
        """Tokens a minute, as far as is known."""
        return min(self.tokens.allowed(now), self.left.top if self.left.told else math.inf)

    def room(self, now: float) -> int:
        """The tokens that make a good request: few enough to flow, and no fewer than needed."""
        if not self.heard and self.allowed(now) == math.inf:
            return ROOM_UNKNOWN
        known = self.allowed(now) < self.tokens.learnt(now) or self.tokens.set < math.inf
        share = self.allowed(now) / min(REQUESTS_A_MINUTE, self.calls(now))
        return int(share if known else min(share, ROOM_UNLIMITED))

    def ready(self, tokens: float, now: float) -> tuple[float, str]:
        """When a request may be sent, as seen from now, and what it waits for until then."""
        if not self.heard and self.allowed(now) == math.inf and self.under_way:
            return now + LATE, FIRST_ANSWER  # which may tell the limit
        requests = self.called + MINUTE / self.calls(now)
        enough = not self.left.told or self.left.level - self.spent >= tokens
        quota = self.due + self.spacing(now) if enough else self.anew(now)
        return max((self.held, self.why_held), (requests, REQUESTS), (quota, TOKENS))

    def calls(self, now: float) -> float:
        """Requests a minute, evenly spaced, that are sure not to be too many."""
        return CALLS_MARGIN * self.requests.allowed(now)

    def spacing(self, now: float) -> float:
        """Seconds between the last request and the next, by their tokens."""
        if self.left.told:
            learnt = MARGIN * self.tokens.learnt(now) / MINUTE
            rate = min(learnt, self.left.rate(self.spent, now))
        else:
            rate = MARGIN * self.tokens.allowed(now) / MINUTE
        return self.size / rate if rate > 0 else MINUTE

    def anew(self, now: float) -> float:
        """When to send one request in the hope that the service has begun to count anew.

        One that counts the last minute at every moment never does: it is asked again and again.
        """
        if self.under_way:
            return max(self.left.ends, now) + LATE
        return max(self.left.ends + AFTER, self.left.heard + 1.0)

    def take(self, tokens: float, now: float) -> Turn:
        """A request is sent."""
        if self.left.told and self.left.level - self.spent < tokens:
            self.left.doubts += 1
        self.due = max(now - LATE, min(now, self.due + self.spacing(now)))
        self.called = max(now - LATE_CALL, min(now, self.called + MINUTE / self.calls(now)))
        self.size = tokens
        self.spent += tokens
        self.under_way += 1
        turn = Turn(now, tokens, self.spent)
        self.sent.append(turn)
        while self.sent[0].at < now - MINUTE:
            self.sent.popleft()
        return turn

    def answered(self, turn: Turn, headers: Mapping[str, str], now: float) -> None:
        """A request was accepted.

        The first one also signs in and connects, so it may have arrived long after it was sent.
        """
        self.under_way -= 1
        arrived = turn.at if self.heard else now
        self.heard, self.refusals = True, 0
        self.tokens.told = stated(headers, "limit-tokens") or math.inf
        self.requests.told = stated(headers, "limit-requests") or math.inf
        left = stated(headers, "remaining-tokens")
        if left is not None:
            self.left.hear(turn, left, self.tokens.told, arrived)

    def failed(self, until: float) -> None:
        """A request came to nothing; whether it counted is unknown, so it did.

        Until a moment, other deployments are preferred.
        """
        self.under_way -= 1
        self.ailing = until

    def refused(self, turn: Turn, headers: Mapping[str, str], now: float) -> None:
        """A request was refused: nobody sends before the service's word, and less after it.

        It counted for nothing, so what it would have spent is there again.
        """
        self.under_way -= 1
        floor, kinds = floor_of(headers), refused_by(headers)
        surprising = not self.left.told or self.left.level - turn.spent > JUMP * self.left.top
        if turn in self.sent:
            self.sent.remove(turn)
        self.left.level += turn.tokens

        if turn.at < self.held:  # sent before the last refusal, it says nothing new
            self.held = max(self.held, now + floor)
        else:
            self.refusals += 1
            self.why_held = TOKENS if TOKENS in kinds else REQUESTS
            self.held = now + (floor or scattered(self.refusals))
            if REQUESTS in kinds:
                passed = self.passed(now, floor, of_requests=True)
                self.requests.refused(passed, self.held, self.refusals)
            if TOKENS in kinds and surprising:
                self.tokens.refused(self.passed(now, floor), self.held, self.refusals)
        if TOKENS in kinds and self.left.told:
            self.left.exhausted(self.spent, self.held)

    def passed(self, now: float, floor: float, *, of_requests: bool = False) -> float:
        """How much a minute got through: since the service began to count, or of late."""
        if floor >= SHORT and not of_requests:
            began = now + floor - MINUTE - ROUNDED
            return sum(turn.tokens for turn in self.sent if turn.at >= began)
        lately = [turn for turn in self.sent if turn.at >= now - RATED]
        seconds = max(1.0, now - lately[0].at) if lately else 1.0
        return sum(1.0 if of_requests else turn.tokens for turn in lately) * MINUTE / seconds


def scattered(refusals: int) -> float:
    """Seconds to hold back where the service does not say, after so many refusals in a row."""
    longest = min(LONGEST_HOLD, FIRST_HOLD * 2**refusals)
    return random.uniform(longest / 2, longest)  # noqa: S311 - not a secret
