"""Stopwatch: wall and thread seconds of each activity of a run, and an observer of each piece."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, TypeVar

from ingest.models import SourceKey

R = TypeVar("R")
T = TypeVar("T")

# Ends a piece of work, with its exception or None. Called once, from any thread.
End: TypeAlias = Callable[[BaseException | None], None]

# Activities.
FETCHING_DOCUMENTS = "fetching"  # opening documents, or copying remote ones
READING_DOCUMENTS = "reading"  # extracting and splitting documents
HANGING_PAGES = "hanging pages"  # the part of reading that ended in a timeout
RECOGNISING_PAGES = "recognising"  # OCR of a page by a service, including all waits
DESCRIBING_FIGURES = "describing"  # of a figure by a model, including all waits
REUSING_VECTORS = "reusing"  # fetching vectors from the index in use
EMBEDDING_CHUNKS = "embedding"  # calls to the model, including all waits
EMBEDDING_SERVICE = "embedding service"  # the part of embedding that waits for responses
WRITING_CHUNKS = "writing"  # uploading chunks to the index
WRITING_RECORDS = "recording"  # writing records: intents and commits
TOKEN_QUOTA, REQUEST_QUOTA = "token quota", "request quota"  # waits for a permit
FIRST_ANSWER = "first answer"  # waits for the first response, which reports the quota
OPEN_REQUESTS = "open requests"  # waits for a response, as many tokens are under way
RETRY_PAUSE = "retry"  # pauses before another attempt at embedding

STALL_SECONDS = 5.0  # without the end of any piece, after which an activity stalls
INDEX_ANSWER = "an answer of the index"
# Names of waits; of several at once, the first in this order is shown.
STALL_NAMES = {
    EMBEDDING_SERVICE: "an answer of the embedding service",
    RECOGNISING_PAGES: "an answer of the OCR service",
    DESCRIBING_FIGURES: "an answer of the model that describes figures",
    WRITING_CHUNKS: INDEX_ANSWER,
    WRITING_RECORDS: INDEX_ANSWER,
    REUSING_VECTORS: INDEX_ANSWER,
    FETCHING_DOCUMENTS: "a document to arrive",
    READING_DOCUMENTS: "a document to be read",
}
PAUSE_NAMES = {
    TOKEN_QUOTA: TOKEN_QUOTA,
    REQUEST_QUOTA: REQUEST_QUOTA,
    RETRY_PAUSE: "another attempt at embedding",
}

# Counters.
CHARGED_TOKENS = "charged"  # tokens, as the quota counts them
EMBEDDED_TOKENS, WRITTEN_TOKENS = "embedded", "written"  # of chunks, as the model counts them
THROTTLED_REQUESTS = "refused"  # requests answered with 429


@dataclass(slots=True)
class Span:
    """Wall and thread seconds of one activity."""

    under_way: int = 0  # threads in the activity now
    changed_at: float = 0.0  # when the number last changed
    wall_seconds: float = 0.0  # with at least one thread in it
    thread_seconds: float = 0.0  # total of all threads
    quiet_since: float = 0.0  # when a piece last ended, or the first began
    stalled_seconds: float = 0.0  # in which no piece ended for STALL_SECONDS

    def add_threads(self, change: int, now: float) -> None:
        """Add the time since the last change, then change the number of threads."""
        elapsed = now - self.changed_at
        if change < 0:
            self.stalled_seconds += self.stalled_for(now)
        if change < 0 or not self.under_way:
            self.quiet_since = now
        self.wall_seconds += elapsed if self.under_way else 0.0
        self.thread_seconds += elapsed * self.under_way
        self.under_way += change
        self.changed_at = now

    def stalled_for(self, now: float) -> float:
        """Return the seconds since a piece ended, if that is long ago; else 0."""
        quiet = now - self.quiet_since if self.under_way else 0.0
        return quiet if quiet > STALL_SECONDS else 0.0


class Observer(Protocol):
    """Callback for each piece of work, from any thread. It must be fast and must not raise."""

    # work on these sources begins; `inner`: work that this thread begins meanwhile is part of it
    def begin(
        self, activity: str, sources: Sequence[SourceKey], facts: Mapping[str, Any], *, inner: bool
    ) -> End: ...


@dataclass(slots=True)
class Stopwatch:
    """Wall and thread seconds of all activities. Thread-safe."""

    clock: Callable[[], float] = time.monotonic
    observer: Observer | None = None
    spans: dict[str, Span] = field(default_factory=lambda: defaultdict(Span))
    waits: dict[str, Span] = field(default_factory=lambda: defaultdict(Span))  # by their names
    counts: Counter[str] = field(default_factory=Counter)
    mirrored_wait: str = ""  # the current wait of other processes, if this mirrors them
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @contextmanager
    def measure(self, activity: str, *sources: SourceKey, **facts: Any) -> Iterator[None]:
        """Time the body of a `with`. `sources` and `facts` are passed to the observer."""
        end = self.begin(activity, sources, facts, inner=True)
        try:
            yield
        except BaseException as error:
            end(error)
            raise
        else:
            end(None)

    def wrap(
        self, activity: str, call: Callable[[], R], *sources: SourceKey, **facts: Any
    ) -> Callable[[], R]:
        """Wrap a function so that each call is timed."""

        def measured_call() -> R:
            with self.measure(activity, *sources, **facts):
                return call()

        return measured_call

    def measure_future(self, activity: str, call: Future[R], *sources: SourceKey) -> Future[R]:
        """Time a future from now until it is done."""
        end = self.begin(activity, sources, {}, inner=False)
        call.add_done_callback(lambda done: end(None if done.cancelled() else done.exception()))
        return call

    def begin(
        self, activity: str, sources: Sequence[SourceKey], facts: Mapping[str, Any], *, inner: bool
    ) -> End:
        """Begin a piece of work; return the function that ends it."""
        self.add_threads(activity, 1)
        end_observed = (
            self.observer.begin(activity, sources, facts, inner=inner) if self.observer else None
        )

        def end(error: BaseException | None) -> None:
            self.add_threads(activity, -1)
            if end_observed:
                end_observed(error)

        return end

    @contextmanager
    def wait_for(self, name: str) -> Iterator[None]:
        """Time a wait by its name, apart from the activity that it is part of."""
        with self.lock:
            self.waits[name].add_threads(1, self.clock())
        try:
            yield
        finally:
            with self.lock:
                now, span = self.clock(), self.waits[name]
                if span.stalled_for(now):  # which must not count for the activity that contains it
                    for other in (*self.spans.values(), *self.waits.values()):
                        if other.quiet_since <= span.quiet_since and other is not span:
                            other.quiet_since = now
                span.add_threads(-1, now)

    def wait_for_each(self, name: str, items: Iterable[T]) -> Iterator[T]:
        """Yield items, and time the wait for each. The name must be unique to this thread.

        Takes no lock: there may be a million items.
        """
        span, iterator = self.waits[name], iter(items)
        while True:
            span.quiet_since, span.under_way = self.clock(), 1
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:
                span.stalled_seconds += span.stalled_for(self.clock())
                span.under_way = 0
            yield item

    def add_elapsed(self, activity: str, started: float) -> None:
        """Add the time since `started` to an activity that is known only in hindsight."""
        with self.lock:
            span, now = self.spans[activity], self.clock()
            span.thread_seconds += now - started
            span.wall_seconds += now - max(started, span.changed_at)
            span.changed_at = now

    def add_threads(self, activity: str, change: int) -> None:
        """Change the number of threads in an activity."""
        with self.lock:
            self.spans[activity].add_threads(change, self.clock())

    def count(self, counter: str, number: int = 1) -> None:
        """Add to a counter."""
        with self.lock:
            self.counts[counter] += number

    def unwritten_tokens(self) -> int:
        """Return the tokens of vectors that were received and not written."""
        return self.counts[EMBEDDED_TOKENS] - self.counts[WRITTEN_TOKENS]

    def current_wait(self) -> str:
        """Return the name of the run's current wait; "" if it makes progress."""
        with self.lock:
            now, spans = self.clock(), self.spans
            for activity, name in PAUSE_NAMES.items():
                if activity in spans and spans[activity].under_way:
                    return name
            # A wait may be a part of another one, which began before it.
            stalled = {name: w.quiet_since for name, w in self.waits.items() if w.stalled_for(now)}
            if stalled:
                return max(stalled, key=stalled.__getitem__)
            for activity, name in STALL_NAMES.items():
                if activity in spans and spans[activity].stalled_for(now):
                    return name
            return self.mirrored_wait

    def mirror(
        self, spans: Mapping[str, tuple[float, float]], counts: Mapping[str, int], waits: str
    ) -> None:
        """Take over the totals of other processes.

        Args:
            spans: wall and thread seconds by activity.
            counts: counters by name.
            waits: the quota that their requests are waiting for now; "" for none.
        """
        with self.lock:
            now = self.clock()
            for activity, (wall, total) in spans.items():
                self.spans[activity] = Span(changed_at=now, wall_seconds=wall, thread_seconds=total)
            self.counts.update({name: n - self.counts[name] for name, n in counts.items()})
            self.mirrored_wait = waits

    def wall_seconds(self, activity: str) -> float:
        """Return the seconds in which at least one thread was in an activity."""
        return self.span(activity).wall_seconds

    def thread_seconds(self, activity: str) -> float:
        """Return the total seconds of all threads in an activity."""
        return self.span(activity).thread_seconds

    def stalls(self) -> dict[str, float]:
        """Return the stalled seconds of each wait, by its name."""
        with self.lock:
            now = self.clock()
            named = [(STALL_NAMES[a], span) for a, span in self.spans.items() if a in STALL_NAMES]
            found: dict[str, float] = {}
            for name, span in (*named, *self.waits.items()):
                seconds = span.stalled_seconds + span.stalled_for(now)
                found[name] = max(seconds, found.get(name, 0.0))
            return found

    def span(self, activity: str) -> Span:
        """Return an activity's times up to now."""
        with self.lock:
            self.spans[activity].add_threads(0, self.clock())
            return self.spans[activity]
