"""A deployment's quota and its clients in simulated time: an hour is tried in a moment.

A client knows nothing but what it is answered. Chance is that of `random`, which `simulated` seeds,
so that a seed tells the whole story.
"""

from __future__ import annotations

import heapq
import math
import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol, TypeAlias

from ingest.embed.batch import FIRST_BATCH_TOKENS
from ingest.embed.rate_limit.deployment import DeploymentLimiter
from ingest.embed.rate_limit.quota import QUOTA_WINDOW_SECONDS, SentRequest, max_tokens_under_way

# What services tell: all that Azure documents, what was seen, when to come back, nothing.
FULL = ("limit", "remaining", "retry-after")
REMAINING = ("remaining", "retry-after")
RETRY_AFTER = ("retry-after",)
SILENT = ()

LONGEST_LOOK = 0.1  # seconds after which a client that waits looks again
PAUSE = 0.002  # seconds between looks, at least

Act: TypeAlias = Callable[[float], None]  # what happens at a time
Later: TypeAlias = Callable[[float, Act], None]  # lets it happen then


@dataclass
class Window:
    """Counts what came since the first entry after the last end, as Azure documents it."""

    seconds: float = QUOTA_WINDOW_SECONDS
    ends: float = -math.inf
    used: float = 0.0

    def left(self, limit: float, now: float) -> tuple[float, float]:
        """What may still come, and the seconds until it is counted anew."""
        if now >= self.ends:
            return limit, self.seconds
        return limit - self.used, self.ends - now

    def add(self, amount: float, now: float) -> None:
        """Count an entry."""
        if now >= self.ends:
            self.ends, self.used = now + self.seconds, 0.0
        self.used += amount


@dataclass
class Aligned(Window):
    """Counts from full minute to full minute of the service's clock."""

    began: float = 0.0  # seconds since a full minute, when the clients begin

    def add(self, amount: float, now: float) -> None:
        """Count an entry."""
        if now >= self.ends:
            self.ends, self.used = now + self.seconds - (now + self.began) % self.seconds, 0.0
        self.used += amount


@dataclass
class Sliding:
    """Counts what came in the last minute, at every moment."""

    seconds: float = QUOTA_WINDOW_SECONDS
    entries: deque[tuple[float, float]] = field(default_factory=deque)

    def left(self, limit: float, now: float) -> tuple[float, float]:
        """What may still come, and the seconds until it is more."""
        while self.entries and self.entries[0][0] <= now - self.seconds:
            self.entries.popleft()
        wait = self.entries[0][0] + self.seconds - now if self.entries else 0.0
        return limit - sum(amount for _, amount in self.entries), wait

    def add(self, amount: float, now: float) -> None:
        """Count an entry."""
        self.entries.append((now, amount))


@dataclass
class Quota:
    """What a service does with the requests of all its clients."""

    limit: Callable[[float], float]  # tokens a minute, at a time
    window: Window | Sliding = field(default_factory=Window)
    told: tuple[str, ...] = FULL
    rpm: float = math.inf
    calls: Window = field(default_factory=lambda: Window(10.0))
    besides: Mapping[str, str] = field(default_factory=dict)  # headers of every answer
    said: Callable[[float], float] = float  # the Retry-After that it says for a true one

    def ask(self, tokens: float, now: float) -> tuple[bool, dict[str, str]]:
        """Whether a request is accepted, and the headers of the answer."""
        limit = self.limit(now)
        left, wait = self.window.left(limit * self.window.seconds / QUOTA_WINDOW_SECONDS, now)
        calls, calls_wait = self.calls.left(
            max(1.0, self.rpm * self.calls.seconds / QUOTA_WINDOW_SECONDS), now
        )
        if calls < 1:
            return False, self.retry(calls_wait, "Call")
        if tokens > left:
            return False, self.retry(wait, "Token")
        self.window.add(tokens, now)
        self.calls.add(1, now)
        headers = {}
        if "limit" in self.told:
            headers["x-ratelimit-limit-tokens"] = str(int(limit))
        if "limit" in self.told and self.rpm < math.inf:
            headers["x-ratelimit-limit-requests"] = str(int(self.rpm))
        if "remaining" in self.told:
            headers["x-ratelimit-remaining-tokens"] = str(int(left - tokens))
        return True, {**headers, **self.besides}

    def retry(self, wait: float, kind: str) -> dict[str, str]:
        """The headers of a refusal."""
        if "retry-after" not in self.told:
            return {}
        after = math.ceil(self.said(wait))
        return {"retry-after": str(after), "policy-id": f"DeploymentRatelimit-{kind}"}


