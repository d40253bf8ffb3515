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

from ingest.embed.rate_limit.quota import (
    QUOTA_WINDOW_SECONDS,
    RESET_JUMP_SHARE,
    LearntLimit,
    RemainingWindow,
    SentRequest,
    read_rate_limit_header,
    throttled_limits,
)
from ingest.runtime.retry import parse_retry_after
from ingest.runtime.timing import FIRST_ANSWER, REQUEST_QUOTA, TOKEN_QUOTA

# Of a limit that the service does not report on: its minute may begin anywhere in ours.
TOKEN_MARGIN = 0.985
# Of a limit of requests, which is counted by the second: some take longer on their way than others.
REQUEST_MARGIN = 0.9
MAX_LATE_SECONDS = (
    0.25  # seconds by which a request may be late and the next one still come on time
)
MAX_REQUEST_LATE_SECONDS = 0.04  # the same, where the number of requests is what is limited
WINDOW_RESET_DELAY_SECONDS = (
    0.5  # seconds after the end of a minute: clocks differ, and requests take their way
)
SHORT_RETRY_AFTER_SECONDS = (
    2.0  # seconds; a refusal for so little is of a rate, one for longer is of a minute's count
)
WINDOW_ROUNDING_SECONDS = (
    1.5  # seconds by which a request may have been sent before a minute that it began
)
RATE_WINDOW_SECONDS = 10.0  # seconds, over which a rate is taken
FIRST_HOLD_SECONDS, MAX_HOLD_SECONDS = (
    0.5,
    30.0,
)  # seconds without a word from the service, doubling

UNKNOWN_QUOTA_REQUEST_TOKENS = 8_000  # tokens of a request before the quota is known
UNLIMITED_QUOTA_REQUEST_TOKENS = (
    32_000  # and where it is none: full enough to be cheap, small enough to flow
)
TARGET_REQUESTS_PER_MINUTE = 150  # that a quota is divided into, if it allows so many


