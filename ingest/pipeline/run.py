"""Life of a run, from its deadline to its summary, for the command line and the Python API.

A run that fails or ends early has a summary too, which the index keeps like any other.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace

from ingest.errors import IngestError, ServiceError
from ingest.index import ChunkStore, IndexTotals, RunHistory
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
    """Request the end of a run, and call `on_deadline`, one grace period before its deadline.

    The deadline is in seconds from now; the grace period is for settling work in progress.
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
    """Return the exit code of a run that did not fail."""
    return ServiceError.exit_code if stop.is_requested() else totals.exit_code


class RunRecorder:
    """Collects the events of a run, and creates its summary."""

    def __init__(
        self,
        run: Run,
        services: Services,
        capacity: Callable[[], Capacity],
        started: float,
        *,
        writes: bool = True,
    ) -> None:
        self.run, self.services, self.capacity, self.started = run, services, capacity, started
        self.writes = writes  # False: a preview
        self.totals = RunTotals()
        self.timeline = TimelineRecorder(services.times)

    def add(self, event: RunEvent) -> None:
        """Count an event."""
        self.totals.add(event)
        self.timeline.add(event)

    def summary(self, code: int) -> Summary:
        """Return the summary so far, as of a run that ends with this exit code."""
        capacity = self.capacity()
        seconds = time.monotonic() - self.started
        made = self.totals.summary(self.run.id, seconds, code, self.services.times, capacity)
        timeline = self.timeline.timeline(capacity.tokens)
        index = count_index(self.services.index, self.totals if self.writes else RunTotals())
        return replace(made, timeline=timeline, index=index, exclude=self.run.exclude)


def count_written_index(index: ChunkStore, totals: RunTotals) -> IndexTotals:
    """Count what an index holds after a run: no less than what the run knows to be there.

    The counts of a service lag behind the writes, so that they may be 0 after a first run.
    """
    counted = index.totals()
    if counted.size >= 0:  # on this machine
        return counted
    known = replace(
        counted,
        sources=max(counted.sources, totals.known_sources),
        chunks=max(counted.chunks, totals.chunks + totals.reused),
    )
    if known != counted:
        log.info("the service counts %d files, %d chunks so far", counted.sources, counted.chunks)
    return known


def summarized_index(summary: Summary, index: ChunkStore) -> IndexTotals:
    """Return what the index holds by a run's summary; counted if it was not."""
    return IndexTotals(**summary.index) if summary.index else index.totals()


def count_index(index: ChunkStore, totals: RunTotals) -> dict[str, int]:
    """Return what the index holds after a run; empty if it cannot be counted."""
    try:
        return asdict(count_written_index(index, totals))
    except IngestError as error:
        log.info("could not count the sources and chunks in the index: %s", error)
        return {}


def save_run_summary(summary: Summary, index: RunHistory) -> None:
    """Save a run's summary in the index, if it can be reached."""
    try:
        index.save_run(summary)
    except IngestError as error:
        log.info("could not save this run's summary in the index: %s", error)
