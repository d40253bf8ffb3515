"""Diff: merge the records of an index with the listing of a root.

Both are sorted by name and consumed one item at a time, so a million sources take no more memory
than ten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

from ingest.models import (
    ATTACHMENT_SEPARATOR,
    NOT_INDEXED_OUTCOMES,
    Code,
    ListingIssue,
    Outcome,
    Record,
    Source,
    SourceResult,
    Unread,
    parent_name,
)
from ingest.pipeline.results import (
    first_reported_run,
    given_up_result,
    unchanged_result,
    unread_result,
)
from ingest.sources import Root, list_root

if TYPE_CHECKING:
    from ingest.pipeline.context import Run, Services
    from ingest.pipeline.ignored_files import IgnoredFiles

T = TypeVar("T")

# A document that failed this often with the same bytes and recipe is not read again without
# --retry-failed, unless the cause lies outside of it and so may have passed.
MAX_ATTEMPTS = 3
PASSING_CODES = frozenset({Code.CHANGED, Code.VANISHED, Code.UNREADABLE, Code.REFUSED})

# Nor is one over which the process died so often, alone and for no recorded cause. Most such deaths
# are the doing of somebody who stops a job, and who may do so several times in a row.
MAX_DEATHS = 7

# A record says this while its source is read, after the known cause of an earlier failure, and
# still does if the process crashes.
INTERRUPTED_REASON = "a run ended while this was being read"


class Stale(NamedTuple):
    """A source that must be read."""

    source: Source
    record: Record | None  # without chunk ids; None: a new source
    known_fingerprint: str = ""  # makes it unchanged; "" to read it whatever its bytes are
    describes: bool = False  # ask for the figures without a description: its text is indexed

    @property
    def is_suspect(self) -> bool:
        """True if a run ended while it was read, and it may be the cause."""
        return self.record is not None and was_interrupted(self.record)


@dataclass(frozen=True, slots=True)
class Vanished:
    """A record whose source is no longer listed."""

    record: Record


@dataclass(frozen=True, slots=True)
class UnlistedFolder:
    """A folder that could not be listed, so that absence from it proves nothing."""

    name: str


class Skipped(NamedTuple):
    """A source that is not read in this run for a reason that its record keeps."""

    source: Source
    reason: str
    code: Code
    record: Record | None  # without chunk ids

    @property
    def result(self) -> SourceResult:
        """Its result, with the first run that reported it if the record has one."""
        record = self.record or Record(*self.source.key)
        since = first_reported_run(record) if self.is_recorded else ""
        shown = replace(record, chunks=0) if self.is_revoked else record
        return unread_result(shown, Outcome.SKIPPED, self.reason, self.code, since)

    @property
    def is_revoked(self) -> bool:
        """True if its chunks must be removed, as its permissions are unknown."""
        return self.code is Code.PERMISSIONS_UNKNOWN

    @property
    def is_recorded(self) -> bool:
        """True if its record says all this already."""
        record, source = self.record, self.source
        if record and self.is_revoked and (record.chunks or record.details.attachments):
            return False
        return record is not None and (
            (record.outcome, record.error, record.code, record.size, record.modified)
            == (Outcome.SKIPPED, self.reason, self.code, source.size, source.modified)
        )


Change: TypeAlias = Stale | Vanished | UnlistedFolder | SourceResult | Skipped | Unread


@dataclass(frozen=True, slots=True)
class SkipRule:
    """Rule that decides whether a source is unchanged."""

    recipe_digest: str
    ocr: str = ""  # name of the OCR engine; "" without OCR
    describes: bool = False  # figures are described
    max_attempts: int = MAX_ATTEMPTS  # failures after which a source is not read again
    max_deaths: int = MAX_DEATHS  # of the process that read it alone, after which it is not either
    has_passwords: bool = False  # passwords were given, perhaps other ones than last time
    retrying_run: str = ""  # id of the run, if it retries sources that failed too often: once each

    def should_give_up(self, record: Record) -> bool:
        """Return whether a source that failed is not tried again."""
        if self.has_passwords and record.code == Code.ENCRYPTED:
            return False
        return self.is_exhausted(record)

    def is_exhausted(self, record: Record) -> bool:
        """Return whether a source has failed so often that it is not read again.

        On a cluster, a run meets a source again whose worker died over it.
        """
        if record.code in PASSING_CODES and not was_interrupted(record):
            return False
        is_retried = bool(self.retrying_run) and record.run != self.retrying_run
        most = self.max_deaths if was_interrupted(record) else self.max_attempts
        return not is_retried and record.attempts >= most


def compare_root(
    root: Root, services: Services, run: Run, ignored: IgnoredFiles
) -> Iterator[Change]:
    """Compare a root's listing with the index's records of it."""
    records = ignored.filter_records(services.index.records(root.name), root)
    listing = services.times.wait_for_each(f"the list of {root.name}", list_root(root))
    return compare(listing, records, create_skip_rule(services, run))


def create_skip_rule(services: Services, run: Run) -> SkipRule:
    """Return the rule by which this run takes a source for unchanged."""
    return SkipRule(
        services.recipe.digest,
        services.reader.ocr,
        services.reader.describes and services.remote is None,
        has_passwords=run.has_passwords,
        retrying_run=run.id if run.retry_failed else "",
    )


def compare(
    listing: Iterable[Source | ListingIssue | Unread], records: Iterable[Record], rule: SkipRule
) -> Iterator[Change]:
    """Yield one change for each source in the listing or the records, roughly in name order.

    A SourceResult needs nothing more. Attachments follow the document that holds them; they are
    omitted if it is stale, and settled with it. Raises AssertionError if an input is out of order:
    present sources would look vanished.
    """
    parents: list[ParentSource] = []
    for item, record in merge_by_name(listing, records):
        name = item.name if item else record.source if record else ""
        while parents and parents[-1].ends_before(name):
            yield from compare_parent(parents.pop(), rule)
        if item is None:
            assert record is not None
            parent = next((p for p in parents if p.source.name == parent_name(name)), None)
            if parent:
                parent.children.append(record)
            else:
                yield Vanished(record)
        elif isinstance(item, Unread):
            yield item
        elif isinstance(item, Source) and record and may_have_attachments(record):
            parents.append(ParentSource(item, record, []))
        else:
            yield from compare_item(item, record, rule)
    while parents:
        yield from compare_parent(parents.pop(), rule)


def may_have_attachments(record: Record) -> bool:
    """Return whether a source may have attachments in the index."""
    return bool(record.details.attachments) or record.spoilt


def merge_by_name(
    listing: Iterable[Source | ListingIssue | Unread], records: Iterable[Record]
) -> Iterator[tuple[Source | ListingIssue | Unread | None, Record | None]]:
    """Merge two sorted inputs: yields a listed item and its record, either of which may be None."""
    sorted_records = require_sorted(records, lambda record: record.source)
    record = next(sorted_records, None)
    for item in require_sorted(listing, lambda item: item.name):
        while record is not None and record.source < item.name:
            yield None, record
            record = next(sorted_records, None)
        if record is not None and record.source == item.name:
            yield item, record
            record = next(sorted_records, None)
        else:
            yield item, None
    while record is not None:
        yield None, record
        record = next(sorted_records, None)


class ParentSource(NamedTuple):
    """A document with attachments, and the records of those as they are met."""

    source: Source
    record: Record
    children: list[Record]

    def ends_before(self, name: str) -> bool:
        """Return whether none of its attachments can follow."""
        prefix = self.source.name + ATTACHMENT_SEPARATOR
        return name > prefix and not name.startswith(prefix)


def compare_parent(parent: ParentSource, rule: SkipRule) -> Iterator[Change]:
    """Yield the changes of a document and its attachments: all of them are read, or none."""
    known = {record.source for record in parent.children}
    prefix = parent.source.name + ATTACHMENT_SEPARATOR
    record = parent.record
    if record.spoilt:  # it may not name them
        names = {*record.details.attachments, *(name.removeprefix(prefix) for name in known)}
        details = replace(record.details, attachments=tuple(sorted(names)))
        record = replace(record, details=details)
    (own,) = compare_item(parent.source, record, rule)
    if not (isinstance(own, SourceResult) and own.outcome is Outcome.UNCHANGED):
        yield own
        return
    others = [
        change
        for record in parent.children
        for change in compare_item(replace(parent.source, name=record.source), record, rule)
    ]
    expected = {prefix + name for name in record.details.attachments}
    if expected <= known and all(isinstance(change, SourceResult) for change in others):
        yield own
        yield from others
    else:
        yield Stale(parent.source, record)


def compare_item(
    item: Source | ListingIssue, record: Record | None, rule: SkipRule
) -> Iterator[Change]:
    """Yield the changes of one listed item."""
    if isinstance(item, ListingIssue):
        if item.harmless:
            yield SourceResult(item.root, item.name, Outcome.SKIPPED, item.reason, item.code)
        else:
            yield Skipped(Source(item.root, item.name, "", -1, ""), item.reason, item.code, record)
        if item.hides:
            yield UnlistedFolder(item.name)
    else:
        yield compare_source(item, record, rule)


def compare_source(source: Source, record: Record | None, rule: SkipRule) -> Change:
    """Return the change of one source that is listed."""
    if source.permissions_unknown:
        return Skipped(source, source.permissions_unknown, Code.PERMISSIONS_UNKNOWN, record)
    is_indexed = record is not None and record.outcome not in NOT_INDEXED_OUTCOMES
    if record is None or not is_unmodified(source, record, rule.recipe_digest):
        if source.unreadable:
            return Skipped(source, source.unreadable, Code.ARCHIVED, record)
        is_complete = record and is_indexed and not is_improvable(record, rule)
        return Stale(source, record, record.fingerprint if record and is_complete else "")
    if is_indexed:
        if not source.unreadable and is_improvable(record, rule):
            return Stale(source, record)
        if not source.unreadable and rule.describes and record.details.undescribed:
            return Stale(source, record, describes=True)
        return unchanged_result(source, record)
    if source.unreadable:
        return Skipped(source, source.unreadable, Code.ARCHIVED, record)
    if rule.should_give_up(record):
        return given_up_result(record)
    return Stale(source, record)


def was_interrupted(record: Record) -> bool:
    """Return whether a run ended while it read this source."""
    return record.error.endswith(INTERRUPTED_REASON)


def is_improvable(record: Record, rule: SkipRule) -> bool:
    """Return whether reading unchanged bytes again may add to the index."""
    details = record.details
    if details.missing:
        return not rule.is_exhausted(record)
    return bool(details.scanned and rule.ocr and details.ocr != rule.ocr)


def is_unmodified(source: Source, record: Record, recipe: str) -> bool:
    """Return whether size and modification time show that the record still describes the source."""
    return (
        record.outcome != ""
        and (record.size, record.modified) == (source.size, source.modified)
        and record.fingerprint.startswith(recipe)
    )


def is_of_other_recipe(record: Record, recipe: str) -> bool:
    """Return whether a source was read with other settings, as far as its record says."""
    return bool(record.fingerprint) and not record.fingerprint.startswith(recipe)


def require_sorted(items: Iterable[T], key: Callable[[T], str]) -> Iterator[T]:
    """Yield the items, and raise AssertionError unless their keys ascend."""
    previous = None
    for item in items:
        name = key(item)
        assert previous is None or previous < name, f"{name!r} listed after {previous!r}"
        previous = name
        yield item
