"""Rate limiter of one deployment: use all of its quota, and exceed it only to learn it.

A client that is alone spends what is left of a window at once, and then waits for the window's end
(`window.py`), which one early request tests. As soon as another client is seen, and in long runs,
the tokens are spread over the rest of the minute instead, so that others find some. The limit is
that which the service reports, or the settings, or is learnt from throttled requests. A
DeploymentLimiter neither sleeps nor reads a clock: `now` is a parameter, in seconds, so that tests
simulate hours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from ingest.embed.rate_limit.quota import (
    QUOTA_WINDOW_SECONDS,
    RESET_JUMP_SHARE,
    LearntLimit,
    RemainingWindow,
    SentRequest,
    hold_seconds,
    read_rate_limit_header,
    throttled_limits,
)
from ingest.embed.rate_limit.window import SLICE_SECONDS, TokenWindow
from ingest.runtime.retry import parse_retry_after
from ingest.runtime.timing import FIRST_ANSWER, REQUEST_QUOTA, TOKEN_QUOTA

# Share of an unreported token limit that is used: the service's minute may begin at any time.
TOKEN_MARGIN = 0.985
# Share of the request limit, which the service counts by the second: latency varies.
REQUEST_MARGIN = 0.9
MAX_LATE_SECONDS = 0.25  # a request this late does not delay the next, as limited by tokens
MAX_REQUEST_LATE_SECONDS = 0.04  # likewise, as limited by the number of requests
WINDOW_RESET_DELAY_SECONDS = 0.3  # after the end of a minute, for clock skew and latency

UNKNOWN_QUOTA_REQUEST_TOKENS = 8_000  # size of a request before the quota is known
UNLIMITED_QUOTA_REQUEST_TOKENS = 8_000  # and without a quota: efficient, and still quick
TARGET_REQUESTS_PER_MINUTE = 46  # into which a quota is divided, if it allows as many
# Likewise, of windows of ten seconds, and beside other clients.
TARGET_SMALL_REQUESTS_PER_MINUTE = 150
MAX_REQUEST_TOKENS = 16_000  # the answer to a larger request takes too long

BURST_PERIOD_SECONDS = 360.0  # from the first request on; later, a burst gains nothing
SHARED_PERIOD_SECONDS = 600.0  # for which another client that was seen is considered
CHECKS_PER_WINDOW, CHECK_SECONDS = 2, 1.0  # single requests before a burst, and between them
OTHERS_SHARE = 0.1  # of the limit: others that use less need no share
COUNTING_TOLERANCE = 0.2  # of a request: the service may count its tokens differently
MIN_TESTED_WAIT_SECONDS = 5.0  # shorter waits for the end of a window are not tested
# While no limit is reported: slowly enough that a refusal is back before the next request, and only
# one request finds a window used up. It doubles after a while, as there may be no limit.
UNKNOWN_LIMIT_TOKENS_PER_SECOND, UNKNOWN_LIMIT_DOUBLING_SECONDS = 50_000.0, 4.0
STEADY_SECONDS, MAX_DOUBLINGS = 8.0, 30
LEARNT_BURST_SECONDS = 7.0  # in which a learnt limit is spent, if it is larger
MIN_WINDOW_REQUESTS = 5  # in a window that reveals a limit
COMPARABLE_SHARE = 0.8  # of the learnt limit: if less than this got through, others used the rest


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
    window: TokenWindow = field(default_factory=TokenWindow)
    first_sent_at: float = math.inf
    last_sent_at: float = -math.inf
    shared_until: float = -math.inf  # another client was seen shortly before
    checks: int = 0  # single requests in this window, to see other clients
    checked_level: float = math.nan  # of the last of them
    checked_at: float = -math.inf

    def allowed_tokens(self, now: float) -> float:
        """Return the tokens per minute that may be used, as far as is known."""
        return min(
            self.token_limit.allowed(now),
            self.remaining.highest * QUOTA_WINDOW_SECONDS / self.window.seconds
            if self.remaining.is_reported
            else math.inf,
        )

    def request_tokens(self, now: float) -> int:
        """Return the recommended size of a request: just large enough to use the quota."""
        if not self.has_answered and self.allowed_tokens(now) == math.inf:
            return UNKNOWN_QUOTA_REQUEST_TOKENS
        known = (
            self.allowed_tokens(now) < self.token_limit.estimate(now)
            or self.token_limit.configured < math.inf
        )
        target = TARGET_REQUESTS_PER_MINUTE
        if self.window.seconds == SLICE_SECONDS or now < self.shared_until:
            target = TARGET_SMALL_REQUESTS_PER_MINUTE
        share = self.allowed_tokens(now) / min(target, self.allowed_requests(now))
        if self.allowed_requests(now) >= target:
            share = min(share, MAX_REQUEST_TOKENS)
        return int(share if known else min(share, UNLIMITED_QUOTA_REQUEST_TOKENS))

    def ready_at(self, tokens: float, now: float) -> tuple[float, str]:
        """Return when a request may be sent, and what it waits for until then."""
        if not self.has_answered and self.allowed_tokens(now) == math.inf and self.under_way:
            return now + MAX_LATE_SECONDS, FIRST_ANSWER  # which may report the limit
        requests = self.requests_due_at + QUOTA_WINDOW_SECONDS / self.allowed_requests(now)
        quota = self.burst_at(tokens, now) if self.is_alone(now) else self.spread_at(tokens, now)
        return max(
            (self.held_until, self.hold_reason), (requests, REQUEST_QUOTA), (quota, TOKEN_QUOTA)
        )

    def is_alone(self, now: float) -> bool:
        """Return whether the quota may be spent at once."""
        return (
            (self.has_answered or self.token_limit.limit == math.inf)
            and now >= self.shared_until
            and now < self.first_sent_at + BURST_PERIOD_SECONDS
            and (self.window_capacity() < math.inf or self.token_limit.peak == math.inf)
        )

    def window_capacity(self) -> float:
        """Return the tokens that fit a window, as far as is known."""
        per_minute = min(self.token_limit.limit, self.token_limit.best)
        capacity = per_minute * self.window.seconds / QUOTA_WINDOW_SECONDS
        return min(capacity, self.remaining.highest) if self.remaining.is_reported else capacity

    def burst_at(self, tokens: float, now: float) -> float:
        """Return when a request may be sent, if no other client needs the quota."""
        if self.window_capacity() == math.inf:
            return self.probe_at(now)
        when = self.room_at(tokens, now)
        if self.token_limit.limit == math.inf and not self.remaining.is_reported:
            when = max(when, self.probe_at(now))
        if self.remaining.is_reported and self.checks < CHECKS_PER_WINDOW:
            if self.under_way:
                return now + MAX_LATE_SECONDS
            return max(when, self.checked_at + CHECK_SECONDS if self.checks else when)
        if self.window.is_tested or when - now < MIN_TESTED_WAIT_SECONDS:
            return when
        return now + MAX_LATE_SECONDS if self.under_way else now

    def probe_at(self, now: float) -> float:
        """Return when a request may be sent, as the limit is not known or only learnt."""
        capacity, rate = self.window_capacity(), UNKNOWN_LIMIT_TOKENS_PER_SECOND
        if capacity < math.inf:
            rate = max(rate, capacity / LEARNT_BURST_SECONDS)
        else:
            seconds = max(0.0, now - self.first_sent_at - STEADY_SECONDS)
            rate *= 2 ** min(seconds / UNKNOWN_LIMIT_DOUBLING_SECONDS, MAX_DOUBLINGS)
        return self.last_sent_at + self.last_tokens / rate

    def room_at(self, tokens: float, now: float) -> float:
        """Return when a request fits the window."""
        when = self.window.room_at(tokens, self.window_capacity(), now)
        if not self.remaining.is_reported or not self.window.is_fixed:
            return when
        if self.remaining.level - self.total_tokens < tokens:
            return self.next_window_at(now)
        return when

    def spread_at(self, tokens: float, now: float) -> float:
        """Return when a request may be sent, if the quota is spread over the minute."""
        if self.remaining.is_reported and self.remaining.level - self.total_tokens < tokens:
            return self.next_window_at(now)
        capacity = self.token_limit.limit * self.window.seconds / QUOTA_WINDOW_SECONDS
        due = self.tokens_due_at + self.seconds_to_next(now)
        return max(due, self.window.room_at(tokens, capacity, now))

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
        is_rolling = self.is_alone(now) and not self.window.is_fixed
        is_beyond = self.remaining.level - self.total_tokens < tokens
        if self.remaining.is_reported and is_beyond and not is_rolling:
            self.remaining.doubts += 1
        self.tokens_due_at = max(
            now - MAX_LATE_SECONDS, min(now, self.tokens_due_at + self.seconds_to_next(now))
        )
        self.requests_due_at = max(
            now - MAX_REQUEST_LATE_SECONDS,
            min(now, self.requests_due_at + QUOTA_WINDOW_SECONDS / self.allowed_requests(now)),
        )
        self.window.is_tested = self.window.is_tested or (
            self.is_alone(now) and self.room_at(tokens, now) > now
        )
        self.first_sent_at, self.last_sent_at = min(self.first_sent_at, now), now
        self.last_tokens = tokens
        self.total_tokens += tokens
        self.under_way += 1
        request = SentRequest(now, tokens, self.total_tokens, is_single=self.under_way == 1)
        if self.window.add(request):
            self.checks = 0
        return request

    def record_success(self, request: SentRequest, headers: Mapping[str, str], now: float) -> None:
        """Record the headers of a successful response.

        The first request also signs in and connects, so it may arrive long after it was sent.
        """
        self.under_way -= 1
        is_first = not self.has_answered
        arrived = now if is_first else request.sent_at
        self.has_answered, self.refusals = True, 0
        self.token_limit.reported = read_rate_limit_header(headers, "limit-tokens") or math.inf
        self.request_limit.reported = read_rate_limit_header(headers, "limit-requests") or math.inf
        left = read_rate_limit_header(headers, "remaining-tokens")
        if left is None:
            return
        if is_first:
            self.record_first_remainder(left + request.tokens, now)
        self.remaining.record_remaining(request, left, self.token_limit.reported, arrived)
        if self.window.is_reset(request, left, self.remaining.highest):
            self.window.record_reset(request, self.remaining.highest - left)
            # An early end shows that the window is fixed, and not yet how long it is.
            if self.token_limit.limit == math.inf and self.window.exhausted_at == -math.inf:
                self.window.is_tested = False
        if request.is_single and self.checks < CHECKS_PER_WINDOW:
            self.check_for_others(request, now)

    def check_for_others(self, request: SentRequest, now: float) -> None:
        """Compare what is left after two single requests: the difference is what others sent."""
        others = self.checked_level - self.remaining.level
        tolerated = max(
            COUNTING_TOLERANCE * request.tokens,
            OTHERS_SHARE * self.remaining.highest * CHECK_SECONDS / self.window.seconds,
        )
        if self.checks and others > tolerated:
            self.shared_until = now + SHARED_PERIOD_SECONDS
        self.checks += 1
        self.checked_level, self.checked_at = self.remaining.level, request.sent_at

    def record_first_remainder(self, left: float, now: float) -> None:
        """Learn from what was left before the first request: of a slice, or beside others."""
        limit = self.token_limit.limit
        if limit == math.inf:
            return
        if abs(left * QUOTA_WINDOW_SECONDS / SLICE_SECONDS / limit - 1) < RESET_JUMP_SHARE:
            self.window.seconds = self.remaining.window_seconds = SLICE_SECONDS
        elif left < (1 - RESET_JUMP_SHARE) * limit:
            self.shared_until = now + SHARED_PERIOD_SECONDS

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
        self.window.remove(request)
        self.remaining.level += request.tokens

        if request.sent_at < self.held_until:  # sent before the last 429: nothing new to learn
            self.held_until = max(self.held_until, now + retry_after)
            self.token_limit.take_back(request.tokens)
        else:
            self.refusals += 1
            self.hold_reason = TOKEN_QUOTA if TOKEN_QUOTA in limits else REQUEST_QUOTA
            self.held_until = now + (retry_after or hold_seconds(self.refusals))
            if REQUEST_QUOTA in limits:
                rate = self.window.throughput(now, retry_after, of_requests=True)
                self.request_limit.record_throttled(rate, self.held_until, self.refusals)
            if TOKEN_QUOTA in limits:
                self.learn_from_refusal(request, retry_after, now, is_unexpected=is_unexpected)
        if TOKEN_QUOTA in limits and self.remaining.is_reported:
            self.remaining.record_exhausted(self.total_tokens, self.held_until)

    def learn_from_refusal(
        self, request: SentRequest, retry_after: float, now: float, *, is_unexpected: bool
    ) -> None:
        """Learn the window's end or its capacity, or that another client uses the quota."""
        was_alone, capacity = self.is_alone(now), self.window_capacity()
        self.window.expire(now)
        used = self.window.tokens
        if was_alone and retry_after:
            seconds = self.window.seconds
            self.window.record_exhausted(now, retry_after, self.token_limit.limit)
            self.remaining.window_seconds = self.window.seconds
            if used + request.tokens > capacity:
                return  # it tested where the window ends
            found = self.window.throughput(now, retry_after)
            # A refusal after a few requests says more of others than of the limit.
            is_known = self.token_limit.limit < math.inf or self.remaining.is_reported
            is_learnable = not is_known and len(self.window.requests) >= MIN_WINDOW_REQUESTS
            is_new = capacity == math.inf or self.window.seconds != seconds
            if is_learnable and (is_new or found > COMPARABLE_SHARE * self.token_limit.best):
                self.token_limit.record_window(found, now)
                return
        if not is_unexpected:
            return
        if was_alone and capacity < math.inf:
            self.shared_until = now + SHARED_PERIOD_SECONDS
        rate = self.window.throughput(now, retry_after)
        if was_alone and not retry_after:
            rate = min(rate, used)  # a burst says nothing of a rate
        self.token_limit.record_throttled(rate, self.held_until, self.refusals)
