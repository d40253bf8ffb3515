"""Rate limiter of embedding: when, and to which deployment, the next request may go.

A Gate polls it, and blocks threads until one of them gets a permit.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ingest.embed.rate_limit.deployment import DeploymentLimiter
from ingest.embed.rate_limit.quota import SentRequest, max_tokens_under_way
from ingest.runtime.rate_limit import Permit, RateLimiter, Wait
from ingest.runtime.retry import RetryPolicy, parse_retry_after
from ingest.runtime.timing import OPEN_REQUESTS, Stopwatch

AVOID_FAILED_SECONDS = 5.0  # for which other deployments are preferred to one that failed
PERMIT_POLL_SECONDS = 0.1  # between polls: a response may allow a request earlier than predicted
QUEUE_TIMEOUT_SECONDS = 1.0  # without a poll, after which a waiting client loses its place


@dataclass(frozen=True, slots=True)
class Quota:
    """The total quota of all deployments, as far as it is known."""

    request_tokens: int  # recommended size of a request, for any of the deployments
    tokens_per_minute: float
    requests_per_minute: float


class EmbeddingRateLimiter(RateLimiter, Protocol):
    """Rate limiter of embedding requests, in tokens. Thread-safe."""

    # the request failed otherwise; `avoid`: prefer other deployments for a while
    def report_failure(self, permit: Permit, *, avoid: bool) -> None: ...

    # the quota, as far as it is known
    def get_quota(self) -> Quota: ...


@dataclass(slots=True)
class LocalRateLimiter:
    """Rate limiter of several deployments, in this process.

    A request goes to the deployment that is ready first; of several, to the first in the settings,
    which may have prepaid capacity. Clients that ask by name are served in order of arrival.
    """

    deployments: Sequence[DeploymentLimiter]
    clock: Callable[[], float] = time.monotonic
    permit_numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    # by number: the client, the deployment's index, the request
    permits: dict[int, tuple[str, int, SentRequest]] = field(default_factory=dict)
    last_asked: dict[str, float] = field(default_factory=dict)  # time of each client's last poll
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def ask(self, units: float, client: str = "") -> Permit | Wait:
        with self.lock:
            now = self.clock()
            if self.is_full(units, client, now):
                return Wait(PERMIT_POLL_SECONDS, OPEN_REQUESTS)
            ready = [each.ready_at(units, now) for each in self.deployments]
            index = min(range(len(ready)), key=lambda n: self.rank(n, ready[n][0], now))
            when, reason = ready[index]
            if when > now:
                seconds = min(when - now, PERMIT_POLL_SECONDS) + self.queue_delay(client, now)
                return Wait(seconds, reason)
            self.last_asked.pop(client, None)
            permit = Permit(index, next(self.permit_numbers))
            sent = self.deployments[index].record_sent(units, now)
            self.permits[permit.number] = client, index, sent
            return permit

    def is_full(self, units: float, client: str, now: float) -> bool:
        """Return whether a client has so many tokens under way that it must wait for an answer.

        Tokens under way are lost, and paid for again, if the client is killed.
        """
        under_way = [sent.tokens for who, _, sent in self.permits.values() if who == client]
        quota = sum(each.allowed_tokens(now) for each in self.deployments)
        return bool(under_way) and sum(under_way) + units > max_tokens_under_way(quota)

    def queue_delay(self, client: str, now: float) -> float:
        """Estimate the seconds in which clients that asked earlier are served."""
        for other, asked in list(self.last_asked.items()):
            if now - asked > QUEUE_TIMEOUT_SECONDS:
                del self.last_asked[other]
        queue = list(self.last_asked)
        ahead = queue.index(client) if client in queue else len(queue)
        self.last_asked[client] = now
        return min(
            QUEUE_TIMEOUT_SECONDS / 2,
            ahead * min(each.seconds_to_next(now) for each in self.deployments),
        )

    def rank(self, deployment_index: int, when: float, now: float) -> tuple[float, int]:
        """Sort key of a deployment: when it is ready, then its place in the settings."""
        return max(now, when, self.deployments[deployment_index].avoided_until), deployment_index

    def report_success(self, permit: Permit, headers: Mapping[str, str]) -> None:
        with self.lock:
            if granted := self.permits.pop(permit.number, None):
                self.deployments[permit.deployment_index].record_success(
                    granted[2], headers, self.clock()
                )

    def report_throttled(self, permit: Permit, headers: Mapping[str, str]) -> float:
        with self.lock:
            now, deployment = self.clock(), self.deployments[permit.deployment_index]
            before = deployment.held_until
            if granted := self.permits.pop(permit.number, None):
                deployment.record_throttled(granted[2], headers, now)
            else:  # the permit is a former coordinator's, but Retry-After applies all the same
                deployment.held_until = max(deployment.held_until, now + parse_retry_after(headers))
            return deployment.held_until - max(now, before)

    def report_failure(self, permit: Permit, *, avoid: bool) -> None:
        with self.lock:
            if self.permits.pop(permit.number, None):
                self.deployments[permit.deployment_index].record_failure(
                    self.clock() + AVOID_FAILED_SECONDS * avoid
                )

    def forget_client(self, client: str) -> None:
        """Reclaim the open permits of a client that is gone."""
        with self.lock:
            self.last_asked.pop(client, None)
            self.reclaim([n for n, (holder, *_) in self.permits.items() if holder == client])

    def expire_permits(self, seconds: float) -> None:
        """Reclaim permits granted more than `seconds` ago and not reported on since."""
        with self.lock:
            oldest = self.clock() - seconds
            self.reclaim([n for n, (_, _, sent) in self.permits.items() if sent.sent_at < oldest])

    def reclaim(self, numbers: Sequence[int]) -> None:
        """Count the requests of these permits as failed."""
        for number in numbers:
            _, index, _ = self.permits.pop(number)
            self.deployments[index].record_failure(self.clock())

    def get_quota(self) -> Quota:
        with self.lock:
            now = self.clock()
            return Quota(
                min(each.request_tokens(now) for each in self.deployments),
                sum(each.allowed_tokens(now) for each in self.deployments),
                sum(each.allowed_requests(now) for each in self.deployments),
            )


class Gate:
    """Block threads until the rate limiter lets them send a request."""

    def __init__(
        self, rate_limiter: EmbeddingRateLimiter, retry_policy: RetryPolicy, times: Stopwatch
    ) -> None:
        self.rate_limiter = rate_limiter
        self.retry_policy = retry_policy
        self.times = times
        self.queue_lock = threading.Lock()  # held by the one thread that polls the rate limiter

    def acquire(self, tokens: float) -> Permit:
        """Wait for a permit. Raises StoppedError if the run is cancelled meanwhile."""
        with self.queue_lock:
            while isinstance(permit := self.rate_limiter.ask(tokens), Wait):
                with self.times.measure(permit.reason):
                    self.retry_policy.sleep(permit.seconds)
                self.retry_policy.raise_if_cancelled()
            return permit
