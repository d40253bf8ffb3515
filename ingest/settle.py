"""What is written about one document, and in which order. The order is the safety.

intent → upload new, move kept → delete surplus → commit. Each function makes its requests one after
the other, in a thread of the pipeline's; documents are independent of each other. Records are saved
by the pipeline, many at a time.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import numpy as np

from ingest.draft import Draft, commit, done, failed, failing, intent, possible, touched
from ingest.embed import TextsRefused
from ingest.errors import DocumentError, ServiceError
from ingest.index import Index
from ingest.model import (
    Chunk,
    Code,
    Details,
    Outcome,
    Prepared,
    Recipe,
    Record,
    Refusal,
    Settled,
    Source,
    holder,
)
from ingest.plan import Passed, Stale, unchanged
from ingest.sources import url

if TYPE_CHECKING:
    from ingest.model import Vectors


T = TypeVar("T")


class Read(NamedTuple):
    """A stale source and what reading it gave; None where its bytes are the known ones."""

    stale: Stale
    made: Prepared | DocumentError | None


class Piece(NamedTuple):
    """One chunk that must be embedded."""

    draft: Draft
    chunk: Chunk


class Sent(NamedTuple):
    """A batch of chunks and the finished call that gave their vectors."""

    pieces: list[Piece]
    call: Future[Vectors]
    paid: bool = True  # False: an earlier index had them

    @property
    def drafts(self) -> Iterable[Draft]:
        """Each document that has a chunk in the batch, once."""
        return dict.fromkeys(piece.draft for piece in self.pieces)


class Noted(NamedTuple, Generic[T]):
    """What is true once a record says so; None for a record that says so already."""

    record: Record | None
    then: T


def intend(read: Read, index: Index, recipe: Recipe, run: str) -> Noted[Draft | Settled]:
    """What the record must say before anything is written: which chunks are about to exist.

    Or, of a source that has none to come, what became of it.
    """
    source, made = read.stale.source, read.made
    record = before(read.stale, index)
    if made is None:
        return Noted(touched(record, source), unchanged(source, record))
    if isinstance(made, DocumentError):
        return Noted(failing(record, source, made, recipe, run), failed(record, source, made, run))
    if same(made, record):
        return Noted(touched(record, source), unchanged(source, record))
    draft = drafted(source, record, made, index)
    return Noted(replace(intent(draft), run=run), draft)


def passed(change: Passed, index: Index, recipe: Recipe, run: str) -> Noted[Settled]:
    """What the record of a source must say that is passed over; what the index has of it stays."""
    source = change.source
    record = index.record(*source.key) or Record(*source.key)
    error = DocumentError(change.reason, change.code)
    said = failing(record, source, error, recipe, run)
    # It was not tried: once it can be read it is.
    said = replace(said, outcome=Outcome.SKIPPED, attempts=0)
    details = Details(since=said.details.since)
    return Noted(said, replace(change.settled, chunks=record.chunks, details=details))


def same(made: Prepared, record: Record) -> bool:
    """Whether reading a source gave what its record says already.

    It was read for what is inside it; or a listing lagged behind a record written just now.
    """
    there = (made.fingerprint, made.details) == (record.fingerprint, record.details)
    return there and not record.details.missing


def upload(sent: Sent, index: Index, dimensions: int) -> dict[str, Refusal]:
    """Write a batch of chunks; returns those that the model or the index would not take, by id."""
    refused: dict[str, Refusal] = {}
    pieces = sent.pieces
    try:
        vectors = sent.call.result()
    except TextsRefused as some:
        vectors = some.vectors
        refused = {
            pieces[place].chunk.id: Refusal(pieces[place].chunk.id, reason)
            for place, reason in some.reasons.items()
        }
        pieces = [piece for piece in pieces if piece.chunk.id not in refused]
    if not pieces:
        return refused
    rows = checked(vectors, len(pieces), dimensions)
    entries = [d.entry(chunk, row) for (d, chunk), row in zip(pieces, rows, strict=True)]
    return refused | {refusal.id: refusal for refusal in index.upload(entries)}


def settle(draft: Draft, index: Index, recipe: Recipe, run: str) -> Noted[Settled]:
    """Move what is kept, delete what is no longer there; then the record may be committed."""
    moved = draft.moved
    refused = index.upload(moved) if moved else []
    draft.acknowledged += len(moved) - len(refused)
    draft.refusals += refused
    if draft.refusals:
        error = DocumentError(f"a chunk was refused: {draft.refusals[0].reason}", Code.REFUSED)
        record = failing(draft.record, draft.source, error, recipe, run)
        about = intent(draft)
        details = replace(about.details, since=record.details.since)
        record = replace(record, pending=about.pending, details=details)
        return Noted(record, failed(draft.record, draft.source, error, run))
    if draft.acknowledged != len(draft.ids):
        raise ServiceError(
            f"{draft.source.name}: the index acknowledged {draft.acknowledged} of "
            f"{len(draft.ids)} chunks; run again"
        )
    delete(draft.surplus, index)
    for name in draft.detached:
        draft.removed.append(remove(Record(draft.source.root, name), index))
    return Noted(commit(draft, run), done(draft, run))


def remove(record: Record, index: Index) -> Settled:
    """Delete all that the index may have of a source, and only then forget it."""
    gone = possible(index.record(record.root, record.source) or record)
    delete(gone, index)
    index.forget(record)
    return Settled(record.root, record.source, Outcome.REMOVED, deleted=len(gone))


def before(stale: Stale, index: Index) -> Record:
    """A source's record with its ids, as it stood before it was read; an empty one for none."""
    source, record, _ = stale
    if record is None and holder(source.name):
        record = index.record(source.root, source.name)  # nobody has asked yet
    return record or Record(source.root, source.name)


def drafted(source: Source, record: Record, made: Prepared, index: Index) -> Draft:
    """A document's draft. Only chunks its record names can be in the index already."""
    candidates = possible(record).intersection(chunk.id for chunk in made.chunks)
    held = frozenset(index.held(candidates)) if candidates else frozenset()
    return Draft(source, url(source), record, made, held)


def checked(vectors: Vectors, count: int, dimensions: int) -> Vectors:
    """The vectors, if there is one for each text and each can be compared."""
    if vectors.shape != (count, dimensions):
        raise ServiceError(
            f"the model gave vectors of shape {vectors.shape} for {count} texts and "
            f"{dimensions} dimensions; run again"
        )
    if not np.isfinite(vectors).all():
        raise ServiceError("the model gave vectors that are not numbers; run again")
    return vectors


def delete(ids: Iterable[str], index: Index) -> None:
    """Delete chunks, all of them."""
    some = list(ids)
    if refusals := index.delete(some) if some else []:
        raise ServiceError(f"the index kept a chunk to be deleted: {refusals[0].reason}; run again")
