"""Compare an index with its records, and its records with the roots. Writes nothing.

    count everything ──▶ suspects ──▶ check each by its keys ──▶ findings
    list the roots   ──▶ compare with the records ─────────────▶ findings

Invariant: whatever a run is writing, or wrote so recently that listings lag behind, is never
reported. So each suspect is read again by its keys, after a pause if listings may lag, and skipped
if it has changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias, TypeVar

from ingest.commands.check.finding import CheckFinding, FindingKind
from ingest.commands.check.images import check_images
from ingest.commands.check.inventory import Inventory
from ingest.commands.check.record import RecordCheck, find_problems
from ingest.commands.check.scope import CheckContext
from ingest.commands.check.sources import RootComparison
from ingest.errors import ConfigError
from ingest.index import Flaw, Index
from ingest.models import SourceKey, parent_name
from ingest.pipeline.deletions import AbsenceTracker
from ingest.runtime.concurrency import map_concurrent

T = TypeVar("T")

REMOVAL_SECONDS = 1.0  # that a run takes to remove a source


@dataclass(frozen=True, slots=True)
class InProgress:
    """A source, or a whole root, that is skipped because a run is writing it."""

    root: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class CheckTotals:
    """Numbers of sources and chunks that were checked."""

    sources: int
    chunks: int


@dataclass(frozen=True, slots=True)
class Untaken:
    """A source that a run could not read, which is not a fault of the index."""

    root: str
    source: str
    outcome: str
    reason: str
    code: str
    chunks: int  # of an earlier version, which stays searchable


CheckEvent: TypeAlias = CheckFinding | InProgress | CheckTotals | Untaken


def check_index(scope: CheckContext) -> Iterator[CheckEvent]:
    """Check an index; yields each finding as it is found, and the totals last.

    Raises ServiceError, and ConfigError, also for an index that is damaged as a whole.
    """
    with Inventory() as inventory:
        idle_seconds = take_inventory(scope, inventory)
        if scope.run.stop.is_requested():
            return
        for flaw in inventory.flaws_of(("", "")):
            yield CheckFinding(FindingKind(flaw.kind), flaw.reason)
        for case in check_suspects(scope, inventory, idle_seconds):
            if isinstance(case, RecordCheck):
                yield from find_problems(case)
            else:
                yield case
        for root_name in root_names(scope, inventory):
            yield from check_root(scope, inventory, root_name, idle_seconds)
        if scope.services.images:
            yield from check_images(scope, scope.services.images, idle_seconds)
        for row in inventory.untaken():
            found = Untaken(*row)
            if scope.includes_source(found.root, parent_name(found.source) or found.source):
                yield found
        yield CheckTotals(inventory.count_rows("records"), inventory.count_rows("chunks"))


def take_inventory(scope: CheckContext, inventory: Inventory) -> float:
    """Fill the inventory; returns the seconds since another run may have written."""
    index = scope.index
    idle_seconds = index.seconds_since_write()
    for root in scope.root_filter:
        inventory.add_chunks(scope.until_stopped(index.chunks(root, text=False)))
        inventory.add_records(scope.until_stopped(index.records(root)))
    inventory.replace_flaws(find_flaws(scope))
    inventory.add_pages(
        place for place in index.cached_page_sources() if scope.includes_root(place[0])
    )
    inventory.find_suspects()
    return min(idle_seconds, index.seconds_since_write())


def find_flaws(scope: CheckContext) -> Iterator[Flaw]:
    """Flaws of single chunks, as the index reports them."""
    found = scope.index.flaws(scope.services.embedder.dimensions, thorough=scope.thorough)
    return (f for f in scope.until_stopped(found) if not f.source or scope.includes_root(f.root))


def check_suspects(
    scope: CheckContext, inventory: Inventory, idle_seconds: float
) -> Iterator[RecordCheck | InProgress]:
    """Read each suspect again by its keys."""
    index = scope.index
    if scope.may_lag(idle_seconds) and inventory.count_rows("suspects"):
        for place, read_record in map_suspects(
            scope, inventory, lambda place: partial(index.record, *place)
        ):
            inventory.save_record_hash(place, hash(read_record.result()))
        scope.retry_policy.wait(max(index.listing_lag, REMOVAL_SECONDS))
        if index.listing_lag and inventory.count_rows("flaws"):
            inventory.replace_flaws(find_flaws(scope))

    def recheck(place: SourceKey) -> partial[RecordCheck | None]:
        noted = inventory.flaws_of(place), inventory.pages_of(place)
        return partial(check_record, index, place, inventory.saved_record_hash(place), noted)

    for (root, source), call in map_suspects(scope, inventory, recheck):
        if not scope.includes_source(root, parent_name(source) or source):
            continue
        case = call.result()
        if case is None or (case.is_torn and idle_seconds == 0):
            yield InProgress(root, source)
        else:
            yield case


def map_suspects(
    scope: CheckContext, inventory: Inventory, call: Callable[[SourceKey], Callable[[], T]]
) -> Iterator[tuple[SourceKey, Future[T]]]:
    """Run a call for each suspect, several concurrently."""
    services = scope.services

    def start(place: SourceKey) -> Future[T]:
        return services.write_threads.submit(call(place))

    places = scope.until_stopped(inventory.suspects())
    for place, done in map_concurrent(
        places, start, services.max_writes, scope.run.stop.is_overdue
    ):
        assert done is not None
        yield place, done


def check_record(
    index: Index, place: SourceKey, record_hash: int | None, noted_flaws: tuple[list[Flaw], int]
) -> RecordCheck | None:
    """Read the record and the chunks of a source; None if they are changing."""
    root, source = place
    record = index.record(root, source)
    chunks = tuple(index.chunks(root, source, text=False))
    if record != index.record(root, source) or record_hash not in (None, hash(record)):
        return None
    flaws, pages = noted_flaws
    return RecordCheck(root, source, record, chunks, flaws, 0 if record else pages)


def root_names(scope: CheckContext, inventory: Inventory) -> list[str]:
    """Names of the roots to compare with their records."""
    named = [root.name for root in scope.named_roots]
    known = [] if scope.is_only_named else inventory.root_names()
    return [*named, *(name for name in known if name not in named)]


def check_root(
    scope: CheckContext, inventory: Inventory, name: str, idle_seconds: float
) -> Iterator[CheckEvent]:
    """Compare a root with its records."""
    if idle_seconds == 0:
        yield InProgress(name)
        return
    try:
        absences = AbsenceTracker(prune=True, max_deletes=scope.run.max_deletes)
        root, may_lag = scope.root(name), scope.may_lag(idle_seconds)
        yield from RootComparison(root, scope, may_lag, absences).find_findings()
    except ConfigError as error:
        if scope.is_named(name):
            raise
        if scope.may_lag(idle_seconds):
            scope.retry_policy.wait(scope.index.listing_lag)
        if knows_root(scope, name):
            yield CheckFinding(
                FindingKind.ROOT,
                str(error),
                name,
                count=inventory.count_sources(name),
                elsewhere=scope.is_shared,
            )


def knows_root(scope: CheckContext, root: str) -> bool:
    """Return whether the index has records or chunks of a root."""
    index = scope.index
    return any(True for _ in index.records(root)) or any(
        True for _ in index.chunks(root, text=False)
    )
