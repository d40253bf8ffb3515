"""The story: how an index is brought in step with a root.

    sources ──▶ plan ──▶ extract ──▶ chunk ──▶ embed ──▶ upload ──▶ commit

Every stage is a generator over what the stage before yields, and passes on at once what is already
settled. What must not be broken is the order of what is written (DESIGN.md, invariants 1 and 2): a
record names every chunk that may exist before the first one does, and is committed only after
every one has been acknowledged. So a run may die anywhere, and the next one converges.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

import numpy as np

from ingest.draft import Draft, commit, done, failed, failing, intent, possible, touched
from ingest.embed import Embedder
from ingest.embed.batch import batches
from ingest.errors import DocumentError, ServiceError
from ingest.index import Index
from ingest.model import (
    Advanced,
    Chunk,
    Event,
    Outcome,
    Prepared,
    Recipe,
    Record,
    Refusal,
    Settled,
    Source,
)
from ingest.overlap import overlapped
from ingest.plan import Absences, Change, Stale, compare, unchanged
from ingest.sources.folder import Root, listed, url

if TYPE_CHECKING:
    from ingest.model import Vectors


@dataclass(frozen=True, slots=True)
class Services:
    """What a run works with; `connect` makes it from settings."""

    index: Index
    embedder: Embedder
    recipe: Recipe
    prepare: Callable[[Source, str], Prepared | None]  # None: its fingerprint is the one given
    readers: Executor  # threads in which documents are prepared
    reading: int  # documents prepared side by side
    senders: Executor  # threads in which the embedder is called


@dataclass(slots=True)
class Stop:
    """A wish to end early. What is under way is settled, as far as `grace` seconds allow."""

    grace: float = 20.0
    since: float | None = None

    def request(self) -> None:
        self.since = self.since or time.monotonic()

    def requested(self) -> bool:
        return self.since is not None

    def overdue(self) -> bool:
        return self.since is not None and time.monotonic() > self.since + self.grace


@dataclass(frozen=True, slots=True)
class Run:
    """One execution, and what it was asked to do."""

    id: str
    prune: bool = True
    max_deletes: int | None = None  # sources; None: as many as plan.usual_deletes allows
    retry_failed: bool = False
    stop: Stop = field(default_factory=Stop)


class Read(NamedTuple):
    """A stale source and what reading it gave; None where its bytes are the known ones."""

    stale: Stale
    made: Prepared | DocumentError | None


class Piece(NamedTuple):
    """One chunk that must be embedded."""

    draft: Draft
    chunk: Chunk


class Sent(NamedTuple):
    """A batch of chunks and the finished call that embedded them."""

    pieces: list[Piece]
    call: Future[Vectors]


def ingest(root: Root, services: Services, run: Run) -> Iterator[Event]:
    """Bring the index in step with a root; yields each source as it is settled.

    Raises ServiceError or ConfigError; what was settled until then stays settled.
    """
    absences = Absences(run.prune, run.max_deletes)

    changes = absences.noted(compared(root, services, run), run.stop.requested)
    documents = prepared(changes, services, run.stop)
    pieces = intended(documents, services, run)
    vectors = embedded(pieces, services, run.stop)
    yield from uploaded(vectors, services, run)

    yield from removed(root, absences, services.index)


def forecast(root: Root, services: Services, run: Run) -> Iterator[Event]:
    """What `ingest` would yield, reading what it would read, writing and embedding nothing."""
    absences = Absences(run.prune, run.max_deletes)

    changes = absences.noted(compared(root, services, run), run.stop.requested)
    for item in prepared(changes, services, run.stop):
        yield expected(item, services.index) if isinstance(item, Read) else item

    if kept := absences.kept(root.name):
        yield kept
    else:
        for record in absences.vanished:
            yield Settled(root.name, record.source, Outcome.REMOVED, deleted=record.chunks)


def compared(root: Root, services: Services, run: Run) -> Iterator[Change]:
    """The changes between a root and what the index knows of it."""
    records = (r for r in services.index.records(root.name) if root.covers(r.source))
    return compare(listed(root), records, services.recipe.digest, retry_failed=run.retry_failed)


def prepared(
    changes: Iterable[Stale | Settled], services: Services, stop: Stop
) -> Iterator[Read | Event]:
    """Every stale source read, extracted and split, or why it could not be."""

    def work(change: Stale | Settled) -> Callable[[], Prepared | None] | None:
        if isinstance(change, Settled):
            return None
        trust = change.record.outcome not in (Outcome.FAILED, Outcome.SKIPPED)
        known = change.record.fingerprint if trust else ""
        return partial(services.prepare, change.source, known)

    ahead = 2 * services.reading  # so that no reader waits for the next document
    for change, call in overlapped(changes, work, services.readers, ahead, stop.overdue):
        if isinstance(change, Settled) or call is None:
            assert isinstance(change, Settled)
            yield change
            continue
        try:
            made = call.result()
        except DocumentError as error:
            yield Read(change, error)
        else:
            yield Advanced(pages=made.pages if made else 0)
            yield Read(change, made)


def intended(
    documents: Iterable[Read | Event], services: Services, run: Run
) -> Iterator[Piece | Draft | Event]:
    """The chunks to embed, after their documents' records say that they may exist."""
    index = services.index
    for item in documents:
        if not isinstance(item, Read):
            yield item
            continue
        stale, made = item
        record = whole(stale, index)
        if made is None:
            index.save(touched(record, stale.source))
            yield unchanged(stale.source, record)
        elif isinstance(made, DocumentError):
            index.save(failing(record, stale.source, made, services.recipe, run.id))
            yield failed(record, stale.source, made)
        else:
            draft = drafted(stale.source, record, made, index)
            index.save(intent(draft))
            yield from (Piece(draft, chunk) for chunk in draft.fresh)
            if draft.complete:
                yield draft


