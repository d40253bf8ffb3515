"""Where requests to one or several deployments wait for their turns.

Which request may be sent, and to whom, is the Line's to say: it neither sleeps nor sends, so it may
be in another process, and be asked by many. Threads wait in Turns.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ingest.embed.rate_limit.deployment import DeploymentLimiter
from ingest.embed.rate_limit.quota import SentRequest
from ingest.runtime.retry import RetryPolicy, parse_retry_after
from ingest.runtime.timing import Stopwatch

AVOID_FAILED_SECONDS = (
    5.0  # seconds for which a deployment that failed is passed over, if there are others
)
PERMIT_POLL_SECONDS = 0.1  # seconds between looks at whether a turn has come earlier than it seemed
QUEUE_TIMEOUT_SECONDS = (
    1.0  # seconds after which who was told to wait has asked again, or does not any more
)


@dataclass(frozen=True, slots=True)
class Permit:
    """A request may be sent now."""

    deployment_index: int  # of the deployment, as they were named
    number: int  # by which the line knows this turn


@dataclass(frozen=True, slots=True)
class Wait:
    """Not yet: ask again in so many seconds."""

    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Quota:
    """What is known of the quotas of all deployments together."""

    request_tokens: int  # tokens that make a good request, wherever it goes
    tokens_per_minute: float  # that are allowed a minute
    requests_per_minute: float  # likewise


class RateLimiter(Protocol):
    """Who may send next. Any thread may ask."""

    # whether a request of so many tokens may be sent
    def ask(self, tokens: float) -> Permit | Wait: ...

    # the request was accepted, with these headers
    def report_success(self, permit: Permit, headers: Mapping[str, str]) -> None: ...

    # it was refused for a quota: so many seconds more, all are held back
    def report_throttled(self, permit: Permit, headers: Mapping[str, str]) -> float: ...

    # it came to nothing; where the deployment ails, others are preferred a while
    def report_failure(self, permit: Permit, *, avoid: bool) -> None: ...

    def get_quota(self) -> Quota: ...


@dataclass(slots=True)
class LocalRateLimiter:
    """The line before some deployments: whichever is ready first is asked.

    Where several are, the one named first is taken: it may be paid for anyway. Those who ask by a
    name stand in the order in which they came: each is told to come back when it may be its turn.
    """

    deployments: Sequence[DeploymentLimiter]
    clock: Callable[[], float] = time.monotonic
    permit_numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    permits: dict[int, tuple[str, int, SentRequest]] = field(default_factory=dict)  # to whom, where
    last_asked: dict[str, float] = field(default_factory=dict)  # who, and when they asked last
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def ask(self, tokens: float, who: str = "") -> Permit | Wait:
        with self.lock:
            now = self.clock()
            ready = [pace.ready_at(tokens, now) for pace in self.deployments]
            place = min(range(len(ready)), key=lambda n: self.rank(n, ready[n][0], now))
            when, why = ready[place]
            if when > now:
                return Wait(min(when - now, PERMIT_POLL_SECONDS) + self.queue_delay(who, now), why)
            self.last_asked.pop(who, None)
            turn = Permit(place, next(self.permit_numbers))
            self.permits[turn.number] = who, place, self.deployments[place].record_sent(tokens, now)
            return turn

    def queue_delay(self, who: str, now: float) -> float:
        """Seconds for which others that asked before would be served first, about."""
        for other, asked in list(self.last_asked.items()):
            if now - asked > QUEUE_TIMEOUT_SECONDS:
                del self.last_asked[other]
        ahead = list(self.last_asked).index(who) if who in self.last_asked else len(self.last_asked)
        self.last_asked[who] = now
        return min(
            QUEUE_TIMEOUT_SECONDS / 2,
            ahead * min(pace.seconds_to_next(now) for pace in self.deployments),
        )

    def rank(self, deployment_index: int, when: float, now: float) -> tuple[float, int]:
        """Orders the deployments: by when they are ready, then as they were named."""
        return max(now, when, self.deployments[deployment_index].avoided_until), deployment_index

    def report_success(self, permit: Permit, headers: Mapping[str, str]) -> None:
        with self.lock:
            if sent := self.permits.pop(permit.number, None):
                self.deployments[permit.deployment_index].record_success(
                    sent[2], headers, self.clock()
                )

    def report_throttled(self, permit: Permit, headers: Mapping[str, str]) -> float:
        with self.lock:
            now, pace = self.clock(), self.deployments[permit.deployment_index]
            before = pace.held_until
            if sent := self.permits.pop(permit.number, None):
                pace.record_throttled(sent[2], headers, now)
            else:  # another line gave the turn, and is gone: the service's word holds all the same
                pace.held_until = max(pace.held_until, now + parse_retry_after(headers))
            return pace.held_until - max(now, before)

    def report_failure(self, permit: Permit, *, avoid: bool) -> None:
        with self.lock:
            if self.permits.pop(permit.number, None):
                self.deployments[permit.deployment_index].record_failure(
                    self.clock() + AVOID_FAILED_SECONDS * avoid
                )

    def forget_client(self, who: str) -> None:
        """Who asked by this name is gone: what was granted and not answered comes back."""
        with self.lock:
            self.last_asked.pop(who, None)
            self.reclaim([n for n, (whose, *_) in self.permits.items() if whose == who])

    def expire_permits(self, seconds: float) -> None:
        """What was granted so long ago and not answered comes back."""
        with self.lock:
            old = self.clock() - seconds
            self.reclaim([n for n, (_, _, turn) in self.permits.items() if turn.sent_at < old])

    def reclaim(self, numbers: Sequence[int]) -> None:
        """These turns came to nothing."""
        for number in numbers:
            _, place, _ = self.permits.pop(number)
            self.deployments[place].record_failure(self.clock())

    def get_quota(self) -> Quota:
        with self.lock:
            now = self.clock()
            return Quota(
                min(pace.request_tokens(now) for pace in self.deployments),
                sum(pace.allowed_tokens(now) for pace in self.deployments),
                sum(pace.allowed_requests(now) for pace in self.deployments),
            )


class Gate:
    """Threads wait here until a request may be sent."""

    def __init__(
        self, rate_limiter: RateLimiter, retry_policy: RetryPolicy, times: Stopwatch
    ) -> None:
        self.rate_limiter = rate_limiter
        self.retry_policy = retry_policy
        self.times = times
        self.queue_lock = threading.Lock()  # the thread that is next; the others wait behind it

    def acquire(self, tokens: float) -> Permit:
        """The turn, once it has come. Raises ServiceError if the run is stopped meanwhile."""
        with self.queue_lock:
            while isinstance(answer := self.rate_limiter.ask(tokens), Wait):
                with self.times.measure(answer.reason):
                    # An answer may change it, so not all of it at once.
                    self.retry_policy.sleep(answer.seconds)
                self.retry_policy.raise_if_cancelled()
            return answer
