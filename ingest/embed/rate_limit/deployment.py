"""Rate limiter of one deployment: use all of its quota, and exceed it only to learn it.

1. One request is sent alone: its answer may report the limit, and what is left (`record_success`).
2. A client that is alone spends at once what a window has left (`burst_at`): as reported, or the
   limit (reported, set or learnt) less what was sent. The first requests are small, as these are
   answered sooner (`request_tokens`). An unknown limit is approached slowly (`probe_at`).
3. Then it waits until room is expected (`TokenWindow.room_at`), or one early request finds some.
4. After a 429 it waits as told, and tests with single requests (`record_throttled`). The first one
   accepted tells the window's kind, length and capacity (`record_reopened`).
5. Beside other clients, in long runs, and after 429s that no window explains, tokens are sent at an
   even rate instead (`spread_at`), which 429s lower and time raises.

A DeploymentLimiter neither sleeps nor reads a clock: `now` is a parameter, so that tests simulate
hours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from ingest.embed.rate_limit.others import COUNTING_TOLERANCE, OtherClients
from ingest.embed.rate_limit.quota import (
    FAST_TOKENS,
    MIN_TOKENS_UNDER_WAY,
    QUOTA_WINDOW_SECONDS,
    LearntLimit,
    SentRequest,
    hold_seconds,
    probe_rate,
    read_rate_limit_header,
    throttled_limits,
)
from ingest.embed.rate_limit.window import (
    RESET_JUMP_SHARE,
    SLICE_SECONDS,
    WINDOW_LENGTHS,
    WINDOW_SKEW_SECONDS,
    TokenWindow,
    find_exact_length,
)
from ingest.runtime.retry import parse_retry_after
from ingest.runtime.timing import FIRST_ANSWER, REQUEST_QUOTA, TOKEN_QUOTA

# Share of an unreported token limit that is used: the service's minute may begin at any time.
TOKEN_MARGIN = 0.985
# Share of the request limit, which the service counts by the second: latency varies.
REQUEST_MARGIN = 0.9
MAX_LATE_SECONDS = 0.25  # a request this late does not delay the next, as limited by tokens
MAX_REQUEST_LATE_SECONDS = 0.04  # likewise, as limited by the number of requests

SINGLE_REQUEST_TOKENS = 2_000  # size of a request whose answer all others wait for
UNLIMITED_QUOTA_REQUEST_TOKENS = 8_000  # and without a quota: efficient, and still quick
TARGET_REQUESTS_PER_MINUTE = 46  # into which a quota is divided, if it allows as many
# Likewise, of windows of ten seconds, and beside other clients.
TARGET_SMALL_REQUESTS_PER_MINUTE = 150
MAX_REQUEST_TOKENS = 16_000  # the answer to a larger request takes too long
LAST_REQUEST_SHARE = 1.25  # of that size: the last request of a window is smaller, or a little more

BURST_PERIOD_SECONDS = 360.0  # from the first request on; later, a burst gains nothing
QUOTA_UNIT_TOKENS = 1_000  # of which all quotas are multiples
MIN_TESTED_WAIT_SECONDS = 5.0  # shorter waits for the end of a window are not tested
# A sixteenth of what may be under way, for the first tokens of a run (FAST_TOKENS): small requests
# are answered sooner.
FAST_REQUEST_TOKENS = MIN_TOKENS_UNDER_WAY / 16
MIN_FAST_REQUESTS = 12  # into which a small quota is divided at least
MAX_TESTS = 6  # consecutive refusals after which the limit is not what it was
MAX_REFUSED_SHARE = 0.01  # of the requests: as far as this, a learnt limit is tested


@dataclass(slots=True)
class DeploymentLimiter:
    """Rate limiter of one deployment. Times are in seconds on the caller's clock."""

    token_limit: LearntLimit = field(default_factory=LearntLimit)
    request_limit: LearntLimit = field(default_factory=LearntLimit)
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
    others: OtherClients = field(default_factory=OtherClients)
    is_testing: bool = False  # whether room is tested for, one request at a time
    sent: int = 0  # requests
    refused: int = 0  # of these

    def allowed_tokens(self, now: float) -> float:
        """Return the tokens per minute that may be used, as far as is known."""
        return min(
            self.token_limit.allowed(now),
            self.window.highest_left * QUOTA_WINDOW_SECONDS / self.window.seconds,
        )

    def request_tokens(self, now: float) -> int:
        """Return the recommended size of a request: just large enough to use the quota."""
        tokens, requests = self.allowed_tokens(now), self.allowed_requests(now)
        target = TARGET_REQUESTS_PER_MINUTE
        if self.window.seconds == SLICE_SECONDS or now < self.others.seen_until:
            target = TARGET_SMALL_REQUESTS_PER_MINUTE
        size = tokens / min(target, requests)
        if requests >= target:
            size = min(size, MAX_REQUEST_TOKENS)
        is_known = tokens < self.token_limit.estimate(now) or self.token_limit.configured < math.inf
        if not is_known:
            is_scarce = requests < TARGET_SMALL_REQUESTS_PER_MINUTE
            size = min(size, MAX_REQUEST_TOKENS if is_scarce else UNLIMITED_QUOTA_REQUEST_TOKENS)
        if not self.is_alone(now):
            return int(size)
        if self.window.total_tokens < FAST_TOKENS and requests >= target:
            size = min(FAST_REQUEST_TOKENS, tokens / MIN_FAST_REQUESTS)
        return int(self.burst_tokens(size, now))

    def burst_tokens(self, tokens: float, now: float) -> float:
        """Return the size of a request of a burst: smaller if others wait for its answer."""
        if self.window.is_reported and not self.others.are_checked:
            return min(tokens, SINGLE_REQUEST_TOKENS)
        left = self.room(now)
        if left < SINGLE_REQUEST_TOKENS:
            return min(tokens, SINGLE_REQUEST_TOKENS) if self.may_test_limit() else tokens
        return left if left < LAST_REQUEST_SHARE * tokens else tokens  # so that it is used up

    def ready_at(self, tokens: float, now: float) -> tuple[float, str]:
        """Return when a request may be sent, and the reason why it waits until then."""
        if not self.has_answered and self.under_way:
            return now + MAX_LATE_SECONDS, FIRST_ANSWER  # which may report the limit
        requests = self.requests_due_at + QUOTA_WINDOW_SECONDS / self.allowed_requests(now)
        quota = self.burst_at(tokens, now) if self.is_alone(now) else self.spread_at(tokens, now)
        return max(
            (self.held_until, self.hold_reason), (requests, REQUEST_QUOTA), (quota, TOKEN_QUOTA)
        )

    def is_alone(self, now: float) -> bool:
        """Return whether the quota may be spent at once."""
        return (
            now >= self.others.seen_until
            and now < self.first_sent_at + BURST_PERIOD_SECONDS
            and (self.window_capacity() < math.inf or self.token_limit.peak == math.inf)
        )

    def window_capacity(self) -> float:
        """Return the tokens that fit a window, as far as is known."""
        return min(self.window.capacity, self.told_capacity())

    def told_capacity(self) -> float:
        """Return the tokens that fit a window, as the settings or the service say."""
        capacity = self.token_limit.limit * self.window.seconds / QUOTA_WINDOW_SECONDS
        return min(capacity, self.window.highest_left)

    def room(self, now: float) -> float:
        """Return the tokens that fit the window now."""
        self.window.expire(now)
        return min(self.window_capacity() - self.window.tokens, self.window.left)

    def burst_at(self, tokens: float, now: float) -> float:
        """Return when a request may be sent, if no other client needs the quota."""
        answered_at = now + MAX_LATE_SECONDS if self.under_way else now
        if self.is_testing and self.under_way:
            return answered_at
        if self.window_capacity() == math.inf:
            return self.probe_at(now)
        when = self.window.room_at(tokens - self.room(now))
        if self.token_limit.limit == math.inf and not self.window.is_reported:
            when = max(when, self.probe_at(now))
        if self.window.is_reported and not self.others.are_checked:
            return max(when, self.others.next_check_at, answered_at)
        if not self.window.is_confirmed:
            return max(when, answered_at)
        may_test = self.is_testing or not self.window.is_tested or self.may_test_limit()
        if may_test and when - max(now, self.held_until) >= MIN_TESTED_WAIT_SECONDS:
            return answered_at
        return when

    def may_test_limit(self) -> bool:
        """Return whether a small request beyond the learnt limit may be refused."""
        return (
            self.window.capacity < self.told_capacity()
            and self.refused + 1 <= MAX_REFUSED_SHARE * self.sent
        )

    def probe_at(self, now: float) -> float:
        """Return when a request may be sent, as the limit is not known or only learnt."""
        rate = probe_rate(
            self.window_capacity(), self.window.total_tokens, now - self.first_sent_at
        )
        return self.last_sent_at + self.last_tokens / rate

    def spread_at(self, tokens: float, now: float) -> float:
        """Return when a request may be sent, if the quota is spread over the minute."""
        self.window.expire(now)
        due = self.tokens_due_at + self.seconds_to_next(now)
        if self.window.left < tokens:
            room_at = max(due, self.window.room_at(tokens - self.window.left))
            answered_at = now + MAX_LATE_SECONDS if self.under_way else now
            due = min(max(self.window.next_test_at(), answered_at), room_at)
        excess = tokens - self.told_capacity() + self.window.tokens  # after a burst
        return max(due, self.window.room_at(excess))

    def allowed_requests(self, now: float) -> float:
        """Return the requests per minute that stay within the limit if evenly spaced."""
        return REQUEST_MARGIN * self.request_limit.allowed(now)

    def seconds_to_next(self, now: float) -> float:
        """Return the seconds between the last request and the next, as limited by tokens."""
        if self.window.is_reported:
            learned = TOKEN_MARGIN * self.token_limit.estimate(now) / QUOTA_WINDOW_SECONDS
            rate = min(learned, self.window.spend_rate(self.others.rate, now))
        else:
            rate = TOKEN_MARGIN * self.token_limit.allowed(now) / QUOTA_WINDOW_SECONDS
        return self.last_tokens / rate if rate > 0 else QUOTA_WINDOW_SECONDS

    def record_sent(self, tokens: float, now: float) -> SentRequest:
        """Record that a request is being sent."""
        self.tokens_due_at = max(
            now - MAX_LATE_SECONDS, min(now, self.tokens_due_at + self.seconds_to_next(now))
        )
        self.requests_due_at = max(
            now - MAX_REQUEST_LATE_SECONDS,
            min(now, self.requests_due_at + QUOTA_WINDOW_SECONDS / self.allowed_requests(now)),
        )
        room_at = self.window.room_at(tokens - self.room(now))
        is_test = self.is_alone(now) and room_at > now
        self.window.is_tested |= is_test and not self.window.is_reported
        self.first_sent_at, self.last_sent_at = min(self.first_sent_at, now), now
        self.last_tokens = tokens
        self.under_way += 1
        self.sent += 1
        total, is_single = self.window.total_tokens + tokens, self.under_way == 1
        request = SentRequest(now, tokens, total, is_single=is_single, is_test=is_test)
        if self.window.add(request):
            self.others.check_again(now)
        return request

    def record_success(self, request: SentRequest, headers: Mapping[str, str], now: float) -> None:
        """Record the headers of a successful response.

        The first request also signs in and connects, so it may arrive long after it was sent.
        """
        self.under_way -= 1
        is_first = not self.has_answered
        arrived = now if is_first else request.sent_at
        self.has_answered = True
        is_reopened = self.is_testing and request.sent_at >= self.held_until
        if is_reopened and self.is_alone(now):
            self.record_reopened(request)
        elif request.is_test and not self.is_testing:
            self.window.raise_capacity()
        if is_reopened or not (self.is_testing and self.is_alone(now)):
            self.refusals, self.is_testing = 0, False
        self.token_limit.reported = read_rate_limit_header(headers, "limit-tokens") or math.inf
        self.request_limit.reported = read_rate_limit_header(headers, "limit-requests") or math.inf
        left = read_rate_limit_header(headers, "remaining-tokens")
        if not left:  # 0 says no more than the count here does, and some services always report it
            return
        most = left + request.tokens
        if is_first:
            limit = self.token_limit.limit
            self.window.seconds = find_exact_length(most, limit) or self.window.seconds
        reported = self.token_limit.reported
        request.is_exact = request.is_single or not self.under_way
        if self.window.record_remaining(request, left, reported, arrived, self.others):
            self.others.check_again(now)
            # An early end shows that the window is fixed, and not yet how long it is.
            if self.token_limit.limit == math.inf and self.window.exhausted_at == -math.inf:
                self.window.is_tested = False
        self.others.check(request, self.window.highest_left / self.window.seconds, now)
        if is_first and most > self.whole_window(most) - COUNTING_TOLERANCE * request.tokens:
            self.others.next_check_at = now

    def whole_window(self, left: float) -> float:
        """Return the tokens of a window that nobody has used; a limit is in whole thousands."""
        if self.token_limit.limit == math.inf:
            return math.ceil(left / QUOTA_UNIT_TOKENS) * QUOTA_UNIT_TOKENS
        return self.token_limit.limit * self.window.seconds / QUOTA_WINDOW_SECONDS

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
        left = self.window.left + self.window.total_tokens - request.total_tokens
        is_unexpected = not self.window.is_reported or (
            self.window.is_confirmed and left > RESET_JUMP_SHARE * self.window.highest_left
        )
        self.window.remove(request)
        self.refused += 1
        if request.sent_at < self.held_until:  # sent before the last 429: nothing new to learn
            self.held_until = max(self.held_until, now + retry_after)
        else:
            self.refusals += 1
            self.hold_reason = TOKEN_QUOTA if TOKEN_QUOTA in limits else REQUEST_QUOTA
            self.held_until = now + (retry_after or self.seconds_to_test(request, now))
            if REQUEST_QUOTA in limits:
                rate = self.window.throughput(now, of_requests=True)
                self.request_limit.record_throttled(rate, self.held_until, self.refusals)
            if TOKEN_QUOTA in limits:
                self.is_testing = self.is_alone(now) and (
                    self.is_at_end(request) or not is_unexpected
                )
                # A further 429 without Retry-After says only that the wait was short.
                is_news = is_unexpected and (self.refusals == 1 or retry_after)
                if is_news and not self.is_testing:
                    self.learn_from_refusal(now)
        if TOKEN_QUOTA in limits and self.window.is_reported:
            self.window.record_refused(self.held_until)

    def seconds_to_test(self, request: SentRequest, now: float) -> float:
        """Return the seconds after a 429 without Retry-After until a request tests for room."""
        room_at = self.window.room_at(request.tokens - self.room(now))
        oldest = self.window.requests[0].sent_at if self.window.requests else -math.inf
        tests = [oldest + seconds + WINDOW_SKEW_SECONDS for seconds in WINDOW_LENGTHS]
        if self.refusals == 1:  # a window of known capacity is taken for a rolling one
            tests = [room_at]
        later = [at for at in tests if at > now and self.is_alone(now)]
        return later[0] - now if later else hold_seconds(self.refusals)

    def is_at_end(self, request: SentRequest) -> bool:
        """Return whether a refusal shows only that the window is used up, or not begun yet."""
        if self.refusals > 1:
            return self.refusals <= MAX_TESTS
        return self.window.record_exhausted(request, self.window_capacity(), self.token_limit.limit)

    def learn_from_refusal(self, now: float) -> None:
        """Learn a rate, and that another client uses the quota."""
        if self.is_alone(now) and self.window_capacity() < math.inf:
            self.others.record_seen(now)
        self.window.capacity = math.inf  # a rate says nothing of it
        rate = self.window.throughput(now)
        self.token_limit.record_throttled(rate, self.held_until, self.refusals)

    def record_reopened(self, request: SentRequest) -> None:
        """Learn the window's kind, length and capacity: a request is accepted after a refusal."""
        window, limit = self.window, self.token_limit
        window.record_reopened(request, limit.limit)
        if window.capacity < math.inf:
            found = window.capacity * QUOTA_WINDOW_SECONDS / window.seconds
            limit.record_window(found, request.sent_at)
