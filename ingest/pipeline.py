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

from ingest.attempts import Attempts, attempts
from ingest.draft import Draft
from ingest.embed.batch import batches
from ingest.errors import DocumentError, StoppedError
from ingest.leftout import Aside
from ingest.model import (
    Advanced,
    Event,
    Key,
    Prepared,
    Record,
    Refusal,
    Settled,
)
from ingest.overlap import by_turns, overlapped
from ingest.plan import MAX_ATTEMPTS, Absences, Change, Passed, Stale, Terms, compare
from ingest.services import Run, Services
from ingest.settle import (
    Noted,
    Piece,
    Read,
    Sent,
    intend,
    passed,
    remove,
    settle,
    upload,
)
from ingest.sources import Root
from ingest.stop import Stop
from ingest.times import EMBEDDING, RECORDING, REUSING, WRITING

if TYPE_CHECKING:
    from ingest.model import Vectors


R = TypeVar("R")
T = TypeVar("T")

BEGUN = 8  # sources for each reader whose attempts are counted ahead, several in one request
SAVED_AT_ONCE = 200  # records on their way: as many as go into two requests
REUSED_AT_ONCE = 256  # chunks whose vectors are asked for in one request


# A sign of life: it lets every stage look after its calls while another waits for its own.
IDLE = Advanced()


def ingest(root: Root, services: Services, run: Run) -> Iterator[Event]:
    """Bring the index in step with a root; yields each source as it is settled.

    Raises ServiceError or ConfigError; what was settled until then stays settled.
    """
    absences = Absences(run.prune, run.max_deletes)
    listed = absences.noted(compared(root, services, run, absences.aside), run.stop.requested)
    changes = recorded(listed, services, run)
    try:
        if services.elsewhere:
            yield from services.elsewhere.settled(root, changes)
        else:
            yield from settled(root, recalled(changes, services, run.stop), services, run)
        # The stages end quietly once something has failed; the failure must not, and nothing
        # is removed after one.
        run.stop.complain()
        yield from removed(root, absences, services)
        yield from absences.aside.told(root.name)
    except StoppedError:
        # Called off for a failure elsewhere, or because the time to settle things is over.
        run.stop.complain()


def settled(
    root: Root, changes: Iterable[Stale | Event], services: Services, run: Run
) -> Iterator[Event]:
    """Every stale source settled, by this process; their records have the ids.

    What is settled already passes.
    """
    with attempts(services.index, services.recipe, run.id, run.stop) as begun:
        documents = begun.suspects_last(changes, partial(counted, root, services, run, begun))
        drafts = intended(documents, services, run)
        chunks = by_turns(drafts, pieces)
        left = reused(chunks, services, run.stop)
        vectors = embedded(left, services, run.stop)
        complete = uploaded(vectors, services, run.stop)
        yield from committed(complete, services, run)


def compared(root: Root, services: Services, run: Run, aside: Aside) -> Iterator[Change]:
    """The changes between a root and what the index knows of it, but for what is left aside."""
    records = aside.covered(services.index.records(root.name), root)
    return compare(root.listed(), records, terms(services, run))


def recorded(
    changes: Iterable[Stale | Settled | Passed], services: Services, run: Run
) -> Iterator[Stale | Settled]:
    """The changes; what is passed over once its record says so."""

    def start(change: Stale | Settled | Passed) -> Future[Noted[Settled]] | None:
        if not isinstance(change, Passed) or change.is_recorded:
            return None
        call = partial(passed, change, services.index, services.recipe, run.id)
        return run.stop.watched(services.writers.submit(call))

    def said() -> Iterator[Noted[Any]]:
        for change, call in overlapped(changes, start, services.writing, never):
            known = change.settled if isinstance(change, Passed) else change
            yield call.result() if call else Noted(None, known)

    return saved(said(), services, run.stop)


def terms(services: Services, run: Run) -> Terms:
    """What makes a source unchanged in this run."""
    most = sys.maxsize if run.retry_failed else MAX_ATTEMPTS
    return Terms(services.recipe.digest, services.reader.ocr, most, run.passwords)


def counted(
    root: Root, services: Services, run: Run, begun: Attempts, changes: Iterable[Stale | Event]
) -> Iterator[Read | Event]:
    """Every stale source read, after its record says so."""
    wanted = begun.counted(changes)
    sources = saved(wanted, services, run.stop, BEGUN * services.reader.at_once)
    return begun.survived(prepared(root, sources, services, run.stop))


