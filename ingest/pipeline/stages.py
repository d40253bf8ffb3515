"""Stages that settle the stale sources of a root.

    extract ──▶ chunk ──▶ embed ──▶ upload ──▶ commit

Each stage is a generator over the output of the stage before it, and passes results on at once.
The order of writes keeps the index consistent (DESIGN.md, invariants 1 and 2): a record
names every chunk that may exist before the first one is uploaded, and is committed only after all
of them are acknowledged. A run may therefore die at any point, and the next one converges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from ingest.embed.batch import fill_batches
from ingest.embed.parts import embed_in_parts
from ingest.errors import DocumentError, IngestError, RootError, RootGoneError, StoppedError
from ingest.models import PreparedDocument, Refusal, RunEvent, RunProgress, SourceResult
from ingest.pipeline.context import Run, Services
from ingest.pipeline.crash_guard import CrashGuard, crash_guard
from ingest.pipeline.diff import Stale, is_of_other_recipe
from ingest.pipeline.records import IDLE_EVENT, call_result, never_abandon, save_records
from ingest.pipeline.reuse import Copies, hold_copies, keep_vectors, release_copies, reuse_vectors
from ingest.pipeline.transaction import Transaction
from ingest.pipeline.writes import (
    EmbeddedBatch,
    NewChunk,
    Pending,
    ReadResult,
    begin_transaction,
    finish_transaction,
    is_new_chunk,
    source_keys,
    upload_batch,
)
from ingest.runtime.cancellation import Cancellation
from ingest.runtime.concurrency import map_concurrent, round_robin
from ingest.runtime.timing import (
    EMBEDDED_TOKENS,
    EMBEDDING_CHUNKS,
    WRITING_CHUNKS,
    WRITING_RECORDS,
    WRITTEN_TOKENS,
)
from ingest.sources import Root

T = TypeVar("T")

ATTEMPTS_AHEAD_PER_READER = 8  # sources whose attempts are saved ahead, several in one request


def settle_sources(  # noqa: PLR0913 - a root, what to settle, and how
    root: Root,
    changes: Iterable[Stale | RunEvent],
    services: Services,
    run: Run,
    *,
    is_isolated: bool = False,
    root_errors: list[RootError] | None = None,
) -> Iterator[RunEvent]:
    """Settle stale sources in this process, given their whole records; other events pass.

    `is_isolated`: the only source is a suspect. With a list of `root_errors`, sources that vanish
    with their root have no result, and the root's error is appended to the list.
    """
    copies = Copies()
    with crash_guard(services.index, services.recipe, run, is_isolated=is_isolated) as guard:
        read = partial(read_with_crash_guard, root, services, run, guard)
        documents = guard.suspects_last(changes, read)
        if root_errors is not None:
            documents = collect_gone(documents, root_errors)
        transactions = guard.clear_saved(write_intents(documents, services, run))
        chunks = round_robin(transactions, iterate_new_chunks)
        firsts = hold_copies(chunks, services, copies, run.stop)
        remaining = reuse_vectors(firsts, services, run.stop)
        vectors = embed_chunks(remaining, services, run.stop)
        shared = release_copies(vectors, services, copies)
        uploaded = upload_batches(shared, services, run.stop)
        yield from commit_documents(uploaded, services, run)


def collect_gone(
    items: Iterable[ReadResult | RunEvent], errors: list[RootError]
) -> Iterator[ReadResult | RunEvent]:
    """Drop sources that vanished with their root, and collect its error once."""
    for item in items:
        if not isinstance(item, ReadResult) or not isinstance(item.result, RootGoneError):
            yield item
        elif not errors:
            errors.append(RootError(str(item.result)))


def read_with_crash_guard(
    root: Root, services: Services, run: Run, guard: CrashGuard, changes: Iterable[Stale | RunEvent]
) -> Iterator[ReadResult | RunEvent]:
    """Read stale sources, each after its record says that an attempt has begun."""
    max_ahead = ATTEMPTS_AHEAD_PER_READER * services.reader.at_once
    sources = save_records(guard.record_attempts(changes), services, run.stop, max_ahead)
    return extract_documents(root, sources, services, run.stop)


def extract_documents(
    root: Root, changes: Iterable[Stale | RunEvent], services: Services, stop: Cancellation
) -> Iterator[ReadResult | RunEvent]:
    """Read, extract and split stale sources; yields the document, or the error, of each."""

    def start(change: Stale | RunEvent) -> Future[PreparedDocument | None] | None:
        if not isinstance(change, Stale):
            return None
        return stop.track(
            services.reader.threads.submit(partial(services.reader.prepare, root, change))
        )

    # Twice the readers, so that none waits for the next document.
    ahead = 2 * services.reader.at_once + services.reader.max_waiting
    for change, call in map_concurrent(changes, start, ahead, stop.is_overdue, IDLE_EVENT):
        if not isinstance(change, Stale):
            yield change
            continue
        assert call is not None
        try:
            document = call.result()
        except StoppedError:
            continue
        except DocumentError as error:
            yield ReadResult(change, error)
        else:
            yield RunProgress(pages=document.pages if document else 0)
            yield ReadResult(change, document)
            for attachment in document.attached if document else ():
                assert isinstance(attachment.result, PreparedDocument | DocumentError)
                if isinstance(attachment.result, PreparedDocument):
                    yield RunProgress(pages=attachment.result.pages)
                yield ReadResult(Stale(attachment.source, None), attachment.result)


def write_intents(
    documents: Iterable[ReadResult | RunEvent], services: Services, run: Run
) -> Iterator[Transaction | RunEvent]:
    """Begin a transaction for each document; yields it once its intent is saved."""

    def start(item: ReadResult | RunEvent) -> Future[Pending[Transaction | SourceResult]] | None:
        if not isinstance(item, ReadResult):
            return None
        call = partial(begin_transaction, item, services.index, services.recipe, run.id)
        timed = services.times.wrap(WRITING_RECORDS, call, item.stale.source.key)
        return run.stop.track(services.write_threads.submit(timed))

    begun = map_concurrent(documents, start, services.max_writes, never_abandon, IDLE_EVENT)
    yield from save_records((call_result(item, call) for item, call in begun), services, run.stop)


def iterate_new_chunks(item: object) -> Iterator[NewChunk] | None:
    """Iterate over the chunks to embed; None for an item that has none and passes."""
    if not isinstance(item, Transaction) or item.is_complete:
        return None
    return (NewChunk(item, chunk, item.text_hash(chunk)) for chunk in item.new_chunks)


def embed_chunks(
    chunks: Iterable[NewChunk | EmbeddedBatch | Transaction | RunEvent],
    services: Services,
    stop: Cancellation,
) -> Iterator[EmbeddedBatch | Transaction | RunEvent]:
    """Embed chunks in batches that are filled across documents, within the budget."""
    model, budget, times = services.embedder, services.budget, services.times
    answered: SimpleQueue[EmbeddedBatch] = SimpleQueue()  # filled by the calls
    tokens_ahead = 0  # of chunks under way

    def start(item: list[NewChunk] | EmbeddedBatch | Transaction | RunEvent) -> Future[None] | None:
        nonlocal tokens_ahead
        if not isinstance(item, list):
            return None
        tokens = sum(piece.chunk.tokens for piece in item)
        tokens_ahead += tokens
        timed = times.wrap(
            EMBEDDING_CHUNKS,
            partial(embed_batch, item, services, answered.put),
            *source_keys(item),
            model=model.model,
            chunks=len(item),
            tokens=tokens,
        )
        return stop.track(services.embed_threads.submit(timed))

    def take_answered() -> Iterator[EmbeddedBatch]:
        nonlocal tokens_ahead
        while not answered.empty():
            part = answered.get()
            tokens_ahead -= part.tokens
            yield part

    filled: Iterator[list[NewChunk] | EmbeddedBatch | Transaction | RunEvent] = fill_batches(
        take_until(stop.is_overdue, chunks),
        is_new_chunk,
        lambda piece: piece.chunk.tokens,
        max_items=model.inputs,
        max_tokens=lambda: int(min(model.room(), budget.remaining_tokens() - tokens_ahead)),
    )
    for item, call in map_concurrent(filled, start, model.at_once, stop.is_overdue, IDLE_EVENT):
        yield from take_answered()
        if not isinstance(item, list):
            yield item
        elif call and not isinstance(call.exception(), IngestError):
            call.result()  # an error of the caller's own model
    yield from take_answered()


def embed_batch(
    batch: Sequence[NewChunk], services: Services, pass_on: Callable[[EmbeddedBatch], None]
) -> None:
    """Embed a batch, and pass on each part as soon as its response arrives."""
    texts = [piece.chunk.text_to_embed for piece in batch]
    for places, results in embed_in_parts(services.embedder, texts):
        part = EmbeddedBatch([batch[place] for place in places], results)
        services.times.count(EMBEDDED_TOKENS, part.vector_tokens())
        pass_on(part)


def upload_batches(
    vectors: Iterable[EmbeddedBatch | Transaction | RunEvent],
    services: Services,
    stop: Cancellation,
) -> Iterator[Transaction | RunEvent]:
    """Upload embedded chunks; yields a document once all its chunks are acknowledged."""

    def start(item: EmbeddedBatch | Transaction | RunEvent) -> Future[dict[str, Refusal]] | None:
        if not isinstance(item, EmbeddedBatch):
            return None

        def call() -> dict[str, Refusal]:
            refused = upload_batch(item, services.index)
            if item.paid:
                services.times.count(WRITTEN_TOKENS, item.vector_tokens(refused))
            return refused

        timed = services.times.wrap(WRITING_CHUNKS, call, *source_keys(item.chunks))
        return stop.track(services.write_threads.submit(timed))

    for item, call in map_concurrent(
        vectors, start, services.max_writes, never_abandon, IDLE_EVENT
    ):
        if not isinstance(item, EmbeddedBatch):
            yield item
            continue
        assert call is not None
        refused = call.result()
        for transaction, chunk, _ in item.chunks:
            transaction.count_answer(chunk, refused.get(chunk.id), paid=item.paid)
        yield RunProgress(chunks=len(item.chunks), tokens=item.tokens if item.paid else 0)
        yield from (each for each in item.transactions if each.is_complete)


def commit_documents(
    transactions: Iterable[Transaction | RunEvent], services: Services, run: Run
) -> Iterator[RunEvent]:
    """Delete surplus chunks and save the final records; yields the results."""

    def start(item: Transaction | RunEvent) -> Future[Pending[SourceResult]] | None:
        if not isinstance(item, Transaction):
            return None

        def call() -> Pending[SourceResult]:
            if not is_of_other_recipe(item.record, services.recipe.digest):
                keep_vectors(item.surplus_ids.intersection(item.record.committed), services)
            return finish_transaction(item, services.index, services.recipe, run.id)

        timed = services.times.wrap(WRITING_CHUNKS, call, item.source.key)
        return run.stop.track(services.write_threads.submit(timed))

    def finish_transactions() -> Iterator[Pending[Any]]:
        for item, call in map_concurrent(
            transactions, start, services.max_writes, never_abandon, IDLE_EVENT
        ):
            yield call_result(item, call)
            if isinstance(item, Transaction):
                yield from (Pending(None, removed) for removed in item.removed_sources)

    yield from save_records(finish_transactions(), services, run.stop)


def take_until(is_done: Callable[[], bool], items: Iterable[T]) -> Iterator[T]:
    """Yield items until the callback returns True."""
    for item in items:
        if is_done():
            return
        yield item
