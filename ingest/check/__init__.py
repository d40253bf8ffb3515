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

from ingest.check.finding import Finding, Kind
from ingest.check.judge import Case, judged
from ingest.check.roots import Comparison
from ingest.check.scope import Scope
from ingest.check.tally import Place, Tally
from ingest.errors import ConfigError
from ingest.index import Flaw, Index
from ingest.model import holder
from ingest.overlap import overlapped

T = TypeVar("T")

A_MOMENT = 1.0  # seconds, in which a run removes a source


@dataclass(frozen=True, slots=True)
class Underway:
    """A source, or without one a root, that is not judged: a run is at work on it."""

    root: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
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


Event: TypeAlias = Finding | Underway | Checked | Untaken


def check(scope: Scope) -> Iterator[Event]:
    """Every finding, as it is found; at the end, how much was looked at.

    Raises ServiceError or ConfigError; the latter also where an index is damaged as a whole.
    """
    with Tally() as tally:
        quiet = counted(scope, tally)
        if scope.run.stop.requested():
            return
        for flaw in tally.flaws_of(("", "")):
            yield Finding(Kind(flaw.kind), flaw.reason)
        for case in cases(scope, tally, quiet):
            if isinstance(case, Case):
                yield from judged(case)
            else:
                yield case
        for name in roots(scope, tally):
            yield from compared(scope, tally, name, quiet)
        for row in tally.untaken():
            found = Untaken(*row)
            if scope.covers(found.root, holder(found.source) or found.source):
                yield found
        yield Checked(tally.count("records"), tally.count("chunks"))


def counted(scope: Scope, tally: Tally) -> float:
    """Count all there is; the seconds since another run may have written."""
    index = scope.index
    quiet = index.quiet()
    for root in scope.within:
        tally.chunks(scope.until_stopped(index.stored(root, text=False)))
        tally.records(scope.until_stopped(index.records(root)))
    tally.flaws(flaws(scope))
    tally.pages(place for place in index.paid_in() if scope.has(place[0]))
    tally.suspect()
    return min(quiet, index.quiet())


def flaws(scope: Scope) -> Iterator[Flaw]:
    """What is wrong with chunks in themselves."""
    found = scope.index.flaws(scope.services.embedder.dimensions, thorough=scope.thorough)
    return (f for f in scope.until_stopped(found) if not f.source or scope.has(f.root))


def cases(scope: Scope, tally: Tally, quiet: float) -> Iterator[Case | Underway]:
    """The sources that do not fit, looked at closely."""
    index = scope.index
    if scope.late(quiet) and tally.count("suspects"):
        for place, glance in asked(scope, tally, lambda place: partial(index.record, *place)):
            tally.glanced(place, hash(glance.result()))
        scope.patience.wait(max(index.lag, A_MOMENT))
        if index.lag and tally.count("flaws"):
            tally.flaws(flaws(scope))

    def look(place: Place) -> partial[Case | None]:
        noted = tally.flaws_of(place), tally.pages_of(place)
        return partial(looked_at, index, place, tally.glance(place), noted)

    for (root, source), call in asked(scope, tally, look):
        if not scope.covers(root, holder(source) or source):
            continue
        case = call.result()
        if case is None or (case.torn and quiet == 0):
            yield Underway(root, source)
        else:
            yield case


def asked(
    scope: Scope, tally: Tally, call: Callable[[Place], Callable[[], T]]
) -> Iterator[tuple[Place, Future[T]]]:
    """A call for each suspect, several at once."""
    services = scope.services

    def start(place: Place) -> Future[T]:
        return services.writers.submit(call(place))

    places = scope.until_stopped(tally.suspects())
    for place, done in overlapped(places, start, services.writing, scope.run.stop.overdue):
        assert done is not None
        yield place, done


def looked_at(
    index: Index, place: Place, glance: int | None, noted: tuple[list[Flaw], int]
) -> Case | None:
    """All that an index has of a source; None if that is changing."""
    root, source = place
    record = index.record(root, source)
    chunks = tuple(index.stored(root, source, text=False))
    if record != index.record(root, source) or glance not in (None, hash(record)):
        return None
    flaws, pages = noted
    return Case(root, source, record, chunks, flaws, 0 if record else pages)


def roots(scope: Scope, tally: Tally) -> list[str]:
    """The names of the roots that are compared with their records."""
    named = [root.name for root in scope.named]
    known = [] if scope.alone else tally.roots()
    return [*named, *(name for name in known if name not in named)]


def compared(scope: Scope, tally: Tally, name: str, quiet: float) -> Iterator[Event]:
    """What a root holds, against what the index knows of it."""
    if quiet == 0:
        yield Underway(name)
        return
    try:
        yield from Comparison(scope.root(name), scope, scope.late(quiet)).findings()
    except ConfigError as error:
        if scope.in_full(name):
            raise
        if scope.late(quiet):
            scope.patience.wait(scope.index.lag)
        if known(scope, name):
            yield Finding(Kind.ROOT, str(error), name, count=tally.sources(name))


def known(scope: Scope, root: str) -> bool:
    """Whether the index has anything of a root."""
    index = scope.index
    return any(True for _ in index.records(root)) or any(
        True for _ in index.stored(root, text=False)
    )