def recalled(
    changes: Iterable[Stale | Settled], services: Services, stop: Stop
) -> Iterator[Stale | Event]:
    """The changes; stale sources with their whole records."""
    index = services.index

    def start(change: Stale | Event) -> Future[Record | None] | None:
        if not isinstance(change, Stale) or (change.record is None and index.current):
            return None
        call = partial(index.record, change.source.root, change.source.name)
        timed = services.times.around(RECORDING, call, change.source.key)
        return stop.watched(services.writers.submit(timed))

    for change, call in overlapped(changes, start, services.writing, stop.overdue, IDLE):
        yield (
            change._replace(record=call.result()) if call and isinstance(change, Stale) else change
        )


def prepared(
    root: Root, changes: Iterable[Stale | Event], services: Services, stop: Stop
) -> Iterator[Read | Event]:
    """Every stale source read, extracted and split, or why it could not be."""

    def start(change: Stale | Event) -> Future[Prepared | None] | None:
        if not isinstance(change, Stale):
            return None
        return stop.watched(
            services.reader.threads.submit(partial(services.reader.prepare, root, change))
        )

    # So that no reader waits for the next document.
    ahead = 2 * services.reader.at_once + services.reader.waiting
    for change, call in overlapped(changes, start, ahead, stop.overdue, IDLE):
        if not isinstance(change, Stale):
            yield change
            continue
        assert call is not None
        try:
            made = call.result()
        except StoppedError:
            continue
        except DocumentError as error:
            yield Read(change, error)
        else:
            attached = made.attached if made else ()
            yield Advanced(pages=made.pages if made else 0)
            yield Read(change, made)
            for inside in attached:
                assert isinstance(inside.made, Prepared | DocumentError)
                if isinstance(inside.made, Prepared):
                    yield Advanced(pages=inside.made.pages)
                yield Read(Stale(inside.source, None), inside.made)


def intended(
    documents: Iterable[Read | Event], services: Services, run: Run
) -> Iterator[Draft | Event]:
    """The documents whose records say which chunks may exist."""

    def start(item: Read | Event) -> Future[Noted[Draft | Settled]] | None:
        if not isinstance(item, Read):
            return None
        call = partial(intend, item, services.index, services.recipe, run.id)
        timed = services.times.around(RECORDING, call, item.stale.source.key)
        return run.stop.watched(services.writers.submit(timed))

    drafts = overlapped(documents, start, services.writing, never, IDLE)
    yield from saved((noted(item, call) for item, call in drafts), services, run.stop)


def noted(item: object, call: Future[Noted[T]] | None) -> Noted[T]:
    """What a call came to; an item that needed none is as it was, whatever any record says."""
    if call:
        return call.result()
    return Noted(None, cast("T", item))


def saved(
    items: Iterable[Noted[T]], services: Services, stop: Stop, at_once: int = SAVED_AT_ONCE
) -> Iterator[T]:
    """What is true of each, once its record is saved."""

    def start(item: Noted[T]) -> Future[None] | None:
        if item.record is None:
            return None
        saving = services.index.save(item.record)
        return stop.watched(services.times.during(RECORDING, saving, item.record.key))

    idle = Noted(None, cast("T", IDLE))
    for item, call in overlapped(items, start, at_once, never, idle):
        if call:
            call.result()
        yield item.then


def pieces(item: object) -> Iterator[Piece] | None:
    """The chunks of a document that must be embedded; None for what passes as it is."""
    if not isinstance(item, Draft) or item.complete:
        return None
    return (Piece(item, chunk) for chunk in item.fresh)


def reused(
    pieces: Iterable[Piece | Draft | Event], services: Services, stop: Stop
) -> Iterator[Piece | Sent | Draft | Event]:
    """The chunks; those that an earlier index has come with their vectors from there."""
    earlier = services.earlier
    if earlier is None:
        yield from pieces
        return

    def start(item: list[Piece] | Draft | Event) -> Future[dict[str, Vectors]] | None:
        if not isinstance(item, list):
            return None
        call = partial(earlier.vectors, [piece.chunk.id for piece in item])
        return stop.watched(services.writers.submit(services.times.around(REUSING, call)))

    filled: Iterator[list[Piece] | Draft | Event] = batches(
        pieces, is_piece, lambda _: 1, inputs=REUSED_AT_ONCE, room=lambda: REUSED_AT_ONCE
    )
    for item, call in overlapped(filled, start, services.writing, stop.overdue, IDLE):
        if not isinstance(item, list):
            yield item
            continue
        assert call is not None
        found = call.result()
        known = [piece for piece in item if piece.chunk.id in found]
        if known:
            there: Future[Vectors] = Future()
            there.set_result(np.stack([found[piece.chunk.id] for piece in known]))
            yield Sent(known, there, paid=False)
        yield from (piece for piece in item if piece.chunk.id not in found)


