"""Where the time goes: what was going on, for how long, in how many threads, and how often.

Whoever wants to know more, of each piece of work by itself, watches.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, TypeVar

from ingest.models import Key

R = TypeVar("R")

# Takes what raised, and is called once, from whichever thread the work ended in.
Over: TypeAlias = Callable[[BaseException | None], None]

FETCHING = "fetching"  # documents: opened, or copied from where they are
READING = "reading"  # documents: extracted, split
HANGING = "hanging pages"  # the part of that which gave nothing, as the reader was ended
RECOGNISING = "recognising"  # pages at a service that reads pictures, each with all its waits
REUSING = "reusing"  # vectors of the index in use, asked for
EMBEDDING = "embedding"  # calls to the model, with all their waits
SERVICE = "embedding service"  # the part of those in which its answer is waited for
WRITING = "writing"  # chunks to the index
RECORDING = "recording"  # records: intents and commits
TOKENS, REQUESTS = "token quota", "request quota"  # waits before calls to a service
FIRST_ANSWER = "first answer"  # which tells the quota

CHARGED = "charged"  # tokens, as the quota counts them
REFUSED = "refused"  # requests that were one too many for a quota


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


class Watch(Protocol):
    """Is told of every piece of work, in any thread; must not fail, and not take long."""

    # work begins on these sources; `inner`: what this thread begins until it is over is part of it
    def began(
        self, what: str, about: Sequence[Key], facts: Mapping[str, Any], *, inner: bool
    ) -> Over: ...


@dataclass(slots=True)
class Times:
    """The seconds spent in each kind of work and waiting, for any number of threads."""

    clock: Callable[[], float] = time.monotonic
    watch: Watch | None = None
    spells: dict[str, Spell] = field(default_factory=lambda: defaultdict(Spell))
    counts: Counter[str] = field(default_factory=Counter)
    elsewhere: str = ""  # what calls of other processes wait for, if this mirrors theirs
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @contextmanager
    def of(self, what: str, *about: Key, **facts: Any) -> Iterator[None]:
        """Counts as `what` whatever happens inside. The rest is for who watches."""
        over = self.begun(what, about, facts, inner=True)
        try:
            yield
        except BaseException as error:
            over(error)
            raise
        else:
            over(None)

    def around(
        self, what: str, call: Callable[[], R], *about: Key, **facts: Any
    ) -> Callable[[], R]:
        """The call, counted as `what`."""

        def counted() -> R:
            with self.of(what, *about, **facts):
                return call()

        return counted

    def during(self, what: str, call: Future[R], *about: Key) -> Future[R]:
        """The call, counted as `what` until it is done."""
        over = self.begun(what, about, {}, inner=False)
        call.add_done_callback(lambda done: over(None if done.cancelled() else done.exception()))
        return call

    def begun(
        self, what: str, about: Sequence[Key], facts: Mapping[str, Any], *, inner: bool
    ) -> Over:
        """Something begins; the answer ends it."""
        self.turned(what, 1)
        watched = self.watch.began(what, about, facts, inner=inner) if self.watch else None

        def over(error: BaseException | None) -> None:
            self.turned(what, -1)
            if watched:
                watched(error)

        return over

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

    def count(self, what: str, number: int = 1) -> None:
        """So many more of something that takes no time of its own."""
        with self.lock:
            self.counts[what] += number

    def waiting(self) -> str:
        """What calls to a service are waiting for at this moment; "" for nothing."""
        with self.lock:
            waits = (name for name in (TOKENS, REQUESTS) if self.spells[name].under_way)
            return next(waits, self.elsewhere)

    def mirror(
        self, spells: Mapping[str, tuple[float, float]], counts: Mapping[str, int], waits: str
    ) -> None:
        """What other processes did so far: the seconds of each kind, on the clock and in threads.

        Calls of theirs wait for something now, or for "".
        """
        with self.lock:
            now = self.clock()
            for what, (wall, total) in spells.items():
                self.spells[what] = Spell(since=now, wall=wall, total=total)
            self.counts.update({what: n - self.counts[what] for what, n in counts.items()})
            self.elsewhere = waits

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
