"""Compare the record of one source with its chunks. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ingest.commands.check.finding import CheckFinding, FindingKind
from ingest.index import Flaw
from ingest.models import NOT_INDEXED_OUTCOMES, Record, StoredChunk
from ingest.pipeline.diff import MAX_DEATHS, was_interrupted
from ingest.pipeline.transaction import possible_ids
from ingest.runtime.formatting import pluralize


@dataclass(frozen=True, slots=True)
class RecordCheck:
    """Record, chunks and flaws of one suspect."""

    root: str
    source: str
    record: Record | None
    chunks: tuple[StoredChunk, ...]
    flaws: Sequence[Flaw] = ()
    pages: int = 0  # cached pages of paid OCR, if it has no record

    @property
    def chunks_by_id(self) -> dict[str, StoredChunk]:
        return {chunk.id: chunk for chunk in self.chunks}

    @property
    def is_torn(self) -> bool:
        """Return whether a run ended between intent and commit, or while it read the source."""
        record = self.record
        return record is not None and bool(
            record.pending or not record.fingerprint or is_interrupted(record)
        )

    @property
    def extra_ids(self) -> list[str]:
        """Ids of chunks that its record does not name."""
        named = possible_ids(self.record) if self.record else set()
        return [chunk.id for chunk in self.chunks if chunk.id not in named]

    @property
    def bad_vector_ids(self) -> list[str]:
        """Ids of chunks with unusable vectors."""
        return [flaw.id for flaw in self.flaws if flaw.kind == FindingKind.VECTOR]

    def build_finding(
        self, kind: FindingKind, text: str, ids: Sequence[str], count: int = 0
    ) -> CheckFinding:
        """Build a finding about the source."""
        return CheckFinding(kind, text, self.root, self.source, count or len(ids), tuple(ids))


def is_interrupted(record: Record) -> bool:
    """Return whether a run ended while it read a source, and the next one tries again.

    Such a record shows nothing else, not even whether it was an intent before.
    """
    return was_interrupted(record) and record.attempts < MAX_DEATHS


def find_problems(case: RecordCheck) -> Iterator[CheckFinding]:
    """Find all problems of one source."""
    if case.is_torn:
        assert case.record is not None
        ids = sorted(possible_ids(case.record))
        text = f"a run ended while writing it; may or may not exist: {format_chunks(len(ids))}"
        yield case.build_finding(FindingKind.TORN, text, ids)
    if extra := case.extra_ids:
        whose = "not named by its record" if case.record else "of a source without a record"
        yield case.build_finding(FindingKind.EXTRA, f"{whose}: {format_chunks(len(extra))}", extra)
    if case.record and not case.is_torn:
        yield from find_chunk_problems(case, case.record)
    yield from find_flaw_problems(case)
    if case.pages:
        text = f"cached OCR of a source without a record: {case.pages:,} pages"
        yield case.build_finding(FindingKind.PAGE, text, (), case.pages)


def find_chunk_problems(case: RecordCheck, record: Record) -> Iterator[CheckFinding]:
    """Find missing, outdated and misplaced chunks of a complete record."""
    there = case.chunks_by_id
    if missing := [id_ for id_ in record.committed if id_ not in there]:
        text = f"not in the index: {len(missing):,} of {format_chunks(len(record.committed))}"
        yield case.build_finding(FindingKind.MISSING, text, missing)
    held = [(place, there[id_]) for place, id_ in enumerate(record.committed) if id_ in there]
    # A failure changes the record's fingerprint and leaves the chunks of the last success.
    if record.outcome not in NOT_INDEXED_OUTCOMES and (
        stale := [chunk.id for _, chunk in held if chunk.fingerprint != record.fingerprint]
    ):
        text = f"of another version than its record says: {format_chunks(len(stale))}"
        yield case.build_finding(FindingKind.STALE, text, stale)
    if misplaced := [chunk.id for place, chunk in held if chunk.ordinal != place]:
        text = f"at another position in the document than they say: {format_chunks(len(misplaced))}"
        yield case.build_finding(FindingKind.ORDER, text, misplaced)


def find_flaw_problems(case: RecordCheck) -> Iterator[CheckFinding]:
    """Find flaws of single chunks, grouped by kind."""
    for kind in (FindingKind.VECTOR, FindingKind.WORDS, FindingKind.STALE):
        if flaws := [
            flaw for flaw in case.flaws if flaw.kind == kind and flaw.id in case.chunks_by_id
        ]:
            text = f"{flaws[0].reason}: {format_chunks(len(flaws))}"
            yield case.build_finding(kind, text, [flaw.id for flaw in flaws])


def format_chunks(count: int) -> str:
    """Format a number of chunks."""
    return pluralize(count, "chunk")
