"""What is wrong with one source: its record held against its chunks. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ingest.commands.check.finding import CheckFinding, FindingKind
from ingest.index import Flaw
from ingest.models import Record, StoredChunk
from ingest.pipeline.diff import INTERRUPTED_REASON, MAX_ATTEMPTS, NOT_INDEXED_OUTCOMES
from ingest.pipeline.transaction import possible_ids


@dataclass(frozen=True, slots=True)
class RecordCheck:
    """All that an index has of one source. Looked at closely, because something does not fit."""

    root: str
    source: str
    record: Record | None
    chunks: tuple[StoredChunk, ...]
    flaws: Sequence[Flaw] = ()
    pages: int = 0  # that were paid for in it, where it has no record

    @property
    def chunks_by_id(self) -> dict[str, StoredChunk]:
        return {chunk.id: chunk for chunk in self.chunks}

    @property
    def is_torn(self) -> bool:
        """Whether a run ended between its intent and its commit, or while it was read."""
        record = self.record
        return record is not None and bool(
            record.pending or not record.fingerprint or is_interrupted(record)
        )

    @property
    def extra_ids(self) -> list[str]:
        """The ids of chunks that its record does not name."""
        named = possible_ids(self.record) if self.record else set()
        return [chunk.id for chunk in self.chunks if chunk.id not in named]

    @property
    def bad_vector_ids(self) -> list[str]:
        """The ids of chunks whose vectors are of no use."""
        return [flaw.id for flaw in self.flaws if flaw.kind == FindingKind.VECTOR]


def is_interrupted(record: Record) -> bool:
    """Whether a run ended while a source was read, and the next one tries again.

    Then its record says nothing else, and not even whether it was an intent before.
    """
    return record.error == INTERRUPTED_REASON and record.attempts < MAX_ATTEMPTS


def find_problems(case: RecordCheck) -> Iterator[CheckFinding]:
    """Every finding about one source."""
    if case.is_torn:
        assert case.record is not None
        ids = sorted(possible_ids(case.record))
        text = f"a run ended amid it; what it names may be there or not: {format_chunks(len(ids))}"
        yield make_finding(case, FindingKind.TORN, text, ids)
    if extra := case.extra_ids:
        whose = "not named by its record" if case.record else "of a source without a record"
        yield make_finding(case, FindingKind.EXTRA, f"{whose}: {format_chunks(len(extra))}", extra)
    if case.record and not case.is_torn:
        yield from find_chunk_problems(case, case.record)
    yield from find_flaw_problems(case)
    if case.pages:
        text = f"paid for, of a source without a record: {case.pages:,} pages"
        yield make_finding(case, FindingKind.PAGE, text, (), case.pages)


def find_chunk_problems(case: RecordCheck, record: Record) -> Iterator[CheckFinding]:
    """What is wrong with chunks that a record says are all there."""
    there = case.chunks_by_id
    if missing := [id_ for id_ in record.committed if id_ not in there]:
        text = f"not in the index: {len(missing):,} of {format_chunks(len(record.committed))}"
        yield make_finding(case, FindingKind.MISSING, text, missing)
    held = [(place, there[id_]) for place, id_ in enumerate(record.committed) if id_ in there]
    # A failure changes the record's fingerprint and leaves the chunks of the last success.
    if record.outcome not in NOT_INDEXED_OUTCOMES and (
        stale := [chunk.id for _, chunk in held if chunk.fingerprint != record.fingerprint]
    ):
        text = f"of another version than its record says: {format_chunks(len(stale))}"
        yield make_finding(case, FindingKind.STALE, text, stale)
    if astray := [chunk.id for place, chunk in held if chunk.ordinal != place]:
        text = f"not in the place in the document that they say: {format_chunks(len(astray))}"
        yield make_finding(case, FindingKind.ORDER, text, astray)


def find_flaw_problems(case: RecordCheck) -> Iterator[CheckFinding]:
    """What is wrong with its chunks in themselves."""
    for kind in (FindingKind.VECTOR, FindingKind.WORDS):
        if those := [
            flaw for flaw in case.flaws if flaw.kind == kind and flaw.id in case.chunks_by_id
        ]:
            text = f"{those[0].reason}: {format_chunks(len(those))}"
            yield make_finding(case, kind, text, [flaw.id for flaw in those])


def make_finding(
    case: RecordCheck, kind: FindingKind, text: str, ids: Sequence[str], count: int = 0
) -> CheckFinding:
    """A finding about a source."""
    return CheckFinding(kind, text, case.root, case.source, count or len(ids), tuple(ids))


def format_chunks(count: int) -> str:
    """A number of chunks, as one says it."""
    return f"{count:,} chunk" if count == 1 else f"{count:,} chunks"