def embedded(
    pieces: Iterable[Piece | Sent | Draft | Event], services: Services, stop: Stop
) -> Iterator[Sent | Draft | Event]:
    """The chunks with their vectors, in batches filled across documents, within the budget."""
    model, budget = services.embedder, services.budget

    def start(item: list[Piece] | Sent | Draft | Event) -> Future[Vectors] | None:
        if not isinstance(item, list):
            return None
        tokens = sum(piece.chunk.tokens for piece in item)
        if not budget.take(tokens):
            return None
        call = partial(model.embed, [piece.chunk.embedded for piece in item])
        timed = services.times.around(
            EMBEDDING, call, *keys(item), model=model.model, chunks=len(item), tokens=tokens
        )
        return stop.watched(services.senders.submit(timed))

    filled: Iterator[list[Piece] | Sent | Draft | Event] = batches(
        until(stop.overdue, pieces),
        is_piece,
        lambda piece: piece.chunk.tokens,
        inputs=model.inputs,
        room=lambda: int(min(model.room(), budget.left())),
    )
    for item, call in overlapped(filled, start, model.at_once, stop.overdue, IDLE):
        if not isinstance(item, list):
            yield item
        elif call and not isinstance(call.exception(), StoppedError):
            yield Sent(item, call)


def keys(pieces: Iterable[Piece]) -> list[Key]:
    """The sources that have a chunk in a batch, each once."""
    return [draft.source.key for draft in dict.fromkeys(piece.draft for piece in pieces)]


def is_piece(item: object) -> TypeGuard[Piece]:
    """Whether this is for the model, and not on its way past it."""
    return isinstance(item, Piece)


def uploaded(
    vectors: Iterable[Sent | Draft | Event], services: Services, stop: Stop
) -> Iterator[Draft | Event]:
    """The documents whose chunks all are in the index, or were refused."""

    def start(item: Sent | Draft | Event) -> Future[dict[str, Refusal]] | None:
        if not isinstance(item, Sent):
            return None
        call = partial(upload, item, services.index, services.embedder.dimensions)
        timed = services.times.around(WRITING, call, *keys(item.pieces))
        return stop.watched(services.writers.submit(timed))

    for item, call in overlapped(vectors, start, services.writing, never, IDLE):
        if not isinstance(item, Sent):
            yield item
            continue
        assert call is not None
        refused = call.result()
        for draft, chunk in item.pieces:
            draft.answered(chunk, refused.get(chunk.id), paid=item.paid)
        tokens = sum(chunk.tokens for _, chunk in item.pieces)
        yield Advanced(chunks=len(item.pieces), tokens=tokens if item.paid else 0)
        yield from (draft for draft in item.drafts if draft.complete)


def committed(drafts: Iterable[Draft | Event], services: Services, run: Run) -> Iterator[Event]:
    """The documents settled."""

    def start(item: Draft | Event) -> Future[Noted[Settled]] | None:
        if not isinstance(item, Draft):
            return None
        call = partial(settle, item, services.index, services.recipe, run.id)
        timed = services.times.around(WRITING, call, item.source.key)
        return run.stop.watched(services.writers.submit(timed))

    def settled() -> Iterator[Noted[Any]]:
        for item, call in overlapped(drafts, start, services.writing, never, IDLE):
            yield noted(item, call)
            if isinstance(item, Draft):
                yield from (Noted(None, gone) for gone in item.removed)

    yield from saved(settled(), services, run.stop)


def removed(root: Root, absences: Absences, services: Services) -> Iterator[Event]:
    """What the index has of vanished sources is deleted, if their absence is proven."""
    if kept := absences.kept(root.name):
        yield kept
        return

    def start(record: Record) -> Future[Settled]:
        return services.writers.submit(partial(remove, record, services.index))

    gone = overlapped(absences.vanished, start, services.writing, never)
    yield from (call.result() for _, call in gone if call)


def never() -> bool:
    """A write that was begun is waited for."""
    return False


def until(
    over: Callable[[], bool], items: Iterable[Piece | Sent | Draft | Event]
) -> Iterator[Piece | Sent | Draft | Event]:
    """The items, as long as it is not over."""
    for item in items:
        if over():
            return
        yield item
