"""What a root holds now, beside what the index knows of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial

from ingest.commands.check.finding import CheckFinding, FindingKind
from ingest.commands.check.scope import CheckContext
from ingest.errors import DocumentError
from ingest.models import Record, Source, hash_fields, parent_name
from ingest.pipeline.diff import NOT_INDEXED_OUTCOMES, AbsenceTracker, SkipRule, Stale, compare
from ingest.runtime.concurrency import map_concurrent
from ingest.sources import Root

# Terms that nothing meets: every source comes with its record, to be judged here. Not by them,
# because what was read with other settings, or failed, is a run's business and no fault.
MATCH_NOTHING = SkipRule(recipe_digest="never", max_attempts=0)
READ_BLOCK_BYTES = 1 << 20
RECIPE_DIGEST_CHARS = 12  # before the hash of the bytes, in a fingerprint


@dataclass(frozen=True, slots=True)
class RootComparison:
    """One root, listed once."""

    root: Root
    scope: CheckContext
    listings_may_lag: bool  # listings of the index may lag behind
    absences: AbsenceTracker = field(
        default_factory=lambda: AbsenceTracker(prune=True, max_deletes=None)
    )

    def find_findings(self) -> Iterator[CheckFinding]:
        """What changed, what is new, what is gone. Raises ConfigError if it cannot be listed."""
        for source, record, reading in self.compare_sources():
            if finding := self.check_source(source, record, reading):
                yield finding
        for record in self.absences.vanished:
            # What is inside a source goes with it.
            if (
                self.absences.is_complete
                and not self.is_hidden(record)
                and not parent_name(record.source)
            ):
                known = self.current_record(record.source, record)
                if known:
                    yield self.make_finding(
                        FindingKind.VANISHED, "it is no longer in its root", known
                    )

    def compare_sources(self) -> Iterator[tuple[Source, Record | None, Future[str] | None]]:
        """Every source that is listed, its record, and its bytes' hash if all is read."""
        index, reader = self.scope.index, self.scope.services.reader
        records = self.absences.ignored.filter_records(index.records(self.root.name), self.root)
        changes = compare(self.root.list(), records, MATCH_NOTHING)
        present = self.absences.filter_changes(changes, self.scope.run.stop.is_requested)

        def start(change: object) -> Future[str] | None:
            if not self.scope.thorough or not isinstance(change, Stale) or not change.record:
                return None
            return reader.threads.submit(partial(hash_content, self.root, change.source))

        ahead = 2 * reader.at_once
        for change, call in map_concurrent(present, start, ahead, self.scope.run.stop.is_overdue):
            if isinstance(change, Stale):
                yield change.source, change.record, call

    def check_source(
        self, source: Source, listed: Record | None, reading: Future[str] | None
    ) -> CheckFinding | None:
        """The finding about a source that is there."""
        record = listed
        if self.listings_may_lag and (listed is None or is_modified(source, listed)):
            record = self.current_record(source.name, listed)
        if record is None:
            text = "the index does not know it yet"
            new = CheckFinding(FindingKind.NEW, text, source.root, source.name, 0)
            return new if self.scope.is_named(self.root.name) else None
        if not record.fingerprint:
            return None  # torn, which is found elsewhere
        if is_modified(source, record):
            return self.make_finding(
                FindingKind.CHANGED, "its file changed since it was read", record
            )
        if reading and record.outcome not in NOT_INDEXED_OUTCOMES:
            try:
                same = reading.result() == record.fingerprint[RECIPE_DIGEST_CHARS:]
            except DocumentError as error:
                return self.make_finding(FindingKind.CHANGED, str(error), record)
            text = "its bytes are others than those that were read"
            return None if same else self.make_finding(FindingKind.CHANGED, text, record)
        return None

    def current_record(self, source: str, listed_record: Record | None) -> Record | None:
        """A record, by its key where the listing may lag behind."""
        return (
            self.scope.index.record(self.root.name, source)
            if self.listings_may_lag
            else listed_record
        )

    def is_hidden(self, record: Record) -> bool:
        """Whether the listing could not look where a source was."""
        return any(record.source.startswith(folder) for folder in self.absences.unlisted_folders)

    def make_finding(self, kind: FindingKind, text: str, record: Record) -> CheckFinding:
        """A finding about a source that the index knows."""
        return CheckFinding(kind, text, record.root, record.source, record.chunks)


def is_modified(source: Source, record: Record) -> bool:
    """Whether a source is not the one that was read, by its size and time."""
    if record.size != source.size:
        return True
    return bool(record.modified) and record.modified != source.modified


def hash_content(root: Root, source: Source) -> str:
    """The hash of a source's bytes, and of what it says for fields, as a fingerprint has it."""
    hashed = hashlib.sha256()
    with root.open(source) as file:
        file.seek(0)  # a blob was just written to it
        while some := file.read(READ_BLOCK_BYTES):
            hashed.update(some)
    hashed.update(hash_fields(source.fields).encode())
    return hashed.hexdigest()[:52]
