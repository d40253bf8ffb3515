"""What went on when: a run in equal stretches, at most MOST of them, however long it takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from ingest.models import RunEvent, RunProgress, Timeline
from ingest.runtime.timing import (
    CHARGED_TOKENS,
    REQUEST_QUOTA,
    THROTTLED_REQUESTS,
    TOKEN_QUOTA,
    Stopwatch,
)

MAX_INTERVALS = 120  # stretches: 3 kB of JSON, and more than a chart can show
MIN_INTERVAL_SECONDS = 0.25  # seconds


@dataclass(slots=True)
class TimeInterval:
    """What went on in one stretch."""

    pages: int = 0
    tokens: int = 0
    charged: int = 0
    waited: float = 0.0
    refused: int = 0


@dataclass(slots=True)
class TimelineRecorder:
    """The timeline of a run that goes on, from the moment that this was made."""

    times: Stopwatch
    interval_seconds: float = MIN_INTERVAL_SECONDS
    started: float = field(init=False)
    intervals: list[TimeInterval] = field(default_factory=lambda: [TimeInterval()])
    charged: int = 0  # of `times`, until now; so are the next two
    refused: int = 0
    waited: float = 0.0

    def __post_init__(self) -> None:
        self.started = self.times.clock()

    def add(self, event: RunEvent) -> None:
        """Something happened now."""
        stretch = self.current_interval()
        if isinstance(event, RunProgress):
            stretch.pages += event.pages
            stretch.tokens += event.tokens

    def current_interval(self) -> TimeInterval:
        """The stretch that it is now, with all that `times` has counted since the last look."""
        since = self.times.clock() - self.started
        while since >= MAX_INTERVALS * self.interval_seconds:
            self.intervals = merge_pairs(self.intervals)
            self.interval_seconds *= 2
        missing = int(since / self.interval_seconds) + 1 - len(self.intervals)
        self.intervals += [TimeInterval() for _ in range(missing)]
        stretch = self.intervals[-1]
        charged, refused = self.times.counts[CHARGED_TOKENS], self.times.counts[THROTTLED_REQUESTS]
        # Asking for the time of what never happened would list it among the stages.
        waits = (wait for wait in (TOKEN_QUOTA, REQUEST_QUOTA) if wait in self.times.spans)
        waited = sum(map(self.times.wall_seconds, waits))
        stretch.charged += charged - self.charged
        stretch.refused += refused - self.refused
        stretch.waited += waited - self.waited
        self.charged, self.refused, self.waited = charged, refused, waited
        return stretch

    def timeline(self, quota: float) -> Timeline:
        """The run until now; the quota in tokens a minute, infinite where none is known."""
        self.current_interval()
        return Timeline(
            every=self.interval_seconds,
            pages=tuple(stretch.pages for stretch in self.intervals),
            tokens=tuple(stretch.tokens for stretch in self.intervals),
            charged=tuple(stretch.charged for stretch in self.intervals),
            waited=tuple(round(stretch.waited, 2) for stretch in self.intervals),
            refused=tuple(stretch.refused for stretch in self.intervals),
            quota=0.0 if quota == math.inf else round(quota),
        )


def merge_pairs(intervals: Sequence[TimeInterval]) -> list[TimeInterval]:
    """Half as many stretches, each of two."""
    pairs = [intervals[place : place + 2] for place in range(0, len(intervals), 2)]
    return [
        TimeInterval(
            pages=sum(stretch.pages for stretch in pair),
            tokens=sum(stretch.tokens for stretch in pair),
            charged=sum(stretch.charged for stretch in pair),
            waited=sum(stretch.waited for stretch in pair),
            refused=sum(stretch.refused for stretch in pair),
        )
        for pair in pairs
    ]
