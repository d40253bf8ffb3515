"""Crash guard: record each attempt to read a source before reading it.

A document may crash the process or the machine, which leaves no chance to record that. So a failure
is recorded first, and overwritten once the document is read. A run that ends without a crash
restores the records of documents that it did not finish.

Most crashes are no document's fault. The documents being read become suspects, which the next run
reads last, in halves, until one is alone. Only a crash over a document that is read alone, in a
root with others, counts as an attempt.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from ingest.errors import DocumentError, IngestError
from ingest.index import RecordStore
from ingest.models import NOT_INDEXED_OUTCOMES, Code, Recipe, Record, RunEvent, SourceResult
from ingest.pipeline.context import Run
from ingest.pipeline.diff import INTERRUPTED_REASON, Stale, is_unmodified
from ingest.pipeline.results import first_reported_run
from ingest.pipeline.transaction import Transaction, failure_record
from ingest.pipeline.writes import Pending, ReadResult
from ingest.runtime.cancellation import Cancellation

ReadEvents: TypeAlias = "Iterator[ReadResult | RunEvent]"


MIN_SOURCES_TO_BLAME = 2  # in a root: a single source would be blamed for any crash


@dataclass(slots=True)
class CrashGuard:
    """Sources whose records say that they are being read."""

    index: RecordStore
    recipe: Recipe
    run: str
    stop: Cancellation
    is_isolated: bool = False  # each source is read alone, by order of a cluster's driver
    started: dict[str, Stale] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)  # names of up to two sources of the root
    group_size: int = 0  # of the suspects being read; 0 while others are read

    def suspects_last(
        self,
        changes: Iterable[Stale | RunEvent],
        read: Callable[[Iterable[Stale | RunEvent]], ReadEvents],
    ) -> ReadEvents:
        """Read all other sources first, then the suspects in groups.

        A document that crashes the process then delays no other one.
        """
        suspects: list[Stale] = []

        def others() -> Iterator[Stale | RunEvent]:
            for change in changes:
                self.count_source(change)
                if isinstance(change, Stale) and change.is_suspect:
                    suspects.append(change)
                else:
                    yield change

        yield from read(others())
        for group in halve_groups(suspects):
            if self.stop.is_requested():
                return
            self.group_size = len(group)
            yield from read(group)

    def count_source(self, change: Stale | RunEvent) -> None:
        """Note that the root has this source, unless two are known."""
        if len(self.seen) < MIN_SOURCES_TO_BLAME:
            if isinstance(change, Stale):
                self.seen.add(change.source.name)
            elif isinstance(change, SourceResult):
                self.seen.add(change.source)

    @property
    def is_attempt(self) -> bool:
        """Return whether a crash would be the fault of the source being read."""
        has_others = len(self.seen) == MIN_SOURCES_TO_BLAME
        return self.is_isolated or (self.group_size == 1 and has_others)

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
        record = failure_record(before, stale.source, error, self.recipe, self.run)
        is_same = is_unmodified(stale.source, before, self.recipe.digest)
        known = before.attempts if stale.is_suspect and is_same else 0
        if is_same and (cause := known_cause(before)):
            text = f"{cause}; {INTERRUPTED_REASON}"
            since = replace(record.details, since=first_reported_run(before))
            record = replace(
                record, outcome=before.outcome, code=before.code, error=text, details=since
            )
        return replace(record, attempts=known + self.is_attempt)

    def clear_saved(
        self, items: Iterable[Transaction | RunEvent]
    ) -> Iterator[Transaction | RunEvent]:
        """Drop sources whose next record is saved; the index refuses the record of some."""
        for item in items:
            if isinstance(item, Transaction):
                self.started.pop(item.source.name, None)
            elif isinstance(item, SourceResult) and item.code != Code.REFUSED:
                self.started.pop(item.source, None)
            yield item

    def restore_records(self) -> None:
        """Restore the records of sources that were not finished, if the index accepts them."""
        for stale in self.started.values():
            with suppress(IngestError):  # a source that stays marked is a suspect next time
                if stale.record:
                    self.index.save(stale.record).result()
                else:
                    source = Record(stale.source.root, stale.source.name)
                    self.index.forget(source, keeps_pages=True)


def known_cause(record: Record) -> str:
    """Return the cause for which a source is not indexed; "" if it is not known, or a crash."""
    if record.outcome not in NOT_INDEXED_OUTCOMES or record.code == Code.CRASHED:
        return ""
    return record.error.removesuffix(INTERRUPTED_REASON).removesuffix("; ")


def halve_groups(suspects: Iterable[Stale]) -> Iterator[list[Stale]]:
    """Split the suspects of each crash into two groups.

    The suspects of the last crash come last, because they may have crashed two runs.
    """
    by_run: dict[str, list[Stale]] = defaultdict(list)
    for suspect in suspects:
        assert suspect.record is not None
        by_run[suspect.record.run].append(suspect)
    for run in sorted(by_run):
        group = by_run[run]
        middle = (len(group) + 1) // 2
        yield from filter(None, (group[:middle], group[middle:]))


@contextmanager
def crash_guard(
    index: RecordStore, recipe: Recipe, run: Run, *, is_isolated: bool = False
) -> Iterator[CrashGuard]:
    """Guard the sources of a run; restores their records at the end, unless that is a crash."""
    guard = CrashGuard(index, recipe, run.id, run.stop, is_isolated)
    try:
        yield guard
    except (Exception, GeneratorExit):
        guard.restore_records()
        raise
    guard.restore_records()
