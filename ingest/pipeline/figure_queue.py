"""Documents whose text is indexed and whose figures are not described yet.

Descriptions cost more than text and take longer. So a run reads and indexes the text of all its
roots first, and then the documents with figures once more: their chunks are in the index already,
so nothing is paid twice, and where a budget ends, no text is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

from ingest.models import Outcome, Record, RunEvent, RunProgress, Source, SourceResult, parent_name
from ingest.pipeline.diff import Stale
from ingest.pipeline.results import unchanged_result
from ingest.sources import Root

T = TypeVar("T")


@dataclass(slots=True)
class FigureQueue:
    """The documents of one root, and their results so far, which are withheld until the end."""

    root: Root
    is_open: bool  # False: figures are not described in this run
    reading: dict[str, Source] = field(default_factory=dict)  # by name, until they have a result
    waiting: dict[str, Stale] = field(default_factory=dict)  # to read once more, by name
    results: dict[str, SourceResult] = field(default_factory=dict)  # withheld ones, by name
    aside: set[str] = field(default_factory=set)  # names of those that are only read once more

    def put_aside(self, changes: Iterable[Stale | T]) -> Iterator[Stale | T]:
        """Pass changes on, but for documents that lack nothing but descriptions."""
        for change in changes:
            if not isinstance(change, Stale) or not self.is_open:
                yield change
            elif change.describes and change.record:
                self.waiting[change.source.name] = change
                self.aside.add(change.source.name)
                result = unchanged_result(change.source, change.record)
                self.results[change.source.name] = result
            else:
                self.reading[change.source.name] = change.source
                yield change

    def withhold(self, events: Iterable[RunEvent]) -> Iterator[RunEvent]:
        """Pass events on, but for the results of documents that lack descriptions."""
        for event in events:
            if not isinstance(event, SourceResult) or not self.is_open:
                yield event
                continue
            name = parent_name(event.source) or event.source
            source = self.reading.get(name)
            if not event.details.attachments and name == event.source:
                self.reading.pop(name, None)
            if event.details.undescribed and source:
                self.waiting[name] = Stale(source, Record(*source.key), describes=True)
                self.results[event.source] = event
            else:
                yield event

    def sources(self, is_stopped: Callable[[], bool]) -> Iterator[Stale]:
        """Yield the documents to read once more; ends early once the callback returns True."""
        for stale in self.waiting.values():
            if is_stopped():
                return
            yield stale

    def settle(self, events: Iterable[RunEvent]) -> Iterator[RunEvent]:
        """Merge the results of the second reading with those that were withheld.

        Its pages were counted when they were first read.
        """
        for event in events:
            if isinstance(event, RunProgress):
                yield replace(event, pages=0)
            elif not isinstance(event, SourceResult):
                yield event
            elif first := self.results.pop(event.source, None):
                yield merge_results(first, event)
            elif parent_name(event.source) in self.aside:
                yield event

    def take_results(self) -> Iterator[SourceResult]:
        """Yield the results still withheld, of documents that were not read once more."""
        while self.results:
            yield self.results.pop(next(iter(self.results)))


def merge_results(first: SourceResult, second: SourceResult) -> SourceResult:
    """Return the result of a document that was read twice in a run."""
    is_first = first.outcome is not Outcome.UNCHANGED
    return replace(
        second,
        outcome=first.outcome if is_first and second.outcome in CHANGES else second.outcome,
        embedded=first.embedded + second.embedded,
        deleted=first.deleted + second.deleted,
        tokens=first.tokens + second.tokens,
        reused=first.reused + second.reused,
    )


CHANGES = (Outcome.CHANGED, Outcome.UNCHANGED)
