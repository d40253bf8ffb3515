"""Dry run: the stages of a run, up to the first one that writes or costs money."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ingest.embed.batch import fill_batches
from ingest.embed.rate_limit.quota import count_quota_tokens
from ingest.errors import DocumentError
from ingest.models import (
    Code,
    DeletionsWithheld,
    FigureOutcome,
    Outcome,
    Record,
    RunEvent,
    RunProgress,
    SourceResult,
)
from ingest.pipeline.context import Run, Services
from ingest.pipeline.deletions import AbsenceTracker
from ingest.pipeline.diff import Skipped, compare_root
from ingest.pipeline.records import load_records
from ingest.pipeline.results import failed_result, unchanged_result
from ingest.pipeline.reuse import batch_lookups
from ingest.pipeline.stages import extract_documents, iterate_new_chunks
from ingest.pipeline.transaction import Transaction, format_page_numbers, indexed_result
from ingest.pipeline.writes import (
    NewChunk,
    ReadResult,
    create_transaction,
    has_other_permissions,
    is_new_chunk,
    is_same_content,
    previous_record,
)
from ingest.runtime.concurrency import round_robin
from ingest.runtime.formatting import pluralize
from ingest.sources import Root


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """One request to the embedding model that a run would send."""

    tokens: int  # as billed
    quota_tokens: int  # as the quota counts them, by characters
    size_bytes: int  # of its texts in UTF-8


@dataclass(frozen=True, slots=True)
class RecordCountChange:
    """A record that a run would add to the index, or remove from it."""

    change: int = 1


@dataclass(frozen=True, slots=True)
class ReusedText:
    """A chunk that a run would add to the index with the vector of an equal text."""

    size_bytes: int  # in UTF-8


DryRunEvent = RunEvent | EmbeddingRequest | RecordCountChange | ReusedText


def dry_run(root: Root, services: Services, run: Run) -> Iterator[DryRunEvent]:
    """Yield the events of a run. Reads the sources, but writes and embeds nothing."""
    absences = AbsenceTracker(run.prune, run.max_deletes, run.allow_empty)
    listed = absences.filter_changes(
        compare_root(root, services, run, absences.ignored), run.stop.is_requested
    )
    changes = (plan_skip(change) if isinstance(change, Skipped) else change for change in listed)
    sources = load_records(changes, services, run.stop)
    documents = plan_documents(extract_documents(root, sources, services, run.stop), services)
    chunks = plan_reuse(round_robin(documents, iterate_new_chunks), services)
    yield from plan_requests(chunks, services)

    if withheld := absences.withheld_deletions(root.name):
        yield withheld
    else:
        for record in absences.vanished:
            yield RecordCountChange(-1)
            yield SourceResult(root.name, record.source, Outcome.REMOVED, deleted=record.chunks)
    yield from absences.ignored.to_events(root.name)


def preview_root(root: Root, services: Services, run: Run) -> Iterator[RunEvent]:
    """Yield the events of a run, without the estimates of a plan."""
    return (
        event
        for event in dry_run(root, services, run)
        if isinstance(event, SourceResult | RunProgress | DeletionsWithheld)
    )


def plan_skip(change: Skipped) -> SourceResult:
    """Return the result of a skipped source, with the chunks that a run would delete."""
    record = change.record
    if record and (change.is_revoked or has_other_permissions(change.source, record)):
        return replace(change.result, chunks=0, deleted=record.chunks)
    return change.result


def plan_documents(
    items: Iterable[ReadResult | RunEvent], services: Services
) -> Iterator[Transaction | DryRunEvent]:
    """Yield the results that documents would have; a transaction for those to be embedded."""
    index, recipe = services.index, services.recipe
    for item in items:
        if not isinstance(item, ReadResult):
            yield item
            continue
        source, document = item.stale.source, item.result
        record = previous_record(item.stale, index)
        if record == Record(source.root, source.name):
            yield RecordCountChange()
        if isinstance(document, DocumentError):
            yield failed_result(record, source, document)
        elif document is None or is_same_content(document, record):
            yield unchanged_result(source, record)
        else:
            yield create_transaction(source, record, document, index, recipe)


def plan_reuse(
    chunks: Iterable[NewChunk | Transaction | DryRunEvent], services: Services
) -> Iterator[NewChunk | Transaction | DryRunEvent]:
    """Leave out the chunks of texts that the index has, or that come a second time.

    Yields a document once all its chunks are left out.
    """
    index = services.index
    counted: set[str] = set()
    for item in batch_lookups(chunks, is_new_chunk):
        if not isinstance(item, list):
            yield item
            continue
        known = set() if index.is_new else set(index.ids_by_text({p.text_hash for p in item}))
        for piece in item:
            if piece.text_hash in known or piece.text_hash in counted:
                piece.transaction.count_answer(piece.chunk, None, paid=False)
                yield ReusedText(count_bytes(piece.chunk.text_to_embed))
                if piece.transaction.is_complete:
                    yield piece.transaction
            else:
                counted.add(piece.text_hash)
                yield piece


def plan_requests(
    chunks: Iterable[NewChunk | Transaction | DryRunEvent], services: Services
) -> Iterator[DryRunEvent]:
    """Fill embedding requests as a run does; yields them, and the documents they complete."""
    model, budget = services.embedder, services.budget
    filled: Iterator[list[NewChunk] | Transaction | DryRunEvent] = fill_batches(
        chunks,
        is_new_chunk,
        lambda piece: piece.chunk.tokens,
        max_items=model.inputs,
        # A plan continues beyond the limit.
        max_tokens=lambda: int(min(model.room(), budget.remaining_tokens() or math.inf)),
        # A run that waits for documents may send requests that are less full.
        clock=lambda: 0.0,
    )
    for item in filled:
        if isinstance(item, list):
            for transaction, chunk, _ in item:
                transaction.count_answer(chunk, None)
            budget.count_tokens(sum(piece.chunk.tokens for piece in item))
            yield build_request(item)
            for transaction in dict.fromkeys(piece.transaction for piece in item):
                if transaction.is_complete:
                    yield from plan_results(transaction, services)
        elif isinstance(item, Transaction):
            yield from plan_results(item, services)
        else:
            yield item


def build_request(batch: list[NewChunk]) -> EmbeddingRequest:
    """Return the request that embeds a batch."""
    texts = [piece.chunk.text_to_embed for piece in batch]
    return EmbeddingRequest(
        sum(piece.chunk.tokens for piece in batch),
        count_quota_tokens(sum(map(len, texts))),
        sum(map(count_bytes, texts)),
    )


def count_bytes(text: str) -> int:
    """Return the size of a text in UTF-8."""
    return len(text.encode(errors="replace"))


def plan_results(transaction: Transaction, services: Services) -> Iterator[DryRunEvent]:
    """Yield the results of a document, and of attachments that it no longer has."""
    index, ocr = services.index, services.reader.ocr
    outcome = indexed_result(transaction)
    if ocr and outcome.details.scanned and not outcome.details.ocr:
        outcome = result_after_ocr(outcome, transaction, ocr)
    if outcome.details.undescribed and outcome.code == Code.FIGURES:
        outcome = result_before_figures(outcome)
    yield outcome
    for name in transaction.detached_names:
        gone = index.record(transaction.source.root, name)
        yield RecordCountChange(-1)
        yield SourceResult(
            transaction.source.root, name, Outcome.REMOVED, deleted=gone.chunks if gone else 0
        )


def result_before_figures(outcome: SourceResult) -> SourceResult:
    """Return the result of a document whose figures are to be described."""
    figures = pluralize(outcome.details.undescribed, "figure")
    reason = f"{figures} to be described, once all text is indexed"
    known = {n: c for n, c in outcome.details.figure_outcomes.items() if n != FigureOutcome.FAILED}
    details = replace(outcome.details, figure_outcomes=known)
    return replace(outcome, reason=reason, code="", harmless=True, details=details)


def result_after_ocr(outcome: SourceResult, transaction: Transaction, ocr: str) -> SourceResult:
    """Return the result of a document whose scanned pages are to be recognised, assuming text."""
    return replace(
        outcome,
        outcome=Outcome.CHANGED if transaction.record.committed else Outcome.NEW,
        reason=f"{format_page_numbers(outcome.details.scanned)}: to be recognised first",
        code="",
        harmless=not outcome.details.missing,
        details=replace(outcome.details, ocr=ocr, undecoded=()),
    )