@dataclass
class Seen:
    """What became of the requests of one client."""

    accepted: list[tuple[float, float]] = field(default_factory=list)  # when, tokens
    refused: list[float] = field(default_factory=list)

    def tokens(self, start: float, end: float) -> float:
        """The tokens that were accepted from a time to another."""
        return sum(tokens for at, tokens in self.accepted if start <= at < end)

    def most(self, seconds: float) -> float:
        """The most tokens that were accepted in any stretch of so many seconds."""
        recent: deque[tuple[float, float]] = deque()
        total = most = 0.0
        for at, tokens in self.accepted:
            recent.append((at, tokens))
            total += tokens
            while recent[0][0] <= at - seconds:
                total -= recent.popleft()[1]
            most = max(most, total)
        return most

    @property
    def share_refused(self) -> float:
        """Of all requests."""
        return len(self.refused) / max(1, len(self.refused) + len(self.accepted))


class Client(Protocol):
    """Whoever uses a quota."""

    seen: Seen

    # from time 0 on
    def start(self, quota: Quota, at: Later) -> None: ...


def simulate(quota: Quota, seconds: float, *clients: Client, seed: int = 1) -> None:
    """Let clients use a quota for a while, from time 0."""
    random.seed(seed)
    order = count()
    events: list[tuple[float, int, Act]] = []

    def at(when: float, act: Act) -> None:
        heapq.heappush(events, (when, next(order), act))

    for client in clients:
        client.start(quota, at)
    while events and events[0][0] < seconds:
        now, _, act = heapq.heappop(events)
        act(now)


def draw_latency() -> float:
    """A usual time to an answer, in seconds."""
    return random.uniform(0.05, 0.3)


def draw_spell() -> float:
    """How long a greedy client works or rests, in seconds."""
    return random.uniform(10, 90)


@dataclass
class Ours:
    """A client that keeps a pace, with so many senders, and always with something to send."""

    pace: DeploymentLimiter
    at_once: int = 16
    latency: Callable[[], float] = draw_latency
    largest: float = math.inf  # tokens of a request
    per_token: float = 0.0  # seconds that each token adds to the time to an answer
    left: float = math.inf  # tokens still to send
    ended: float = 0.0  # when the last answer arrived
    seen: Seen = field(default_factory=Seen)
    under_way: int = 0
    flying: float = 0.0  # tokens of requests without an answer
    on_answer: Act | None = None  # what waits for one

    def start(self, quota: Quota, at: Later) -> None:
        """Send whenever the pace and the senders allow it."""

        def look(now: float) -> None:
            tokens = min(self.left, self.largest, self.pace.request_tokens(now))
            if not self.pace.window.total_tokens:
                tokens = min(tokens, FIRST_BATCH_TOKENS)
            if tokens < 1:
                self.on_answer = look
                return
            when, _ = self.pace.ready_at(tokens, now)
            fits = self.flying + tokens <= max_tokens_under_way(self.pace.allowed_tokens(now))
            if when > now:
                at(min(max(when, now + PAUSE), now + LONGEST_LOOK), look)
            elif self.under_way < self.at_once and (fits or not self.flying):
                self.send(quota, at, self.pace.record_sent(tokens, now))
                at(now, look)
            else:
                self.on_answer = look

        at(0.0, look)

    def send(self, quota: Quota, at: Later, turn: SentRequest) -> None:
        """One request: it arrives after a quarter of its time, a refusal is back after half."""
        self.under_way += 1
        self.flying += turn.tokens
        self.left -= turn.tokens
        way = self.latency()

        def arrive(now: float) -> None:
            accepted, headers = quota.ask(turn.tokens, now)
            if accepted:
                self.seen.accepted.append((now, turn.tokens))
                took = way + self.per_token * turn.tokens
                at(turn.sent_at + took, lambda then: answered(headers, then))
            else:
                self.seen.refused.append(now)
                at(turn.sent_at + way / 2, lambda then: refused(headers, then))

        def answered(headers: Mapping[str, str], now: float) -> None:
            self.ended = now
            self.pace.record_success(turn, headers, now)
            land(now)

        def refused(headers: Mapping[str, str], now: float) -> None:
            self.left += turn.tokens
            self.pace.record_throttled(turn, headers, now)
            land(now)

        def land(now: float) -> None:
            self.under_way -= 1
            self.flying -= turn.tokens
            if self.on_answer:
                at(now, self.on_answer)
                self.on_answer = None

        at(turn.sent_at + way / 4, arrive)


