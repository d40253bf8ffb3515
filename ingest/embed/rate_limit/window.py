"""Model of the window in which a service counts one client's tokens, and of its remainder.

A rolling window counts the last minute at every moment. A fixed one ends all at once: at the full
minute, or a minute after its first request. Some services count a sixth of the quota in ten
seconds. Until a refusal or a reset shows that a window is fixed, the stricter rule of a rolling one
is kept, which satisfies every kind. Pure: `now` is a parameter, in seconds.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from ingest.embed.rate_limit.others import OtherClients
from ingest.embed.rate_limit.quota import QUOTA_WINDOW_SECONDS, SentRequest

# The lengths of the windows that services count in.
SLICE_SECONDS, HALF_SECONDS = 10.0, 30.0
WINDOW_LENGTHS = (SLICE_SECONDS, HALF_SECONDS, QUOTA_WINDOW_SECONDS)
# Where the quota is unknown and the window may be a slice or the end of a minute: that of 1.3
# million tokens a minute. A larger slice is less likely than a minute.
UNKNOWN_SLICE_TOKENS = 217_000.0
LENGTH_TOLERANCE = 0.05  # of the capacity, if it tells the length of the window
# Added to the length of a window, for the clock and for the varying time to the service.
WINDOW_SKEW_SECONDS = 0.3
WINDOW_ROUNDING_SECONDS = 1.25  # by which a Retry-After in whole seconds may be late
MAX_SPANNED_WINDOWS = 2  # by requests that end with the refusal: a part of one, and the next
MIN_WINDOW_REQUESTS = 5  # in a window that reveals its capacity
COMPARABLE_SHARE = 0.8  # of the capacity: if less than this got through, others used the rest
RESET_JUMP_SHARE = 0.1  # of the limit: a larger rise of the remaining tokens is a window reset
BURST_SHARE = 0.25  # of the limit: a run may use this much once, without waiting
MIN_SPEND_SECONDS = 1.5  # over which the rest of a window is spread at least
RATE_WINDOW_SECONDS = 10.0  # over which throughput is measured
RETEST_SECONDS = 1.0  # between requests that test whether a window has ended
ROUNDING_SECONDS = 2.0  # by which a Retry-After in whole seconds may mislead about an end


@dataclass(slots=True)
class TokenWindow:
    """The service's window: its length, kind, ends and capacity, and the requests it counts."""

    seconds: float = QUOTA_WINDOW_SECONDS
    is_measured: bool = False  # whether a window that was used up has told its length
    capacity: float = math.inf  # tokens that a window let through until a 429
    is_fixed: bool = False  # False: rolling, or not known
    is_tested: bool = False  # whether an early request has tested where the window ends
    started_at: float = -math.inf  # when the current window began, if it is fixed
    ends_at: float = -math.inf  # a guess, if it is not known to be fixed
    exhausted_at: float = -math.inf  # when a window was last used up
    exhausted_by: list[SentRequest] = field(default_factory=list)  # by these requests
    refused_tokens: float = 0.0  # of the request that it had no room for
    is_revealing: bool = False  # whether these reveal the capacity
    requests: deque[SentRequest] = field(default_factory=deque)  # that it counts, oldest first
    tokens: float = 0.0  # of these
    total_tokens: float = 0.0  # of all requests so far
    left: float = math.inf  # the remainder that the service reported, less the tokens sent since
    former_left: float = -math.inf  # likewise, when the former window ended
    highest_left: float = math.inf  # the most so far: approximately the limit
    newest: SentRequest | None = None  # the newest request with a reported remainder

    @property
    def is_reported(self) -> bool:
        """True if the service reports the remainder."""
        return self.newest is not None

    @property
    def is_confirmed(self) -> bool:
        """True unless the service reports the remainder, and has not yet for this window."""
        return self.newest is None or self.newest.sent_at >= self.started_at

    def add(self, request: SentRequest) -> bool:
        """Record a request that is being sent; return whether it begins a window."""
        now = request.sent_at
        self.expire(now)
        is_first = self.is_fixed and now >= self.ends_at
        if is_first:
            self.end()
            self.started_at, self.ends_at = now, now + self.seconds
        self.requests.append(request)
        self.total_tokens += request.tokens
        self.tokens += request.tokens
        self.left -= request.tokens
        return is_first

    def remove(self, request: SentRequest) -> None:
        """Forget a throttled request, which the service did not count."""
        self.left += request.tokens
        if request in self.requests:
            self.requests.remove(request)
            self.tokens -= request.tokens
        if request in self.exhausted_by:
            self.exhausted_by.remove(request)

    def expire(self, now: float) -> None:
        """Forget the requests that the service no longer counts."""
        since = self.started_at if self.is_fixed else now - self.seconds - WINDOW_SKEW_SECONDS
        if self.is_fixed and now >= self.ends_at + WINDOW_SKEW_SECONDS:
            self.end()
        while self.requests and self.requests[0].sent_at < since:
            oldest = self.requests.popleft()
            self.tokens -= oldest.tokens
            if not self.is_fixed:
                self.left += oldest.tokens

    def end(self) -> None:
        """Take the window as ended: all of the quota is there again."""
        if self.requests:
            self.former_left, self.left = self.left, self.highest_left
            self.requests.clear()
            self.tokens = 0.0

    def room_at(self, excess: float) -> float:
        """Return when this many tokens more fit; at once if the window is empty."""
        if excess <= 0 or not self.requests:
            return -math.inf
        if self.is_fixed:
            return self.ends_at + WINDOW_SKEW_SECONDS
        for request in self.requests:
            excess -= request.tokens
            if excess <= 0:
                break
        return request.sent_at + self.seconds + WINDOW_SKEW_SECONDS

    def record_remaining(
        self, request: SentRequest, left: float, limit: float, arrived: float, others: OtherClients
    ) -> bool:
        """Record a reported remainder; return whether it shows that a fixed window has begun.

        Other clients lower it, and only a reset (or a rolling window) raises it. A response older
        than the newest is ignored.
        """
        newest, most = self.newest, left + request.tokens
        if newest and request.total_tokens <= newest.total_tokens:
            return False
        self.highest_left = min(limit, max(self.highest_left, most) if newest else most)
        sent_since = self.total_tokens - request.total_tokens
        rise = left - sent_since - self.left
        # Requests under way overtake each other: until all are counted, more left is no reset.
        may_rise = request.is_exact or not self.is_fixed
        was_reset = may_rise and (
            rise > RESET_JUMP_SHARE * self.highest_left
            or (request.sent_at >= self.ends_at and left >= self.highest_left / 2)
        )
        is_known = self.is_fixed and request.sent_at < self.ends_at and not was_reset
        if not newest or was_reset:
            self.started_at, self.ends_at = request.sent_at, arrived + self.seconds
        elif not self.is_confirmed:
            if left <= self.former_left:  # the former window has not ended yet
                self.ends_at = request.sent_at + RETEST_SECONDS
        elif newest.sent_at < request.sent_at:
            others.record_use(-rise, request.sent_at - newest.sent_at)
        self.left = left - sent_since if may_rise else min(left - sent_since, self.left)
        self.newest = request
        return not is_known and request.is_exact and self.learn_reset(request, left, others)

    def learn_reset(self, request: SentRequest, left: float, others: OtherClients) -> bool:
        """Learn that the window is fixed, if more is left than a rolling one could have."""
        since = request.sent_at - self.seconds
        counted = [
            each
            for each in self.requests
            if each.sent_at > since and each.total_tokens <= request.total_tokens
        ]
        rolling = self.highest_left - sum(each.tokens for each in counted)
        if left <= rolling + RESET_JUMP_SHARE * self.highest_left:
            return False
        self.is_fixed, self.started_at = True, request.sent_at
        is_shared = request.sent_at < others.seen_until
        used = request.tokens if is_shared else self.highest_left - left
        for each in reversed(counted):
            if used <= 0 or each.sent_at < self.exhausted_at:
                break
            self.started_at = each.sent_at
            used -= each.tokens
        self.ends_at = self.started_at + self.seconds
        return True

    def next_test_at(self) -> float:
        """Return when one request may test whether the window has ended, as it is used up."""
        tested_at = self.newest.sent_at if self.newest else -math.inf
        return max(self.ends_at + WINDOW_SKEW_SECONDS, tested_at + RETEST_SECONDS)

    def spend_rate(self, others_rate: float, now: float) -> float:
        """Return the tokens per second that use up the remainder by the end of the window.

        Other clients' recent use is left to them, but at most half of the remainder: otherwise a
        greedy client would get all of it. A run that needs little is not limited at all.
        """
        if self.total_tokens < BURST_SHARE * self.highest_left:
            return math.inf
        even = max(0.0, self.left) / max(MIN_SPEND_SECONDS, self.ends_at - now)
        if not self.is_fixed and now >= self.ends_at:  # nothing was reset: it is a rolling one
            even = max(0.0, self.left + self.tokens) / self.seconds
        return max(even - max(0.0, others_rate), even / 2)

    def record_refused(self, until: float) -> None:
        """Record that a 429 reported the quota as used up until a time."""
        self.left = 0.0
        if not (self.is_fixed and self.is_confirmed):
            self.ends_at = until

    def record_exhausted(self, request: SentRequest, capacity: float, limit: float) -> bool:
        """Record a refusal; return whether it only shows that the window is used up or not begun.

        `limit` is per minute, infinite if it is not known.
        """
        now = request.sent_at
        self.expire(now)
        self.refused_tokens = request.tokens
        is_early = self.is_fixed and 0 <= now - self.started_at < WINDOW_SKEW_SECONDS
        is_expected = self.tokens + request.tokens > capacity
        # A refusal after a few requests, or far from the capacity, says more of others.
        self.is_revealing = (
            not (is_early or is_expected or self.is_reported)
            and len(self.requests) >= MIN_WINDOW_REQUESTS
            and (
                capacity == math.inf
                or self.tokens >= COMPARABLE_SHARE * self.capacity
                or find_length(self.tokens, limit) is not None
            )
        )
        if self.is_revealing:
            self.capacity = self.tokens  # until the window's end is known
        self.is_tested, self.exhausted_at, self.exhausted_by = True, now, list(self.requests)
        return is_early or is_expected or self.is_revealing

    def record_reopened(self, request: SentRequest, limit: float) -> None:
        """Learn from the first request that is accepted after a refusal.

        When it was accepted is a fact, whatever the refusal said. `limit` is per minute, infinite
        if it is not known.
        """
        self.learn_length(request.sent_at, limit)
        share = limit * self.seconds / QUOTA_WINDOW_SECONDS
        if self.is_revealing:
            used = self.used_since(request.sent_at - self.seconds)
            self.capacity = used if used + self.refused_tokens <= share else math.inf
        self.learn_kind(request, share)

    def learn_length(self, reopened_at: float, limit: float) -> None:
        """Learn the window's length, as it had room again at a time.

        Later, a shorter one is only a lower quota, unless a fixed one ended too early.
        """
        waited = reopened_at - self.exhausted_at - ROUNDING_SECONDS
        if waited > self.seconds:
            self.seconds = QUOTA_WINDOW_SECONDS
        has_ended_early = self.is_fixed and reopened_at < self.ends_at - ROUNDING_SECONDS
        if self.is_measured and not has_ended_early:
            return
        self.is_measured = True
        used = self.used_since(reopened_at - QUOTA_WINDOW_SECONDS)
        self.seconds = find_length(used, limit, waited) or self.seconds

    def used_since(self, start: float) -> float:
        """Return the tokens that used up the window that began at a time.

        If more had got through before, it began earlier: all tokens count.
        """
        start -= WINDOW_ROUNDING_SECONDS
        total = sum(each.tokens for each in self.exhausted_by)
        since = sum(each.tokens for each in self.exhausted_by if each.sent_at >= start)
        return since if since >= total - since else total

    def raise_capacity(self) -> None:
        """Raise a learnt capacity to the tokens that the window has let through, with a test."""
        if self.capacity < math.inf:
            self.capacity = max(self.capacity, self.tokens)

    def learn_kind(self, request: SentRequest, share: float) -> None:
        """Learn whether the window is fixed.

        A rolling window lets through its share of the limit, and has room again when the oldest
        request that used it up leaves it. One that let through more, or has room earlier, is fixed,
        and began anew.
        """
        since = self.exhausted_at - self.seconds
        used = sum(each.tokens for each in self.exhausted_by if each.sent_at > since)
        oldest = self.exhausted_by[0].sent_at if self.exhausted_by else math.inf
        if (
            used > (1 + LENGTH_TOLERANCE) * share
            or oldest < request.sent_at < oldest + self.seconds - ROUNDING_SECONDS
        ):
            self.is_fixed = True
        if self.is_fixed:
            self.started_at, self.ends_at = request.sent_at, request.sent_at + self.seconds

    def throughput(self, now: float, *, of_requests: bool = False) -> float:
        """Return the tokens (or requests) per minute that got through before a 429, of late."""
        latest = [sent for sent in self.requests if sent.sent_at >= now - RATE_WINDOW_SECONDS]
        seconds = max(1.0, now - latest[0].sent_at) if latest else 1.0
        total = sum(1.0 if of_requests else sent.tokens for sent in latest)
        rate = total * QUOTA_WINDOW_SECONDS / seconds
        if of_requests:
            return rate
        return min(rate, self.tokens * QUOTA_WINDOW_SECONDS / self.seconds)  # it may be a burst


def find_length(tokens: float, limit: float, waited: float = 0.0) -> float | None:
    """Return the length of the windows that so many tokens used up; None if they tell nothing.

    The tokens were sent in one window, or in the end of one and all of the next. `limit` is per
    minute; `waited` are the seconds until there was room again.
    """
    if limit == math.inf:
        return SLICE_SECONDS if waited <= SLICE_SECONDS and tokens <= UNKNOWN_SLICE_TOKENS else None
    exact = find_exact_length(tokens, limit)
    if exact and waited <= exact:
        return exact
    for seconds in WINDOW_LENGTHS:
        windows = tokens * QUOTA_WINDOW_SECONDS / seconds / limit
        if waited <= seconds and COMPARABLE_SHARE <= windows < MAX_SPANNED_WINDOWS:
            return seconds
    return None


def find_exact_length(tokens: float, limit: float) -> float | None:
    """Return the length of the windows whose share of a limit is so many tokens, if any."""
    for seconds in WINDOW_LENGTHS:
        if abs(tokens * QUOTA_WINDOW_SECONDS / seconds / limit - 1) < LENGTH_TOLERANCE:
            return seconds
    return None
