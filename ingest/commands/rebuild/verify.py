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

from ingest.chunk.chunks import chunk_id_factory
from ingest.chunk.tables import strip_table_marks
from ingest.commands.eval.evaluate import evaluate
from ingest.commands.eval.questions import Question
from ingest.embed import Embedder
from ingest.errors import ConfigError, ServiceError
from ingest.index import MAX_SAVED_RUNS, Index, IndexTotals
from ingest.models import (
    DeletionsWithheld,
    Mode,
    Outcome,
    Recipe,
    Record,
    RunEvent,
    Source,
    SourceResult,
    parent_name,
)
from ingest.pipeline.context import Services
from ingest.pipeline.diff import NOT_INDEXED_OUTCOMES, default_deletion_limit
from ingest.pipeline.records import never_abandon
from ingest.pipeline.transaction import possible_ids
from ingest.runtime.concurrency import map_concurrent

if TYPE_CHECKING:
    from ingest.models import Vectors

HIT_RANK = 5  # hits among so many chunks count: as many as applications hand to their model
MAX_HIT_RATE_LOSS = 0.02  # of the hit rate: one question in fifty may be lost
SAMPLE_CHUNKS = 50  # chunks, to see whether an index has vectors of a model

COMPLETENESS_POLL_SECONDS = 5.0  # seconds between looks at an index whose service lags behind
MAX_COMPLETENESS_POLLS = 12
MAX_NAMED_LOSSES = 3  # documents in a message


@dataclass(slots=True)
class RebuildProgress:
    """What a run took of its roots, and why not the rest."""

    roots: frozenset[str]
    documents: int = 0  # that are in the index, or have no text
    seen_by_root: Counter[str] = field(default_factory=Counter)  # documents, by root
    reasons: dict[tuple[str, str], str] = field(default_factory=dict)  # by root and source

    def add(self, event: RunEvent) -> None:
        if isinstance(event, DeletionsWithheld):
            self.reasons[event.root, ""] = event.reason
        elif isinstance(event, SourceResult) and event.outcome is not Outcome.REMOVED:
            self.seen_by_root[event.root] += 1
            if event.outcome in NOT_INDEXED_OUTCOMES:
                self.reasons[event.root, event.source] = event.reason
            else:
                self.documents += 1

    def absence_reason(self, record: Record) -> str:
        """Why a source was not taken; "" if it is gone, which a whole listing proves."""
        root, name = record.root, record.source
        if root not in self.roots:
            return "its root was not named"
        if not self.seen_by_root[root]:
            return "its root has no PDFs at all, which may be a mistake"
        # A folder that could not be looked into hides what is below it, a PDF what is inside it.
        above = [name[:place] for place, letter in enumerate(name) if letter == "/"]
        names = (name, parent_name(name), *above, "")
        return next((self.reasons[root, n] for n in names if (root, n) in self.reasons), "")


@dataclass(frozen=True, slots=True)
class LostDocument:
    """A document that the index in use has and the new one lacks."""

    record: Record
    reason: str  # "" if it is gone


def copy_run_history(earlier: Index, index: Index) -> None:
    """Let the new index know of the runs that the other one remembers."""
    known = {summary.run for summary in index.runs(MAX_SAVED_RUNS)}
    for summary in reversed(earlier.runs(MAX_SAVED_RUNS)):
        if summary.run not in known:
            index.save_run(summary)


def wait_until_complete(
    services: Services, documents: int, wait: Callable[[float], None]
) -> IndexTotals:
    """How much the new index holds, once all of it is there.

    Raises ServiceError if it is not, however long one waits.
    """
    for look in range(MAX_COMPLETENESS_POLLS):
        if not (fault := incompleteness(services, documents)):
            break
        if look < MAX_COMPLETENESS_POLLS - 1:
            wait(COMPLETENESS_POLL_SECONDS)
    else:
        raise ServiceError(
            f"the new index is not whole ({fault}), so nothing was switched: run again"
        )
    return services.index.totals()


def incompleteness(services: Services, documents: int) -> str:
    """What keeps an index from being whole: counts that do not close, chunks that are not there."""
    index = services.index

    def start(record: Record) -> Future[tuple[Record, set[str]]]:
        return services.write_threads.submit(partial(find_missing_chunks, record, index))

    taken = least = most = 0
    for _, call in map_concurrent(index.records(), start, services.max_writes, never_abandon):
        assert call is not None
        record, missing = call.result()
        if missing:
            return f"{record.source} lacks {len(missing)} of {len(record.committed)} chunks"
        if record.outcome not in NOT_INDEXED_OUTCOMES:
            taken += 1
            if record.pending or not record.fingerprint:
                return f"{record.source} is unfinished"
        least += len(record.committed)
        most += len(possible_ids(record))
    if taken < documents:
        return f"it has records of {taken} of {documents} documents"
    found = index.totals().chunks
    return "" if least <= found <= most else f"it has {found} chunks, and {least} are recorded"


