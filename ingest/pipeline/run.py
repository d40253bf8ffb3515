"""Life of a run, from its deadline to its summary, for the command line and the Python API.

A run that fails or ends early also saves a summary in the index.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TypeVar

from ingest.errors import ConfigError, IngestError, RootError, ServiceError
from ingest.index import ChunkStore, IndexTotals, RootRegistry, RunHistory
from ingest.models import KnownRoot, RunEvent, Summary
from ingest.pipeline.context import Run, Services
from ingest.pipeline.exit_codes import FINISHED
from ingest.pipeline.figure_queue import FigureQueue
from ingest.pipeline.images.unused import delete_unused, may_leave_images
from ingest.pipeline.root import describe_figures
from ingest.pipeline.timeline import TimelineRecorder
from ingest.pipeline.totals import RunTotals
from ingest.runtime.bottleneck import Capacity
from ingest.runtime.cancellation import Cancellation
from ingest.runtime.timing import (
    INDEX_ANSWER,
    REQUEST_QUOTA,
    RETRY_PAUSE,
    THROTTLED_REQUESTS,
    TOKEN_QUOTA,
)
from ingest.sources import Root

Event = TypeVar("Event")

log = logging.getLogger(__name__)

MAX_BEGUN_RUNS = 10  # that never ended, of each root


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
    """Return the exit code of a run that raised no error: 2 wins over 1, and 1 over 3."""
    is_stopped = stop.is_requested() and totals.exit_code != ConfigError.exit_code
    return ServiceError.exit_code if is_stopped else totals.exit_code


def run_on_roots(
    run_root: Callable[[Root, Services, Run], Iterator[Event]],
    roots: Sequence[Root],
    services: Services,
    run: Run,
    totals: RunTotals,
) -> Iterator[Event | RunEvent]:
    """Run on each root in turn, then delete the images that no document shows any more.

    Raises RootError if no root can be listed.
    """
    has_left_images = services.images is not None and has_interrupted_run(services.index)
    for event in run_each_root(run_root, roots, services, run, totals):
        has_left_images = has_left_images or may_leave_images(event)
        yield event
    if has_left_images and not run.stop.is_requested():
        delete_unused(services)


def run_each_root(
    run_root: Callable[[Root, Services, Run], Iterator[Event]],
    roots: Sequence[Root],
    services: Services,
    run: Run,
    totals: RunTotals,
) -> Iterator[Event | RunEvent]:
    """Run on each root in turn; note one that cannot be listed, and continue.

    Figures are described once the text of all roots is indexed.
    """
    unlisted = 0
    queues: list[FigureQueue] = []
    if services.reader.describes:
        services = replace(services, figure_queues=queues)
    try:
        for root in roots:
            try:
                yield from run_root(
                    root, replace(services, has_more_roots=root is not roots[-1]), run
                )
            except RootError as error:
                unlisted += 1
                totals.unlisted.append(str(error))
                if unlisted < len(roots):
                    log.warning("%s; its documents stay in the index as they are", error)
        for queue in queues:
            yield from describe_figures(queue, services, run)
    except IngestError:
        for queue in queues:
            yield from queue.take_results()
        raise
    if unlisted and unlisted == len(roots):
        raise RootError("; ".join(totals.unlisted))


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
        self.facts: dict[str, object] = {}  # of the run, for its log
        self.retry_waits: list[float] = []  # seconds of each retry
        self.marked: list[KnownRoot] = []  # the roots of the index, since `mark_begun`

    def add(self, event: RunEvent) -> None:
        """Count an event."""
        self.totals.add(event)
        self.timeline.add(event)

    def log_fields(self) -> dict[str, object]:
        """Return the fields of the last log line that the summary lacks: facts and waits."""
        times = self.services.times
        pauses = (TOKEN_QUOTA, REQUEST_QUOTA, RETRY_PAUSE)
        waited = sum(times.wall_seconds(pause) for pause in pauses if pause in times.spans)
        return {
            **self.facts,
            "model": self.services.embedder.model,
            "refused_requests": times.counts[THROTTLED_REQUESTS],
            "waited_seconds": round(waited + sum(self.retry_waits), 1),
        }

    def mark_begun(self, roots: Sequence[Root]) -> None:
        """Note in the index that a run of these roots has begun. Needs the lock."""
        names, index = {root.name for root in roots}, self.services.index
        with self.services.times.wait_for(INDEX_ANSWER):
            known = index.roots()
            self.marked = [mark_begun(r, self.run.id) if r.name in names else r for r in known]
            if self.marked:
                index.save_roots(self.marked)

    def save(self, summary: Summary) -> None:
        """Save the summary and the end of the run in the index, and reclaim its free space."""
        with self.services.times.wait_for(INDEX_ANSWER):
            save_run_summary(summary, self.services.index)
            self.save_marks(summary)
        if not self.run.stop.is_requested():  # reclaiming space may take a while
            try:
                self.services.index.reclaim_space()
            except IngestError as error:
                log.info("could not give the free room of the index back to the disk: %s", error)

    def save_marks(self, summary: Summary) -> None:
        """Save in the index that the run of its roots has ended, if it can be reached."""
        if not self.marked:
            return
        try:
            self.services.index.save_roots([mark_ended(root, summary) for root in self.marked])
        except IngestError as error:
            log.info("could not note in the index that this run has ended: %s", error)

    def summary(self, code: int) -> Summary:
        """Return the summary so far, for a run that ends with this exit code."""
        capacity = self.capacity()
        seconds = time.monotonic() - self.started
        made = self.totals.summary(self.run.id, seconds, code, self.services.times, capacity)
        timeline = self.timeline.timeline(capacity.tokens)
        index = count_index(self.services.index, self.totals if self.writes else RunTotals())
        return replace(
            made,
            timeline=timeline,
            index=index,
            exclude=self.run.exclude,
            retries=len(self.retry_waits),
        )


def has_interrupted_run(index: RootRegistry) -> bool:
    """Return whether an earlier run has begun and not ended."""
    return any(len(root.begun) > 1 for root in index.roots())


def mark_begun(root: KnownRoot, run: str) -> KnownRoot:
    """Return a root with the mark that a run has begun."""
    return replace(root, begun=(*root.begun, run)[-MAX_BEGUN_RUNS:])


def mark_ended(root: KnownRoot, summary: Summary) -> KnownRoot:
    """Return a root with the mark that a run has ended; unchanged if the run had not begun."""
    if summary.run not in root.begun:
        return root
    if summary.exit in FINISHED:
        return replace(root, begun=(), last_good=summary.ended)
    return replace(root, begun=tuple(run for run in root.begun if run != summary.run))


def count_written_index(index: ChunkStore, totals: RunTotals) -> IndexTotals:
    """Count the contents of an index after a run; at least those that the run knows of.

    The counts of a service lag behind the writes: after a first run they may be 0.
    """
    counted = index.totals()
    if counted.size >= 0:  # on this machine
        return counted
    known = replace(
        counted,
        sources=max(counted.sources, totals.known_sources),
        chunks=max(counted.chunks, totals.known_chunks),
    )
    if known != counted:
        log.info("the service counts %d files, %d chunks so far", counted.sources, counted.chunks)
    return known


def summarized_index(summary: Summary, index: ChunkStore) -> IndexTotals:
    """Return the totals of the index in a run's summary; counts them if it has none."""
    return IndexTotals(**summary.index) if summary.index else index.totals()


def count_index(index: ChunkStore, totals: RunTotals) -> dict[str, int]:
    """Return the totals of the index after a run; empty if they cannot be counted."""
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
        # Another message has already reported the error that ended the run.
        level = logging.WARNING if summary.exit in FINISHED else logging.INFO
        log.log(level, "could not save this run's summary in the index: %s", error)
