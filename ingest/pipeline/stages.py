"""The story: how an index is brought in step with a root.

    sources ──▶ plan ──▶ extract ──▶ chunk ──▶ embed ──▶ upload ──▶ commit

Every stage is a generator over what the stage before yields, and passes on at once what is already
settled. What must not be broken is the order of what is written (DESIGN.md, invariants 1 and 2): a
record names every chunk that may exist before the first one does, and is committed only after
every one has been acknowledged. So a run may die anywhere, and the next one converges.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar, cast

import numpy as np

from ingest.embed.batch import fill_batches
from ingest.errors import DocumentError, StoppedError
from ingest.models import (
    PreparedDocument,
    Record,
    Refusal,
    RunEvent,
    RunProgress,
    SourceKey,
    SourceResult,
)
from ingest.pipeline.context import Run, Services
from ingest.pipeline.crash_guard import CrashGuard, crash_guard
from ingest.pipeline.diff import (
    MAX_ATTEMPTS,
    AbsenceTracker,
    Change,
    Passed,
    SkipRule,
    Stale,
    compare,
)
from ingest.pipeline.ignored_files import IgnoredFiles
from ingest.pipeline.transaction import Transaction
from ingest.pipeline.writes import (
    EmbeddedBatch,
    NewChunk,
    Pending,
    ReadResult,
    begin_transaction,
    finish_transaction,
    passed,
    remove_source,
    upload_batch,
)
from ingest.runtime.cancellation import Cancellation
from ingest.runtime.concurrency import map_concurrent, round_robin
from ingest.runtime.timing import EMBEDDING_CHUNKS, REUSING_VECTORS, WRITING_CHUNKS, WRITING_RECORDS
from ingest.sources import Root

if TYPE_CHECKING:
    from ingest.models import Vectors


R = TypeVar("R")
T = TypeVar("T")

ATTEMPTS_AHEAD_PER_READER = (
    8  # sources for each reader whose attempts are counted ahead, several in one request
)
MAX_CONCURRENT_SAVES = 200  # records on their way: as many as go into two requests
REUSE_BATCH_CHUNKS = 256  # chunks whose vectors are asked for in one request


# A sign of life: it lets every stage look after its calls while another waits for its own.
IDLE_EVENT = RunProgress()


def ingest_root(root: Root, services: Services, run: Run) -> Iterator[RunEvent]:
    """Bring the index in step with a root; yields each source as it is settled.

    Raises ServiceError or ConfigError; what was settled until then stays settled.
    """
    absences = AbsenceTracker(run.prune, run.max_deletes)
    listed = absences.filter_changes(
        compare_root(root, services, run, absences.aside), run.stop.is_requested
    )
    changes = recorded(listed, services, run)
    try:
        if services.remote:
            yield from services.remote.settle_sources(root, changes)
        else:
            yield from settle_sources(
                root, load_records(changes, services, run.stop), services, run
            )
        # The stages end quietly once something has failed; the failure must not, and nothing
        # is removed after one.
        run.stop.raise_fault()
        yield from remove_vanished(root, absences, services)
        yield from absences.aside.to_events(root.name)
    except StoppedError:
        # Called off for a failure elsewhere, or because the time to settle things is over.
        run.stop.raise_fault()


def settle_sources(
    root: Root, changes: Iterable[Stale | RunEvent], services: Services, run: Run
) -> Iterator[RunEvent]:
    """Every stale source settled, by this process; their records have the ids.

    What is settled already passes.
    """
    with crash_guard(services.index, services.recipe, run.id, run.stop) as begun:
        documents = begun.suspects_last(
            changes, partial(read_with_crash_guard, root, services, run, begun)
        )
        drafts = write_intents(documents, services, run)
        chunks = round_robin(drafts, new_chunks_of)
        left = reuse_vectors(chunks, services, run.stop)
        vectors = embed_chunks(left, services, run.stop)
        complete = upload_batches(vectors, services, run.stop)
        yield from commit_documents(complete, services, run)


def compare_root(root: Root, services: Services, run: Run, aside: IgnoredFiles) -> Iterator[Change]:
    """The changes between a root and what the index knows of it, but for what is left aside."""
    records = aside.filter_records(services.index.records(root.name), root)
    return compare(root.list(), records, build_skip_rule(services, run))


def recorded(
    changes: Iterable[Stale | SourceResult | Passed], services: Services, run: Run
) -> Iterator[Stale | SourceResult]:
    """The changes; what is passed over once its record says so."""

    def start(change: Stale | SourceResult | Passed) -> Future[Pending[SourceResult]] | None:
        if not isinstance(change, Passed) or change.is_recorded:
            return None
        call = partial(passed, change, services.index, services.recipe, run.id)
        return run.stop.track(services.write_threads.submit(call))

    def said() -> Iterator[Pending[Any]]:
        for change, call in map_concurrent(changes, start, services.max_writes, never_give_up):
            known = change.settled if isinstance(change, Passed) else change
            yield call.result() if call else Pending(None, known)

    return save_records(said(), services, run.stop)


def build_skip_rule(services: Services, run: Run) -> SkipRule:
    """What makes a source unchanged in this run."""
    most = sys.maxsize if run.retry_failed else MAX_ATTEMPTS
    return SkipRule(services.recipe.digest, services.reader.ocr, most, run.has_passwords)


def read_with_crash_guard(
    root: Root, services: Services, run: Run, guard: CrashGuard, changes: Iterable[Stale | RunEvent]
) -> Iterator[ReadResult | RunEvent]:
    """Every stale source read, after its record says so."""
    wanted = guard.record_attempts(changes)
    sources = save_records(
        wanted, services, run.stop, ATTEMPTS_AHEAD_PER_READER * services.reader.at_once
    )
    return guard.clear_survivors(extract_documents(root, sources, services, run.stop))


def load_records(
    changes: Iterable[Stale | SourceResult], services: Services, stop: Cancellation
) -> Iterator[Stale | RunEvent]:
    """The changes; stale sources with their whole records."""
    index = services.index

    def start(change: Stale | RunEvent) -> Future[Record | None] | None:
        if not isinstance(change, Stale) or (change.record is None and index.read_after_write):
            return None
        call = partial(index.record, change.source.root, change.source.name)
        timed = services.times.wrap(WRITING_RECORDS, call, change.source.key)
        return stop.track(services.write_threads.submit(timed))

    for change, call in map_concurrent(
        changes, start, services.max_writes, stop.is_overdue, IDLE_EVENT
    ):
        yield (
            change._replace(record=call.result()) if call and isinstance(change, Stale) else change
        )


def extract_documents(
    root: Root, changes: Iterable[Stale | RunEvent], services: Services, stop: Cancellation
) -> Iterator[ReadResult | RunEvent]:
    """Every stale source read, extracted and split, or why it could not be."""

    def start(change: Stale | RunEvent) -> Future[PreparedDocument | None] | None:
        if not isinstance(change, Stale):
            return None
        return stop.track(
            services.reader.threads.submit(partial(services.reader.prepare, root, change))
        )

    # So that no reader waits for the next document.
    ahead = 2 * services.reader.at_once + services.reader.max_waiting
    for change, call in map_concurrent(changes, start, ahead, stop.is_overdue, IDLE_EVENT):
        if not isinstance(change, Stale):
            yield change
            continue
        assert call is not None
        try:
            made = call.result()
        except StoppedError:
            continue
        except DocumentError as error:
            yield ReadResult(change, error)
        else:
            attached = made.attached if made else ()
            yield RunProgress(pages=made.pages if made else 0)
            yield ReadResult(change, made)
            for inside in attached:
                assert isinstance(inside.result, PreparedDocument | DocumentError)
                if isinstance(inside.result, PreparedDocument):
                    yield RunProgress(pages=inside.result.pages)
                yield ReadResult(Stale(inside.source, None), inside.result)


def write_intents(
    documents: Iterable[ReadResult | RunEvent], services: Services, run: Run
) -> Iterator[Transaction | RunEvent]:
    """The documents whose records say which chunks may exist."""

    def start(item: ReadResult | RunEvent) -> Future[Pending[Transaction | SourceResult]] | None:
        if not isinstance(item, ReadResult):
            return None
        call = partial(begin_transaction, item, services.index, services.recipe, run.id)
        timed = services.times.wrap(WRITING_RECORDS, call, item.stale.source.key)
        return run.stop.track(services.write_threads.submit(timed))

    drafts = map_concurrent(documents, start, services.max_writes, never_give_up, IDLE_EVENT)
    yield from save_records((call_result(item, call) for item, call in drafts), services, run.stop)


def call_result(item: object, call: Future[Pending[T]] | None) -> Pending[T]:
    """What a call came to; an item that needed none is as it was, whatever any record says."""
    if call:
        return call.result()
    return Pending(None, cast("T", item))


def save_records(
    items: Iterable[Pending[T]],
    services: Services,
    stop: Cancellation,
    at_once: int = MAX_CONCURRENT_SAVES,
) -> Iterator[T]:
    """What is true of each, once its record is saved."""

    def start(item: Pending[T]) -> Future[None] | None:
        if item.save is None:
            return None
        saving = services.index.save(item.save)
        return stop.track(services.times.measure_future(WRITING_RECORDS, saving, item.save.key))

    idle = Pending(None, cast("T", IDLE_EVENT))
    for item, call in map_concurrent(items, start, at_once, never_give_up, idle):
        if call:
            call.result()
        yield item.result


def new_chunks_of(item: object) -> Iterator[NewChunk] | None:
    """The chunks of a document that must be embedded; None for what passes as it is."""
    if not isinstance(item, Transaction) or item.is_complete:
        return None
    return (NewChunk(item, chunk) for chunk in item.new_chunks)


def reuse_vectors(
    chunks: Iterable[NewChunk | Transaction | RunEvent], services: Services, stop: Cancellation
) -> Iterator[NewChunk | EmbeddedBatch | Transaction | RunEvent]:
    """The chunks; those that an earlier index has come with their vectors from there."""
    earlier = services.previous_index
    if earlier is None:
        yield from chunks
        return

    def start(item: list[NewChunk] | Transaction | RunEvent) -> Future[dict[str, Vectors]] | None:
        if not isinstance(item, list):
            return None
        call = partial(earlier.vectors, [piece.chunk.id for piece in item])
        return stop.track(services.write_threads.submit(services.times.wrap(REUSING_VECTORS, call)))

    filled: Iterator[list[NewChunk] | Transaction | RunEvent] = fill_batches(
        chunks,
        is_new_chunk,
        lambda _: 1,
        max_items=REUSE_BATCH_CHUNKS,
        max_tokens=lambda: REUSE_BATCH_CHUNKS,
    )
    for item, call in map_concurrent(
        filled, start, services.max_writes, stop.is_overdue, IDLE_EVENT
    ):
        if not isinstance(item, list):
            yield item
            continue
        assert call is not None
        found = call.result()
        known = [piece for piece in item if piece.chunk.id in found]
        if known:
            there: Future[Vectors] = Future()
            there.set_result(np.stack([found[piece.chunk.id] for piece in known]))
            yield EmbeddedBatch(known, there, paid=False)
        yield from (piece for piece in item if piece.chunk.id not in found)


def embed_chunks(
    chunks: Iterable[NewChunk | EmbeddedBatch | Transaction | RunEvent],
    services: Services,
    stop: Cancellation,
) -> Iterator[EmbeddedBatch | Transaction | RunEvent]:
    """The chunks with their vectors, in batches filled across documents, within the budget."""
    model, budget = services.embedder, services.budget

    def start(
        item: list[NewChunk] | EmbeddedBatch | Transaction | RunEvent,
    ) -> Future[Vectors] | None:
        if not isinstance(item, list):
            return None
        tokens = sum(piece.chunk.tokens for piece in item)
        if not budget.try_reserve(tokens):
            return None
        call = partial(model.embed, [piece.chunk.text_to_embed for piece in item])
        timed = services.times.wrap(
            EMBEDDING_CHUNKS,
            call,
            *source_keys(item),
            model=model.model,
            chunks=len(item),
            tokens=tokens,
        )
        return stop.track(services.embed_threads.submit(timed))

    filled: Iterator[list[NewChunk] | EmbeddedBatch | Transaction | RunEvent] = fill_batches(
        take_until(stop.is_overdue, chunks),
        is_new_chunk,
        lambda piece: piece.chunk.tokens,
        max_items=model.inputs,
        max_tokens=lambda: int(min(model.room(), budget.remaining_tokens())),
    )
    for item, call in map_concurrent(filled, start, model.at_once, stop.is_overdue, IDLE_EVENT):
        if not isinstance(item, list):
            yield item
        elif call and not isinstance(call.exception(), StoppedError):
            yield EmbeddedBatch(item, call)


def source_keys(chunks: Iterable[NewChunk]) -> list[SourceKey]:
    """The sources that have a chunk in a batch, each once."""
    return [draft.source.key for draft in dict.fromkeys(piece.transaction for piece in chunks)]


def is_new_chunk(item: object) -> TypeGuard[NewChunk]:
    """Whether this is for the model, and not on its way past it."""
    return isinstance(item, NewChunk)


def upload_batches(
    vectors: Iterable[EmbeddedBatch | Transaction | RunEvent],
    services: Services,
    stop: Cancellation,
) -> Iterator[Transaction | RunEvent]:
    """The documents whose chunks all are in the index, or were refused."""

    def start(item: EmbeddedBatch | Transaction | RunEvent) -> Future[dict[str, Refusal]] | None:
        if not isinstance(item, EmbeddedBatch):
            return None
        call = partial(upload_batch, item, services.index, services.embedder.dimensions)
        timed = services.times.wrap(WRITING_CHUNKS, call, *source_keys(item.chunks))
        return stop.track(services.write_threads.submit(timed))

    for item, call in map_concurrent(
        vectors, start, services.max_writes, never_give_up, IDLE_EVENT
    ):
        if not isinstance(item, EmbeddedBatch):
            yield item
            continue
        assert call is not None
        refused = call.result()
        for draft, chunk in item.chunks:
            draft.count_answer(chunk, refused.get(chunk.id), paid=item.paid)
        tokens = sum(chunk.tokens for _, chunk in item.chunks)
        yield RunProgress(chunks=len(item.chunks), tokens=tokens if item.paid else 0)
        yield from (draft for draft in item.transactions if draft.is_complete)


def commit_documents(
    transactions: Iterable[Transaction | RunEvent], services: Services, run: Run
) -> Iterator[RunEvent]:
    """The documents settled."""

    def start(item: Transaction | RunEvent) -> Future[Pending[SourceResult]] | None:
        if not isinstance(item, Transaction):
            return None
        call = partial(finish_transaction, item, services.index, services.recipe, run.id)
        timed = services.times.wrap(WRITING_CHUNKS, call, item.source.key)
        return run.stop.track(services.write_threads.submit(timed))

    def finish_transactions() -> Iterator[Pending[Any]]:
        for item, call in map_concurrent(
            transactions, start, services.max_writes, never_give_up, IDLE_EVENT
        ):
            yield call_result(item, call)
            if isinstance(item, Transaction):
                yield from (Pending(None, gone) for gone in item.removed_sources)

    yield from save_records(finish_transactions(), services, run.stop)


def remove_vanished(root: Root, absences: AbsenceTracker, services: Services) -> Iterator[RunEvent]:
    """What the index has of vanished sources is deleted, if their absence is proven."""
    if kept := absences.withheld_deletions(root.name):
        yield kept
        return

    def start(record: Record) -> Future[SourceResult]:
        return services.write_threads.submit(partial(remove_source, record, services.index))

    gone = map_concurrent(absences.vanished, start, services.max_writes, never_give_up)
    yield from (call.result() for _, call in gone if call)


def never_give_up() -> bool:
    """A write that was begun is waited for."""
    return False


def take_until(
    is_over: Callable[[], bool], items: Iterable[NewChunk | EmbeddedBatch | Transaction | RunEvent]
) -> Iterator[NewChunk | EmbeddedBatch | Transaction | RunEvent]:
    """The items, as long as it is not over."""
    for item in items:
        if is_over():
            return
        yield item
