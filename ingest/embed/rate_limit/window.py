"""Ledger of one client's tokens in the service's window, and what is known of the window's kind.

A rolling window counts the last minute at every moment. A fixed one ends all at once: at the full
minute, or a minute after its first request. Some services count a sixth of the quota in ten
seconds. Until a refusal or a reset shows that a window is fixed, the stricter rule of a rolling one
is kept, which satisfies every kind. Pure: `now` is a parameter, in seconds.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from ingest.embed.rate_limit.quota import QUOTA_WINDOW_SECONDS, RESET_JUMP_SHARE, SentRequest

# The lengths of the other windows that services count in.
SLICE_SECONDS, HALF_SECONDS = 10.0, 30.0
# Where the quota is unknown and the window may be a slice or the end of a minute: that of a million
# tokens a minute. A larger slice is less likely than a minute.
UNKNOWN_SLICE_TOKENS = 167_000.0
SLICE_TOLERANCE = 1.3  # a window that let through more than so many slices is none
# Added to the length of a window, for the clock and for the varying time to the service.
WINDOW_SKEW_SECONDS = 0.3
WINDOW_ROUNDING_SECONDS = 1.25  # by which a Retry-After in whole seconds may be late
MIN_WINDOW_REQUESTS = 5  # in a window that reveals its capacity
COMPARABLE_SHARE = 0.8  # of the capacity: if less than this got through, others used the rest
RATE_WINDOW_SECONDS = 10.0  # over which throughput is measured
ROUNDING_SECONDS = 2.0  # by which a Retry-After in whole seconds may mislead about an end


@dataclass(slots=True)
class TokenWindow:
    """The service's window, with the requests that it counts."""

    seconds: float = QUOTA_WINDOW_SECONDS
    capacity: float = math.inf  # tokens that a window let through until a 429
    untested: float = 0.0  # tokens by which it may be more: those of the request that was refused
    is_fixed: bool = False  # False: rolling, or not known
    is_tested: bool = False  # whether an early request has tested where the window ends
    started_at: float = -math.inf  # when the current window began, if it is fixed
    ends_at: float = -math.inf
    exhausted_at: float = -math.inf  # when a window was last used up
    exhausted_by: list[SentRequest] = field(default_factory=list)  # by these requests
    is_revealing: bool = False  # whether these reveal the capacity
    requests: deque[SentRequest] = field(default_factory=deque)  # that it counts, oldest first
    tokens: float = 0.0  # of these

    def add(self, request: SentRequest) -> bool:
        """Record a request that is being sent; return whether it begins a window."""
        now = request.sent_at
        self.expire(now)
        is_first = self.is_fixed and now >= self.ends_at
        if is_first:
            self.started_at, self.ends_at = now, now + self.seconds
        self.requests.append(request)
        self.tokens += request.tokens
        return is_first

    def remove(self, request: SentRequest) -> None:
        """Forget a throttled request, which the service did not count."""
        if request in self.requests:
            self.requests.remove(request)
            self.tokens -= request.tokens
        if request in self.exhausted_by:
            self.exhausted_by.remove(request)

    def expire(self, now: float) -> None:
        """Forget the requests that the service no longer counts."""
        if self.is_fixed:
            since = self.started_at
            if now >= self.ends_at + WINDOW_SKEW_SECONDS:
                since = math.inf
        else:
            since = now - self.seconds - WINDOW_SKEW_SECONDS
        while self.requests and self.requests[0].sent_at < since:
            self.tokens -= self.requests.popleft().tokens

    def room_at(self, tokens: float, capacity: float, now: float) -> float:
        """Return when this many tokens fit; at once if the window is empty."""
        self.expire(now)
        excess = self.tokens + tokens - capacity
        if excess <= 0 or not self.requests:
            return -math.inf
        if self.is_fixed:
            return self.ends_at + WINDOW_SKEW_SECONDS
        for request in self.requests:
            excess -= request.tokens
            if excess <= 0:
                break
        return request.sent_at + self.seconds + WINDOW_SKEW_SECONDS

    def record_exhausted(self, request: SentRequest, capacity: float, *, is_told: bool) -> bool:
        """Record a refusal; return whether it shows only that the window is used up.

        Or that it did not begin yet. `is_told`: the service reports the capacity.
        """
        now = request.sent_at
        self.expire(now)
        is_early = self.is_fixed and 0 <= now - self.started_at < WINDOW_SKEW_SECONDS
        is_expected = self.tokens + request.tokens > capacity
        # A refusal after a few requests, or far from what fits, says more of others.
        of_slice = capacity * SLICE_SECONDS / self.seconds
        is_slice = COMPARABLE_SHARE * of_slice <= self.tokens <= SLICE_TOLERANCE * of_slice
        self.is_revealing = (
            not (is_early or is_expected or is_told)
            and len(self.requests) >= MIN_WINDOW_REQUESTS
            and (
                is_slice or capacity == math.inf or self.tokens >= COMPARABLE_SHARE * self.capacity
            )
        )
        if self.is_revealing:
            self.capacity = self.tokens  # until the window's end is known
        if self.is_revealing or is_expected:
            self.untested = request.tokens
        self.is_tested, self.exhausted_at, self.exhausted_by = True, now, list(self.requests)
        return is_early or is_expected or self.is_revealing

    def record_reopened(self, request: SentRequest, limit: float, *, is_told: bool) -> None:
        """Learn from the first request that is accepted after a refusal.

        When it was accepted is a fact, whatever the refusal said. `limit` is per minute, infinite
        if it is not known; `is_told`: the service told the window's length.
        """
        if not is_told:
            self.learn_length(request.sent_at, limit)
        if self.is_revealing:
            self.learn_capacity(request.sent_at)
        self.learn_kind(request)

    def learn_length(self, reopened_at: float, limit: float) -> None:
        """Learn the window's length, as it had room again at a time."""
        oldest = self.exhausted_by[0].sent_at if self.exhausted_by else -math.inf
        total = sum(each.tokens for each in self.exhausted_by)
        of_slice = limit * SLICE_SECONDS / QUOTA_WINDOW_SECONDS
        if limit == math.inf:
            of_slice = UNKNOWN_SLICE_TOKENS
        if reopened_at - self.exhausted_at > SLICE_SECONDS + ROUNDING_SECONDS:
            self.seconds = QUOTA_WINDOW_SECONDS
        elif (
            reopened_at - oldest <= SLICE_SECONDS + ROUNDING_SECONDS
            and total <= SLICE_TOLERANCE * of_slice
        ):
            self.seconds = SLICE_SECONDS

    def learn_capacity(self, reopened_at: float) -> None:
        """Learn the capacity from the tokens that used up the window that ended at a time.

        If more had got through before that window's start, it was another: all tokens count.
        """
        start = reopened_at - self.seconds - WINDOW_ROUNDING_SECONDS
        total = sum(each.tokens for each in self.exhausted_by)
        since = sum(each.tokens for each in self.exhausted_by if each.sent_at >= start)
        self.capacity = since if since >= total - since else total

    def raise_capacity(self) -> None:
        """Raise a learnt capacity to what the window has let through, with a test."""
        raised = max(self.capacity, self.tokens)
        if raised < math.inf:
            self.capacity, self.untested = raised, self.untested - (raised - self.capacity)

    def learn_kind(self, request: SentRequest) -> None:
        """Learn whether the window is fixed.

        A rolling window has room again when its oldest request leaves it; one that has room
        earlier is fixed, and began anew.
        """
        oldest = self.requests[0].sent_at if self.requests else math.inf
        if oldest < request.sent_at < oldest + self.seconds - ROUNDING_SECONDS:
            self.is_fixed = True
        if self.is_fixed:
            self.started_at, self.ends_at = request.sent_at, request.sent_at + self.seconds

    def is_reset(self, request: SentRequest, left: float, limit: float) -> bool:
        """Return whether more is left after a request than a rolling window could have."""
        is_known = self.is_fixed and self.started_at <= request.sent_at < self.ends_at
        if is_known or not request.is_single:
            return False
        since = request.sent_at - self.seconds
        used = sum(
            each.tokens
            for each in self.requests
            if each.sent_at > since and each.total_tokens <= request.total_tokens
        )
        return left > limit - used + RESET_JUMP_SHARE * limit

    def record_reset(self, request: SentRequest, used: float) -> None:
        """Record that the window is fixed and counts this many tokens, up to a request."""
        self.is_fixed = True
        self.started_at = request.sent_at
        for each in reversed(self.requests):
            if used <= 0 or each.sent_at < self.exhausted_at:
                break
            if each.total_tokens <= request.total_tokens:
                self.started_at = each.sent_at
                used -= each.tokens
        self.ends_at = self.started_at + self.seconds

    def throughput(self, now: float, *, of_requests: bool = False) -> float:
        """Return the tokens (or requests) per minute that got through before a 429, of late."""
        latest = [sent for sent in self.requests if sent.sent_at >= now - RATE_WINDOW_SECONDS]
        seconds = max(1.0, now - latest[0].sent_at) if latest else 1.0
        total = sum(1.0 if of_requests else sent.tokens for sent in latest)
        rate = total * QUOTA_WINDOW_SECONDS / seconds
        if of_requests:
            return rate
        return min(rate, self.tokens * QUOTA_WINDOW_SECONDS / self.seconds)  # it may be a burst
