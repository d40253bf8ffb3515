"""One document between its intent and its commit, and what its record says at each step. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ingest.errors import DocumentError
from ingest.model import (
    Chunk,
    Code,
    Entry,
    Outcome,
    Prepared,
    Recipe,
    Record,
    Refusal,
    Settled,
    Source,
)
from ingest.plan import untouched

if TYPE_CHECKING:
    from ingest.model import Vectors

NO_TEXT = "no text on any page; where they are pictures, --ocr local reads them"


@dataclass(slots=True, eq=False)  # a document in progress is itself, whatever it holds
class Draft:
    """What a document is to become, and how far it has come."""

    source: Source
    url: str  # where a person opens it
    record: Record  # whole, as it stood before
    made: Prepared
    held: frozenset[str]  # the ids of its chunks that the index has already
    acknowledged: int = 0  # chunks
    embedded: int = 0  # chunks, since `held`
    tokens: int = 0  # in those
    refusals: list[Refusal] = field(default_factory=list)

    @property
    def fresh(self) -> Iterator[Chunk]:
        """The chunks that must be embedded."""
        return (chunk for chunk in self.made.chunks if chunk.id not in self.held)

    @property
    def moved(self) -> list[Entry]:
        """The chunks that keep their vectors; where they stand may have changed."""
        return [self.entry(chunk) for chunk in self.made.chunks if chunk.id in self.held]

    @property
    def complete(self) -> bool:
        """Whether the index has answered for every chunk that had to be embedded."""
        return self.embedded == len(self.made.chunks) - len(self.held)

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(chunk.id for chunk in self.made.chunks)

    @property
    def surplus(self) -> set[str]:
        """The chunks that were or may be in the index and are no longer the document's."""
        return possible(self.record).difference(self.ids)

    @property
    def outcome(self) -> Outcome:
        if not self.made.chunks:
            return Outcome.EMPTY
        return Outcome.CHANGED if self.record.committed else Outcome.NEW

    def answered(self, chunk: Chunk, refusal: Refusal | None) -> None:
        """Count what became of one chunk that was embedded."""
        self.embedded += 1
        self.tokens += chunk.tokens
        if refusal:
            self.refusals.append(refusal)
        else:
            self.acknowledged += 1

    def entry(self, chunk: Chunk, vector: Vectors | None = None) -> Entry:
        made = self.made
        return Entry(
            self.source, self.url, made.fingerprint, made.title, chunk, vector, made.details
        )


def possible(record: Record) -> set[str]:
    """The ids of all chunks of a source that may exist."""
    return {*record.committed, *record.pending}


def intent(draft: Draft) -> Record:
    """The record before the first write: all chunks that may exist, and unchanged by nothing."""
    pending = tuple(dict.fromkeys(draft.record.pending + draft.ids))
    return replace(draft.record, pending=pending, fingerprint="", modified="")


def commit(draft: Draft, run: str) -> Record:
    """The record after the last acknowledgement."""
    return Record(
        root=draft.source.root,
        source=draft.source.name,
        fingerprint=draft.made.fingerprint,
        size=draft.source.size,
        modified=trusted(draft.source),
        pages=draft.made.pages,
        empty_pages=draft.made.empty_pages,
        tokens=sum(chunk.tokens for chunk in draft.made.chunks),
        outcome=draft.outcome,
        code="" if draft.made.chunks else Code.NO_TEXT,
        committed=draft.ids,
        chunks=len(draft.ids),
        settled=now(),
        run=run,
        details=draft.made.details,
    )


def touched(record: Record, source: Source) -> Record:
    """The record of a source whose bytes turned out to be the same."""
    return replace(record, size=source.size, modified=trusted(source))


def failing(
    record: Record, source: Source, error: DocumentError, recipe: Recipe, run: str
) -> Record:
    """The record of a source that could not be read or taken; what the index has of it stays."""
    again = record.outcome in (Outcome.FAILED, Outcome.SKIPPED)
    again = again and untouched(source, record, recipe.digest)
    return replace(
        record,
        fingerprint=recipe.digest,
        size=source.size,
        modified=trusted(source),
        outcome=error.outcome,
        error=str(error),
        code=error.code,
        attempts=record.attempts + 1 if again else 1,
        settled=now(),
        run=run,
    )


def done(draft: Draft) -> Settled:
    """The outcome of a document that was read and taken."""
    made = draft.made
    return Settled(
        root=draft.source.root,
        source=draft.source.name,
        outcome=draft.outcome,
        reason="" if made.chunks else NO_TEXT,
        code="" if made.chunks else Code.NO_TEXT,
        pages=made.pages,
        empty_pages=made.empty_pages,
        chunks=len(made.chunks),
        embedded=draft.embedded,
        deleted=len(draft.surplus.intersection(draft.record.committed)),
        tokens=draft.tokens,
        details=made.details,
    )


def failed(record: Record, source: Source, error: DocumentError) -> Settled:
    """The outcome of a document that could not be read or taken."""
    return Settled(
        source.root,
        source.name,
        error.outcome,
        str(error),
        error.code,
        harmless=False,
        chunks=record.chunks,
    )


def trusted(source: Source) -> str:
    """The time of change to compare with next time; none if another write could share it."""
    return "" if source.recent else source.modified


def now() -> str:
    """The time, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
