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
from ingest.index import ChunkStore, RunHistory
from ingest.models import RunEvent, Summary
from ingest.pipeline.context import Run, Services
from ingest.pipeline.timeline import TimelineRecorder
from ingest.pipeline.totals import RunTotals
from ingest.runtime.bottleneck import Capacity
from ingest.runtime.cancellation import Cancellation

log = logging.getLogger(__name__)


@contextmanager
def stop_at_deadline(
    stop: Cancellation, deadline: float | None, on_deadline: Callable[[], None]
) -> Iterator[None]:
    """Ask for an early end, and call `then`, when the deadline is near, in seconds from now.

    What is left until then is the time to settle what is under way.
    """

    def request_stop() -> None:
        stop.request()
        on_deadline()

    timer = threading.Timer(max(0.0, (deadline or 0) - stop.grace_seconds), request_stop)
    timer.daemon = True
    if deadline is not None:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def run_exit_code(stop: Cancellation, totals: RunTotals) -> int:
    """How a run ends that did not fail: early with work left, or as its totals say."""
    return ServiceError.exit_code if stop.is_requested() else totals.exit_code


class RunRecorder:
    """What one run comes to: told of every event, and asked for the summary at the end."""

    def __init__(
        self, run: Run, services: Services, capacity: Callable[[], Capacity], started: float
    ) -> None:
        self.run, self.services, self.capacity, self.started = run, services, capacity, started
        self.totals = RunTotals()
        self.recorder = TimelineRecorder(services.times)

    def add(self, event: RunEvent) -> None:
        """Something has happened."""
        self.totals.add(event)
        self.recorder.add(event)

    def summary(self, code: int) -> Summary:
        """The run until now, as one that ends with this exit code."""
        of = self.capacity()
        seconds = time.monotonic() - self.started
        made = self.totals.summary(self.run.id, seconds, code, self.services.times, of)
        timeline, index = self.recorder.timeline(of.tokens), count_index(self.services.index)
        return replace(made, timeline=timeline, index=index, exclude=self.run.exclude)


def count_index(index: ChunkStore) -> dict[str, int]:
    """What the index holds now; nothing where it cannot be told."""
    try:
        return asdict(index.totals())
    except IngestError as error:
        log.info("what the index holds could not be counted: %s", error)
        return {}


def save_run_summary(summary: Summary, index: RunHistory) -> None:
    """Keep what the run came to, if the index can."""
    try:
        index.save_run(summary)
    except IngestError as error:
        log.info("what this run came to could not be kept: %s", error)