def embedded(
    pieces: Iterable[Piece | Draft | Event], services: Services, stop: Stop
) -> Iterator[Sent | Draft | Event]:
    """The chunks with their vectors, in batches filled across documents."""
    model = services.embedder

    def work(item: list[Piece] | Draft | Event) -> Callable[[], Vectors] | None:
        if not isinstance(item, list):
            return None
        return partial(model.embed, [piece.chunk.text for piece in item])

    filled: Iterator[list[Piece] | Draft | Event] = batches(
        until(stop.overdue, pieces),
        is_piece,
        lambda piece: piece.chunk.tokens,
        inputs=model.inputs,
        limit=model.tokens,
    )
    for item, call in overlapped(filled, work, services.senders, model.at_once, stop.overdue):
        if isinstance(item, list):
            assert call is not None
            yield Sent(item, call)
        else:
            yield item


def is_piece(item: object) -> TypeGuard[Piece]:
    """Whether this is for the model, and not on its way past it."""
    return isinstance(item, Piece)


def uploaded(
    vectors: Iterable[Sent | Draft | Event], services: Services, run: Run
) -> Iterator[Event]:
    """Every chunk in the index, and every document whose chunks all are there settled."""
    for item in vectors:
        if isinstance(item, Draft):
            yield settled(item, services, run)
        elif isinstance(item, Sent):
            count = len(item.pieces)
            rows = checked(item.call.result(), count, services.embedder.dimensions)
            upload(item.pieces, rows, services.index)
            yield Advanced(chunks=count)
            for draft in dict.fromkeys(piece.draft for piece in item.pieces):
                if draft.complete:
                    yield settled(draft, services, run)
        else:
            yield item


def settled(draft: Draft, services: Services, run: Run) -> Settled:
    """Move what is kept, delete what is no longer there, and only then commit."""
    index = services.index
    moved = draft.moved
    acknowledge(draft, len(moved), index.upload(moved))
    if draft.refusals:
        error = DocumentError(f"the index refused a chunk: {draft.refusals[0].reason}")
        record = failing(draft.record, draft.source, error, services.recipe, run.id)
        index.save(replace(record, pending=intent(draft).pending))
        return failed(record, draft.source, error)
    if draft.acknowledged != len(draft.ids):
        raise ServiceError(
            f"{draft.source.name}: the index acknowledged {draft.acknowledged} of "
            f"{len(draft.ids)} chunks; run again"
        )
    delete(draft.surplus, index)
    index.save(commit(draft, run.id))
    return done(draft)


def removed(root: Root, absences: Absences, index: Index) -> Iterator[Event]:
    """What the index has of vanished sources is deleted, if their absence is proven."""
    if kept := absences.kept(root.name):
        yield kept
        return
    for record in absences.vanished:
        gone = possible(index.record(record.root, record.source) or record)
        delete(gone, index)
        index.forget(record)
        yield Settled(root.name, record.source, Outcome.REMOVED, deleted=len(gone))


def expected(read: Read, index: Index) -> Settled:
    """What would become of a document."""
    stale, made = read
    if made is None:
        return unchanged(stale.source, stale.record)
    if isinstance(made, DocumentError):
        return failed(stale.record, stale.source, made)
    draft = drafted(stale.source, whole(stale, index), made, index)
    for chunk in draft.fresh:
        draft.embedded += 1
        draft.tokens += chunk.tokens
    return done(draft)


def whole(stale: Stale, index: Index) -> Record:
    """A listed record with its ids; an unknown source's as it is."""
    return index.record(stale.source.root, stale.source.name) or stale.record


def drafted(source: Source, record: Record, made: Prepared, index: Index) -> Draft:
    """A document's draft. Only chunks its record names can be in the index already."""
    candidates = possible(record).intersection(chunk.id for chunk in made.chunks)
    return Draft(source, url(source), record, made, frozenset(index.held(candidates)))


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


def upload(batch: Sequence[Piece], vectors: Vectors, index: Index) -> None:
    """Write chunks, and note with their documents what the index said of each."""
    entries = [d.entry(chunk, v) for (d, chunk), v in zip(batch, vectors, strict=True)]
    refused = {refusal.id: refusal for refusal in index.upload(entries)}
    for draft, chunk in batch:
        refusal = refused.get(chunk.id)
        acknowledge(draft, 1, [refusal] if refusal else [])
        draft.embedded += 1
        draft.tokens += chunk.tokens


def acknowledge(draft: Draft, sent: int, refusals: Sequence[Refusal]) -> None:
    """Count what the index took of a document."""
    draft.acknowledged += sent - len(refusals)
    draft.refusals += refusals


def delete(ids: Iterable[str], index: Index) -> None:
    """Delete chunks, all of them."""
    if refusals := index.delete(list(ids)):
        raise ServiceError(f"the index kept a chunk to be deleted: {refusals[0].reason}; run again")


def until(
    over: Callable[[], bool], items: Iterable[Piece | Draft | Event]
) -> Iterator[Piece | Draft | Event]:
    """The items, as long as it is not over."""
    for item in items:
        if over():
            return
        yield item