@dataclass
class Ideal:
    """A client that knows the windows: it sends whatever fits, and waits for each end exactly."""

    left: float
    size: float  # tokens of a request
    per_token: float = 0.0
    at_once: int = 16
    most_flying: float = math.inf  # tokens of requests without an answer
    ended: float = 0.0
    under_way: int = 0
    flying: float = 0.0
    seen: Seen = field(default_factory=Seen)

    def start(self, quota: Quota, at: Later) -> None:
        """Send whenever the window and the senders allow it."""

        def look(now: float) -> None:
            share = quota.window.seconds / QUOTA_WINDOW_SECONDS
            room, wait = quota.window.left(quota.limit(now) * share, now)
            tokens = min(self.size, room, self.left)
            is_full = self.under_way == self.at_once or self.flying + tokens > self.most_flying
            if is_full or tokens < 1 <= self.left:
                at(now + (max(wait, PAUSE) if tokens < 1 else 0.02), look)
            elif self.left >= 1:
                quota.ask(tokens, now)
                self.left -= tokens
                self.flying += tokens
                self.under_way += 1
                at(
                    now + draw_latency() + self.per_token * tokens,
                    lambda then: answered(tokens, then),
                )
                at(now, look)

        def answered(tokens: float, now: float) -> None:
            self.under_way -= 1
            self.flying -= tokens
            self.ended = now

        at(0.0, look)


@dataclass
class Greedy:
    """A client that takes a share of the quota in spells, at an even rate, and then rests."""

    share: float = 0.5
    spells: Callable[[], float] = draw_spell
    tokens: float = 2000.0
    rests_first: bool = True
    seen: Seen = field(default_factory=Seen)

    def start(self, quota: Quota, at: Later) -> None:
        """Rest, then send, and so on."""

        def begin(now: float) -> None:
            ends = now + self.spells()
            at(now, lambda then: send(then, ends))
            at(ends + self.spells(), begin)

        def send(now: float, ends: float) -> None:
            if now >= ends:
                return
            if quota.ask(self.tokens, now)[0]:
                self.seen.accepted.append((now, self.tokens))
            else:
                self.seen.refused.append(now)
            pause = self.tokens / (self.share * quota.limit(now) / QUOTA_WINDOW_SECONDS)
            at(now + pause, lambda then: send(then, ends))

        at(self.spells() if self.rests_first else 0.0, begin)


@dataclass
class Hurried:
    """Real time that runs faster, for threads."""

    speed: float

    def clock(self) -> float:
        """Seconds."""
        return time.monotonic() * self.speed

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds / self.speed)


@dataclass
class Slept:
    """Time that passes by sleeping alone, for one thread."""

    now: float = 0.0

    def clock(self) -> float:
        """Seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Be there at once."""
        self.now += max(seconds, PAUSE)
