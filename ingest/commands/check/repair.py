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

from ingest.commands.check.check import InProgress, check_suspects, root_names, take_inventory
from ingest.commands.check.finding import FindingKind
from ingest.commands.check.inventory import Inventory
from ingest.commands.check.record import RecordCheck, find_problems
from ingest.commands.check.scope import CheckContext
from ingest.commands.check.sources import RootComparison
from ingest.errors import ConfigError
from ingest.index import Index, RecordStore
from ingest.models import (
    ATTACHMENT_SEPARATOR,
    DeletionsWithheld,
    Details,
    LeftOut,
    ListingIssue,
    Outcome,
    Record,
    RunEvent,
    Source,
    SourceResult,
    Unread,
    parent_name,
)
from ingest.pipeline.diff import AbsenceTracker
from ingest.pipeline.stages import ingest_root, remove_vanished, save_records
from ingest.pipeline.writes import Pending, delete_chunks, remove_source
from ingest.runtime.concurrency import map_concurrent
from ingest.sources import Root

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

DELETE_BATCH_IDS = 1000  # ids in one deletion


def repair_index(scope: CheckContext) -> Iterator[RunEvent]:
    """Mend what can be mended, and bring what changed in step; the index is held by the caller.

    Yields each source as it is settled. Raises ServiceError or ConfigError.
    """
    index, services = scope.index, scope.services
    index.repair_local()
    again: dict[str, set[str]] = defaultdict(set)  # sources to be run, by root
    doubted: set[str] = set()  # chunks to be embedded again, though the index has them
    with Inventory() as tally:
        quiet = take_inventory(scope, tally)
        if scope.run.stop.is_requested():
            return
        there = dict(open_reachable_roots(scope, root_names(scope, tally)))
        marks = (prepare_repair(case, scope, there) for case in check_suspects(scope, tally, quiet))
        for case in save_records(marks, services, scope.run.stop):
            if isinstance(case, RecordCheck):
                again[case.root].add(parent_name(case.source) or case.source)
                doubted.update(case.bad_vector_ids)
    if again:
        # The run that follows lists the records, and must see what they say now.
        scope.retry_policy.wait(index.listing_lag)
    sure = replace(services, index=cast("Index", MaskedIndex(index, doubted)))
    for root in there.values():
        yield from repair_root(root, replace(scope, services=sure), again[root.name])


def prepare_repair(
    case: RecordCheck | InProgress, scope: CheckContext, open_roots: Mapping[str, Root]
) -> Pending[RecordCheck | None]:
    """A case that is to be run again, and the record that says so; None for what is mended.

    Or for what a run has under way, or reads anyway.
    """
    done: Pending[RecordCheck | None] = Pending(None, None)
    if isinstance(case, InProgress):
        return done
    index, record = scope.index, case.record
    ids = tuple(chunk.id for chunk in case.chunks)
    if record is None:
        if ids:
            new = Record(case.root, case.source, pending=ids)
            return Pending(new, case) if case.root in open_roots else done
        index.forget(Record(case.root, case.source, details=Details(scanned=(1,))))
        return done
    if case.is_torn:
        record = replace(record, pending=tuple(dict.fromkeys(record.pending + ids)))
    else:
        delete_chunks(case.extra_ids, index)
    # Read with other settings, it is read anew by a run that has them.
    fingerprint = record.fingerprint
    others = fingerprint and not fingerprint.startswith(scope.services.recipe.digest)
    broken = {finding.kind for finding in find_problems(case)} - {
        FindingKind.EXTRA,
        FindingKind.WORDS,
    }
    if not broken or others or case.root not in open_roots:
        return done
    if not open_roots[case.root].covers(case.source):
        return done  # it is excluded, and not read
    return Pending(mark_unfinished(record), case)


def mark_unfinished(record: Record) -> Record:
    """A record that has the next run read its source, whatever its file looks like by then."""
    return replace(record, fingerprint="", modified="")


def open_reachable_roots(scope: CheckContext, names: Collection[str]) -> Iterator[tuple[str, Root]]:
    """The roots that are there."""
    for name in names:
        with suppress(ConfigError):
            yield name, scope.root(name)


