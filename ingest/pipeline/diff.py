"""What to do: the records of an index merged with the listing of a root. Pure.

Both come in the order of the names and are held one at a time, so a million sources take no
more memory than ten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias, TypeVar

from ingest.models import (
    ATTACHMENT_SEPARATOR,
    Code,
    DeletionsWithheld,
    Details,
    ListingIssue,
    Outcome,
    Record,
    Source,
    SourceResult,
    Unread,
    parent_name,
)
from ingest.pipeline.ignored_files import IgnoredFiles

T = TypeVar("T")

# A document that failed this often with the same bytes and recipe is not read again
# until someone asks for it.
MAX_ATTEMPTS = 3

# What a record says while its source is read, so that it is there if the process is ended by it.
INTERRUPTED_REASON = "a run ended while this was being read"

NOT_INDEXED_OUTCOMES = (Outcome.FAILED, Outcome.SKIPPED)


class Stale(NamedTuple):
    """A source whose bytes must be looked at."""

    source: Source
    record: Record | None  # without the ids; None for a source the index has not met
    known_fingerprint: str = (
        ""  # the fingerprint that makes it unchanged; "" to read it whatever its bytes are
    )

    @property
    def is_suspect(self) -> bool:
        """Whether a run ended while it was read, so that it may be what ended it."""
        return self.record is not None and self.record.error == INTERRUPTED_REASON


@dataclass(frozen=True, slots=True)
class Vanished:
    """A record whose source the listing no longer has."""

    record: Record


@dataclass(frozen=True, slots=True)
class UnlistedFolder:
    """The listing could not look below this folder, so absence from it proves nothing."""

    name: str


class Skipped(NamedTuple):
    """A source that is passed over unread, and not for good, so that its record is to say why."""

    source: Source
    reason: str
    code: Code
    record: Record | None  # without the ids

    @property
    def result(self) -> SourceResult:
        """Its outcome; since when it is so, only if its record says that already."""
        record = self.record
        return SourceResult(
            self.source.root,
            self.source.name,
            Outcome.SKIPPED,
            self.reason,
            self.code,
            harmless=False,
            chunks=record.chunks if record else 0,
            details=Details(since=first_reported_run(record))
            if record and self.is_recorded
            else Details(),
        )

    @property
    def is_recorded(self) -> bool:
        """Whether its record says all this already."""
        record, source = self.record, self.source
        return record is not None and (
            (record.outcome, record.error, record.code, record.size, record.modified)
            == (Outcome.SKIPPED, self.reason, self.code, source.size, source.modified)
        )


Change: TypeAlias = Stale | Vanished | UnlistedFolder | SourceResult | Skipped | Unread


@dataclass(frozen=True, slots=True)
class SkipRule:
    """What makes a source unchanged."""

    recipe_digest: str  # its digest
    ocr: str = ""  # the name of what reads scanned pages; "" if nothing does
    max_attempts: int = MAX_ATTEMPTS  # so many failures, and it is not read again
    has_passwords: bool = False  # there are some to try; they may be other ones than the last time

    def should_give_up(self, record: Record) -> bool:
        """Whether a source that failed is not tried again."""
        if self.has_passwords and record.code == Code.ENCRYPTED:
            return False
        return record.attempts >= self.max_attempts


def compare(
    listing: Iterable[Source | ListingIssue | Unread], records: Iterable[Record], rule: SkipRule
) -> Iterator[Change]:
    """One change per source in the listing or the records, about in the order of the names.

    A change that is Settled needs nothing more. Sources inside another one come right after it, and
    not at all if that is stale: they are settled with it. Raises AssertionError if either input is
    out of order: going on would take sources for vanished that are not.
    """
    holders: list[ParentSource] = []
    for item, record in merge_by_name(listing, records):
        name = item.name if item else record.source if record else ""
        while holders and holders[-1].ends_before(name):
            yield from compare_parent(holders.pop(), rule)
        if item is None:
            assert record is not None
            of = next((h for h in holders if h.source.name == parent_name(name)), None)
            if of:
                of.children.append(record)
            else:
                yield Vanished(record)
        elif isinstance(item, Unread):
            yield item
        elif isinstance(item, Source) and record and record.details.attachments:
            holders.append(ParentSource(item, record, []))
        else:
            yield from compare_item(item, record, rule)
    while holders:
        yield from compare_parent(holders.pop(), rule)


def merge_by_name(
    listing: Iterable[Source | ListingIssue | Unread], records: Iterable[Record]
) -> Iterator[tuple[Source | ListingIssue | Unread | None, Record | None]]:
    """What is listed beside its record, and what is only one of both, in the order of the names."""
    held = require_sorted(records, lambda record: record.source)
    record = next(held, None)
    for item in require_sorted(listing, lambda item: item.name):
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


class ParentSource(NamedTuple):
    """A source that had others inside it, and their records as they come."""

    source: Source
    record: Record
    children: list[Record]

    def ends_before(self, name: str) -> bool:
        """Whether no source inside this one can follow."""
        begins = self.source.name + ATTACHMENT_SEPARATOR
        return name > begins and not name.startswith(begins)


def compare_parent(parent: ParentSource, rule: SkipRule) -> Iterator[Change]:
    """What a source with others inside calls for: all are read, or none."""
    (own,) = compare_item(parent.source, parent.record, rule)
    if not (isinstance(own, SourceResult) and own.outcome is Outcome.UNCHANGED):
        yield own
        return
    others = [
        change
        for record in parent.children
        for change in compare_item(replace(parent.source, name=record.source), record, rule)
    ]
    known = {record.source for record in parent.children}
    expected = {
        f"{parent.source.name}{ATTACHMENT_SEPARATOR}{name}"
        for name in parent.record.details.attachments
    }
    if expected <= known and all(isinstance(change, SourceResult) for change in others):
        yield own
        yield from others
    else:
        yield Stale(parent.source, parent.record)


def compare_item(
    item: Source | ListingIssue, record: Record | None, rule: SkipRule
) -> Iterator[Change]:
    """What one listed item calls for."""
    if isinstance(item, ListingIssue):
        if item.harmless:
            yield SourceResult(item.root, item.name, Outcome.SKIPPED, item.reason, item.code)
        else:
            yield Skipped(Source(item.root, item.name, "", -1, ""), item.reason, item.code, record)
        if item.hides:
            yield UnlistedFolder(item.name)
    elif (
        record
        and is_unmodified(item, record, rule.recipe_digest)
        and record.outcome not in NOT_INDEXED_OUTCOMES
    ):
        again = not item.unreadable and is_improvable(record, rule)
        yield Stale(item, record) if again else unchanged_result(item, record)
    elif item.unreadable:
        yield Skipped(item, item.unreadable, Code.ARCHIVED, record)
    elif record is None or not is_unmodified(item, record, rule.recipe_digest):
        whole = (
            record
            and record.outcome not in NOT_INDEXED_OUTCOMES
            and not is_improvable(record, rule)
        )
        yield Stale(item, record, record.fingerprint if record and whole else "")
    elif rule.should_give_up(record):
        yield given_up_result(item, record)
    else:
        yield Stale(item, record)


def is_improvable(record: Record, rule: SkipRule) -> bool:
    """Whether reading the same bytes again may give more than the index has."""
    details = record.details
    if details.missing:
        return record.attempts < rule.max_attempts
    return bool(details.scanned and rule.ocr and details.ocr != rule.ocr)


def is_unmodified(source: Source, record: Record, recipe: str) -> bool:
    """Whether size and time alone say that the record still describes the source."""
    return (
        record.outcome != ""
        and (record.size, record.modified) == (source.size, source.modified)
        and record.fingerprint.startswith(recipe)
    )


def unchanged_result(source: Source, record: Record) -> SourceResult:
    """The outcome of a source that needs nothing."""
    missing = bool(record.details.missing)
    return SourceResult(
        source.root,
        source.name,
        Outcome.UNCHANGED,
        pages=record.pages,
        empty_pages=record.empty_pages,
        chunks=record.chunks,
        reason=reason_with_attempts(record) if missing else record.error,
        code=record.code,
        harmless=not missing,
        details=replace(record.details, since=first_reported_run(record))
        if missing
        else record.details,
    )


def given_up_result(source: Source, record: Record) -> SourceResult:
    """The outcome of a source that failed too often to be tried again by itself."""
    return SourceResult(
        source.root,
        source.name,
        Outcome(record.outcome),
        reason_with_attempts(record),
        record.code,
        harmless=False,
        chunks=record.chunks,
        details=Details(since=first_reported_run(record)),
    )


def first_reported_run(record: Record) -> str:
    """The first run, by its id, that reported what is wrong with a source.

    A record of an earlier version says only which run reported it last.
    """
    return record.details.since or record.run


def reason_with_attempts(record: Record) -> str:
    """Why a source is not there, or not whole, and what has it tried again."""
    return f"{record.error} (tried {record.attempts} times; --retry-failed tries again)"


def require_sorted(items: Iterable[T], key: Callable[[T], str]) -> Iterator[T]:
    """The items as they come, checked to ascend by key."""
    previous = None
    for item in items:
        name = key(item)
        assert previous is None or previous < name, f"{name!r} listed after {previous!r}"
        previous = name
        yield item


@dataclass(slots=True)
class AbsenceTracker:
    """What a run's listing did not have, and whether that proves anything.

    Reads the changes on their way to the pipeline and keeps the vanished records.
    """

    prune: bool
    max_deletes: int | None  # None: `usual_deletes`
    vanished: list[Record] = field(default_factory=list)
    unlisted_folders: list[str] = field(default_factory=list)
    present_count: int = 0
    is_complete: bool = False
    ignored: IgnoredFiles = field(default_factory=IgnoredFiles)

    def filter_changes(
        self, changes: Iterable[Change], is_stopped: Callable[[], bool]
    ) -> Iterator[Stale | SourceResult | Skipped]:
        """The changes that are not absences; they end early once `stopped` answers True."""
        for change in changes:
            if is_stopped():
                return
            if isinstance(change, Vanished):
                self.vanished.append(change.record)
            elif isinstance(change, UnlistedFolder):
                self.unlisted_folders.append(change.name)
            elif isinstance(change, Unread):
                self.ignored.add(change)
            else:
                name = change.source if isinstance(change, SourceResult) else change.source.name
                self.present_count += not parent_name(name)
                yield change
        self.is_complete = True

    def withheld_deletions(self, root: str) -> DeletionsWithheld | None:
        """Why the vanished sources must stay in the index; None if they may go."""
        # What is inside a source goes with it.
        count = sum(not parent_name(record.source) for record in self.vanished)
        limit = self.max_deletes
        if limit is None:
            limit = default_deletion_limit(count + self.present_count)
        if not self.vanished:
            return None
        if not self.is_complete:
            return DeletionsWithheld(
                root, count, "the run was stopped before it had seen everything", True
            )
        if self.unlisted_folders:
            return DeletionsWithheld(
                root, count, f"{self.unlisted_folders[0]} could not be looked into", True
            )
        if not (self.present_count or self.ignored.excluded_count):
            return DeletionsWithheld(
                root, count, "the root has no PDFs at all, which may be a mistake", True
            )
        if not self.prune:
            return DeletionsWithheld(root, count, "--no-prune", True)
        if count > limit:
            reason = f"more than the limit of {limit}; --max-deletes {count} lets them go"
            return DeletionsWithheld(root, count, reason, False)
        return None


def default_deletion_limit(sources: int) -> int:
    """How many of so many sources may vanish between two runs without anyone being asked."""
    return max(10, sources // 10)
