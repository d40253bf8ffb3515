"""Where the time goes: what was going on, for how long, and in how many threads."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

R = TypeVar("R")

FETCHING = "fetching"  # documents: opened, or copied from where they are
READING = "reading"  # documents: extracted, split
HANGING = "hanging pages"  # the part of that which gave nothing, as the reader was ended
RECOGNISING = "recognising"  # pages at a service that reads pictures, each with all its waits
EMBEDDING = "embedding"  # calls to the model, with all their waits
SERVICE = "embedding service"  # the part of those in which its answer is waited for
WRITING = "writing"  # chunks to the index
RECORDING = "recording"  # records: intents and commits
TOKENS, REQUESTS = "token quota", "request quota"  # waits before calls to a service
FIRST_ANSWER = "first answer"  # which tells the quota


@dataclass(slots=True)
class Spell:
    """One kind of work or waiting."""

    under_way: int = 0  # threads in it now
    since: float = 0.0  # when the number last changed
    wall: float = 0.0  # seconds in which at least one thread was in it
    total: float = 0.0  # seconds of all threads together

    def turned(self, change: int, now: float) -> None:
        """A thread came or went."""
        gone = now - self.since
        self.wall += gone if self.under_way else 0.0
        self.total += gone * self.under_way
        self.under_way += change
        self.since = now


@dataclass(slots=True)
class Times:
    """The seconds spent in each kind of work and waiting, for any number of threads."""

    clock: Callable[[], float] = time.monotonic
    spells: dict[str, Spell] = field(default_factory=lambda: defaultdict(Spell))
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @contextmanager
    def of(self, what: str) -> Iterator[None]:
        """Counts as `what` whatever happens inside."""
        self.turned(what, 1)
        try:
            yield
        finally:
            self.turned(what, -1)

    def around(self, what: str, call: Callable[[], R]) -> Callable[[], R]:
        """The call, counted as `what`."""

        def counted() -> R:
            with self.of(what):
                return call()

        return counted

    def during(self, what: str, call: Future[R]) -> Future[R]:
        """The call, counted as `what` until it is done."""
        self.turned(what, 1)
        call.add_done_callback(lambda _: self.turned(what, -1))
        return call

    def ended(self, what: str, begun: float) -> None:
        """Counts as `what` all since a moment, now that it is known what it was."""
        with self.lock:
            spell, now = self.spells[what], self.clock()
            spell.total += now - begun
            spell.wall += now - max(begun, spell.since)
            spell.since = now

    def turned(self, what: str, change: int) -> None:
        """A thread begins or ends something."""
        with self.lock:
            self.spells[what].turned(change, self.clock())

    def waiting(self) -> str:
        """What calls to a service are waiting for at this moment; "" for nothing."""
        with self.lock:
            waits = (name for name in (TOKENS, REQUESTS) if self.spells[name].under_way)
            return next(waits, "")

    def wall(self, what: str) -> float:
        """Seconds in which at least one thread was in it."""
        return self.read(what).wall

    def total(self, what: str) -> float:
        """Seconds of all threads together."""
        return self.read(what).total

    def read(self, what: str) -> Spell:
        """One kind, up to this moment."""
        with self.lock:
            self.spells[what].turned(0, self.clock())
            return self.spells[what]
