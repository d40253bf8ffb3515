"""Repair an index through the pipeline: turn each broken record into an intent, then run.

An intent names every chunk that may exist, so the next run completes a repair that was killed, and
chunks in the index are not embedded again. Invariant: the only chunks deleted are those that a
committed record does not name, and those that the pipeline removes by its own rules.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from ingest.commands.check.check import InProgress, check_suspects, root_names, take_inventory
from ingest.commands.check.finding import FindingKind
from ingest.commands.check.images import mark_without_images, outer_name
from ingest.commands.check.inventory import Inventory
from ingest.commands.check.record import RecordCheck, find_problems
from ingest.commands.check.scope import CheckContext
from ingest.commands.check.sources import RootComparison
from ingest.errors import ConfigError
from ingest.index import Index, RecordStore
from ingest.models import (
    ATTACHMENT_SEPARATOR,
    DeletionsWithheld,
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
from ingest.pipeline.deletions import AbsenceTracker
from ingest.pipeline.diff import is_of_other_recipe
from ingest.pipeline.images.unused import delete_unused
from ingest.pipeline.records import save_records
from ingest.pipeline.root import ingest_root, remove_vanished
from ingest.pipeline.writes import Pending, delete_chunks, mark_unfinished, remove_source
from ingest.runtime.concurrency import map_concurrent
from ingest.sources import Root

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

DELETE_BATCH_IDS = 1000  # ids in one deletion


def repair_index(scope: CheckContext) -> Iterator[RunEvent]:
    """Repair the index, and update it from the roots. The caller holds the index lock.

    Yields the outcome of each source. Raises ServiceError or ConfigError.
    """
    index, services = scope.index, scope.services
    index.repair_local()
    again: dict[str, set[str]] = defaultdict(set)  # names of sources to ingest again, by root
    bad_ids: set[str] = set()  # chunks to embed again, though the index has them
    with Inventory() as inventory:
        idle_seconds = take_inventory(scope, inventory)
        if scope.run.stop.is_requested():
            return
        open_roots = dict(open_reachable_roots(scope, root_names(scope, inventory)))
        repairs = (
            prepare_repair(case, scope, open_roots)
            for case in check_suspects(scope, inventory, idle_seconds)
        )
        for case in save_records(repairs, services, scope.run.stop):
            if isinstance(case, RecordCheck):
                again[case.root].add(parent_name(case.source) or case.source)
                bad_ids.update(case.bad_vector_ids)
            elif case:
                yield case
    records = [r for r in index.records() if r.root in open_roots]
    for record in mark_without_images(scope, records):
        again[record.root].add(outer_name(record))
    if again:
        # The run that follows lists the records, and must see the new ones.
        index.wait_until_listed()
    masked = replace(services, index=cast("Index", MaskedIndex(index, bad_ids)))
    for root in open_roots.values():
        yield from repair_root(root, replace(scope, services=masked), again[root.name])
    delete_unused(services)


def prepare_repair(
    case: RecordCheck | InProgress, scope: CheckContext, open_roots: Mapping[str, Root]
) -> Pending[RecordCheck | SourceResult | None]:
    """Repair a suspect, or mark its record so that the pipeline reads the source again.

    The result is the suspect if its record was marked, the deletions if they repaired it, or None
    if a run is writing it or it cannot be read again.
    """
    done: Pending[RecordCheck | SourceResult | None] = Pending(None, None)
    if isinstance(case, InProgress):
        return done
    index, record = scope.index, case.record
    ids = tuple(chunk.id for chunk in case.chunks)
    if record is None:
        if ids:
            new = Record(case.root, case.source, pending=ids)
            return Pending(new, case) if case.root in open_roots else done
        index.forget(Record(case.root, case.source))
        return done
    if is_rereadable(case, record, scope, open_roots):
        # The pipeline deletes the chunks that the document does not have.
        named = record.pending + (ids if case.is_torn else tuple(case.extra_ids))
        return Pending(mark_unfinished(record, dict.fromkeys(named)), case)
    if case.is_torn or not (extra := case.extra_ids):
        return done
    delete_chunks(extra, index)
    return Pending(None, SourceResult(*record.key, Outcome.UNCHANGED, deleted=len(extra)))


def is_rereadable(
    case: RecordCheck, record: Record, scope: CheckContext, open_roots: Mapping[str, Root]
) -> bool:
    """Return whether a source is broken, and can be read again."""
    # A source that was read with other settings is left to a run with those settings.
    is_of_other = is_of_other_recipe(record, scope.services.recipe.digest)
    broken = {finding.kind for finding in find_problems(case)} - {
        FindingKind.EXTRA,
        FindingKind.WORDS,
    }
    if not broken or is_of_other or case.root not in open_roots:
        return False
    return open_roots[case.root].covers(case.source)  # or it is excluded


def open_reachable_roots(scope: CheckContext, names: Collection[str]) -> Iterator[tuple[str, Root]]:
    """Open the roots that can be reached."""
    for name in names:
        with suppress(ConfigError):
            yield name, scope.root(name)


def repair_root(root: Root, scope: CheckContext, names: set[str]) -> Iterator[RunEvent]:
    """Remove vanished sources of a root, and ingest those that changed, are new or are marked."""
    run, services = scope.run, scope.services
    absences = AbsenceTracker(run.prune, run.max_deletes, run.allow_empty)
    comparison = RootComparison(root, scope, listings_may_lag=True, absences=absences)
    try:
        findings = list(comparison.find_findings())
    except ConfigError:
        if scope.is_named(root.name):
            raise
        return
    changed = {finding.source for finding in findings if finding.kind is FindingKind.CHANGED}
    if scope.thorough and changed:
        # The record may still have the source's size and time.
        mark_unread(root.name, changed, services.index)
        services.index.wait_until_listed()
    yield from remove_vanished(root, comparison.absences, services)
    names |= changed | {finding.source for finding in findings if finding.kind is FindingKind.NEW}
    if names and not run.stop.is_requested():
        events = ingest_root(RootSubset(root, names), services, replace(run, prune=False))
        yield from (event for event in events if not isinstance(event, DeletionsWithheld | LeftOut))


def mark_unread(root: str, names: Collection[str], index: RecordStore) -> None:
    """Mark records so that the next run reads their sources."""
    for name in names:
        if record := index.record(root, name):
            index.save(mark_unfinished(record)).result()


@dataclass(frozen=True, slots=True)
class RootSubset:
    """Root limited to some of its sources."""

    root: Root
    names: Collection[str]

    @property
    def name(self) -> str:
        """Name of the root."""
        return self.root.name

    def covers(self, name: str) -> bool:
        """Return whether a source is one of `names`, or attached to one."""
        return (parent_name(name) or name) in self.names and self.root.covers(name)

    def list(self) -> Iterator[Source | ListingIssue | Unread]:
        """List only the sources in `names`."""
        return (item for item in self.root.list() if item.name in self.names)

    def find(self, name: str) -> Source:
        """Find one source."""
        return self.root.find(name)

    def open(self, source: Source) -> AbstractContextManager[BinaryIO]:
        """Open one source."""
        return self.root.open(source)


class MaskedIndex:
    """Index that hides some chunks, so that they are embedded again."""

    def __init__(self, index: Index, masked_ids: set[str]) -> None:
        self.index = index
        self.masked_ids = masked_ids

    def __getattr__(self, name: str) -> Any:
        return getattr(self.index, name)

    def existing_ids(self, ids: Collection[str]) -> set[str]:
        """Ids of the chunks that exist and are not masked."""
        return self.index.existing_ids(ids) - self.masked_ids

    def ids_by_text(self, hashes: Collection[str]) -> dict[str, str]:
        """Ids of the chunks of these texts, without masked ones, whose vectors are bad."""
        found = self.index.ids_by_text(hashes)
        return {text: id_ for text, id_ in found.items() if id_ not in self.masked_ids}


def forget_source(scope: CheckContext, root: str, source: str) -> Iterator[SourceResult]:
    """Remove one source and its attachments from the index. The caller holds the index lock."""
    index = scope.index
    parent = index.record(root, source) or Record(root, source)
    names = [f"{source}{ATTACHMENT_SEPARATOR}{name}" for name in parent.details.attachments]
    for record in [index.record(root, name) for name in (*names, source)]:
        if record:
            yield remove_source(record, index)


def forget_root(scope: CheckContext, root: str) -> Iterator[SourceResult]:
    """Remove a root from the index, even if it cannot be reached. The caller holds the index lock.

    Raises ConfigError if the index has nothing of this root.
    """
    index, services = scope.index, scope.services
    roots = index.roots()
    others = [entry for entry in roots if entry.name != root]
    known = len(others) < len(roots)
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
        index.wait_until_listed()
    chunks = index.chunks(root, text=False)
    while batch := {chunk.id: chunk.source for chunk in islice(chunks, DELETE_BATCH_IDS)}:
        known = True
        delete_chunks(batch, index)
        for source, count in sorted(Counter(batch.values()).items()):
            yield SourceResult(root, source, Outcome.REMOVED, deleted=count)
    for source in sorted({source for name, source in index.cached_page_sources() if name == root}):
        known = True
        index.forget(Record(root, source))
    if len(others) < len(roots):
        index.save_roots(others)  # last, since the keys of its records depend on it
    if not known:
        raise ConfigError(
            f"--forget {root}: the index has no such root or source; ingest status lists them"
        )
