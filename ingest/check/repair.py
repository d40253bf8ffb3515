"""Findings mended, by the pipeline: a repair makes of each broken record an intent, and runs.

An intent names all that may exist, so a repair that dies is made good by the next run, and what
the index has is not embedded again. What must not be broken: nothing is deleted but chunks that a
settled record does not name, and what the pipeline removes by its own rules.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from ingest.check import Underway, cases, counted, roots
from ingest.check.finding import Kind
from ingest.check.judge import Case, judged
from ingest.check.roots import Comparison
from ingest.check.scope import Scope
from ingest.check.tally import Tally
from ingest.errors import ConfigError
from ingest.index import Index
from ingest.model import (
    INSIDE,
    Details,
    Event,
    Kept,
    LeftOut,
    Oddity,
    Outcome,
    Record,
    Settled,
    Source,
    Unread,
    holder,
)
from ingest.overlap import overlapped
from ingest.pipeline import ingest, removed, saved
from ingest.plan import Absences
from ingest.settle import Noted, delete, remove
from ingest.sources import Root

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

AT_ONCE = 1000  # ids in one deletion


def repaired(scope: Scope) -> Iterator[Event]:
    """Mend what can be mended, and bring what changed in step; the index is held by the caller.

    Yields each source as it is settled. Raises ServiceError or ConfigError.
    """
    index, services = scope.index, scope.services
    index.mend()
    again: dict[str, set[str]] = defaultdict(set)  # sources to be run, by root
    doubted: set[str] = set()  # chunks to be embedded again, though the index has them
    with Tally() as tally:
        quiet = counted(scope, tally)
        if scope.run.stop.requested():
            return
        there = dict(reachable(scope, roots(scope, tally)))
        marks = (marked(case, scope, there) for case in cases(scope, tally, quiet))
        for case in saved(marks, services, scope.run.stop):
            if isinstance(case, Case):
                again[case.root].add(holder(case.source) or case.source)
                doubted.update(case.unlike)
    if again:
        # The run that follows lists the records, and must see what they say now.
        scope.patience.wait(index.lag)
    sure = replace(services, index=cast("Index", Doubting(index, doubted)))
    for root in there.values():
        yield from in_step(root, replace(scope, services=sure), again[root.name])


def marked(case: Case | Underway, scope: Scope, there: Mapping[str, Root]) -> Noted[Case | None]:
    """A case that is to be run again, and the record that says so; None for what is mended.

    Or for what a run has under way, or reads anyway.
    """
    done: Noted[Case | None] = Noted(None, None)
    if isinstance(case, Underway):
        return done
    index, record = scope.index, case.record
    ids = tuple(chunk.id for chunk in case.chunks)
    if record is None:
        if ids:
            new = Record(case.root, case.source, pending=ids)
            return Noted(new, case) if case.root in there else done
        index.forget(Record(case.root, case.source, details=Details(scanned=(1,))))
        return done
    if case.torn:
        record = replace(record, pending=tuple(dict.fromkeys(record.pending + ids)))
    else:
        delete(case.extra, index)
    # Read with other settings, it is read anew by a run that has them.
    fingerprint = record.fingerprint
    others = fingerprint and not fingerprint.startswith(scope.services.recipe.digest)
    broken = {finding.kind for finding in judged(case)} - {Kind.EXTRA, Kind.WORDS}
    if not broken or others or case.root not in there:
        return done
    if not there[case.root].covers(case.source):
        return done  # it is excluded, and not read
    return Noted(unfinished(record), case)


def unfinished(record: Record) -> Record:
    """A record that has the next run read its source, whatever its file looks like by then."""
    return replace(record, fingerprint="", modified="")


def reachable(scope: Scope, names: Collection[str]) -> Iterator[tuple[str, Root]]:
    """The roots that are there."""
    for name in names:
        with suppress(ConfigError):
            yield name, scope.root(name)


def in_step(root: Root, scope: Scope, again: set[str]) -> Iterator[Event]:
    """Remove what vanished from a root, and run what changed in it or was marked."""
    run, services = scope.run, scope.services
    look = Comparison(root, scope, late=True, absences=Absences(run.prune, run.max_deletes))
    try:
        differing = list(look.findings())
    except ConfigError:
        if scope.in_full(root.name):
            raise
        return
    changed = {finding.source for finding in differing if finding.kind is Kind.CHANGED}
    if scope.thorough and changed:
        # Size and time may be those of the record.
        unread(root.name, changed, services.index)
        scope.patience.wait(services.index.lag)
    yield from removed(root, look.absences, services)
    again |= changed | {finding.source for finding in differing if finding.kind is Kind.NEW}
    if again and not run.stop.requested():
        events = ingest(Some(root, again), services, replace(run, prune=False))
        yield from (event for event in events if not isinstance(event, Kept | LeftOut))


def unread(root: str, names: Collection[str], index: Index) -> None:
    """Have these sources read by the next run."""
    for name in names:
        if record := index.record(root, name):
            index.save(unfinished(record)).result()


@dataclass(frozen=True, slots=True)
class Some:
    """A root, and which of its sources are meant."""

    root: Root
    names: Collection[str]

    @property
    def name(self) -> str:
        """What the index calls it."""
        return self.root.name

    def covers(self, name: str) -> bool:
        """Whether a source is one of them, or inside one."""
        return (holder(name) or name) in self.names and self.root.covers(name)

    def listed(self) -> Iterator[Source | Oddity | Unread]:
        """They alone."""
        return (item for item in self.root.listed() if item.name in self.names)

    def opened(self, source: Source) -> AbstractContextManager[BinaryIO]:
        """The bytes of one."""
        return self.root.opened(source)


class Doubting:
    """An index that does not count some chunks as held, so that they are embedded again."""

    def __init__(self, index: Index, doubted: set[str]) -> None:
        self.index = index
        self.doubted = doubted

    def __getattr__(self, name: str) -> Any:
        return getattr(self.index, name)

    def held(self, ids: Collection[str]) -> set[str]:
        """Which of these chunks it has, and they are sound."""
        return self.index.held(ids) - self.doubted


def forgotten_source(scope: Scope, root: str, source: str) -> Iterator[Settled]:
    """Remove what the index has of one source, and of those inside it; the index is held."""
    index = scope.index
    inside = index.record(root, source) or Record(root, source)
    names = [f"{source}{INSIDE}{name}" for name in inside.details.attachments]
    for record in [index.record(root, name) for name in (*names, source)]:
        if record:
            yield remove(record, index)


def forgotten(scope: Scope, root: str) -> Iterator[Settled]:
    """Remove all that the index has of a root, wherever that is; the index is held by the caller.

    Raises ConfigError if it knows no such root.
    """
    index, services = scope.index, scope.services
    known = False
    records = overlapped(
        index.records(root),
        lambda record: services.writers.submit(partial(remove, record, index)),
        services.writing,
        scope.run.stop.overdue,
    )
    for _, call in records:
        known = True
        if call:
            yield call.result()
    if known:
        scope.patience.wait(index.lag)
    chunks = index.stored(root, text=False)
    while some := {chunk.id: chunk.source for chunk in islice(chunks, AT_ONCE)}:
        known = True
        delete(some, index)
        for source in sorted(set(some.values())):
            count = sum(name == source for name in some.values())
            yield Settled(root, source, Outcome.REMOVED, deleted=count)
    for source in sorted({source for name, source in index.paid_in() if name == root}):
        known = True
        index.forget(Record(root, source, details=Details(scanned=(1,))))
    if not known:
        raise ConfigError(
            f"--forget {root}: the index knows no such root or source; ingest status has them"
        )
