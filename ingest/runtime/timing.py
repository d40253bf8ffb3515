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

from ingest.models import SourceKey

R = TypeVar("R")

# Takes what raised, and is called once, from whichever thread the work ended in.
End: TypeAlias = Callable[[BaseException | None], None]

FETCHING_DOCUMENTS = "fetching"  # documents: opened, or copied from where they are
READING_DOCUMENTS = "reading"  # documents: extracted, split
HANGING_PAGES = "hanging pages"  # the part of that which gave nothing, as the reader was ended
RECOGNISING_PAGES = "recognising"  # pages at a service that reads pictures, each with all its waits
REUSING_VECTORS = "reusing"  # vectors of the index in use, asked for
EMBEDDING_CHUNKS = "embedding"  # calls to the model, with all their waits
EMBEDDING_SERVICE = "embedding service"  # the part of those in which its answer is waited for
WRITING_CHUNKS = "writing"  # chunks to the index
WRITING_RECORDS = "recording"  # records: intents and commits
TOKEN_QUOTA, REQUEST_QUOTA = "token quota", "request quota"  # waits before calls to a service
FIRST_ANSWER = "first answer"  # which tells the quota

CHARGED_TOKENS = "charged"  # tokens, as the quota counts them
THROTTLED_REQUESTS = "refused"  # requests that were one too many for a quota


@dataclass(slots=True)
class Span:
    """One kind of work or waiting."""

    under_way: int = 0  # threads in it now
    changed_at: float = 0.0  # when the number last changed
    wall_seconds: float = 0.0  # seconds in which at least one thread was in it
    thread_seconds: float = 0.0  # seconds of all threads together

    def add_threads(self, change: int, now: float) -> None:
        """A thread came or went."""
        gone = now - self.changed_at
        self.wall_seconds += gone if self.under_way else 0.0
        self.thread_seconds += gone * self.under_way
        self.under_way += change
        self.changed_at = now


class Observer(Protocol):
    """Is told of every piece of work, in any thread; must not fail, and not take long."""

    # work begins on these sources; `inner`: what this thread begins until it is over is part of it
    def begin(
        self, activity: str, sources: Sequence[SourceKey], facts: Mapping[str, Any], *, inner: bool
    ) -> End: ...


@dataclass(slots=True)
class Stopwatch:
    """The seconds spent in each kind of work and waiting, for any number of threads."""

    clock: Callable[[], float] = time.monotonic
    observer: Observer | None = None
    spans: dict[str, Span] = field(default_factory=lambda: defaultdict(Span))
    counts: Counter[str] = field(default_factory=Counter)
    mirrored_wait: str = ""  # what calls of other processes wait for, if this mirrors theirs
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @contextmanager
    def measure(self, activity: str, *sources: SourceKey, **facts: Any) -> Iterator[None]:
        """Counts as `what` whatever happens inside. The rest is for who watches."""
        over = self.begin(activity, sources, facts, inner=True)
        try:
            yield
        except BaseException as error:
            over(error)
            raise
        else:
            over(None)

    def wrap(
        self, activity: str, call: Callable[[], R], *sources: SourceKey, **facts: Any
    ) -> Callable[[], R]:
        """The call, counted as `what`."""

        def measured_call() -> R:
            with self.measure(activity, *sources, **facts):
                return call()

        return measured_call

    def measure_future(self, activity: str, call: Future[R], *sources: SourceKey) -> Future[R]:
        """The call, counted as `what` until it is done."""
        over = self.begin(activity, sources, {}, inner=False)
        call.add_done_callback(lambda done: over(None if done.cancelled() else done.exception()))
        return call

    def begin(
        self, activity: str, sources: Sequence[SourceKey], facts: Mapping[str, Any], *, inner: bool
    ) -> End:
        """Something begins; the answer ends it."""
        self.add_threads(activity, 1)
        watched = (
            self.observer.begin(activity, sources, facts, inner=inner) if self.observer else None
        )

        def end(error: BaseException | None) -> None:
            self.add_threads(activity, -1)
            if watched:
                watched(error)

        return end

    def add_elapsed(self, activity: str, started: float) -> None:
        """Counts as `what` all since a moment, now that it is known what it was."""
        with self.lock:
            spell, now = self.spans[activity], self.clock()
            spell.thread_seconds += now - started
            spell.wall_seconds += now - max(started, spell.changed_at)
            spell.changed_at = now

    def add_threads(self, activity: str, change: int) -> None:
        """A thread begins or ends something."""
        with self.lock:
            self.spans[activity].add_threads(change, self.clock())

    def count(self, counter: str, number: int = 1) -> None:
        """So many more of something that takes no time of its own."""
        with self.lock:
            self.counts[counter] += number

    def current_wait(self) -> str:
        """What calls to a service are waiting for at this moment; "" for nothing."""
        with self.lock:
            waits = (name for name in (TOKEN_QUOTA, REQUEST_QUOTA) if self.spans[name].under_way)
            return next(waits, self.mirrored_wait)

    def mirror(
        self, spans: Mapping[str, tuple[float, float]], counts: Mapping[str, int], waits: str
    ) -> None:
        """What other processes did so far: the seconds of each kind, on the clock and in threads.

        Calls of theirs wait for something now, or for "".
        """
        with self.lock:
            now = self.clock()
            for what, (wall, total) in spans.items():
                self.spans[what] = Span(changed_at=now, wall_seconds=wall, thread_seconds=total)
            self.counts.update({what: n - self.counts[what] for what, n in counts.items()})
            self.mirrored_wait = waits

    def wall_seconds(self, activity: str) -> float:
        """Seconds in which at least one thread was in it."""
        return self.span(activity).wall_seconds

    def thread_seconds(self, activity: str) -> float:
        """Seconds of all threads together."""
        return self.span(activity).thread_seconds

    def span(self, activity: str) -> Span:
        """One kind, up to this moment."""
        with self.lock:
            self.spans[activity].add_threads(0, self.clock())
            return self.spans[activity]