def repair_root(root: Root, scope: CheckContext, names: set[str]) -> Iterator[RunEvent]:
    """Remove what vanished from a root, and run what changed in it or was marked."""
    run, services = scope.run, scope.services
    look = RootComparison(
        root, scope, listings_may_lag=True, absences=AbsenceTracker(run.prune, run.max_deletes)
    )
    try:
        differing = list(look.find_findings())
    except ConfigError:
        if scope.is_named(root.name):
            raise
        return
    changed = {finding.source for finding in differing if finding.kind is FindingKind.CHANGED}
    if scope.thorough and changed:
        # Size and time may be those of the record.
        mark_unread(root.name, changed, services.index)
        scope.retry_policy.wait(services.index.listing_lag)
    yield from remove_vanished(root, look.absences, services)
    names |= changed | {finding.source for finding in differing if finding.kind is FindingKind.NEW}
    if names and not run.stop.is_requested():
        events = ingest_root(RootSubset(root, names), services, replace(run, prune=False))
        yield from (event for event in events if not isinstance(event, DeletionsWithheld | LeftOut))


def mark_unread(root: str, names: Collection[str], index: RecordStore) -> None:
    """Have these sources read by the next run."""
    for name in names:
        if record := index.record(root, name):
            index.save(mark_unfinished(record)).result()


@dataclass(frozen=True, slots=True)
class RootSubset:
    """A root, and which of its sources are meant."""

    root: Root
    names: Collection[str]

    @property
    def name(self) -> str:
        """What the index calls it."""
        return self.root.name

    def covers(self, name: str) -> bool:
        """Whether a source is one of them, or inside one."""
        return (parent_name(name) or name) in self.names and self.root.covers(name)

    def list(self) -> Iterator[Source | ListingIssue | Unread]:
        """They alone."""
        return (item for item in self.root.list() if item.name in self.names)

    def find(self, name: str) -> Source:
        """One source."""
        return self.root.find(name)

    def open(self, source: Source) -> AbstractContextManager[BinaryIO]:
        """The bytes of one."""
        return self.root.open(source)


class MaskedIndex:
    """An index that does not count some chunks as held, so that they are embedded again."""

    def __init__(self, index: Index, doubted: set[str]) -> None:
        self.index = index
        self.masked_ids = doubted

    def __getattr__(self, name: str) -> Any:
        return getattr(self.index, name)

    def existing_ids(self, ids: Collection[str]) -> set[str]:
        """Which of these chunks it has, and they are sound."""
        return self.index.existing_ids(ids) - self.masked_ids


def forgotten_source(scope: CheckContext, root: str, source: str) -> Iterator[SourceResult]:
    """Remove what the index has of one source, and of those inside it; the index is held."""
    index = scope.index
    inside = index.record(root, source) or Record(root, source)
    names = [f"{source}{ATTACHMENT_SEPARATOR}{name}" for name in inside.details.attachments]
    for record in [index.record(root, name) for name in (*names, source)]:
        if record:
            yield remove_source(record, index)


def forget_root(scope: CheckContext, root: str) -> Iterator[SourceResult]:
    """Remove all that the index has of a root, wherever that is; the index is held by the caller.

    Raises ConfigError if it knows no such root.
    """
    index, services = scope.index, scope.services
    known = False
    records = map_concurrent(
        index.records(root),
        lambda record: services.write_threads.submit(partial(remove_source, record, index)),
        services.max_writes,
        scope.run.stop.is_overdue,
    )
    for _, call in records:
        known = True
        if call:
            yield call.result()
    if known:
        scope.retry_policy.wait(index.listing_lag)
    chunks = index.chunks(root, text=False)
    while some := {chunk.id: chunk.source for chunk in islice(chunks, DELETE_BATCH_IDS)}:
        known = True
        delete_chunks(some, index)
        for source in sorted(set(some.values())):
            count = sum(name == source for name in some.values())
            yield SourceResult(root, source, Outcome.REMOVED, deleted=count)
    for source in sorted({source for name, source in index.cached_page_sources() if name == root}):
        known = True
        index.forget(Record(root, source, details=Details(scanned=(1,))))
    if not known:
        raise ConfigError(
            f"--forget {root}: the index knows no such root or source; ingest status has them"
        )
