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
from ingest.index import Index
from ingest.models import Code, Event, Recipe, Record
from ingest.pipeline.diff import INTERRUPTED, Stale
from ingest.pipeline.transaction import failing
from ingest.pipeline.writes import Noted, Read
from ingest.runtime.cancellation import Stop

Reads: TypeAlias = "Iterator[Read | Event]"


@dataclass(frozen=True, slots=True)
class Attempts:
    """The sources whose records say that they are being read."""

    index: Index
    recipe: Recipe
    run: str
    stop: Stop
    begun: dict[str, Stale] = field(default_factory=dict)

    def suspects_last(
        self, changes: Iterable[Stale | Event], read: Callable[[Iterable[Stale | Event]], Reads]
    ) -> Reads:
        """What `read` makes of the changes: of all others first, then of each suspect alone.

        So what ends a process hinders no other document, and no other is taken for it.
        """
        suspects: list[Stale] = []

        def others() -> Iterator[Stale | Event]:
            for change in changes:
                if isinstance(change, Stale) and change.suspect:
                    suspects.append(change)
                else:
                    yield change

        yield from read(others())
        # Who has been there most often comes last: what a kill meets first need not be its cause.
        for suspect in sorted(
            suspects, key=lambda stale: stale.record.attempts if stale.record else 0
        ):
            if self.stop.requested():
                return
            yield from read([suspect])

    def counted(self, items: Iterable[Stale | Event]) -> Iterator[Noted[Stale | Event]]:
        """The items; a stale source once its record says that the run ended while it was read."""
        for item in items:
            if isinstance(item, Stale):
                self.begun[item.source.name] = item
                yield Noted(self.ended_by(item), item)
            else:
                yield Noted(None, item)

    def ended_by(self, stale: Stale) -> Record:
        """The record of a source that the process does not survive."""
        before = stale.record or Record(stale.source.root, stale.source.name)
        death = DocumentError(INTERRUPTED, Code.CRASHED)
        return failing(before, stale.source, death, self.recipe, self.run)

    def survived(self, items: Iterable[Read | Event]) -> Iterator[Read | Event]:
        """The items; what was read gets its record from the stages that follow."""
        for item in items:
            if isinstance(item, Read):
                self.begun.pop(item.stale.source.name, None)
            yield item

    def take_back(self) -> None:
        """Give what was begun and not read the record it had before, as far as that can be done."""
        with suppress(IngestError):  # it counts as an attempt, then, and is read alone next time
            for stale in self.begun.values():
                if stale.record:
                    self.index.save(stale.record).result()
                else:
                    self.index.forget(Record(stale.source.root, stale.source.name))


@contextmanager
def attempts(index: Index, recipe: Recipe, run: str, stop: Stop) -> Iterator[Attempts]:
    """The attempts of a run, taken back at its end unless that is sudden."""
    mine = Attempts(index, recipe, run, stop)
    try:
        yield mine
    except (Exception, GeneratorExit):
        mine.take_back()
        raise
    mine.take_back()
