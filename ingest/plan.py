"""What to do: the records of an index merged with the listing of a root. Pure.

Both come in the order of the names and are held one at a time, so a million sources take no
more memory than ten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias, TypeVar

from ingest.leftout import Aside
from ingest.model import (
    INSIDE,
    Code,
    Details,
    Kept,
    Oddity,
    Outcome,
    Record,
    Settled,
    Source,
    Unread,
    holder,
)

T = TypeVar("T")

# A document that failed this often with the same bytes and recipe is not read again
# until someone asks for it.
MAX_ATTEMPTS = 3

# What a record says while its source is read, so that it is there if the process is ended by it.
INTERRUPTED = "a run ended while this was being read"

NOT_TAKEN = (Outcome.FAILED, Outcome.SKIPPED)


class Stale(NamedTuple):
    """A source whose bytes must be looked at."""

    source: Source
    record: Record | None  # without the ids; None for a source the index has not met
    known: str = ""  # the fingerprint that makes it unchanged; "" to read it whatever its bytes are

    @property
    def suspect(self) -> bool:
        """Whether a run ended while it was read, so that it may be what ended it."""
        return self.record is not None and self.record.error == INTERRUPTED


@dataclass(frozen=True, slots=True)
class Vanished:
    """A record whose source the listing no longer has."""

    record: Record


@dataclass(frozen=True, slots=True)
class Unseen:
    """The listing could not look below this folder, so absence from it proves nothing."""

    name: str


class Passed(NamedTuple):
    """A source that is passed over unread, and not for good, so that its record is to say why."""

    source: Source
    reason: str
    code: Code
    record: Record | None  # without the ids

    @property
    def settled(self) -> Settled:
        """Its outcome; since when it is so, only if its record says that already."""
        record = self.record
        return Settled(
            self.source.root,
            self.source.name,
            Outcome.SKIPPED,
            self.reason,
            self.code,
            harmless=False,
            chunks=record.chunks if record else 0,
            details=Details(since=reported(record)) if record and self.is_recorded else Details(),
        )

    @property
    def is_recorded(self) -> bool:
        """Whether its record says all this already."""
        record, source = self.record, self.source
        return record is not None and (
            (record.outcome, record.error, record.code, record.size, record.modified)
            == (Outcome.SKIPPED, self.reason, self.code, source.size, source.modified)
        )


Change: TypeAlias = Stale | Vanished | Unseen | Settled | Passed | Unread


@dataclass(frozen=True, slots=True)
class Terms:
    """What makes a source unchanged."""

    recipe: str  # its digest
    ocr: str = ""  # the name of what reads scanned pages; "" if nothing does
    attempts: int = MAX_ATTEMPTS  # so many failures, and it is not read again
    passwords: bool = False  # there are some to try; they may be other ones than the last time

    def give_up(self, record: Record) -> bool:
        """Whether a source that failed is not tried again."""
        if self.passwords and record.code == Code.ENCRYPTED:
            return False
        return record.attempts >= self.attempts


def compare(
    listing: Iterable[Source | Oddity | Unread], records: Iterable[Record], terms: Terms
) -> Iterator[Change]:
    """One change per source in the listing or the records, about in the order of the names.

    A change that is Settled needs nothing more. Sources inside another one come right after it, and
    not at all if that is stale: they are settled with it. Raises AssertionError if either input is
    out of order: going on would take sources for vanished that are not.
    """
    holders: list[Holder] = []
    for item, record in merged(listing, records):
        name = item.name if item else record.source if record else ""
        while holders and holders[-1].ends_before(name):
            yield from together(holders.pop(), terms)
        if item is None:
            assert record is not None
            of = next((h for h in holders if h.source.name == holder(name)), None)
            if of:
                of.inside.append(record)
            else:
                yield Vanished(record)
        elif isinstance(item, Unread):
            yield item
        elif isinstance(item, Source) and record and record.details.attachments:
            holders.append(Holder(item, record, []))
        else:
            yield from judged(item, record, terms)
    while holders:
        yield from together(holders.pop(), terms)


def merged(
    listing: Iterable[Source | Oddity | Unread], records: Iterable[Record]
) -> Iterator[tuple[Source | Oddity | Unread | None, Record | None]]:
    """What is listed beside its record, and what is only one of both, in the order of the names."""
    held = ordered(records, lambda record: record.source)
    record = next(held, None)
    for item in ordered(listing, lambda item: item.name):
        while record is not None and record.source < item.name:
            yield None, record
            record = next(held, None)
        if record is not None and record.source == item.name:
            yield item, record
            record = next(held, None)
        else:
            yield item, None
    while record is not None:
        yield None, record
        record = next(held, None)


class Holder(NamedTuple):
    """A source that had others inside it, and their records as they come."""

    source: Source
    record: Record
    inside: list[Record]

    def ends_before(self, name: str) -> bool:
        """Whether no source inside this one can follow."""
        begins = self.source.name + INSIDE
        return name > begins and not name.startswith(begins)


def together(held: Holder, terms: Terms) -> Iterator[Change]:
    """What a source with others inside calls for: all are read, or none."""
    (own,) = judged(held.source, held.record, terms)
    if not (isinstance(own, Settled) and own.outcome is Outcome.UNCHANGED):
        yield own
        return
    others = [
        change
        for record in held.inside
        for change in judged(replace(held.source, name=record.source), record, terms)
    ]
    known = {record.source for record in held.inside}
    expected = {f"{held.source.name}{INSIDE}{name}" for name in held.record.details.attachments}
    if expected <= known and all(isinstance(change, Settled) for change in others):
        yield own
        yield from others
    else:
        yield Stale(held.source, held.record)


def judged(item: Source | Oddity, known: Record | None, terms: Terms) -> Iterator[Change]:
    """What one listed item calls for."""
    if isinstance(item, Oddity):
        if item.harmless:
            yield Settled(item.root, item.name, Outcome.SKIPPED, item.reason, item.code)
        else:
            yield Passed(Source(item.root, item.name, "", -1, ""), item.reason, item.code, known)
        if item.hides:
            yield Unseen(item.name)
    elif known and untouched(item, known, terms.recipe) and known.outcome not in NOT_TAKEN:
        again = not item.unreadable and lacking(known, terms)
        yield Stale(item, known) if again else unchanged(item, known)
    elif item.unreadable:
        yield Passed(item, item.unreadable, Code.ARCHIVED, known)
    elif known is None or not untouched(item, known, terms.recipe):
        whole = known and known.outcome not in NOT_TAKEN and not lacking(known, terms)
        yield Stale(item, known, known.fingerprint if known and whole else "")
    elif terms.give_up(known):
        yield given_up(item, known)
    else:
        yield Stale(item, known)


def lacking(record: Record, terms: Terms) -> bool:
    """Whether reading the same bytes again may give more than the index has."""
    details = record.details
    if details.missing:
        return record.attempts < terms.attempts
    return bool(details.scanned and terms.ocr and details.ocr != terms.ocr)


def untouched(source: Source, record: Record, recipe: str) -> bool:
    """Whether size and time alone say that the record still describes the source."""
    return (
        record.outcome != ""
        and (record.size, record.modified) == (source.size, source.modified)
        and record.fingerprint.startswith(recipe)
    )


def unchanged(source: Source, record: Record) -> Settled:
    """The outcome of a source that needs nothing."""
    missing = bool(record.details.missing)
    return Settled(
        source.root,
        source.name,
        Outcome.UNCHANGED,
        pages=record.pages,
        empty_pages=record.empty_pages,
        chunks=record.chunks,
        reason=tried(record) if missing else record.error,
        code=record.code,
        harmless=not missing,
        details=replace(record.details, since=reported(record)) if missing else record.details,
    )


def given_up(source: Source, record: Record) -> Settled:
    """The outcome of a source that failed too often to be tried again by itself."""
    return Settled(
        source.root,
        source.name,
        Outcome(record.outcome),
        tried(record),
        record.code,
        harmless=False,
        chunks=record.chunks,
        details=Details(since=reported(record)),
    )


def reported(record: Record) -> str:
    """The first run, by its id, that reported what is wrong with a source.

    A record of an earlier version says only which run reported it last.
    """
    return record.details.since or record.run


def tried(record: Record) -> str:
    """Why a source is not there, or not whole, and what has it tried again."""
    return f"{record.error} (tried {record.attempts} times; --retry-failed tries again)"


def ordered(items: Iterable[T], key: Callable[[T], str]) -> Iterator[T]:
    """The items as they come, checked to ascend by key."""
    previous = None
    for item in items:
        name = key(item)
        assert previous is None or previous < name, f"{name!r} listed after {previous!r}"
        previous = name
        yield item


@dataclass(slots=True)
class Absences:
    """What a run's listing did not have, and whether that proves anything.

    Reads the changes on their way to the pipeline and keeps the vanished records.
    """

    prune: bool
    max_deletes: int | None  # None: `usual_deletes`
    vanished: list[Record] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    present: int = 0
    whole: bool = False
    aside: Aside = field(default_factory=Aside)

    def noted(
        self, changes: Iterable[Change], stopped: Callable[[], bool]
    ) -> Iterator[Stale | Settled | Passed]:
        """The changes that are not absences; they end early once `stopped` answers True."""
        for change in changes:
            if stopped():
                return
            if isinstance(change, Vanished):
                self.vanished.append(change.record)
            elif isinstance(change, Unseen):
                self.unseen.append(change.name)
            elif isinstance(change, Unread):
                self.aside.add(change)
            else:
                name = change.source if isinstance(change, Settled) else change.source.name
                self.present += not holder(name)
                yield change
        self.whole = True

    def kept(self, root: str) -> Kept | None:
        """Why the vanished sources must stay in the index; None if they may go."""
        # What is inside a source goes with it.
        count = sum(not holder(record.source) for record in self.vanished)
        limit = self.max_deletes
        if limit is None:
            limit = usual_deletes(count + self.present)
        if not self.vanished:
            return None
        if not self.whole:
            return Kept(root, count, "the run was stopped before it had seen everything", True)
        if self.unseen:
            return Kept(root, count, f"{self.unseen[0]} could not be looked into", True)
        if not (self.present or self.aside.excluded):
            return Kept(root, count, "the root has no PDFs at all, which may be a mistake", True)
        if not self.prune:
            return Kept(root, count, "--no-prune", True)
        if count > limit:
            reason = f"more than the limit of {limit}; --max-deletes {count} lets them go"
            return Kept(root, count, reason, False)
        return None


def usual_deletes(sources: int) -> int:
    """How many of so many sources may vanish between two runs without anyone being asked."""
    return max(10, sources // 10)
