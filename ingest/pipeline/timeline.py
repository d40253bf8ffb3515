"""What went on when: a run in equal stretches, at most MOST of them, however long it takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from ingest.models import Advanced, Event, Timeline
from ingest.runtime.timing import CHARGED, REFUSED, REQUESTS, TOKENS, Times

MOST = 120  # stretches: 3 kB of JSON, and more than a chart can show
SHORTEST = 0.25  # seconds


@dataclass(slots=True)
class Stretch:
    """What went on in one stretch."""

    pages: int = 0
    tokens: int = 0
    charged: int = 0
    waited: float = 0.0
    refused: int = 0


@dataclass(slots=True)
class Recorder:
    """The timeline of a run that goes on, from the moment that this was made."""

    times: Times
    every: float = SHORTEST
    began: float = field(init=False)
    stretches: list[Stretch] = field(default_factory=lambda: [Stretch()])
    charged: int = 0  # of `times`, until now; so are the next two
    refused: int = 0
    waited: float = 0.0

    def __post_init__(self) -> None:
        self.began = self.times.clock()

    def add(self, event: Event) -> None:
        """Something happened now."""
        stretch = self.current()
        if isinstance(event, Advanced):
            stretch.pages += event.pages
            stretch.tokens += event.tokens

    def current(self) -> Stretch:
        """The stretch that it is now, with all that `times` has counted since the last look."""
        since = self.times.clock() - self.began
        while since >= MOST * self.every:
            self.stretches = halved(self.stretches)
            self.every *= 2
        missing = int(since / self.every) + 1 - len(self.stretches)
        self.stretches += [Stretch() for _ in range(missing)]
        stretch = self.stretches[-1]
        charged, refused = self.times.counts[CHARGED], self.times.counts[REFUSED]
        # Asking for the time of what never happened would list it among the stages.
        waits = (wait for wait in (TOKENS, REQUESTS) if wait in self.times.spells)
        waited = sum(map(self.times.wall, waits))
        stretch.charged += charged - self.charged
        stretch.refused += refused - self.refused
        stretch.waited += waited - self.waited
        self.charged, self.refused, self.waited = charged, refused, waited
        return stretch

    def timeline(self, quota: float) -> Timeline:
        """The run until now; the quota in tokens a minute, infinite where none is known."""
        self.current()
        return Timeline(
            every=self.every,
            pages=tuple(stretch.pages for stretch in self.stretches),
            tokens=tuple(stretch.tokens for stretch in self.stretches),
            charged=tuple(stretch.charged for stretch in self.stretches),
            waited=tuple(round(stretch.waited, 2) for stretch in self.stretches),
            refused=tuple(stretch.refused for stretch in self.stretches),
            quota=0.0 if quota == math.inf else round(quota),
        )


def halved(stretches: Sequence[Stretch]) -> list[Stretch]:
    """Half as many stretches, each of two."""
    pairs = [stretches[place : place + 2] for place in range(0, len(stretches), 2)]
    return [
        Stretch(
            pages=sum(stretch.pages for stretch in pair),
            tokens=sum(stretch.tokens for stretch in pair),
            charged=sum(stretch.charged for stretch in pair),
            waited=sum(stretch.waited for stretch in pair),
            refused=sum(stretch.refused for stretch in pair),
        )
        for pair in pairs
    ]