@dataclass(slots=True)
class DeploymentLimiter:
    """When the next request to a deployment may be sent."""

    token_limit: LearntLimit = field(default_factory=LearntLimit)
    request_limit: LearntLimit = field(default_factory=LearntLimit)
    remaining: RemainingWindow = field(default_factory=RemainingWindow)
    total_tokens: float = 0.0  # tokens sent so far
    tokens_due_at: float = -math.inf  # when the last request ought to have been sent, by its tokens
    requests_due_at: float = -math.inf  # the same, by the number of requests
    last_tokens: float = 0.0  # tokens of the last request
    held_until: float = -math.inf  # nothing is sent before
    hold_reason: str = TOKEN_QUOTA
    under_way: int = 0
    has_answered: bool = False  # whether there was any answer yet
    refusals: int = 0  # in a row
    avoided_until: float = -math.inf  # until then others are preferred
    recent: deque[SentRequest] = field(
        default_factory=deque
    )  # in the last minute, but for the refused

    def allowed_tokens(self, now: float) -> float:
        """Tokens a minute, as far as is known."""
        return min(
            self.token_limit.allowed(now),
            self.remaining.highest if self.remaining.is_reported else math.inf,
        )

    def request_tokens(self, now: float) -> int:
        """The tokens that make a good request: few enough to flow, and no fewer than needed."""
        if not self.has_answered and self.allowed_tokens(now) == math.inf:
            return UNKNOWN_QUOTA_REQUEST_TOKENS
        known = (
            self.allowed_tokens(now) < self.token_limit.estimate(now)
            or self.token_limit.configured < math.inf
        )
        share = self.allowed_tokens(now) / min(
            TARGET_REQUESTS_PER_MINUTE, self.allowed_requests(now)
        )
        return int(share if known else min(share, UNLIMITED_QUOTA_REQUEST_TOKENS))

    def ready_at(self, tokens: float, now: float) -> tuple[float, str]:
        """When a request may be sent, as seen from now, and what it waits for until then."""
        if not self.has_answered and self.allowed_tokens(now) == math.inf and self.under_way:
            return now + MAX_LATE_SECONDS, FIRST_ANSWER  # which may tell the limit
        requests = self.requests_due_at + QUOTA_WINDOW_SECONDS / self.allowed_requests(now)
        enough = (
            not self.remaining.is_reported or self.remaining.level - self.total_tokens >= tokens
        )
        quota = (
            self.tokens_due_at + self.seconds_to_next(now) if enough else self.next_window_at(now)
        )
        return max(
            (self.held_until, self.hold_reason), (requests, REQUEST_QUOTA), (quota, TOKEN_QUOTA)
        )

    def allowed_requests(self, now: float) -> float:
        """Requests a minute, evenly spaced, that are sure not to be too many."""
        return REQUEST_MARGIN * self.request_limit.allowed(now)

    def seconds_to_next(self, now: float) -> float:
        """Seconds between the last request and the next, by their tokens."""
        if self.remaining.is_reported:
            learnt = TOKEN_MARGIN * self.token_limit.estimate(now) / QUOTA_WINDOW_SECONDS
            rate = min(learnt, self.remaining.spend_rate(self.total_tokens, now))
        else:
            rate = TOKEN_MARGIN * self.token_limit.allowed(now) / QUOTA_WINDOW_SECONDS
        return self.last_tokens / rate if rate > 0 else QUOTA_WINDOW_SECONDS

    def next_window_at(self, now: float) -> float:
        """When to send one request in the hope that the service has begun to count anew.

        One that counts the last minute at every moment never does: it is asked again and again.
        """
        if self.under_way:
            return max(self.remaining.resets_at, now) + MAX_LATE_SECONDS
        return max(
            self.remaining.resets_at + WINDOW_RESET_DELAY_SECONDS,
            self.remaining.newest_sent_at + 1.0,
        )

    def record_sent(self, tokens: float, now: float) -> SentRequest:
        """A request is sent."""
        if self.remaining.is_reported and self.remaining.level - self.total_tokens < tokens:
            self.remaining.doubts += 1
        self.tokens_due_at = max(
            now - MAX_LATE_SECONDS, min(now, self.tokens_due_at + self.seconds_to_next(now))
        )
        self.requests_due_at = max(
            now - MAX_REQUEST_LATE_SECONDS,
            min(now, self.requests_due_at + QUOTA_WINDOW_SECONDS / self.allowed_requests(now)),
        )
        self.last_tokens = tokens
        self.total_tokens += tokens
        self.under_way += 1
        turn = SentRequest(now, tokens, self.total_tokens)
        self.recent.append(turn)
        while self.recent[0].sent_at < now - QUOTA_WINDOW_SECONDS:
            self.recent.popleft()
        return turn

    def record_success(self, request: SentRequest, headers: Mapping[str, str], now: float) -> None:
        """A request was accepted.

        The first one also signs in and connects, so it may have arrived long after it was sent.
        """
        self.under_way -= 1
        arrived = request.sent_at if self.has_answered else now
        self.has_answered, self.refusals = True, 0
        self.token_limit.reported = read_rate_limit_header(headers, "limit-tokens") or math.inf
        self.request_limit.reported = read_rate_limit_header(headers, "limit-requests") or math.inf
        left = read_rate_limit_header(headers, "remaining-tokens")
        if left is not None:
            self.remaining.record_remaining(request, left, self.token_limit.reported, arrived)

    def record_failure(self, until: float) -> None:
        """A request came to nothing; whether it counted is unknown, so it did.

        Until a moment, other deployments are preferred.
        """
        self.under_way -= 1
        self.avoided_until = until

    def record_throttled(
        self, request: SentRequest, headers: Mapping[str, str], now: float
    ) -> None:
        """A request was refused: nobody sends before the service's word, and less after it.

        It counted for nothing, so what it would have spent is there again.
        """
        self.under_way -= 1
        floor, kinds = parse_retry_after(headers), throttled_limits(headers)
        surprising = (
            not self.remaining.is_reported
            or self.remaining.level - request.total_tokens
            > RESET_JUMP_SHARE * self.remaining.highest
        )
        if request in self.recent:
            self.recent.remove(request)
        self.remaining.level += request.tokens

        if request.sent_at < self.held_until:  # sent before the last refusal, it says nothing new
            self.held_until = max(self.held_until, now + floor)
        else:
            self.refusals += 1
            self.hold_reason = TOKEN_QUOTA if TOKEN_QUOTA in kinds else REQUEST_QUOTA
            self.held_until = now + (floor or hold_seconds(self.refusals))
            if REQUEST_QUOTA in kinds:
                passed = self.throughput(now, floor, of_requests=True)
                self.request_limit.record_throttled(passed, self.held_until, self.refusals)
            if TOKEN_QUOTA in kinds and surprising:
                self.token_limit.record_throttled(
                    self.throughput(now, floor), self.held_until, self.refusals
                )
        if TOKEN_QUOTA in kinds and self.remaining.is_reported:
            self.remaining.record_exhausted(self.total_tokens, self.held_until)

    def throughput(self, now: float, retry_after: float, *, of_requests: bool = False) -> float:
        """How much a minute got through: since the service began to count, or of late."""
        if retry_after >= SHORT_RETRY_AFTER_SECONDS and not of_requests:
            began = now + retry_after - QUOTA_WINDOW_SECONDS - WINDOW_ROUNDING_SECONDS
            return sum(turn.tokens for turn in self.recent if turn.sent_at >= began)
        lately = [turn for turn in self.recent if turn.sent_at >= now - RATE_WINDOW_SECONDS]
        seconds = max(1.0, now - lately[0].sent_at) if lately else 1.0
        return (
            sum(1.0 if of_requests else turn.tokens for turn in lately)
            * QUOTA_WINDOW_SECONDS
            / seconds
        )


def hold_seconds(refusals: int) -> float:
    """Seconds to hold back where the service does not say, after so many refusals in a row."""
    longest = min(MAX_HOLD_SECONDS, FIRST_HOLD_SECONDS * 2**refusals)
    return random.uniform(longest / 2, longest)  # noqa: S311 - not a secret
