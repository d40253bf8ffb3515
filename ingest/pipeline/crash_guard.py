"""Sources that are being read, each counted as an attempt in its record before it is.

A document may end the whole process, or the machine. Then nobody is left to write down that it did;
so its failure is written beforehand, and overwritten once it has been read. What is left of a run
that ends in good order is taken back.
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
    """The sources whose records say that they are being read."""

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
        """What `read` makes of the changes: of all others first, then of each suspect alone.

        So what ends a process hinders no other document, and no other is taken for it.
        """
        suspects: list[Stale] = []

        def others() -> Iterator[Stale | RunEvent]:
            for change in changes:
                if isinstance(change, Stale) and change.is_suspect:
                    suspects.append(change)
                else:
                    yield change

        yield from read(others())
        # Who has been there most often comes last: what a kill meets first need not be its cause.
        for suspect in sorted(
            suspects, key=lambda stale: stale.record.attempts if stale.record else 0
        ):
            if self.stop.is_requested():
                return
            yield from read([suspect])

    def record_attempts(
        self, items: Iterable[Stale | RunEvent]
    ) -> Iterator[Pending[Stale | RunEvent]]:
        """The items; a stale source once its record says that the run ended while it was read."""
        for item in items:
            if isinstance(item, Stale):
                self.started[item.source.name] = item
                yield Pending(self.crash_record(item), item)
            else:
                yield Pending(None, item)

    def crash_record(self, stale: Stale) -> Record:
        """The record of a source that the process does not survive."""
        before = stale.record or Record(stale.source.root, stale.source.name)
        death = DocumentError(INTERRUPTED_REASON, Code.CRASHED)
        return failure_record(before, stale.source, death, self.recipe, self.run)

    def clear_survivors(
        self, items: Iterable[ReadResult | RunEvent]
    ) -> Iterator[ReadResult | RunEvent]:
        """The items; what was read gets its record from the stages that follow."""
        for item in items:
            if isinstance(item, ReadResult):
                self.started.pop(item.stale.source.name, None)
            yield item

    def restore_records(self) -> None:
        """Give what was begun and not read the record it had before, as far as that can be done."""
        with suppress(IngestError):  # it counts as an attempt, then, and is read alone next time
            for stale in self.started.values():
                if stale.record:
                    self.index.save(stale.record).result()
                else:
                    self.index.forget(Record(stale.source.root, stale.source.name))


@contextmanager
def crash_guard(
    index: RecordStore, recipe: Recipe, run: str, stop: Cancellation
) -> Iterator[CrashGuard]:
    """The attempts of a run, taken back at its end unless that is sudden."""
    mine = CrashGuard(index, recipe, run, stop)
    try:
        yield mine
    except (Exception, GeneratorExit):
        mine.restore_records()
        raise
    mine.restore_records()
