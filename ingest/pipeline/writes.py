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

from ingest.embed import PartialEmbedding
from ingest.errors import DocumentError, ServiceError
from ingest.index import ChunkStore, Index, RecordStore
from ingest.models import (
    Chunk,
    Code,
    Details,
    Outcome,
    PreparedDocument,
    Recipe,
    Record,
    Refusal,
    Source,
    SourceResult,
    parent_name,
)
from ingest.pipeline.diff import Passed, Stale, unchanged_result
from ingest.pipeline.transaction import (
    Transaction,
    commit_record,
    failed_result,
    failure_record,
    indexed_result,
    intent_record,
    possible_ids,
    refreshed_record,
)
from ingest.sources import source_url

if TYPE_CHECKING:
    from ingest.models import Vectors


T = TypeVar("T")


class ReadResult(NamedTuple):
    """A stale source and what reading it gave; None where its bytes are the known ones."""

    stale: Stale
    result: PreparedDocument | DocumentError | None


class NewChunk(NamedTuple):
    """One chunk that must be embedded."""

    transaction: Transaction
    chunk: Chunk


class EmbeddedBatch(NamedTuple):
    """A batch of chunks and the finished call that gave their vectors."""

    chunks: list[NewChunk]
    call: Future[Vectors]
    paid: bool = True  # False: an earlier index had them

    @property
    def transactions(self) -> Iterable[Transaction]:
        """Each document that has a chunk in the batch, once."""
        return dict.fromkeys(piece.transaction for piece in self.chunks)


class Pending(NamedTuple, Generic[T]):
    """What is true once a record says so; None for a record that says so already."""

    save: Record | None
    result: T


def begin_transaction(
    read: ReadResult, index: Index, recipe: Recipe, run: str
) -> Pending[Transaction | SourceResult]:
    """What the record must say before anything is written: which chunks are about to exist.

    Or, of a source that has none to come, what became of it.
    """
    source, made = read.stale.source, read.result
    record = previous_record(read.stale, index)
    if made is None:
        return Pending(refreshed_record(record, source), unchanged_result(source, record))
    if isinstance(made, DocumentError):
        return Pending(
            failure_record(record, source, made, recipe, run),
            failed_result(record, source, made, run),
        )
    if is_same_content(made, record):
        return Pending(refreshed_record(record, source), unchanged_result(source, record))
    draft = create_transaction(source, record, made, index)
    return Pending(replace(intent_record(draft), run=run), draft)


def passed(change: Passed, index: Index, recipe: Recipe, run: str) -> Pending[SourceResult]:
    """What the record of a source must say that is passed over; what the index has of it stays."""
    source = change.source
    record = index.record(*source.key) or Record(*source.key)
    error = DocumentError(change.reason, change.code)
    said = failure_record(record, source, error, recipe, run)
    # It was not tried: once it can be read it is.
    said = replace(said, outcome=Outcome.SKIPPED, attempts=0)
    details = Details(since=said.details.since)
    return Pending(said, replace(change.settled, chunks=record.chunks, details=details))


def is_same_content(document: PreparedDocument, record: Record) -> bool:
    """Whether reading a source gave what its record says already.

    It was read for what is inside it; or a listing lagged behind a record written just now.
    """
    there = (document.fingerprint, document.details) == (record.fingerprint, record.details)
    return there and not record.details.missing


def upload_batch(batch: EmbeddedBatch, index: ChunkStore, dimensions: int) -> dict[str, Refusal]:
    """Write a batch of chunks; returns those that the model or the index would not take, by id."""
    refused: dict[str, Refusal] = {}
    pieces = batch.chunks
    try:
        vectors = batch.call.result()
    except PartialEmbedding as some:
        vectors = some.vectors
        refused = {
            pieces[place].chunk.id: Refusal(pieces[place].chunk.id, reason)
            for place, reason in some.reasons.items()
        }
        pieces = [piece for piece in pieces if piece.chunk.id not in refused]
    if not pieces:
        return refused
    rows = check_vectors(vectors, len(pieces), dimensions)
    entries = [d.entry(chunk, row) for (d, chunk), row in zip(pieces, rows, strict=True)]
    return refused | {refusal.id: refusal for refusal in index.upload(entries)}


def finish_transaction(
    transaction: Transaction, index: Index, recipe: Recipe, run: str
) -> Pending[SourceResult]:
    """Move what is kept, delete what is no longer there; then the record may be committed."""
    moved = transaction.moved_entries
    refused = index.upload(moved) if moved else []
    transaction.acknowledged_count += len(moved) - len(refused)
    transaction.refusals += refused
    if transaction.refusals:
        error = DocumentError(
            f"a chunk was refused: {transaction.refusals[0].reason}", Code.REFUSED
        )
        record = failure_record(transaction.record, transaction.source, error, recipe, run)
        about = intent_record(transaction)
        details = replace(about.details, since=record.details.since)
        record = replace(record, pending=about.pending, details=details)
        return Pending(record, failed_result(transaction.record, transaction.source, error, run))
    if transaction.acknowledged_count != len(transaction.ids):
        raise ServiceError(
            f"{transaction.source.name}: the index acknowledged {transaction.acknowledged_count} of "
            f"{len(transaction.ids)} chunks; run again"
        )
    delete_chunks(transaction.surplus_ids, index)
    for name in transaction.detached_names:
        transaction.removed_sources.append(
            remove_source(Record(transaction.source.root, name), index)
        )
    return Pending(commit_record(transaction, run), indexed_result(transaction, run))


def remove_source(record: Record, index: Index) -> SourceResult:
    """Delete all that the index may have of a source, and only then forget it."""
    gone = possible_ids(index.record(record.root, record.source) or record)
    delete_chunks(gone, index)
    index.forget(record)
    return SourceResult(record.root, record.source, Outcome.REMOVED, deleted=len(gone))


def previous_record(stale: Stale, index: RecordStore) -> Record:
    """A source's record with its ids, as it stood before it was read; an empty one for none."""
    source, record, _ = stale
    if record is None and parent_name(source.name):
        record = index.record(source.root, source.name)  # nobody has asked yet
    return record or Record(source.root, source.name)


def create_transaction(
    source: Source, record: Record, document: PreparedDocument, index: Index
) -> Transaction:
    """A document's draft. Only chunks its record names can be in the index already."""
    candidates = possible_ids(record).intersection(chunk.id for chunk in document.chunks)
    held = frozenset(index.existing_ids(candidates)) if candidates else frozenset()
    return Transaction(source, source_url(source), record, document, held)


def check_vectors(vectors: Vectors, count: int, dimensions: int) -> Vectors:
    """The vectors, if there is one for each text and each can be compared."""
    if vectors.shape != (count, dimensions):
        raise ServiceError(
            f"the model gave vectors of shape {vectors.shape} for {count} texts and "
            f"{dimensions} dimensions; run again"
        )
    if not np.isfinite(vectors).all():
        raise ServiceError("the model gave vectors that are not numbers; run again")
    return vectors


def delete_chunks(ids: Iterable[str], index: ChunkStore) -> None:
    """Delete chunks, all of them."""
    some = list(ids)
    if refusals := index.delete(some) if some else []:
        raise ServiceError(f"the index kept a chunk to be deleted: {refusals[0].reason}; run again")
