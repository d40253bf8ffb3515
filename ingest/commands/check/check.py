"""Whether an index is what its records say, and its records what the roots hold.

    count everything ──▶ suspects ──▶ look closely, one by one ──▶ findings
    list the roots   ──▶ beside the records ─────────────────────▶ findings

Nothing is written. What must not be broken: what a run has under way, or wrote so lately that
listings lag behind it, is no finding. So a suspect is looked at by its keys, after a pause where
that may matter, and passed over if it changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias, TypeVar

from ingest.commands.check.finding import CheckFinding, FindingKind
from ingest.commands.check.inventory import Inventory, SourceKey
from ingest.commands.check.record import RecordCheck, find_problems
from ingest.commands.check.scope import CheckContext
from ingest.commands.check.sources import RootComparison
from ingest.errors import ConfigError
from ingest.index import Flaw, Index
from ingest.models import parent_name
from ingest.runtime.concurrency import map_concurrent

T = TypeVar("T")

REMOVAL_SECONDS = 1.0  # seconds, in which a run removes a source


@dataclass(frozen=True, slots=True)
class InProgress:
    """A source, or without one a root, that is not judged: a run is at work on it."""

    root: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class CheckTotals:
    """How much was looked at."""

    sources: int
    chunks: int


@dataclass(frozen=True, slots=True)
class Untaken:
    """A source that a run could not take, which is no fault of the index."""

    root: str
    source: str
    outcome: str
    reason: str
    code: str


CheckEvent: TypeAlias = CheckFinding | InProgress | CheckTotals | Untaken


def check_index(scope: CheckContext) -> Iterator[CheckEvent]:
    """Every finding, as it is found; at the end, how much was looked at.

    Raises ServiceError or ConfigError; the latter also where an index is damaged as a whole.
    """
    with Inventory() as tally:
        quiet = take_inventory(scope, tally)
        if scope.run.stop.is_requested():
            return
        for flaw in tally.flaws_of(("", "")):
            yield CheckFinding(FindingKind(flaw.kind), flaw.reason)
        for case in check_suspects(scope, tally, quiet):
            if isinstance(case, RecordCheck):
                yield from find_problems(case)
            else:
                yield case
        for name in root_names(scope, tally):
            yield from check_root(scope, tally, name, quiet)
        for row in tally.untaken():
            found = Untaken(*row)
            if scope.includes_source(found.root, parent_name(found.source) or found.source):
                yield found
        yield CheckTotals(tally.count_rows("records"), tally.count_rows("chunks"))


def take_inventory(scope: CheckContext, inventory: Inventory) -> float:
    """Count all there is; the seconds since another run may have written."""
    index = scope.index
    quiet = index.seconds_since_write()
    for root in scope.root_filter:
        inventory.add_chunks(scope.until_stopped(index.chunks(root, text=False)))
        inventory.add_records(scope.until_stopped(index.records(root)))
    inventory.replace_flaws(find_flaws(scope))
    inventory.add_pages(
        place for place in index.cached_page_sources() if scope.includes_root(place[0])
    )
    inventory.find_suspects()
    return min(quiet, index.seconds_since_write())


def find_flaws(scope: CheckContext) -> Iterator[Flaw]:
    """What is wrong with chunks in themselves."""
    found = scope.index.flaws(scope.services.embedder.dimensions, thorough=scope.thorough)
    return (f for f in scope.until_stopped(found) if not f.source or scope.includes_root(f.root))


def check_suspects(
    scope: CheckContext, inventory: Inventory, idle_seconds: float
) -> Iterator[RecordCheck | InProgress]:
    """The sources that do not fit, looked at closely."""
    index = scope.index
    if scope.may_lag(idle_seconds) and inventory.count_rows("suspects"):
        for place, glance in map_suspects(
            scope, inventory, lambda place: partial(index.record, *place)
        ):
            inventory.save_record_hash(place, hash(glance.result()))
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
    """A call for each suspect, several at once."""
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
    """All that an index has of a source; None if that is changing."""
    root, source = place
    record = index.record(root, source)
    chunks = tuple(index.chunks(root, source, text=False))
    if record != index.record(root, source) or record_hash not in (None, hash(record)):
        return None
    flaws, pages = noted_flaws
    return RecordCheck(root, source, record, chunks, flaws, 0 if record else pages)


def root_names(scope: CheckContext, inventory: Inventory) -> list[str]:
    """The names of the roots that are compared with their records."""
    named = [root.name for root in scope.named_roots]
    known = [] if scope.is_only_named else inventory.root_names()
    return [*named, *(name for name in known if name not in named)]


def check_root(
    scope: CheckContext, inventory: Inventory, name: str, idle_seconds: float
) -> Iterator[CheckEvent]:
    """What a root holds, against what the index knows of it."""
    if idle_seconds == 0:
        yield InProgress(name)
        return
    try:
        yield from RootComparison(
            scope.root(name), scope, scope.may_lag(idle_seconds)
        ).find_findings()
    except ConfigError as error:
        if scope.is_named(name):
            raise
        if scope.may_lag(idle_seconds):
            scope.retry_policy.wait(scope.index.listing_lag)
        if knows_root(scope, name):
            yield CheckFinding(
                FindingKind.ROOT, str(error), name, count=inventory.count_sources(name)
            )


def knows_root(scope: CheckContext, root: str) -> bool:
    """Whether the index has anything of a root."""
    index = scope.index
    return any(True for _ in index.records(root)) or any(
        True for _ in index.chunks(root, text=False)
    )
