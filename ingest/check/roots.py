"""What a root holds now, beside what the index knows of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial

from ingest.check.finding import Finding, Kind
from ingest.check.scope import Scope
from ingest.errors import DocumentError
from ingest.model import Record, Source, holder, mark
from ingest.overlap import overlapped
from ingest.plan import NOT_TAKEN, Absences, Stale, Terms, compare
from ingest.sources import Root

# Terms that nothing meets: every source comes with its record, to be judged here. Not by them,
# because what was read with other settings, or failed, is a run's business and no fault.
NEVER = Terms(recipe="never", attempts=0)
MEGABYTE = 1 << 20
RECIPE_DIGITS = 12  # before the hash of the bytes, in a fingerprint


@dataclass(frozen=True, slots=True)
class Comparison:
    """One root, listed once."""

    root: Root
    scope: Scope
    late: bool  # listings of the index may lag behind
    absences: Absences = field(default_factory=lambda: Absences(prune=True, max_deletes=None))

    def findings(self) -> Iterator[Finding]:
        """What changed, what is new, what is gone. Raises ConfigError if it cannot be listed."""
        for source, record, reading in self.sources():
            if finding := self.judged(source, record, reading):
                yield finding
        for record in self.absences.vanished:
            # What is inside a source goes with it.
            if self.absences.whole and not self.hidden(record) and not holder(record.source):
                known = self.known(record.source, record)
                if known:
                    yield self.found(Kind.VANISHED, "it is no longer in its root", known)

    def sources(self) -> Iterator[tuple[Source, Record | None, Future[str] | None]]:
        """Every source that is listed, its record, and its bytes' hash if all is read."""
        index, reader = self.scope.index, self.scope.services.reader
        records = self.absences.aside.covered(index.records(self.root.name), self.root)
        changes = compare(self.root.listed(), records, NEVER)
        present = self.absences.noted(changes, self.scope.run.stop.requested)

        def start(change: object) -> Future[str] | None:
            if not self.scope.thorough or not isinstance(change, Stale) or not change.record:
                return None
            return reader.threads.submit(partial(content, self.root, change.source))

        ahead = 2 * reader.at_once
        for change, call in overlapped(present, start, ahead, self.scope.run.stop.overdue):
            if isinstance(change, Stale):
                yield change.source, change.record, call

    def judged(
        self, source: Source, listed: Record | None, reading: Future[str] | None
    ) -> Finding | None:
        """The finding about a source that is there."""
        record = listed
        if self.late and (listed is None or differs(source, listed)):
            record = self.known(source.name, listed)
        if record is None:
            text = "the index does not know it yet"
            new = Finding(Kind.NEW, text, source.root, source.name, 0)
            return new if self.scope.in_full(self.root.name) else None
        if not record.fingerprint:
            return None  # torn, which is found elsewhere
        if differs(source, record):
            return self.found(Kind.CHANGED, "its file changed since it was read", record)
        if reading and record.outcome not in NOT_TAKEN:
            try:
                same = reading.result() == record.fingerprint[RECIPE_DIGITS:]
            except DocumentError as error:
                return self.found(Kind.CHANGED, str(error), record)
            text = "its bytes are others than those that were read"
            return None if same else self.found(Kind.CHANGED, text, record)
        return None

    def known(self, source: str, listed: Record | None) -> Record | None:
        """A record, by its key where the listing may lag behind."""
        return self.scope.index.record(self.root.name, source) if self.late else listed

    def hidden(self, record: Record) -> bool:
        """Whether the listing could not look where a source was."""
        return any(record.source.startswith(folder) for folder in self.absences.unseen)

    def found(self, kind: Kind, text: str, record: Record) -> Finding:
        """A finding about a source that the index knows."""
        return Finding(kind, text, record.root, record.source, record.chunks)


def differs(source: Source, record: Record) -> bool:
    """Whether a source is not the one that was read, by its size and time."""
    if record.size != source.size:
        return True
    return bool(record.modified) and record.modified != source.modified


def content(root: Root, source: Source) -> str:
    """The hash of a source's bytes, and of what it says for fields, as a fingerprint has it."""
    hashed = hashlib.sha256()
    with root.opened(source) as file:
        file.seek(0)  # a blob was just written to it
        while some := file.read(MEGABYTE):
            hashed.update(some)
    hashed.update(mark(source.fields).encode())
    return hashed.hexdigest()[:52]