def find_missing_chunks(listed: Record, index: Index) -> tuple[Record, set[str]]:
    """A record, whole, and those of its chunks that are not there."""
    record = index.record(listed.root, listed.source) or listed
    committed = set(record.committed)
    return record, committed - (index.existing_ids(committed) if committed else set())


def find_losses(earlier: Index, index: Index, progress: RebuildProgress) -> Iterator[LostDocument]:
    """The documents that the index in use has chunks of and the new one lacks."""
    for root, records in groupby(earlier.records(), lambda record: record.root):
        for record, other in pair_records(records, index.records(root)):
            if not record.chunks:
                continue
            # Of what has turned bad since, the new one may have chunks from before, as in a run.
            if other is None or not (other.chunks or other.outcome not in NOT_INDEXED_OUTCOMES):
                yield LostDocument(record, progress.absence_reason(record))
            elif record.details.ocr and other.details.scanned and not other.details.ocr:
                yield LostDocument(
                    record, "its scans were recognised, and INGEST_OCR is not set now"
                )


def pair_records(
    old: Iterator[Record], new: Iterator[Record]
) -> Iterator[tuple[Record, Record | None]]:
    """Each of some records of a root with the other one of its source; both ascend by it."""
    other = next(new, None)
    for record in old:
        while other is not None and other.source < record.source:
            other = next(new, None)
        yield record, other if other is not None and other.source == record.source else None


def check_losses(
    lost_documents: Sequence[LostDocument], sources: int, *, prune: bool, max_deletes: int | None
) -> None:
    """Raises ConfigError unless what is lost would be removed by a run too, or may be lost."""
    limit = (
        max_deletes if max_deletes is not None else default_deletion_limit(sources) if prune else 0
    )
    worst = sorted(lost_documents, key=lambda loss: not loss.reason)
    if len(lost_documents) <= limit and (
        max_deletes is not None or not (worst and worst[0].reason)
    ):
        return
    named = [
        f"{loss.record.source} ({loss.reason or 'it is gone'})" for loss in worst[:MAX_NAMED_LOSSES]
    ]
    more = (
        [f"{len(lost_documents) - MAX_NAMED_LOSSES} more"]
        if len(lost_documents) > MAX_NAMED_LOSSES
        else []
    )
    raise ConfigError(
        f"the new index lacks what the one in use has: {', '.join([*named, *more])}; nothing was "
        f"switched: put it right and run again, or leave them out by --max-deletes {len(lost_documents)}"
    )


@dataclass(frozen=True, slots=True)
class Scores:
    """How many of some questions are answered among the first RANK chunks, from 0 to 1."""

    questions: int
    new: float
    old: float | None = None  # None: there was nothing to ask
    by_words: bool = False  # the old index has vectors of another model


def compare_answers(services: Services, questions: Sequence[Question]) -> Scores:
    """How both indexes answer. Raises ConfigError if the new one is worse by more than MARGIN."""
    embed = services.embedder.embed
    asked = lru_cache(maxsize=None)(lambda texts: embed(list(texts)))  # paid for once
    model = replace(services.embedder, embed=lambda texts: asked(tuple(texts)))
    new = evaluate(services.index, model, questions).hit_rate[Mode.HYBRID][HIT_RANK]
    earlier = services.previous_index
    if earlier is None or not earlier.totals().chunks:
        return Scores(len(questions), new)
    alike = has_vectors_of(services.recipe, earlier)
    rates = evaluate(earlier, model if alike else stub_embedder(model, earlier), questions).hit_rate
    scores = Scores(
        len(questions), new, rates[Mode.HYBRID if alike else Mode.TEXT][HIT_RANK], not alike
    )
    if scores.old is not None and new < scores.old - MAX_HIT_RATE_LOSS:
        raise ConfigError(
            f"the new index answers worse: {new:.3f} of {len(questions)} questions among the first "
            f"{HIT_RANK} chunks, {scores.old:.3f} now, and {MAX_HIT_RATE_LOSS} may be lost; nothing was switched"
        )
    return scores


def has_vectors_of(recipe: Recipe, index: Index) -> bool:
    """Whether an index has vectors of the recipe's model, as ids of its chunks tell."""
    for chunk in islice(index.chunks(), SAMPLE_CHUNKS):
        identify = chunk_id_factory(Source(chunk.root, chunk.source, "", 0, ""), recipe)
        if chunk.id in (
            identify(chunk.text),
            identify(f"{chunk.text}\0{strip_table_marks(chunk.text)}"),
        ):
            return True
    return False


def stub_embedder(model: Embedder, index: Index) -> Embedder:
    """A model that says nothing, for an index whose own is not at hand."""
    some = index.vectors([chunk.id for chunk in islice(index.chunks(text=False), 1)])
    size = len(next(iter(some.values()), ()))

    def embed_constant(texts: Sequence[str]) -> Vectors:
        return np.ones((len(texts), size), np.float32)

    return replace(model, embed=embed_constant, dimensions=size)
