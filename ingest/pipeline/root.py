"""Bring an index in sync with a root: compare, settle what is stale, remove what vanished.

Figures are described once all text is indexed: their documents pass the stages a second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from ingest.errors import IngestError, RootError, StoppedError
from ingest.models import Record, RunEvent, SourceResult
from ingest.pipeline.context import Run, Services
from ingest.pipeline.deletions import AbsenceTracker
from ingest.pipeline.diff import compare_root
from ingest.pipeline.figure_queue import FigureQueue
from ingest.pipeline.records import load_records, never_abandon, record_skipped
from ingest.pipeline.reuse import keep_vectors
from ingest.pipeline.stages import settle_sources, take_until
from ingest.pipeline.writes import remove_source
from ingest.runtime.concurrency import map_concurrent
from ingest.sources import Root

T = TypeVar("T")


def ingest_root(root: Root, services: Services, run: Run) -> Iterator[RunEvent]:
    """Bring the index in sync with a root; yields an event for each source as it is settled.

    Raises ServiceError or ConfigError; sources settled until then stay settled.
    """
    queue = FigureQueue(root, services.reader.describes and services.remote is None)
    try:
        yield from ingest_text(root, services, run, queue)
        if services.figure_queues is None:
            yield from describe_figures(queue, services, run)
        else:  # once the text of all roots is indexed
            services.figure_queues.append(queue)
    except IngestError:
        yield from queue.take_results()
        raise


def ingest_text(root: Root, services: Services, run: Run, queue: FigureQueue) -> Iterator[RunEvent]:
    """Bring the index in sync with a root, without new descriptions of figures."""
    absences = AbsenceTracker(run.prune, run.max_deletes, run.allow_empty)
    changes = absences.filter_changes(
        compare_root(root, services, run, absences.ignored), run.stop.is_requested
    )
    errors: list[RootError] = []
    unsettled = record_skipped(collect_root_error(changes, errors), services, run)
    try:
        if services.remote:
            yield from services.remote.settle_sources(root, unsettled)
        else:
            present = take_until(lambda: bool(errors), queue.put_aside(unsettled))
            stale = load_records(present, services, run.stop)
            settled = settle_sources(root, stale, services, run, root_errors=errors)
            yield from queue.withhold(settled)
        # The stages end without an error once a call has failed. Raise it before deletions.
        run.stop.raise_fault()
        if errors:
            raise errors[0]
        yield from remove_vanished(root, absences, services)
        yield from absences.ignored.to_events(root.name)
    except StoppedError:
        # Another call failed, or the grace period is over.
        run.stop.raise_fault()


def collect_root_error(items: Iterable[T], errors: list[RootError]) -> Iterator[T]:
    """Yield the items of a listing; an error that ends it is for later, once these are settled."""
    try:
        yield from items
    except RootError as error:
        errors.append(error)


def remove_vanished(root: Root, absences: AbsenceTracker, services: Services) -> Iterator[RunEvent]:
    """Delete vanished sources from the index, unless deletions are withheld."""
    if withheld := absences.withheld_deletions(root.name):
        yield withheld
        return

    def remove(record: Record) -> SourceResult:
        if services.has_more_roots:
            return remove_source(record, services.index, lambda ids: keep_vectors(ids, services))
        return remove_source(record, services.index)

    def start(record: Record) -> Future[SourceResult]:
        return services.write_threads.submit(partial(remove, record))

    removed = map_concurrent(absences.vanished, start, services.max_writes, never_abandon)
    results = (call.result() for _, call in removed if call)
    yield from services.times.wait_for_each("documents to be removed", results)


def describe_figures(queue: FigureQueue, services: Services, run: Run) -> Iterator[RunEvent]:
    """Read documents again whose text is indexed, and index descriptions of their figures.

    Raises ServiceError or ConfigError.
    """
    try:
        if queue.waiting and not run.stop.is_requested():
            sources = queue.sources(run.stop.is_requested)
            stale = load_records(sources, services, run.stop)
            yield from queue.settle(settle_sources(queue.root, stale, services, run))
        run.stop.raise_fault()
    except StoppedError:
        run.stop.raise_fault()
    yield from queue.take_results()
