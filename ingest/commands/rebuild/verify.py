"""Checks that a rebuilt index must pass before readers are switched to it.

Invariants: readers see a complete index or the old one, and the switch loses no document that a run
would not have removed from the old one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from itertools import groupby, islice

import numpy as np

from ingest.chunk.chunks import chunk_id_factory
from ingest.chunk.tables import strip_table_marks
from ingest.commands.eval.evaluate import evaluate
from ingest.commands.eval.questions import Question
from ingest.commands.eval.weight import HIT_RANK
from ingest.embed import Embedder
from ingest.errors import ConfigError, ServiceError
from ingest.index import MAX_SAVED_RUNS, ChunkStore, Index, IndexTotals, RecordStore, RunHistory
from ingest.models import (
    NOT_INDEXED_OUTCOMES,
    DeletionsWithheld,
    Mode,
    Outcome,
    Recipe,
    Record,
    RunEvent,
    Source,
    SourceResult,
    Vectors,
    parent_name,
)
from ingest.pipeline.context import Services
from ingest.pipeline.deletions import default_deletion_limit
from ingest.pipeline.records import never_abandon
from ingest.pipeline.transaction import possible_ids
from ingest.runtime.concurrency import map_concurrent

MAX_HIT_RATE_LOSS = 0.02  # one question in fifty
SAMPLE_CHUNKS = 50  # read to recognise the model of an index that does not record it

COMPLETENESS_POLL_SECONDS = 5.0  # a service's listings lag behind
MAX_COMPLETENESS_POLLS = 12
MAX_NAMED_LOSSES = 3  # documents in a message


@dataclass(slots=True)
class RebuildProgress:
    """Documents that a rebuild has indexed, and the reasons for those it has not."""

    roots: frozenset[str]
    allow_empty: bool = False  # a root without PDFs is believed
    documents: int = 0  # in the index, or without text
    seen_by_root: Counter[str] = field(default_factory=Counter)  # documents
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
        """Return the reason why a source was not indexed; "" if a complete listing lacks it."""
        root, name = record.root, record.source
        if root not in self.roots:
            return "its root was not named"
        if not self.seen_by_root[root] and not self.allow_empty:
            return "its root has no PDFs at all: --allow-empty, if it is meant to be empty"
        # An unreadable folder hides the files below it, an unreadable PDF its attachments.
        above = [name[:offset] for offset, letter in enumerate(name) if letter == "/"]
        names = (name, parent_name(name), *above, "")
        return next((self.reasons[root, n] for n in names if (root, n) in self.reasons), "")


@dataclass(frozen=True, slots=True)
class LostDocument:
    """A document that the old index has and the new one lacks."""

    record: Record
    reason: str  # "" if it is gone


def copy_run_history(earlier: RunHistory, index: RunHistory) -> None:
    """Copy the run summaries that the new index does not have yet."""
    known = {summary.run for summary in index.runs(MAX_SAVED_RUNS)}
    for summary in reversed(earlier.runs(MAX_SAVED_RUNS)):
        if summary.run not in known:
            index.save_run(summary)


def wait_until_complete(
    services: Services, documents: int, wait: Callable[[float], None]
) -> IndexTotals:
    """Wait until the new index is complete; return its totals.

    Raises ServiceError if it is still incomplete after the last poll.
    """
    for poll in range(MAX_COMPLETENESS_POLLS):
        if not (fault := incompleteness(services, documents)):
            break
        if poll < MAX_COMPLETENESS_POLLS - 1:
            wait(COMPLETENESS_POLL_SECONDS)
    else:
        raise ServiceError(
            f"the new index is incomplete ({fault}), so nothing was switched: run again"
        )
    return services.index.totals()


def incompleteness(services: Services, documents: int) -> str:
    """Return the reason why an index is incomplete, by its records and counts; "" if it is not."""
    index = services.index

    def start(record: Record) -> Future[tuple[Record, set[str]]]:
        return services.write_threads.submit(partial(find_missing_chunks, record, index))

    indexed = least = most = 0
    for _, call in map_concurrent(index.records(), start, services.max_writes, never_abandon):
        assert call is not None
        record, missing = call.result()
        if missing:
            return f"{record.source} lacks {len(missing)} of {len(record.committed)} chunks"
        if record.outcome not in NOT_INDEXED_OUTCOMES:
            indexed += 1
            if record.pending or not record.fingerprint:
                return f"{record.source} is unfinished"
        least += len(record.committed)
        most += len(possible_ids(record))
    if indexed < documents:
        return f"it has records of {indexed} of {documents} documents"
    found = sum(1 for _ in index.chunks(text=False))  # the count of a service is approximate
    return "" if least <= found <= most else f"it has {found} chunks, and {least} are recorded"


def find_missing_chunks(listed: Record, index: Index) -> tuple[Record, set[str]]:
    """Read a record with its chunk ids; return it, and the ids that the index lacks."""
    record = index.record(listed.root, listed.source) or listed
    committed = set(record.committed)
    return record, committed - (index.existing_ids(committed) if committed else set())


def find_losses(
    earlier: RecordStore, index: RecordStore, progress: RebuildProgress
) -> Iterator[LostDocument]:
    """Find the documents that have chunks in the old index and none in the new one."""
    for root, records in groupby(earlier.records(), lambda record: record.root):
        for record, other in pair_records(records, index.records(root)):
            if not record.chunks:
                continue
            # A document that can no longer be read keeps its chunks, as in a run.
            if other is None or not (other.chunks or other.outcome not in NOT_INDEXED_OUTCOMES):
                yield LostDocument(record, progress.absence_reason(record))
            elif record.details.ocr and other.details.scanned and not other.details.ocr:
                yield LostDocument(
                    record, "its scans were recognised, and INGEST_OCR is not set now"
                )


def pair_records(
    old: Iterator[Record], new: Iterator[Record]
) -> Iterator[tuple[Record, Record | None]]:
    """Pair the old and new record of each source. Both iterators ascend by source."""
    other = next(new, None)
    for record in old:
        while other is not None and other.source < record.source:
            other = next(new, None)
        yield record, other if other is not None and other.source == record.source else None


def check_losses(
    lost_documents: Sequence[LostDocument], sources: int, *, prune: bool, max_deletes: int | None
) -> None:
    """Raise ConfigError if more documents are lost than a run would remove or the options allow."""
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
        f"the new index lacks documents of the live one: {', '.join([*named, *more])}; nothing "
        "was switched: correct this and run again, or accept the loss with --max-deletes "
        f"{len(lost_documents)}"
    )


@dataclass(frozen=True, slots=True)
class Scores:
    """Hit rates at HIT_RANK, from 0 to 1, of the old and the new index."""

    questions: int
    new: float
    old: float | None = None  # None: the old index is empty, or there is none
    by_words: bool = False  # keyword search only: the old index has vectors of another model


def compare_answers(services: Services, questions: Sequence[Question]) -> Scores:
    """Evaluate both indexes.

    Raises ConfigError if the new one's hit rate is lower by more than MAX_HIT_RATE_LOSS.
    """
    embed = services.embedder.embed
    cached = lru_cache(maxsize=None)(lambda texts: embed(list(texts)))
    model = replace(services.embedder, embed=lambda texts: cached(tuple(texts)))
    new = evaluate(services.index, model, questions).hit_rate[Mode.HYBRID][HIT_RANK]
    earlier = services.previous_index
    if earlier is None or not earlier.totals().chunks:
        return Scores(len(questions), new)
    same_model = has_vectors_of(services.recipe, earlier)
    asked = model if same_model else stub_embedder(model, earlier)
    rates = evaluate(earlier, asked, questions).hit_rate
    old = rates[Mode.HYBRID if same_model else Mode.TEXT][HIT_RANK]
    scores = Scores(len(questions), new, old, not same_model)
    if new < old - MAX_HIT_RATE_LOSS:
        raise ConfigError(
            f"the new index answers fewer questions: {new:.3f} of {len(questions)} by the first "
            f"{HIT_RANK} chunks, the live one {old:.3f}, and at most {MAX_HIT_RATE_LOSS} may be "
            "lost; nothing was switched: change the settings, or leave out --questions"
        )
    return scores


def has_vectors_of(recipe: Recipe, index: Index) -> bool:
    """Return True if an index has vectors of the recipe's model."""
    if recorded := index.vector_space():
        return recorded == (recipe.model, recipe.dimensions)
    # An index on a service that an earlier version filled: a chunk's id depends on the model.
    keys = {root.name: root.key for root in index.roots()}
    for chunk in islice(index.chunks(), SAMPLE_CHUNKS):
        root_key = keys.get(chunk.root, "")
        source = Source(chunk.root, chunk.source, "", 0, "", root_key=root_key)
        identify = chunk_id_factory(source, recipe)
        if chunk.id in (
            identify(chunk.text),
            identify(f"{chunk.text}\0{strip_table_marks(chunk.text)}"),
        ):
            return True
    return False


def stub_embedder(model: Embedder, index: ChunkStore) -> Embedder:
    """Stub embedder (all ones) for an index of another model: only its keyword hits count."""
    some = index.vectors([chunk.id for chunk in islice(index.chunks(text=False), 1)])
    dimensions = len(next(iter(some.values()), ()))

    def embed_constant(texts: Sequence[str]) -> Vectors:
        return np.ones((len(texts), dimensions), np.float32)

    return replace(model, embed=embed_constant, dimensions=dimensions)
