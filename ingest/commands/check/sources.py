"""Compare the sources in a root with their records."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial

from ingest.commands.check.finding import CheckFinding, FindingKind
from ingest.commands.check.scope import CheckContext
from ingest.errors import DocumentError
from ingest.models import (
    NOT_INDEXED_OUTCOMES,
    RECIPE_DIGEST_CHARS,
    Record,
    Source,
    hash_fields,
    parent_name,
)
from ingest.pipeline.deletions import AbsenceTracker
from ingest.pipeline.diff import SkipRule, Stale, compare
from ingest.runtime.concurrency import map_concurrent
from ingest.sources import Root

# A rule that skips nothing: every source comes with its record, and is judged here. Sources that
# failed, or were read with other settings, are the business of the next run and not findings.
MATCH_NOTHING = SkipRule(recipe_digest="never", max_attempts=0)
READ_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class RootComparison:
    """Comparison of one root, listed once, with its records."""

    root: Root
    scope: CheckContext
    listings_may_lag: bool  # listings of the index may lag behind its writes
    absences: AbsenceTracker

    def find_findings(self) -> Iterator[CheckFinding]:
        """Find changed, new and vanished sources. Raises ConfigError if listing the root fails."""
        for source, record, reading in self.compare_sources():
            if finding := self.check_source(source, record, reading):
                yield finding
        options = self.absences.required_options()
        for record in self.absences.vanished:
            # Attachments are removed with their source.
            if (
                self.absences.is_complete
                and not self.is_hidden(record)
                and not parent_name(record.source)
            ):
                known = self.current_record(record.source, record)
                if known:
                    text = "it is no longer in its root"
                    found = self.build_finding(FindingKind.VANISHED, text, known)
                    yield replace(found, options=options)

    def compare_sources(self) -> Iterator[tuple[Source, Record | None, Future[str] | None]]:
        """Each listed source, its record, and the hash of its bytes if the check is thorough."""
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
        """Finding about a listed source; None if it matches its record."""
        record = listed
        if self.listings_may_lag and (listed is None or is_modified(source, listed)):
            record = self.current_record(source.name, listed)
        if record is None:
            text = "it is not in the index yet"
            new = CheckFinding(FindingKind.NEW, text, source.root, source.name, 0)
            return new if self.scope.is_named(self.root.name) else None
        if not record.fingerprint:
            return None  # torn: find_problems reports it
        if is_modified(source, record):
            return self.build_finding(
                FindingKind.CHANGED, "its file changed since it was read", record
            )
        if reading and record.outcome not in NOT_INDEXED_OUTCOMES:
            try:
                same = reading.result() == record.fingerprint[RECIPE_DIGEST_CHARS:]
            except DocumentError as error:
                return self.build_finding(FindingKind.CHANGED, str(error), record)
            text = "its bytes differ from those that were read"
            return None if same else self.build_finding(FindingKind.CHANGED, text, record)
        return None

    def current_record(self, source: str, listed_record: Record | None) -> Record | None:
        """Current record of a source, read by its key if listings may lag."""
        return (
            self.scope.index.record(self.root.name, source)
            if self.listings_may_lag
            else listed_record
        )

    def is_hidden(self, record: Record) -> bool:
        """Return whether a source was in a folder that could not be listed."""
        return any(record.source.startswith(folder) for folder in self.absences.unlisted_folders)

    def build_finding(self, kind: FindingKind, text: str, record: Record) -> CheckFinding:
        """Build a finding about a source with a record."""
        return CheckFinding(kind, text, record.root, record.source, record.chunks)


def is_modified(source: Source, record: Record) -> bool:
    """Return whether a source's size or time differs from its record."""
    if record.size != source.size:
        return True
    return bool(record.modified) and record.modified != source.modified


def hash_content(root: Root, source: Source) -> str:
    """Hash the bytes and index fields of a source, as in its fingerprint."""
    hashed = hashlib.sha256()
    with root.open(source) as file:
        file.seek(0)  # a blob was just downloaded into it
        while block := file.read(READ_BLOCK_BYTES):
            hashed.update(block)
    hashed.update(hash_fields(source.fields).encode())
    return hashed.hexdigest()[:52]
