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

from ingest.embed.rate_limit.deployment import Pace
from ingest.embed.rate_limit.quota import Turn
from ingest.runtime.retry import Patience, floor_of
from ingest.runtime.timing import Times

AILING = 5.0  # seconds for which a deployment that failed is passed over, if there are others
LOOK = 0.1  # seconds between looks at whether a turn has come earlier than it seemed
RETURNS = 1.0  # seconds after which who was told to wait has asked again, or does not any more


@dataclass(frozen=True, slots=True)
class Granted:
    """A request may be sent now."""

    place: int  # of the deployment, as they were named
    number: int  # by which the line knows this turn


@dataclass(frozen=True, slots=True)
class Later:
    """Not yet: ask again in so many seconds."""

    seconds: float
    why: str


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the quotas of all deployments together."""

    room: int  # tokens that make a good request, wherever it goes
    tokens: float  # that are allowed a minute
    requests: float  # likewise


class Line(Protocol):
    """Who may send next. Any thread may ask."""

    # whether a request of so many tokens may be sent
    def ask(self, tokens: float) -> Granted | Later: ...

    # the request was accepted, with these headers
    def answered(self, turn: Granted, headers: Mapping[str, str]) -> None: ...

    # it was refused for a quota: so many seconds more, all are held back
    def refused(self, turn: Granted, headers: Mapping[str, str]) -> float: ...

    # it came to nothing; where the deployment ails, others are preferred a while
    def failed(self, turn: Granted, *, ailing: bool) -> None: ...

    def known(self) -> Known: ...


@dataclass(slots=True)
class Paces:
    """The line before some deployments: whichever is ready first is asked.

    Where several are, the one named first is taken: it may be paid for anyway. Those who ask by a
    name stand in the order in which they came: each is told to come back when it may be its turn.
    """

    each: Sequence[Pace]
    clock: Callable[[], float] = time.monotonic
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    granted: dict[int, tuple[str, int, Turn]] = field(default_factory=dict)  # to whom, where
    waiting: dict[str, float] = field(default_factory=dict)  # who, and when they asked last
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def ask(self, tokens: float, who: str = "") -> Granted | Later:
        with self.lock:
            now = self.clock()
            ready = [pace.ready(tokens, now) for pace in self.each]
            place = min(range(len(ready)), key=lambda n: self.rank(n, ready[n][0], now))
            when, why = ready[place]
            if when > now:
                return Later(min(when - now, LOOK) + self.behind(who, now), why)
            self.waiting.pop(who, None)
            turn = Granted(place, next(self.numbers))
            self.granted[turn.number] = who, place, self.each[place].take(tokens, now)
            return turn

    def behind(self, who: str, now: float) -> float:
        """Seconds for which others that asked before would be served first, about."""
        for other, asked in list(self.waiting.items()):
            if now - asked > RETURNS:
                del self.waiting[other]
        ahead = list(self.waiting).index(who) if who in self.waiting else len(self.waiting)
        self.waiting[who] = now
        return min(RETURNS / 2, ahead * min(pace.spacing(now) for pace in self.each))

    def rank(self, place: int, when: float, now: float) -> tuple[float, int]:
        """Orders the deployments: by when they are ready, then as they were named."""
        return max(now, when, self.each[place].ailing), place

    def answered(self, turn: Granted, headers: Mapping[str, str]) -> None:
        with self.lock:
            if sent := self.granted.pop(turn.number, None):
                self.each[turn.place].answered(sent[2], headers, self.clock())

    def refused(self, turn: Granted, headers: Mapping[str, str]) -> float:
        with self.lock:
            now, pace = self.clock(), self.each[turn.place]
            before = pace.held
            if sent := self.granted.pop(turn.number, None):
                pace.refused(sent[2], headers, now)
            else:  # another line gave the turn, and is gone: the service's word holds all the same
                pace.held = max(pace.held, now + floor_of(headers))
            return pace.held - max(now, before)

    def failed(self, turn: Granted, *, ailing: bool) -> None:
        with self.lock:
            if self.granted.pop(turn.number, None):
                self.each[turn.place].failed(self.clock() + AILING * ailing)

    def lost(self, who: str) -> None:
        """Who asked by this name is gone: what was granted and not answered comes back."""
        with self.lock:
            self.waiting.pop(who, None)
            self.take_back([n for n, (whose, *_) in self.granted.items() if whose == who])

    def forget(self, seconds: float) -> None:
        """What was granted so long ago and not answered comes back."""
        with self.lock:
            old = self.clock() - seconds
            self.take_back([n for n, (_, _, turn) in self.granted.items() if turn.at < old])

    def take_back(self, numbers: Sequence[int]) -> None:
        """These turns came to nothing."""
        for number in numbers:
            _, place, _ = self.granted.pop(number)
            self.each[place].failed(self.clock())

    def known(self) -> Known:
        with self.lock:
            now = self.clock()
            return Known(
                min(pace.room(now) for pace in self.each),
                sum(pace.allowed(now) for pace in self.each),
                sum(pace.calls(now) for pace in self.each),
            )


class Turns:
    """Threads wait here until a request may be sent."""

    def __init__(self, line: Line, patience: Patience, times: Times) -> None:
        self.line = line
        self.patience = patience
        self.times = times
        self.front = threading.Lock()  # the thread that is next; the others wait behind it

    def take(self, tokens: float) -> Granted:
        """The turn, once it has come. Raises ServiceError if the run is stopped meanwhile."""
        with self.front:
            while isinstance(answer := self.line.ask(tokens), Later):
                with self.times.of(answer.why):
                    # An answer may change it, so not all of it at once.
                    self.patience.sleep(answer.seconds)
                self.patience.proceed()
            return answer
