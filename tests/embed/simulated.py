"""A deployment's quota and its clients in simulated time, for trying an hour in a moment."""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from ingest.embed.pace import Pace
from ingest.embed.quota import Turn


@dataclass
class Window:
    """Counts what came since the first entry after the last end, as Azure documents it."""

    seconds: float = 60.0
    ends: float = -math.inf
    used: float = 0.0

    def left(self, limit: float, now: float) -> tuple[float, float]:
        """What may still come, and the seconds until it is counted anew."""
        if now >= self.ends:
            return limit, self.seconds
        return limit - self.used, self.ends - now

    def add(self, amount: float, now: float) -> None:
        if now >= self.ends:
            self.ends, self.used = now + self.seconds, 0.0
        self.used += amount


@dataclass
class Sliding:
    """Counts what came in the last minute, at every moment."""

    seconds: float = 60.0
    entries: deque[tuple[float, float]] = field(default_factory=deque)

    def left(self, limit: float, now: float) -> tuple[float, float]:
        while self.entries and self.entries[0][0] <= now - self.seconds:
            self.entries.popleft()
        wait = self.entries[0][0] + self.seconds - now if self.entries else 0.0
        return limit - sum(amount for _, amount in self.entries), wait

    def add(self, amount: float, now: float) -> None:
        self.entries.append((now, amount))


@dataclass
class Quota:
    """What a service does with the requests of all its clients."""

    limit: Callable[[float], float]  # tokens a minute, at a time
    window: Window | Sliding = field(default_factory=Window)
    told: tuple[str, ...] = ("limit", "remaining", "retry-after")
    rpm: float = math.inf
    calls: Window = field(default_factory=lambda: Window(10.0))

    def ask(self, tokens: float, now: float) -> tuple[bool, dict[str, str]]:
        """Whether a request is accepted, and the headers of the answer."""
        limit = self.limit(now)
        left, wait = self.window.left(limit, now)
        calls, calls_wait = self.calls.left(max(1.0, self.rpm / 6), now)
        if calls < 1:
            return False, self.retry(calls_wait, "Call")
        if tokens > left:
            return False, self.retry(wait, "Token")
        self.window.add(tokens, now)
        self.calls.add(1, now)
        headers = {}
        if "limit" in self.told:
            headers["x-ratelimit-limit-tokens"] = str(int(limit))
        if "remaining" in self.told:
            headers["x-ratelimit-remaining-tokens"] = str(int(left - tokens))
        return True, headers

    def retry(self, wait: float, kind: str) -> dict[str, str]:
        if "retry-after" not in self.told:
            return {}
        return {"retry-after": str(math.ceil(wait)), "policy-id": f"DeploymentRatelimit-{kind}"}


@dataclass
class Seen:
    """What became of the requests of one client."""

    accepted: list[tuple[float, float]] = field(default_factory=list)  # when, tokens
    refused: list[float] = field(default_factory=list)

    def tokens(self, start: float, end: float) -> float:
        return sum(n for at, n in self.accepted if start <= at < end)

    @property
    def share_refused(self) -> float:
        return len(self.refused) / max(1, len(self.refused) + len(self.accepted))


def simulated(
    quota: Quota,
    seconds: float,
    *clients: Client,
) -> None:
    """Let clients use a quota for a while."""
    order = count()
    events: list[tuple[float, int, Callable[[float], None]]] = []

    def at(when: float, what: Callable[[float], None]) -> None:
        heapq.heappush(events, (when, next(order), what))

    for client in clients:
        client.start(quota, at)
    while events and events[0][0] < seconds:
        now, _, what = heapq.heappop(events)
        what(now)


Later = Callable[[float, Callable[[float], None]], None]


@dataclass
class Client:
    """One that keeps a pace, with so many senders, a latency, and always something to send."""

    pace: Pace
    at_once: int = 16
    latency: Callable[[], float] = lambda: random.uniform(0.05, 0.3)
    seen: Seen = field(default_factory=Seen)
    under_way: int = 0

    def start(self, quota: Quota, at: Later) -> None:
        def look(now: float) -> None:
            tokens = self.pace.room(now)
            when, _ = self.pace.ready(tokens, now)
            if self.under_way < self.at_once and when <= now:
                turn = self.pace.take(tokens, now)
                self.under_way += 1
                way = self.latency()
                at(now + way / 4, lambda then: arrive(then, turn, way))
                at(now, look)
            else:
                at(min(max(when, now + 0.002), now + 0.1), look)

        def arrive(now: float, turn: Turn, way: float) -> None:
            accepted, headers = quota.ask(turn.tokens, now)
            if accepted:
                self.seen.accepted.append((now, turn.tokens))
                at(now + 3 * way / 4, lambda then: answer(then, turn, headers))
            else:
                self.seen.refused.append(now)
                at(now + way / 4, lambda then: refuse(then, turn, headers))

        def answer(_: float, turn: Turn, headers: dict[str, str]) -> None:
            self.under_way -= 1
            self.pace.answered(turn, headers)

        def refuse(now: float, turn: Turn, headers: dict[str, str]) -> None:
            self.under_way -= 1
            self.pace.refused(turn, headers, now)

        at(0.0, look)


@dataclass
class Greedy(Client):
    """One that takes a share of the quota in spells, at an even rate, and then rests."""

    share: float = 0.5
    spells: Callable[[], float] = lambda: random.uniform(10, 90)
    tokens: float = 2000.0

    def start(self, quota: Quota, at: Later) -> None:
        def spell(now: float) -> None:
            ends = now + self.spells()
            at(now, lambda then: send(then, ends))
            at(ends + self.spells(), spell)

        def send(now: float, ends: float) -> None:
            if now >= ends:
                return
            accepted, _ = quota.ask(self.tokens, now)
            (
                self.seen.accepted.append((now, self.tokens))
                if accepted
                else self.seen.refused.append(now)
            )
            at(
                now + self.tokens / (self.share * quota.limit(now) / 60),
                lambda then: send(then, ends),
            )

        at(self.spells(), spell)
