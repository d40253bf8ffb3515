"""What to do: the records of an index merged with the listing of a root. Pure.

Both come in the order of the names and are held one at a time, so a million sources take no
more memory than ten.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias, TypeVar

from ingest.model import Code, Kept, Oddity, Outcome, Record, Settled, Source

T = TypeVar("T")

# A document that failed this often with the same bytes and recipe is not read again
# until someone asks for it.
MAX_ATTEMPTS = 3

NOT_TAKEN = (Outcome.FAILED, Outcome.SKIPPED)


class Stale(NamedTuple):
    """A source whose bytes must be looked at."""

    source: Source
    record: Record | None  # without the ids; None for a source the index has not met


@dataclass(frozen=True, slots=True)
class Vanished:
    """A record whose source the listing no longer has."""

    record: Record


@dataclass(frozen=True, slots=True)
class Unseen:
    """The listing could not look below this folder, so absence from it proves nothing."""

    name: str


Change: TypeAlias = Stale | Vanished | Unseen | Settled


def compare(
    listing: Iterable[Source | Oddity],
    records: Iterable[Record],
    recipe: str,
    *,
    retry_failed: bool = False,
    passwords: bool = False,
) -> Iterator[Change]:
    """One change per source in the listing or the records, in the order of the names.

    Locked sources are tried again whenever there are `passwords`: they may be other ones now.
    A change that is Settled needs nothing more. Raises AssertionError if either input is out of
    order: going on would take sources for vanished that are not.
    """
    held = ordered(records, lambda record: record.source)
    record = next(held, None)
    for item in ordered(listing, lambda item: item.name):
        while record is not None and record.source < item.name:
            yield Vanished(record)
            record = next(held, None)
        known = None
        if record is not None and record.source == item.name:
            known, record = record, next(held, None)
        again = retry_failed or (passwords and known is not None and known.code == Code.ENCRYPTED)
        yield from judged(item, known, recipe, sys.maxsize if again else MAX_ATTEMPTS)
    while record is not None:
        yield Vanished(record)
        record = next(held, None)


def judged(
    item: Source | Oddity, known: Record | None, recipe: str, attempts: int
) -> Iterator[Change]:
    """What one listed item calls for."""
    if isinstance(item, Oddity):
        yield Settled(item.root, item.name, Outcome.SKIPPED, item.reason, item.code, item.harmless)
        if item.hides:
            yield Unseen(item.name)
    elif known and untouched(item, known, recipe) and known.outcome not in NOT_TAKEN:
        yield unchanged(item, known)
    elif item.unreadable:
        chunks = known.chunks if known else 0
        reason = item.unreadable
        yield Settled(
            item.root,
            item.name,
            Outcome.SKIPPED,
            reason,
            Code.UNREADABLE,
            harmless=False,
            chunks=chunks,
        )
    elif known is None or not untouched(item, known, recipe):
        yield Stale(item, known)
    elif known.attempts >= attempts:
        yield given_up(item, known)
    else:
        yield Stale(item, known)


def untouched(source: Source, record: Record, recipe: str) -> bool:
    """Whether size and time alone say that the record still describes the source."""
    return (
        record.outcome != ""
        and (record.size, record.modified) == (source.size, source.modified)
        and record.fingerprint.startswith(recipe)
    )


def unchanged(source: Source, record: Record) -> Settled:
    """The outcome of a source that needs nothing."""
    return Settled(
        source.root,
        source.name,
        Outcome.UNCHANGED,
        pages=record.pages,
        empty_pages=record.empty_pages,
        chunks=record.chunks,
    )


def given_up(source: Source, record: Record) -> Settled:
    """The outcome of a source that failed too often to be tried again by itself."""
    reason = f"{record.error} (tried {record.attempts} times; --retry-failed tries again)"
    return Settled(
        source.root,
        source.name,
        Outcome(record.outcome),
        reason,
        record.code,
        harmless=False,
        chunks=record.chunks,
    )


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

    def noted(
        self, changes: Iterable[Change], stopped: Callable[[], bool]
    ) -> Iterator[Stale | Settled]:
        """The changes that are not absences; they end early once `stopped` answers True."""
        for change in changes:
            if stopped():
                return
            if isinstance(change, Vanished):
                self.vanished.append(change.record)
            elif isinstance(change, Unseen):
                self.unseen.append(change.name)
            else:
                self.present += 1
                yield change
        self.whole = True

    def kept(self, root: str) -> Kept | None:
        """Why the vanished sources must stay in the index; None if they may go."""
        count = len(self.vanished)
        limit = self.max_deletes
        if limit is None:
            limit = usual_deletes(count + self.present)
        if not count:
            return None
        if not self.whole:
            return Kept(root, count, "the run was stopped before it had seen everything", True)
        if self.unseen:
            return Kept(root, count, f"{self.unseen[0]} could not be looked into", True)
        if not self.present:
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
