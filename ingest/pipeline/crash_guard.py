"""Crash guard: counts the attempt to read a source before reading it.

A document may crash the whole process, or the machine, and nothing can record that afterwards. So
the failure is recorded first, and overwritten once the document has been read. A run that ends
without a crash restores the records of sources it has not read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeAlias

from ingest.errors import DocumentError, IngestError
from ingest.index import RecordStore
from ingest.models import Code, Recipe, Record, RunEvent
from ingest.pipeline.diff import INTERRUPTED_REASON, Stale
from ingest.pipeline.transaction import failure_record
from ingest.pipeline.writes import Pending, ReadResult
from ingest.runtime.cancellation import Cancellation

ReadEvents: TypeAlias = "Iterator[ReadResult | RunEvent]"


@dataclass(frozen=True, slots=True)
class CrashGuard:
    """Sources whose records say that they are being read."""

    index: RecordStore
    recipe: Recipe
    run: str
    stop: Cancellation
    started: dict[str, Stale] = field(default_factory=dict)

    def suspects_last(
        self,
        changes: Iterable[Stale | RunEvent],
        read: Callable[[Iterable[Stale | RunEvent]], ReadEvents],
    ) -> ReadEvents:
        """Read all other sources first, then each suspect alone.

        A document that crashes the process then delays no other one, and none is blamed for it.
        """
        suspects: list[Stale] = []

        def others() -> Iterator[Stale | RunEvent]:
            for change in changes:
                if isinstance(change, Stale) and change.is_suspect:
                    suspects.append(change)
                else:
                    yield change

        yield from read(others())
        # The most attempts come last: the first source that a kill meets need not be its cause.
        for suspect in sorted(
            suspects, key=lambda stale: stale.record.attempts if stale.record else 0
        ):
            if self.stop.is_requested():
                return
            yield from read([suspect])

    def record_attempts(
        self, items: Iterable[Stale | RunEvent]
    ) -> Iterator[Pending[Stale | RunEvent]]:
        """Yield stale sources with the record of a crash while they are read; other items pass."""
        for item in items:
            if isinstance(item, Stale):
                self.started[item.source.name] = item
                yield Pending(self.crash_record(item), item)
            else:
                yield Pending(None, item)

    def crash_record(self, stale: Stale) -> Record:
        """Return the record of a source that crashed the process."""
        before = stale.record or Record(stale.source.root, stale.source.name)
        error = DocumentError(INTERRUPTED_REASON, Code.CRASHED)
        return failure_record(before, stale.source, error, self.recipe, self.run)

    def clear_survivors(
        self, items: Iterable[ReadResult | RunEvent]
    ) -> Iterator[ReadResult | RunEvent]:
        """Drop sources that were read: later stages save their records."""
        for item in items:
            if isinstance(item, ReadResult):
                self.started.pop(item.stale.source.name, None)
            yield item

    def restore_records(self) -> None:
        """Restore the earlier records of sources that were not read, if the index answers."""
        with suppress(IngestError):  # a source that stays marked is read alone next time
            for stale in self.started.values():
                if stale.record:
                    self.index.save(stale.record).result()
                else:
                    self.index.forget(Record(stale.source.root, stale.source.name))


@contextmanager
def crash_guard(
    index: RecordStore, recipe: Recipe, run: str, stop: Cancellation
) -> Iterator[CrashGuard]:
    """Guard the sources of a run; restores their records at the end, unless that is a crash."""
    guard = CrashGuard(index, recipe, run, stop)
    try:
        yield guard
    except (Exception, GeneratorExit):
        guard.restore_records()
        raise
    guard.restore_records()
