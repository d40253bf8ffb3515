"""What an index that was made anew must have before readers are shown it.

What must not be broken: it is shown whole or not at all, and to go over to it loses nothing that a
run would not have removed from the one in use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from itertools import groupby, islice
from typing import TYPE_CHECKING

import numpy as np

from ingest.chunk.chunks import identifier
from ingest.chunk.tables import unmarked
from ingest.commands.eval.evaluate import evaluate
from ingest.commands.eval.questions import Question
from ingest.embed import Embedder
from ingest.errors import ConfigError, ServiceError
from ingest.index import RUNS_KEPT, Index, Totals
from ingest.models import Event, Kept, Mode, Outcome, Recipe, Record, Settled, Source, holder
from ingest.pipeline.context import Services
from ingest.pipeline.diff import NOT_TAKEN, usual_deletes
from ingest.pipeline.stages import never
from ingest.pipeline.transaction import possible
from ingest.runtime.concurrency import overlapped

if TYPE_CHECKING:
    from ingest.models import Vectors

RANK = 5  # hits among so many chunks count: as many as applications hand to their model
MARGIN = 0.02  # of the hit rate: one question in fifty may be lost
LOOKED_AT = 50  # chunks, to see whether an index has vectors of a model

SETTLING = 5.0  # seconds between looks at an index whose service lags behind
LOOKS = 12
NAMED = 3  # documents in a message


@dataclass(slots=True)
class Taken:
    """What a run took of its roots, and why not the rest."""

    roots: frozenset[str]
    documents: int = 0  # that are in the index, or have no text
    seen: Counter[str] = field(default_factory=Counter)  # documents, by root
    troubles: dict[tuple[str, str], str] = field(default_factory=dict)  # by root and source

    def add(self, event: Event) -> None:
        if isinstance(event, Kept):
            self.troubles[event.root, ""] = event.reason
        elif isinstance(event, Settled) and event.outcome is not Outcome.REMOVED:
            self.seen[event.root] += 1
            if event.outcome in NOT_TAKEN:
                self.troubles[event.root, event.source] = event.reason
            else:
                self.documents += 1

    def excuse(self, record: Record) -> str:
        """Why a source was not taken; "" if it is gone, which a whole listing proves."""
        root, name = record.root, record.source
        if root not in self.roots:
            return "its root was not named"
        if not self.seen[root]:
            return "its root has no PDFs at all, which may be a mistake"
        # A folder that could not be looked into hides what is below it, a PDF what is inside it.
        above = [name[:place] for place, letter in enumerate(name) if letter == "/"]
        names = (name, holder(name), *above, "")
        return next((self.troubles[root, n] for n in names if (root, n) in self.troubles), "")


@dataclass(frozen=True, slots=True)
class Loss:
    """A document that the index in use has and the new one lacks."""

    record: Record
    excuse: str  # "" if it is gone


def inherit(earlier: Index, index: Index) -> None:
    """Let the new index know of the runs that the other one remembers."""
    known = {summary.run for summary in index.runs(RUNS_KEPT)}
    for summary in reversed(earlier.runs(RUNS_KEPT)):
        if summary.run not in known:
            index.remember(summary)


def whole(all_: Services, documents: int, wait: Callable[[float], None]) -> Totals:
    """How much the new index holds, once all of it is there.

    Raises ServiceError if it is not, however long one waits.
    """
    for look in range(LOOKS):
        if not (fault := faulty(all_, documents)):
            break
        if look < LOOKS - 1:
            wait(SETTLING)
    else:
        raise ServiceError(
            f"the new index is not whole ({fault}), so nothing was switched: run again"
        )
    return all_.index.totals()


def faulty(all_: Services, documents: int) -> str:
    """What keeps an index from being whole: counts that do not close, chunks that are not there."""
    index = all_.index

    def start(record: Record) -> Future[tuple[Record, set[str]]]:
        return all_.writers.submit(partial(looked_up, record, index))

    taken = least = most = 0
    for _, call in overlapped(index.records(), start, all_.writing, never):
        assert call is not None
        record, missing = call.result()
        if missing:
            return f"{record.source} lacks {len(missing)} of {len(record.committed)} chunks"
        if record.outcome not in NOT_TAKEN:
            taken += 1
            if record.pending or not record.fingerprint:
                return f"{record.source} is unfinished"
        least += len(record.committed)
        most += len(possible(record))
    if taken < documents:
        return f"it has records of {taken} of {documents} documents"
    found = index.totals().chunks
    return "" if least <= found <= most else f"it has {found} chunks, and {least} are recorded"


def looked_up(listed: Record, index: Index) -> tuple[Record, set[str]]:
    """A record, whole, and those of its chunks that are not there."""
    record = index.record(listed.root, listed.source) or listed
    committed = set(record.committed)
    return record, committed - (index.held(committed) if committed else set())


def losses(earlier: Index, index: Index, taken: Taken) -> Iterator[Loss]:
    """The documents that the index in use has chunks of and the new one lacks."""
    for root, records in groupby(earlier.records(), lambda record: record.root):
        for record, other in beside(records, index.records(root)):
            if not record.chunks:
                continue
            # Of what has turned bad since, the new one may have chunks from before, as in a run.
            if other is None or not (other.chunks or other.outcome not in NOT_TAKEN):
                yield Loss(record, taken.excuse(record))
            elif record.details.ocr and other.details.scanned and not other.details.ocr:
                yield Loss(record, "its scans were recognised, and INGEST_OCR is not set now")


def beside(old: Iterator[Record], new: Iterator[Record]) -> Iterator[tuple[Record, Record | None]]:
    """Each of some records of a root with the other one of its source; both ascend by it."""
    other = next(new, None)
    for record in old:
        while other is not None and other.source < record.source:
            other = next(new, None)
        yield record, other if other is not None and other.source == record.source else None


def permit(lost: Sequence[Loss], sources: int, *, prune: bool, most: int | None) -> None:
    """Raises ConfigError unless what is lost would be removed by a run too, or may be lost."""
    limit = most if most is not None else usual_deletes(sources) if prune else 0
    worst = sorted(lost, key=lambda loss: not loss.excuse)
    if len(lost) <= limit and (most is not None or not (worst and worst[0].excuse)):
        return
    named = [f"{loss.record.source} ({loss.excuse or 'it is gone'})" for loss in worst[:NAMED]]
    more = [f"{len(lost) - NAMED} more"] if len(lost) > NAMED else []
    raise ConfigError(
        f"the new index lacks what the one in use has: {', '.join([*named, *more])}; nothing was "
        f"switched: put it right and run again, or leave them out by --max-deletes {len(lost)}"
    )


@dataclass(frozen=True, slots=True)
class Scores:
    """How many of some questions are answered among the first RANK chunks, from 0 to 1."""

    questions: int
    new: float
    old: float | None = None  # None: there was nothing to ask
    by_words: bool = False  # the old index has vectors of another model


def no_worse(all_: Services, questions: Sequence[Question]) -> Scores:
    """How both indexes answer. Raises ConfigError if the new one is worse by more than MARGIN."""
    embed = all_.embedder.embed
    asked = lru_cache(maxsize=None)(lambda texts: embed(list(texts)))  # paid for once
    model = replace(all_.embedder, embed=lambda texts: asked(tuple(texts)))
    new = evaluate(all_.index, model, questions).hit_rate[Mode.HYBRID][RANK]
    earlier = all_.earlier
    if earlier is None or not earlier.totals().chunks:
        return Scores(len(questions), new)
    alike = embeds(all_.recipe, earlier)
    rates = evaluate(earlier, model if alike else blind(model, earlier), questions).hit_rate
    scores = Scores(
        len(questions), new, rates[Mode.HYBRID if alike else Mode.TEXT][RANK], not alike
    )
    if scores.old is not None and new < scores.old - MARGIN:
        raise ConfigError(
            f"the new index answers worse: {new:.3f} of {len(questions)} questions among the first "
            f"{RANK} chunks, {scores.old:.3f} now, and {MARGIN} may be lost; nothing was switched"
        )
    return scores


def embeds(recipe: Recipe, index: Index) -> bool:
    """Whether an index has vectors of the recipe's model, as ids of its chunks tell."""
    for chunk in islice(index.stored(), LOOKED_AT):
        identify = identifier(Source(chunk.root, chunk.source, "", 0, ""), recipe)
        if chunk.id in (identify(chunk.text), identify(f"{chunk.text}\0{unmarked(chunk.text)}")):
            return True
    return False


def blind(model: Embedder, index: Index) -> Embedder:
    """A model that says nothing, for an index whose own is not at hand."""
    some = index.vectors([chunk.id for chunk in islice(index.stored(text=False), 1)])
    size = len(next(iter(some.values()), ()))

    def same(texts: Sequence[str]) -> Vectors:
        return np.ones((len(texts), size), np.float32)

    return replace(model, embed=same, dimensions=size)
