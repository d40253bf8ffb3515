"""One document between its intent and its commit, and what its record says at each step. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING

from ingest.errors import DocumentError
from ingest.model import (
    INSIDE,
    Chunk,
    Code,
    Details,
    Entry,
    Outcome,
    Prepared,
    Recipe,
    Record,
    Refusal,
    Settled,
    Source,
)
from ingest.plan import reported, untouched

if TYPE_CHECKING:
    from ingest.model import Vectors

READ = "--ocr local reads them"  # what to do about pages that are pictures
NO_TEXT = "no text on any page"
NOT_READ = f"its pages are pictures without text; {READ}"
NOT_FOUND = "its pages are pictures, and no text was recognised on them"
FEW = 5  # ranges of pages that are named


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
    reused: int = 0  # chunks that came with vectors of an earlier index, likewise
    tokens: int = 0  # in those
    refusals: list[Refusal] = field(default_factory=list)
    removed: list[Settled] = field(default_factory=list)  # sources that were inside it

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
        return self.embedded + self.reused == len(self.made.chunks) - len(self.held)

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(chunk.id for chunk in self.made.chunks)

    @property
    def surplus(self) -> set[str]:
        """The chunks that were or may be in the index and are no longer the document's."""
        return possible(self.record).difference(self.ids)

    @property
    def detached(self) -> list[str]:
        """The names of the sources that were or may be inside it and no longer are."""
        gone = set(self.record.details.attachments).difference(self.made.details.attachments)
        return [f"{self.source.name}{INSIDE}{name}" for name in sorted(gone)]

    @property
    def outcome(self) -> Outcome:
        if not self.made.chunks:
            return Outcome.EMPTY
        return Outcome.CHANGED if self.record.committed else Outcome.NEW

    def answered(self, chunk: Chunk, refusal: Refusal | None, *, paid: bool = True) -> None:
        """Count what became of one chunk that the index lacked, and whether its vector was paid."""
        if paid:
            self.embedded += 1
            self.tokens += chunk.tokens
        else:
            self.reused += 1
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
    """The record before the first write: all that may exist, and unchanged by nothing."""
    record, made = draft.record, draft.made
    inside = dict.fromkeys(record.details.attachments + made.details.attachments)
    return replace(
        record,
        pending=tuple(dict.fromkeys(record.pending + draft.ids)),
        details=replace(record.details, attachments=tuple(inside)),
        fingerprint="",
        modified="",
    )


def commit(draft: Draft, run: str) -> Record:
    """The record after the last acknowledgement."""
    made = draft.made
    reason, code = lack(made)
    missing = bool(made.details.missing)
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
        error=reason,
        code=code,
        attempts=tried(draft.record, draft.source, made.fingerprint) if missing else 0,
        committed=draft.ids,
        chunks=len(draft.ids),
        settled=now(),
        run=run,
        details=troubled(draft, run) if missing else made.details,
    )


def touched(record: Record, source: Source) -> Record:
    """The record of a source whose bytes turned out to be the same."""
    return replace(record, size=source.size, modified=trusted(source))


def failing(
    record: Record, source: Source, error: DocumentError, recipe: Recipe, run: str
) -> Record:
    """The record of a source that could not be read or taken; what the index has of it stays."""
    return replace(
        record,
        fingerprint=recipe.digest,
        size=source.size,
        modified=trusted(source),
        outcome=error.outcome,
        error=str(error),
        code=error.code,
        attempts=tried(record, source, recipe.digest),
        settled=now(),
        run=run,
        details=replace(record.details, since=since(record, source, error.code, run)),
    )


def since(record: Record, source: Source, code: str, run: str) -> str:
    """The first run, by its id, that reported this trouble with these bytes; else this one."""
    there = (record.code, record.size, record.modified)
    same = there == (code, source.size, source.modified)
    return (reported(record) or run) if same else run


def troubled(draft: Draft, run: str) -> Details:
    """The details of a document that was read, but not whole."""
    first = since(draft.record, draft.source, Code.PAGES_MISSING, run)
    return replace(draft.made.details, since=first)


def tried(record: Record, source: Source, recipe: str) -> int:
    """How often in a row a source was not taken whole, this time included."""
    return record.attempts + 1 if untouched(source, record, recipe) else 1


def lack(made: Prepared) -> tuple[str, str]:
    """What the index does not get of a document, in words, and its code; nothing if it is whole."""
    details, of = made.details, f"of {made.pages:,} pages"
    if details.missing:
        reason = f"{numbers(details.missing)} {of} could not be read; the others are in the index"
        return reason, Code.PAGES_MISSING
    if not made.chunks:
        seen = NOT_FOUND if details.ocr else NOT_READ
        return seen if details.scanned else NO_TEXT, Code.NO_TEXT
    if details.scanned and not details.ocr:
        return f"{numbers(details.scanned)} {of}: pictures without text; {READ}", Code.SCANNED
    if details.doubtful:
        return f"{numbers(details.doubtful)} {of}: recognised, but not for sure", Code.DOUBTFUL
    return "", ""


def numbers(pages: Sequence[int]) -> str:
    """Pages in words: "page 3", "pages 1, 4-9"."""
    runs = [
        [page for _, page in run] for _, run in groupby(enumerate(pages), lambda p: p[1] - p[0])
    ]
    parts = [f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs]
    if len(parts) > FEW:
        parts = [*parts[:FEW], "..."]
    return ("page " if len(pages) == 1 else "pages ") + ", ".join(parts)


def done(draft: Draft, run: str = "") -> Settled:
    """The outcome of a document that was read and taken; by no run where it is only foreseen."""
    made = draft.made
    reason, code = lack(made)
    return Settled(
        root=draft.source.root,
        source=draft.source.name,
        outcome=draft.outcome,
        reason=reason,
        code=code,
        harmless=not made.details.missing,
        pages=made.pages,
        empty_pages=made.empty_pages,
        chunks=len(made.chunks),
        embedded=draft.embedded,
        deleted=len(draft.surplus.intersection(draft.record.committed)),
        tokens=draft.tokens,
        details=troubled(draft, run) if made.details.missing else made.details,
        reused=draft.reused,
    )


def failed(record: Record, source: Source, error: DocumentError, run: str = "") -> Settled:
    """The outcome of a document that could not be read or taken; by no run if only foreseen."""
    return Settled(
        source.root,
        source.name,
        error.outcome,
        str(error),
        error.code,
        harmless=False,
        chunks=record.chunks,
        details=Details(since=since(record, source, error.code, run)),
    )


def trusted(source: Source) -> str:
    """The time of change to compare with next time; none if another write could share it."""
    return "" if source.recent else source.modified


def now() -> str:
    """The time, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
