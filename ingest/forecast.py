"""What a run would do, by its own stages, up to the first that writes or costs anything."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ingest.draft import Draft, done, failed, numbers
from ingest.embed.batch import batches
from ingest.embed.quota import counted
from ingest.errors import DocumentError
from ingest.index import Index
from ingest.model import Event, Outcome, Record, Settled
from ingest.overlap import by_turns
from ingest.pipeline import compared, is_piece, pieces, prepared, recalled
from ingest.plan import Absences, Passed, unchanged
from ingest.services import Run, Services
from ingest.settle import Piece, Read, before, drafted, same
from ingest.sources import Root


@dataclass(frozen=True, slots=True)
class Request:
    """One call to the model that a run would make."""

    tokens: int  # as they are billed
    quota: int  # as the quota counts them
    size: int  # bytes of its texts in UTF-8


@dataclass(frozen=True, slots=True)
class Recorded:
    """One more record that the index would have, or one less."""

    change: int = 1


Foreseen = Event | Request | Recorded


def forecast(root: Root, services: Services, run: Run) -> Iterator[Foreseen]:
    """What `ingest` would yield, reading what it would read, writing and embedding nothing."""
    absences = Absences(run.prune, run.max_deletes)

    listed = absences.noted(compared(root, services, run, absences.aside), run.stop.requested)
    changes = (change.settled if isinstance(change, Passed) else change for change in listed)
    sources = recalled(changes, services, run.stop)
    documents = expected(prepared(root, sources, services, run.stop), services.index)
    yield from requested(by_turns(documents, pieces), services)

    if kept := absences.kept(root.name):
        yield kept
    else:
        for record in absences.vanished:
            yield Recorded(-1)
            yield Settled(root.name, record.source, Outcome.REMOVED, deleted=record.chunks)
    yield from absences.aside.told(root.name)


def expected(items: Iterable[Read | Event], index: Index) -> Iterator[Draft | Foreseen]:
    """What would become of the documents; of those that are taken, their drafts."""
    for item in items:
        if not isinstance(item, Read):
            yield item
            continue
        source, made = item.stale.source, item.made
        record = before(item.stale, index)
        if record == Record(source.root, source.name):
            yield Recorded()
        if isinstance(made, DocumentError):
            yield failed(record, source, made)
        elif made is None or same(made, record):
            yield unchanged(source, record)
        else:
            yield drafted(source, record, made, index)


def requested(chunks: Iterable[Piece | Draft | Foreseen], services: Services) -> Iterator[Foreseen]:
    """The requests that embed the chunks, filled as a run fills them, and what they complete."""
    model, budget = services.embedder, services.budget
    filled: Iterator[list[Piece] | Draft | Foreseen] = batches(
        chunks,
        is_piece,
        lambda piece: piece.chunk.tokens,
        inputs=model.inputs,
        room=lambda: int(min(model.room(), budget.left() or math.inf)),  # it goes on beyond it
        clock=lambda: 0.0,  # a run waits for documents, and may send less full requests for it
    )
    for item in filled:
        if isinstance(item, list):
            for draft, chunk in item:
                draft.answered(chunk, None)
            budget.count(sum(piece.chunk.tokens for piece in item))
            yield request(item)
            for draft in dict.fromkeys(piece.draft for piece in item):
                if draft.complete:
                    yield from settled(draft, services)
        elif isinstance(item, Draft):
            yield from settled(item, services)
        else:
            yield item


def request(batch: list[Piece]) -> Request:
    """What one call comes to."""
    texts = [piece.chunk.embedded for piece in batch]
    return Request(
        sum(piece.chunk.tokens for piece in batch),
        counted(sum(map(len, texts))),
        sum(len(text.encode(errors="replace")) for text in texts),
    )


def settled(draft: Draft, services: Services) -> Iterator[Foreseen]:
    """What would become of a document, and of what is no longer inside it."""
    index, ocr = services.index, services.reader.ocr
    outcome = done(draft)
    if ocr and outcome.details.scanned and not outcome.details.ocr:
        outcome = to_be_recognised(outcome, draft, ocr)
    yield outcome
    for name in draft.detached:
        gone = index.record(draft.source.root, name)
        yield Recorded(-1)
        yield Settled(draft.source.root, name, Outcome.REMOVED, deleted=gone.chunks if gone else 0)


def to_be_recognised(outcome: Settled, draft: Draft, ocr: str) -> Settled:
    """The outcome of a document whose scans a service is to read: that they say something."""
    return replace(
        outcome,
        outcome=Outcome.CHANGED if draft.record.committed else Outcome.NEW,
        reason=f"{numbers(outcome.details.scanned)}: to be recognised first",
        code="",
        details=replace(outcome.details, ocr=ocr),
    )
