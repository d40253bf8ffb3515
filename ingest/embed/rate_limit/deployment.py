"""Rate limiter of one deployment: use all of its quota, evenly, and never more.

The remaining tokens that the service reports are spread over the rest of the minute. If it reports
nothing, the limit comes from the settings or is learnt from throttled requests. A DeploymentLimiter
neither sleeps nor reads a clock: `now` is a parameter, in seconds, so that tests simulate hours.
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

# Share of an unreported token limit that is used: the service's minute may begin at any time.
TOKEN_MARGIN = 0.985
# Share of the request limit, which the service counts by the second: latency varies.
REQUEST_MARGIN = 0.9
MAX_LATE_SECONDS = 0.25  # a request this late does not delay the next, as limited by tokens
MAX_REQUEST_LATE_SECONDS = 0.04  # likewise, as limited by the number of requests
WINDOW_RESET_DELAY_SECONDS = 0.5  # after the end of a minute, for clock skew and latency
SHORT_RETRY_AFTER_SECONDS = 2.0  # below: a rate was exceeded; from here on: a minute's total
WINDOW_ROUNDING_SECONDS = 1.5  # by which a request may precede the minute that it started
RATE_WINDOW_SECONDS = 10.0  # over which throughput is measured
FIRST_HOLD_SECONDS, MAX_HOLD_SECONDS = 0.5, 30.0  # after a 429 without Retry-After; doubling

UNKNOWN_QUOTA_REQUEST_TOKENS = 8_000  # size of a request before the quota is known
UNLIMITED_QUOTA_REQUEST_TOKENS = 32_000  # and without a quota: efficient, and still quick
TARGET_REQUESTS_PER_MINUTE = 150  # into which a quota is divided, if it allows as many


@dataclass(slots=True)
class DeploymentLimiter:
    """Rate limiter of one deployment. Times are in seconds on the caller's clock."""

    token_limit: LearntLimit = field(default_factory=LearntLimit)
    request_limit: LearntLimit = field(default_factory=LearntLimit)
    remaining: RemainingWindow = field(default_factory=RemainingWindow)
    total_tokens: float = 0.0  # sent so far
    tokens_due_at: float = -math.inf  # when the last request was due, as limited by tokens
    requests_due_at: float = -math.inf  # likewise, as limited by the number of requests
    last_tokens: float = 0.0  # of the last request
    held_until: float = -math.inf  # no request is sent before
    hold_reason: str = TOKEN_QUOTA
    under_way: int = 0  # requests sent and not answered yet
    has_answered: bool = False  # whether any request was answered
    refusals: int = 0  # consecutive throttled requests
    avoided_until: float = -math.inf  # other deployments are preferred until then
    # Requests of the last minute, without throttled ones.
    recent: deque[SentRequest] = field(default_factory=deque)

    def allowed_tokens(self, now: float) -> float:
        """Return the tokens per minute that may be used, as far as is known."""
        return min(
            self.token_limit.allowed(now),
            self.remaining.highest if self.remaining.is_reported else math.inf,
        )

    def request_tokens(self, now: float) -> int:
        """Return the recommended size of a request: just large enough to use the quota."""
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
        """Return when a request may be sent, and what it waits for until then."""
        if not self.has_answered and self.allowed_tokens(now) == math.inf and self.under_way:
            return now + MAX_LATE_SECONDS, FIRST_ANSWER  # which may report the limit
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
        """Return the requests per minute that stay within the limit if evenly spaced."""
        return REQUEST_MARGIN * self.request_limit.allowed(now)

    def seconds_to_next(self, now: float) -> float:
        """Return the seconds between the last request and the next, as limited by tokens."""
        if self.remaining.is_reported:
            learned = TOKEN_MARGIN * self.token_limit.estimate(now) / QUOTA_WINDOW_SECONDS
            rate = min(learned, self.remaining.spend_rate(self.total_tokens, now))
        else:
            rate = TOKEN_MARGIN * self.token_limit.allowed(now) / QUOTA_WINDOW_SECONDS
        return self.last_tokens / rate if rate > 0 else QUOTA_WINDOW_SECONDS

    def next_window_at(self, now: float) -> float:
        """Return when to send one request to test whether the service's window was reset.

        A service with a sliding window never resets it, so it is tested again and again.
        """
        if self.under_way:
            return max(self.remaining.resets_at, now) + MAX_LATE_SECONDS
        return max(
            self.remaining.resets_at + WINDOW_RESET_DELAY_SECONDS,
            self.remaining.newest_sent_at + 1.0,
        )

    def record_sent(self, tokens: float, now: float) -> SentRequest:
        """Record that a request is being sent."""
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
        request = SentRequest(now, tokens, self.total_tokens)
        self.recent.append(request)
        while self.recent[0].sent_at < now - QUOTA_WINDOW_SECONDS:
            self.recent.popleft()
        return request

    def record_success(self, request: SentRequest, headers: Mapping[str, str], now: float) -> None:
        """Record the headers of a successful response.

        The first request also signs in and connects, so it may arrive long after it was sent.
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
        """Record a failed request, and prefer other deployments until a time.

        The service may have counted its tokens, so they stay counted here.
        """
        self.under_way -= 1
        self.avoided_until = until

    def record_throttled(
        self, request: SentRequest, headers: Mapping[str, str], now: float
    ) -> None:
        """Record a throttled request: hold all requests until Retry-After, then send fewer.

        The service did not count its tokens, so they are given back.
        """
        self.under_way -= 1
        retry_after, limits = parse_retry_after(headers), throttled_limits(headers)
        is_unexpected = (
            not self.remaining.is_reported
            or self.remaining.level - request.total_tokens
            > RESET_JUMP_SHARE * self.remaining.highest
        )
        if request in self.recent:
            self.recent.remove(request)
        self.remaining.level += request.tokens

        if request.sent_at < self.held_until:  # sent before the last 429: nothing new to learn
            self.held_until = max(self.held_until, now + retry_after)
        else:
            self.refusals += 1
            self.hold_reason = TOKEN_QUOTA if TOKEN_QUOTA in limits else REQUEST_QUOTA
            self.held_until = now + (retry_after or hold_seconds(self.refusals))
            if REQUEST_QUOTA in limits:
                rate = self.throughput(now, retry_after, of_requests=True)
                self.request_limit.record_throttled(rate, self.held_until, self.refusals)
            if TOKEN_QUOTA in limits and is_unexpected:
                rate = self.throughput(now, retry_after)
                self.token_limit.record_throttled(rate, self.held_until, self.refusals)
        if TOKEN_QUOTA in limits and self.remaining.is_reported:
            self.remaining.record_exhausted(self.total_tokens, self.held_until)

    def throughput(self, now: float, retry_after: float, *, of_requests: bool = False) -> float:
        """Return the tokens (or requests) per minute that got through before a 429.

        Tokens are counted from the start of the service's window if `retry_after` reveals it;
        otherwise, and for requests, the rate of the last seconds counts.
        """
        if retry_after >= SHORT_RETRY_AFTER_SECONDS and not of_requests:
            start = now + retry_after - QUOTA_WINDOW_SECONDS - WINDOW_ROUNDING_SECONDS
            return sum(sent.tokens for sent in self.recent if sent.sent_at >= start)
        latest = [sent for sent in self.recent if sent.sent_at >= now - RATE_WINDOW_SECONDS]
        seconds = max(1.0, now - latest[0].sent_at) if latest else 1.0
        total = sum(1.0 if of_requests else sent.tokens for sent in latest)
        return total * QUOTA_WINDOW_SECONDS / seconds


def hold_seconds(refusals: int) -> float:
    """Return the seconds to hold requests after consecutive 429s without Retry-After."""
    longest = min(MAX_HOLD_SECONDS, FIRST_HOLD_SECONDS * 2**refusals)
    return random.uniform(longest / 2, longest)  # noqa: S311 - not a secret
