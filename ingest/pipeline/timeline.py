"""Timeline of a run: progress in equal intervals, at most MAX_INTERVALS however long it takes."""

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

MAX_INTERVALS = 120  # 3 kB of JSON, and more than a chart can show
MIN_INTERVAL_SECONDS = 0.25


@dataclass(slots=True)
class TimeInterval:
    """Counts of one interval."""

    pages: int = 0
    tokens: int = 0
    charged: int = 0
    waited: float = 0.0
    refused: int = 0


@dataclass(slots=True)
class TimelineRecorder:
    """Records the timeline of a run, from the moment it is created."""

    times: Stopwatch
    interval_seconds: float = MIN_INTERVAL_SECONDS
    started: float = field(init=False)
    intervals: list[TimeInterval] = field(default_factory=lambda: [TimeInterval()])
    charged: int = 0  # total in `times` at the last update; so are the next two
    refused: int = 0
    waited: float = 0.0

    def __post_init__(self) -> None:
        self.started = self.times.clock()

    def add(self, event: RunEvent) -> None:
        """Count an event now."""
        interval = self.current_interval()
        if isinstance(event, RunProgress):
            interval.pages += event.pages
            interval.tokens += event.tokens

    def current_interval(self) -> TimeInterval:
        """Return the current interval, with all that `times` has counted since the last update."""
        since = self.times.clock() - self.started
        while since >= MAX_INTERVALS * self.interval_seconds:
            self.intervals = merge_pairs(self.intervals)
            self.interval_seconds *= 2
        missing = int(since / self.interval_seconds) + 1 - len(self.intervals)
        self.intervals += [TimeInterval() for _ in range(missing)]
        interval = self.intervals[-1]
        charged, refused = self.times.counts[CHARGED_TOKENS], self.times.counts[THROTTLED_REQUESTS]
        # Asking for the time of a stage that never ran would list it among the stages.
        waits = (wait for wait in (TOKEN_QUOTA, REQUEST_QUOTA) if wait in self.times.spans)
        waited = sum(map(self.times.wall_seconds, waits))
        interval.charged += charged - self.charged
        interval.refused += refused - self.refused
        interval.waited += waited - self.waited
        self.charged, self.refused, self.waited = charged, refused, waited
        return interval

    def timeline(self, quota: float) -> Timeline:
        """Return the timeline so far. The quota is in tokens a minute, infinite if unknown."""
        self.current_interval()
        return Timeline(
            every=self.interval_seconds,
            pages=tuple(interval.pages for interval in self.intervals),
            tokens=tuple(interval.tokens for interval in self.intervals),
            charged=tuple(interval.charged for interval in self.intervals),
            waited=tuple(round(interval.waited, 2) for interval in self.intervals),
            refused=tuple(interval.refused for interval in self.intervals),
            quota=0.0 if quota == math.inf else round(quota),
        )


def merge_pairs(intervals: Sequence[TimeInterval]) -> list[TimeInterval]:
    """Merge each two intervals into one."""
    pairs = [intervals[place : place + 2] for place in range(0, len(intervals), 2)]
    return [
        TimeInterval(
            pages=sum(interval.pages for interval in pair),
            tokens=sum(interval.tokens for interval in pair),
            charged=sum(interval.charged for interval in pair),
            waited=sum(interval.waited for interval in pair),
            refused=sum(interval.refused for interval in pair),
        )
        for pair in pairs
    ]
