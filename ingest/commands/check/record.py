"""What is wrong with one source: its record held against its chunks. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ingest.commands.check.finding import Finding, Kind
from ingest.index import Flaw
from ingest.models import Record, Stored
from ingest.pipeline.diff import INTERRUPTED, MAX_ATTEMPTS, NOT_TAKEN
from ingest.pipeline.transaction import possible


@dataclass(frozen=True, slots=True)
class Case:
    """All that an index has of one source. Looked at closely, because something does not fit."""

    root: str
    source: str
    record: Record | None
    chunks: tuple[Stored, ...]
    flaws: Sequence[Flaw] = ()
    pages: int = 0  # that were paid for in it, where it has no record

    @property
    def there(self) -> dict[str, Stored]:
        return {chunk.id: chunk for chunk in self.chunks}

    @property
    def torn(self) -> bool:
        """Whether a run ended between its intent and its commit, or while it was read."""
        record = self.record
        return record is not None and bool(
            record.pending or not record.fingerprint or interrupted(record)
        )

    @property
    def extra(self) -> list[str]:
        """The ids of chunks that its record does not name."""
        named = possible(self.record) if self.record else set()
        return [chunk.id for chunk in self.chunks if chunk.id not in named]

    @property
    def unlike(self) -> list[str]:
        """The ids of chunks whose vectors are of no use."""
        return [flaw.id for flaw in self.flaws if flaw.kind == Kind.VECTOR]


def interrupted(record: Record) -> bool:
    """Whether a run ended while a source was read, and the next one tries again.

    Then its record says nothing else, and not even whether it was an intent before.
    """
    return record.error == INTERRUPTED and record.attempts < MAX_ATTEMPTS


def judged(case: Case) -> Iterator[Finding]:
    """Every finding about one source."""
    if case.torn:
        assert case.record is not None
        ids = sorted(possible(case.record))
        text = f"a run ended amid it; what it names may be there or not: {chunks(len(ids))}"
        yield found(case, Kind.TORN, text, ids)
    if extra := case.extra:
        whose = "not named by its record" if case.record else "of a source without a record"
        yield found(case, Kind.EXTRA, f"{whose}: {chunks(len(extra))}", extra)
    if case.record and not case.torn:
        yield from settled(case, case.record)
    yield from flawed(case)
    if case.pages:
        text = f"paid for, of a source without a record: {case.pages:,} pages"
        yield found(case, Kind.PAGE, text, (), case.pages)


def settled(case: Case, record: Record) -> Iterator[Finding]:
    """What is wrong with chunks that a record says are all there."""
    there = case.there
    if missing := [id_ for id_ in record.committed if id_ not in there]:
        text = f"not in the index: {len(missing):,} of {chunks(len(record.committed))}"
        yield found(case, Kind.MISSING, text, missing)
    held = [(place, there[id_]) for place, id_ in enumerate(record.committed) if id_ in there]
    # A failure changes the record's fingerprint and leaves the chunks of the last success.
    if record.outcome not in NOT_TAKEN and (
        stale := [chunk.id for _, chunk in held if chunk.fingerprint != record.fingerprint]
    ):
        text = f"of another version than its record says: {chunks(len(stale))}"
        yield found(case, Kind.STALE, text, stale)
    if astray := [chunk.id for place, chunk in held if chunk.ordinal != place]:
        text = f"not in the place in the document that they say: {chunks(len(astray))}"
        yield found(case, Kind.ORDER, text, astray)


def flawed(case: Case) -> Iterator[Finding]:
    """What is wrong with its chunks in themselves."""
    for kind in (Kind.VECTOR, Kind.WORDS):
        if those := [flaw for flaw in case.flaws if flaw.kind == kind and flaw.id in case.there]:
            text = f"{those[0].reason}: {chunks(len(those))}"
            yield found(case, kind, text, [flaw.id for flaw in those])


def found(case: Case, kind: Kind, text: str, ids: Sequence[str], count: int = 0) -> Finding:
    """A finding about a source."""
    return Finding(kind, text, case.root, case.source, count or len(ids), tuple(ids))


def chunks(count: int) -> str:
    """A number of chunks, as one says it."""
    return f"{count:,} chunk" if count == 1 else f"{count:,} chunks"
