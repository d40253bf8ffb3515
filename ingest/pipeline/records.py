"""Load and save the records of sources, many at a time, as they pass between two stages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar, cast

from ingest.errors import DocumentError
from ingest.models import Record, RunEvent, RunProgress, SourceResult
from ingest.pipeline.context import Run, Services
from ingest.pipeline.diff import Skipped, Stale
from ingest.pipeline.results import refused_result
from ingest.pipeline.transaction import Transaction
from ingest.pipeline.writes import Pending, ReadResult, read_record, skip_source
from ingest.runtime.cancellation import Cancellation
from ingest.runtime.concurrency import map_concurrent
from ingest.runtime.timing import WRITING_RECORDS

T = TypeVar("T")

MAX_CONCURRENT_SAVES = 200  # records, which fill two requests

# Passed on while a stage waits for its calls, so that the next one can collect its own results.
IDLE_EVENT = RunProgress()


def load_records(
    changes: Iterable[Stale | SourceResult], services: Services, stop: Cancellation
) -> Iterator[Stale | RunEvent]:
    """Load the whole records of stale sources, with their chunk ids.

    Yields a failure of each whose record the index does not show.
    """
    index = services.index

    def start(change: Stale | RunEvent) -> Future[Record | None] | None:
        if not isinstance(change, Stale) or (change.record is None and index.read_after_write):
            return None
        call = partial(read_record, index, change.source.key, change.record)
        timed = services.times.wrap(WRITING_RECORDS, call, change.source.key)
        return stop.track(services.write_threads.submit(timed))

    for change, call in map_concurrent(
        changes, start, services.max_writes, stop.is_overdue, IDLE_EVENT
    ):
        if not call or not isinstance(change, Stale):
            yield change
            continue
        try:
            yield change._replace(record=call.result())
        except DocumentError as error:
            yield refused_result(change.record or Record(*change.source.key), error)


def record_skipped(
    changes: Iterable[Stale | SourceResult | Skipped], services: Services, run: Run
) -> Iterator[Stale | SourceResult]:
    """Save why sources were skipped, and yield their results; other changes pass."""

    def start(change: Stale | SourceResult | Skipped) -> Future[Pending[SourceResult]] | None:
        if not isinstance(change, Skipped) or change.is_recorded:
            return None
        call = partial(skip_source, change, services.index, services.recipe, run.id)
        return run.stop.track(services.write_threads.submit(call))

    def results() -> Iterator[Pending[Any]]:
        for change, call in map_concurrent(changes, start, services.max_writes, never_abandon):
            if isinstance(change, Skipped) and not call:
                yield Pending(None, change.result)
            else:
                yield call_result(change, call)

    return save_records(results(), services, run.stop)


def save_records(
    items: Iterable[Pending[T]],
    services: Services,
    stop: Cancellation,
    max_saves: int = MAX_CONCURRENT_SAVES,
) -> Iterator[T]:
    """Yield each result once its record is saved, or a failure if the index refuses that."""

    def start(item: Pending[T]) -> Future[None] | None:
        if item.save is None:
            return None
        saving = services.index.save(item.save)
        return stop.track(services.times.measure_future(WRITING_RECORDS, saving, item.save.key))

    idle = Pending(None, cast("T", IDLE_EVENT))
    for item, call in map_concurrent(items, start, max_saves, never_abandon, idle):
        try:
            if call:
                call.result()
        except DocumentError as error:
            assert item.save
            yield cast("T", refused_result(item.save, error))
        else:
            yield item.result


def call_result(item: object, call: Future[Pending[T]] | None) -> Pending[T]:
    """Return the call's result; items that needed no call are wrapped unchanged.

    It is a failure of the item's source if the index refuses a write.
    """
    try:
        return call.result() if call else Pending(None, cast("T", item))
    except DocumentError as error:
        written = item.stale if isinstance(item, ReadResult) else item
        assert isinstance(written, Stale | Skipped | Transaction)
        record = written.record or Record(*written.source.key)
        return Pending(None, cast("T", refused_result(record, error)))


def never_abandon() -> bool:
    """Return False: writes are waited for once they have begun, even at the deadline."""
    return False
