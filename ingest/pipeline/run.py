"""One run from its name to its summary: what the command line and the library have in common.

A run that fails or ends early has a summary too, and the index keeps it like any other.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace

from ingest.errors import IngestError, ServiceError
from ingest.index import Index
from ingest.models import Event, Summary
from ingest.pipeline.context import Run, Services
from ingest.pipeline.timeline import Recorder
from ingest.pipeline.totals import Totals
from ingest.runtime.bottleneck import Capacity
from ingest.runtime.cancellation import Stop

log = logging.getLogger(__name__)


@contextmanager
def ending(stop: Stop, deadline: float | None, then: Callable[[], None]) -> Iterator[None]:
    """Ask for an early end, and call `then`, when the deadline is near, in seconds from now.

    What is left until then is the time to settle what is under way.
    """

    def end() -> None:
        stop.request()
        then()

    timer = threading.Timer(max(0.0, (deadline or 0) - stop.grace), end)
    timer.daemon = True
    if deadline is not None:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def exit_code(stop: Stop, totals: Totals) -> int:
    """How a run ends that did not fail: early with work left, or as its totals say."""
    return ServiceError.exit_code if stop.requested() else totals.exit_code


class Account:
    """What one run comes to: told of every event, and asked for the summary at the end."""

    def __init__(
        self, run: Run, services: Services, capacity: Callable[[], Capacity], began: float
    ) -> None:
        self.run, self.services, self.capacity, self.began = run, services, capacity, began
        self.totals = Totals()
        self.recorder = Recorder(services.times)

    def add(self, event: Event) -> None:
        """Something has happened."""
        self.totals.add(event)
        self.recorder.add(event)

    def summary(self, code: int) -> Summary:
        """The run until now, as one that ends with this exit code."""
        of = self.capacity()
        seconds = time.monotonic() - self.began
        made = self.totals.summary(self.run.id, seconds, code, self.services.times, of)
        timeline, index = self.recorder.timeline(of.tokens), holdings(self.services.index)
        return replace(made, timeline=timeline, index=index, exclude=self.run.exclude)


def holdings(index: Index) -> dict[str, int]:
    """What the index holds now; nothing where it cannot be told."""
    try:
        return asdict(index.totals())
    except IngestError as error:
        log.info("what the index holds could not be counted: %s", error)
        return {}


def remember(summary: Summary, index: Index) -> None:
    """Keep what the run came to, if the index can."""
    try:
        index.remember(summary)
    except IngestError as error:
        log.info("what this run came to could not be kept: %s", error)
