"""Writes for one document, in the order that keeps the index consistent.

intent → upload new and moved chunks → delete surplus ones → commit. Each function sends its
requests one after the other, in a thread of the pipeline; documents are independent of each other.
The pipeline saves the records, many at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Generic, NamedTuple, TypeGuard, TypeVar

from ingest.errors import DocumentError, ServiceError
from ingest.index import ChunkStore, Index
from ingest.models import (
    ATTACHMENT_SEPARATOR,
    Chunk,
    Code,
    Details,
    IndexEntry,
    Outcome,
    PreparedDocument,
    Recipe,
    Record,
    Refusal,
    Source,
    SourceKey,
    SourceResult,
    Vectors,
    parent_name,
)
from ingest.pipeline.diff import Skipped, Stale
from ingest.pipeline.results import failed_result, refused_result, unchanged_result
from ingest.pipeline.transaction import (
    Transaction,
    failure_record,
    indexed_result,
    possible_ids,
    refreshed_record,
)
from ingest.sources import source_url

T = TypeVar("T")


class ReadResult(NamedTuple):
    """A stale source, and its document or error; None if its bytes have not changed."""

    stale: Stale
    result: PreparedDocument | DocumentError | None


class NewChunk(NamedTuple):
    """A chunk that must be embedded."""

    transaction: Transaction
    chunk: Chunk
    text_hash: str  # chunks with equal ones have equal vectors


class EmbeddedBatch(NamedTuple):
    """A batch of chunks, and the vector of each, or why the model refused it."""

    chunks: list[NewChunk]
    results: Sequence[Vectors | str]
    paid: bool = True  # False: vectors of equal texts

    @property
    def tokens(self) -> int:
        """Tokens of the chunks, which are paid for unless equal texts have vectors already."""
        return sum(piece.chunk.tokens for piece in self.chunks)

    def vector_tokens(self, refused: Collection[str] = ()) -> int:
        """Return the tokens of the chunks that have a vector, except the chunks of some ids."""
        return sum(
            piece.chunk.tokens
            for piece, result in zip(self.chunks, self.results, strict=True)
            if not isinstance(result, str) and piece.chunk.id not in refused
        )

    @property
    def transactions(self) -> Iterable[Transaction]:
        """The documents that have a chunk in the batch, each once."""
        return dict.fromkeys(piece.transaction for piece in self.chunks)


def is_new_chunk(item: object) -> TypeGuard[NewChunk]:
    """Return whether an item must be embedded; others pass the embedding stage unchanged."""
    return isinstance(item, NewChunk)


def source_keys(chunks: Iterable[NewChunk]) -> list[SourceKey]:
    """Return the sources that have a chunk in a batch, each once."""
    return list(dict.fromkeys(piece.transaction.source.key for piece in chunks))


class Pending(NamedTuple, Generic[T]):
    """A result that becomes valid once `save` is saved (None: nothing to save)."""

    save: Record | None
    result: T


def begin_transaction(
    read: ReadResult, index: Index, recipe: Recipe, run: str
) -> Pending[Transaction | SourceResult]:
    """Begin a transaction: the result is pending until its intent is saved.

    A source that has failed or has not changed gets its result instead.
    """
    source, made = read.stale.source, read.result
    record = previous_record(read.stale, index)
    if made is None:
        return Pending(refreshed_record(record, source), unchanged_result(source, record))
    if isinstance(made, DocumentError):
        if has_other_permissions(source, record):
            _, record = revoke_source(record, index)
        return Pending(
            failure_record(record, source, made, recipe, run),
            failed_result(record, source, made, run),
        )
    if is_same_content(made, record):
        return Pending(refreshed_record(record, source), unchanged_result(source, record))
    transaction = create_transaction(source, record, made, index, recipe)
    return Pending(transaction.intent(run), transaction)


def read_record(index: Index, key: SourceKey, listed: Record | None = None) -> Record | None:
    """Return the whole record of a source, given the listed one; None if there is none.

    One that could not be read names all chunks that the index lists of its source, and the
    attachments of the listed one.
    """
    record = index.record(*key, listed)
    if record is None or not record.spoilt:
        return record
    ids = (chunk.id for chunk in index.chunks(*key, text=False))
    details = listed.details if listed else record.details
    return replace(record, pending=tuple(dict.fromkeys((*record.pending, *ids))), details=details)


def skip_source(change: Skipped, index: Index, recipe: Recipe, run: str) -> Pending[SourceResult]:
    """Return the result of a skipped source, pending until saved.

    Its chunks in the index stay, unless its permissions have changed or are unknown.
    """
    source = change.source
    record = read_record(index, source.key, change.record) or Record(*source.key)
    deleted = 0
    if change.is_revoked or has_other_permissions(source, record):
        deleted, record = revoke_source(record, index)
    error = DocumentError(change.reason, change.code)
    failure = failure_record(record, source, error, recipe, run)
    # No attempt was made, so a later run reads it once that is possible.
    skipped = replace(failure, outcome=Outcome.SKIPPED, attempts=0)
    details = Details(since=skipped.details.since)
    result = replace(change.result, chunks=record.chunks, details=details, deleted=deleted)
    return Pending(skipped, result)


def has_other_permissions(source: Source, record: Record) -> bool:
    """Return whether the permissions of an unreadable source differ from those of its chunks.

    Permissions are a part of its version, after the first space.
    """
    if source.permissions is None:
        return False
    return source.modified.partition(" ")[2] != record.modified.partition(" ")[2]


def revoke_source(record: Record, index: Index) -> tuple[int, Record]:
    """Delete the chunks of a source and of its attachments; returns their number, and its record.

    The record without them is for the caller to save.
    """
    ids = possible_ids(record)
    if not ids and not record.details.attachments:
        return 0, replace(record, spoilt=False)
    # Until that record is saved, this one says that the source must be read.
    index.save(mark_unfinished(record, ids)).result()
    deleted = count_stored(ids, record, index)
    for name in record.details.attachments:
        attached = Record(record.root, f"{record.source}{ATTACHMENT_SEPARATOR}{name}")
        deleted += remove_source(attached, index).deleted
    delete_chunks(ids, index)
    details = replace(record.details, attachments=(), images=())
    return deleted, replace(
        record, committed=(), pending=(), chunks=0, tokens=0, details=details, spoilt=False
    )


def is_same_content(document: PreparedDocument, record: Record) -> bool:
    """Return whether a source's content is as its record says.

    It may be read for its attachments, or because a listing lags behind a record just saved.
    """
    is_same = (document.fingerprint, document.details) == (record.fingerprint, record.details)
    return is_same and not record.details.missing


def upload_batch(batch: EmbeddedBatch, index: ChunkStore) -> dict[str, Refusal]:
    """Upload a batch of chunks; returns those that the model or the index refused, by id."""
    refused: dict[str, Refusal] = {}
    entries: list[IndexEntry] = []
    for piece, result in zip(batch.chunks, batch.results, strict=True):
        if isinstance(result, str):
            refused[piece.chunk.id] = Refusal(piece.chunk.id, result)
        else:
            entries.append(piece.transaction.entry(piece.chunk, result))
    answers = index.upload(entries) if entries else []
    return refused | {refusal.id: refusal for refusal in answers}


def finish_transaction(
    transaction: Transaction, index: Index, recipe: Recipe, run: str
) -> Pending[SourceResult]:
    """Upload moved chunks and delete surplus ones; the result is pending until the commit."""
    moved = transaction.moved_entries
    refused = index.upload(moved) if moved else []
    transaction.acknowledged_count += len(moved) - len(refused)
    transaction.refusals += refused
    if transaction.refusals:
        error = DocumentError(
            f"a chunk was refused: {transaction.refusals[0].reason}", Code.REFUSED
        )
        record = failure_record(transaction.record, transaction.source, error, recipe, run)
        intent = transaction.intent(run)
        details = replace(intent.details, since=record.details.since)
        record = replace(record, pending=intent.pending, details=details)
        return Pending(record, failed_result(transaction.record, transaction.source, error, run))
    if transaction.acknowledged_count != len(transaction.ids):
        raise ServiceError(
            f"{transaction.source.name}: the index acknowledged "
            f"{transaction.acknowledged_count} of {len(transaction.ids)} chunks; run again"
        )
    deleted = count_stored(transaction.surplus_ids, transaction.record, index)
    delete_chunks(transaction.surplus_ids, index)
    for name in transaction.detached_names:
        transaction.removed_sources.append(
            remove_source(Record(transaction.source.root, name), index)
        )
    result = replace(indexed_result(transaction, run), deleted=deleted)
    return Pending(transaction.commit(run), result)


def remove_source(
    record: Record, index: Index, before_deletion: Callable[[set[str]], None] = lambda _: None
) -> SourceResult:
    """Delete all chunks of a source, and only then its record.

    Before that, the record says that the source must be read: it may come back as it was.
    `before_deletion` is called with the ids of the chunks.
    """
    try:
        whole = read_record(index, record.key, record)
        # A listed record has no ids. If there is none to look up, the chunks have them.
        ids = (
            possible_ids(whole)
            if whole
            else {chunk.id for chunk in index.chunks(*record.key, text=False)}
        )
        deleted = count_stored(ids, whole, index) if whole else len(ids)
        before_deletion(ids)
        if whole and ids:
            index.save(mark_unfinished(whole)).result()
        delete_chunks(ids, index)
        index.forget(whole or record)
    except DocumentError as error:
        return refused_result(record, error)
    return SourceResult(record.root, record.source, Outcome.REMOVED, deleted=deleted)


def mark_unfinished(record: Record, pending: Iterable[str] = ()) -> Record:
    """Return a record with which the next run reads its source, even if the file is unchanged."""
    return replace(record, pending=tuple(pending) or record.pending, fingerprint="", modified="")


def count_stored(ids: set[str], record: Record, index: ChunkStore) -> int:
    """Count those ids of a source that are in the index. Pending ones need not be."""
    uncertain = ids.difference(record.committed)
    return len(ids) - len(uncertain) + len(index.existing_ids(uncertain) if uncertain else ())


def previous_record(stale: Stale, index: Index) -> Record:
    """Return a source's record with its chunk ids; an empty one for a new source."""
    source, record = stale.source, stale.record
    if record is None and parent_name(source.name):
        record = read_record(index, source.key)  # attachments are not in the diff
    return record or Record(source.root, source.name)


def create_transaction(
    source: Source, record: Record, document: PreparedDocument, index: Index, recipe: Recipe
) -> Transaction:
    """Create a document's transaction. Only chunks that its record names can be in the index."""
    candidates = possible_ids(record).intersection(chunk.id for chunk in document.chunks)
    existing = frozenset(index.existing_ids(candidates)) if candidates else frozenset()
    space = recipe.vector_space
    return Transaction(source, source_url(source), record, document, existing, space)


def delete_chunks(ids: Iterable[str], index: ChunkStore) -> None:
    """Delete chunks. Raises DocumentError if the index refuses to delete one."""
    unwanted = list(ids)
    if refusals := index.delete(unwanted) if unwanted else []:
        reason = f"the index refused to delete a chunk: {refusals[0].reason}"
        raise DocumentError(reason, Code.REFUSED)
