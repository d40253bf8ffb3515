"""Evaluate an index by questions with known answers. Reads the index and writes nothing.

The chunks that answer are looked up in the index before the search. So a document that the index
lacks is distinguished from one that the search did not find.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from ingest.chunk.tokens import count_tokens
from ingest.commands.eval.cache import cache_embeddings
from ingest.commands.eval.metrics import longest_shared_run, tokenize_words
from ingest.commands.eval.questions import Question
from ingest.commands.eval.results import (
    COVERAGE_CHUNKS,
    METRIC_DEPTH,
    AnsweredQuestion,
    Evaluation,
    FoundChunk,
)
from ingest.commands.search.excerpts import add_excerpts
from ingest.commands.search.scripts import uses_vector
from ingest.embed import Embedder
from ingest.index import ChunkStore, RecordStore
from ingest.index.generated import split_mark
from ingest.models import Hit, Mode, StoredChunk, Vectors

TOP_CHUNKS = 20  # hits for a question; as many small chunks as fill the token budget
MIN_PASSAGE_SHARE = 0.5  # of the passage in a chunk that answers; or the best chunk's share
QUESTION_BATCH_SIZE = 100  # questions in one call to the model

NO_SOURCE = "its document is not in the index"
NO_PAGE = "the page is not in the index, or says nothing"
NO_PASSAGE = "the passage is not on that page in the index"


class SearchableIndex(ChunkStore, RecordStore, Protocol):
    """The ports of an index that an evaluation reads."""

    hybrid_weight: float


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """The expected answer to one question, looked up in the index."""

    question: Question
    passage: tuple[str, ...]  # its tokens
    passage_runs: Mapping[str, range]  # the tokens that a text contains
    answers: frozenset[str]  # texts that answer: equal chunks are one hit, whichever it is
    missing_reason: str  # why there are none; "" if there are


def evaluate(
    index: SearchableIndex,
    embedder: Embedder,
    questions: Sequence[Question],
    *,
    weights: Sequence[float] = (),
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Evaluation:
    """Ask every question in every search mode, and in hybrid searches with each of the weights.

    `on_progress` is called with the numbers of questions that were asked, and of all.
    Raises ServiceError or ConfigError.
    """
    known = chunks_by_source(index, questions)
    cached = cache_embeddings(embedder, {})  # a window is in the hits of several questions
    vectors = embed_questions(embedder, [question.text for question in questions])
    answered: dict[Mode, list[AnsweredQuestion]] = {mode: [] for mode in Mode}
    ranks: dict[float, list[list[int]]] = {weight: [] for weight in weights}
    for done, (question, vector) in enumerate(zip(questions, vectors, strict=True)):
        on_progress(done, len(questions))
        key = answer_key(question, known)
        asked_by = {
            mode: vector if uses_vector(mode, question.text, embedder.model) else None
            for mode in Mode
        }
        for weight, made_ranks in ranks.items():
            made_ranks.append(rank_answers(index, key, asked_by[Mode.HYBRID], weight))
        for mode, made in answered.items():
            asked = asked_by[mode]
            hits = index.search(question.text, asked, mode, TOP_CHUNKS)
            shown = add_excerpts(question.text, asked, hits[:COVERAGE_CHUNKS], cached)
            made.append(mark_hits(key, [*shown, *hits[COVERAGE_CHUNKS:]]))
    return Evaluation(answered, ranks)


def rank_answers(
    index: SearchableIndex, key: AnswerKey, vector: Vectors | None, weight: float
) -> list[int]:
    """Return the ranks of the answers in a hybrid search with a weight."""
    configured = index.hybrid_weight
    index.hybrid_weight = weight
    try:
        hits = index.search(key.question.text, vector, Mode.HYBRID, METRIC_DEPTH)
    finally:
        index.hybrid_weight = configured
    return [rank for rank, hit in enumerate(hits, 1) if hit.fields["content"] in key.answers]


def chunks_by_source(
    index: SearchableIndex, questions: Sequence[Question]
) -> dict[str, list[StoredChunk]]:
    """Read the chunks of every source that the questions cite, by source name."""
    wanted = defaultdict(set)
    for question in questions:
        for place in question.places:
            wanted[place.source.rpartition("/")[2]].add(place)
    found: dict[str, list[StoredChunk]] = {}
    for record in index.records():
        places = wanted.get(record.source.rpartition("/")[2], ())
        if record.chunks and any(place.matches_source(record.source) for place in places):
            found.setdefault(record.source, []).extend(index.chunks(record.root, record.source))
    return found


def answer_key(
    question: Question, indexed_chunks: Mapping[str, Sequence[StoredChunk]]
) -> AnswerKey:
    """Find the chunks that answer a question: those with half of its passage, or on its pages.

    A passage is the author's, so the description of a figure, which may repeat it, does not count.
    """
    passage = tokenize_words(question.passage)
    sources = [
        chunks
        for source, chunks in indexed_chunks.items()
        if any(place.matches_source(source) for place in question.places)
    ]
    on_page = [
        chunk
        for chunks in sources
        for chunk in chunks
        if not (passage and split_mark(chunk.text)[0])
        and any(
            p.covers_pages(chunk.source, chunk.page_start, chunk.page_end) for p in question.places
        )
    ]
    runs = (
        {chunk.text: longest_shared_run(passage, tokenize_words(chunk.text)) for chunk in on_page}
        if passage
        else {}
    )
    most = max(map(len, runs.values()), default=0)
    enough = min(MIN_PASSAGE_SHARE * len(passage), most)
    answers = frozenset(
        chunk.text for chunk in on_page if not passage or (most and len(runs[chunk.text]) >= enough)
    )
    missing_reason = NO_SOURCE if not sources else NO_PAGE if not on_page else NO_PASSAGE
    return AnswerKey(question, passage, runs, answers, "" if answers else missing_reason)


def embed_questions(embedder: Embedder, texts: Sequence[str]) -> Iterator[Vectors]:
    """Embed texts in batches; yields vectors of shape (dimensions,)."""
    for start in range(0, len(texts), at_once := min(QUESTION_BATCH_SIZE, embedder.inputs)):
        yield from embedder.embed_questions(texts[start : start + at_once])


def mark_hits(key: AnswerKey, hits: Sequence[Hit]) -> AnsweredQuestion:
    """Mark the hits that answer a question."""
    sizes = count_tokens([str(hit.fields["content"]) for hit in hits])
    found = tuple(
        FoundChunk(
            id=str(hit.fields["id"]),
            source=str(hit.fields["source"]),
            page_start=cast("int", hit.fields["page_start"]),
            page_end=cast("int", hit.fields["page_end"]),
            text=(text := str(hit.fields["content"])),
            answers=text in key.answers,
            tokens=len(tokenize_words(text)),
            size=size,
            run=key.passage_runs.get(text, range(0)),
            cites=cites_answer(key.question, hit),
            shows=shows_answer(key.passage, hit),
        )
        for hit, size in zip(hits, sizes, strict=True)
    )
    return AnsweredQuestion(key.question, key.missing_reason, len(key.answers), key.passage, found)


def cites_answer(question: Question, hit: Hit) -> bool:
    """Return whether the page of a hit, or of a copy of its text, has the answer."""
    cited = [(str(hit.fields["source"]), hit.page)]
    for copy in hit.also_in:
        source, _, page = copy.rpartition("#page=")
        cited.append((source, int(page)))
    return any(place.covers_pages(s, page, page) for place in question.places for s, page in cited)


def shows_answer(passage: Sequence[str], hit: Hit) -> bool:
    """Return whether an excerpt contains MIN_PASSAGE_SHARE of a passage."""
    run = longest_shared_run(passage, tokenize_words(hit.excerpt))
    return len(run) >= MIN_PASSAGE_SHARE * len(passage)
