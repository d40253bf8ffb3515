"""Asking an index what is known. It reads the index and writes nothing.

Which chunks answer is found out from the index itself before anything is asked: so it is known
what could have come, and a document that is not there is told from one that was not found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from ingest.chunk.tokens import count_tokens
from ingest.commands.eval.metrics import longest_shared_run, tokenize_words
from ingest.commands.eval.questions import Question
from ingest.commands.eval.results import AnsweredQuestion, Evaluation, FoundChunk
from ingest.embed import Embedder
from ingest.index import Index
from ingest.models import Hit, Mode, StoredChunk

if TYPE_CHECKING:
    from ingest.models import Vectors

TOP_CHUNKS = 20  # chunks for a question: of small ones, as many as fill the budget of tokens
MIN_PASSAGE_SHARE = 0.5  # of a passage, in a chunk that answers; less where no chunk has as much
QUESTION_BATCH_SIZE = 100  # questions in one call to the model

NO_SOURCE = "its document is not in the index"
NO_PAGE = "the page is not in the index, or says nothing"
NO_PASSAGE = "the passage is not on that page in the index"


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """What is known of one question before it is asked."""

    question: Question
    passage: tuple[str, ...]  # its tokens
    passage_runs: Mapping[
        str, range
    ]  # of those, the part that stands in a chunk, by the chunk's id
    answers: frozenset[str]  # ids of the chunks that answer
    missing_reason: str  # why there are none


def evaluate(index: Index, embedder: Embedder, questions: Sequence[Question]) -> Evaluation:
    """Every question asked by vector, by words and by both.

    Raises ServiceError or ConfigError, as the index and the model do.
    """
    known = chunks_by_source(index, questions)
    vectors = embed_questions(embedder, [question.text for question in questions])
    answered: dict[Mode, list[AnsweredQuestion]] = {mode: [] for mode in Mode}
    for question, vector in zip(questions, vectors, strict=True):
        key = answer_key(question, known)
        for mode, made in answered.items():
            hits = index.search(
                question.text, None if mode is Mode.TEXT else vector, mode, TOP_CHUNKS
            )
            made.append(mark_hits(key, hits))
    return Evaluation(answered)


def chunks_by_source(index: Index, questions: Sequence[Question]) -> dict[str, list[StoredChunk]]:
    """The chunks of every source that the questions name, by the source's name."""
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
    """Which of the known chunks answer a question: those with half of its passage, or the page."""
    passage = tokenize_words(question.passage)
    sources = [
        chunks
        for source, chunks in indexed_chunks.items()
        if any(place.matches_source(source) for place in question.places)
    ]
    there = [
        chunk
        for chunks in sources
        for chunk in chunks
        if any(
            p.covers_pages(chunk.source, chunk.page_start, chunk.page_end) for p in question.places
        )
    ]
    runs = (
        {chunk.id: longest_shared_run(passage, tokenize_words(chunk.text)) for chunk in there}
        if passage
        else {}
    )
    most = max(map(len, runs.values()), default=0)
    enough = min(MIN_PASSAGE_SHARE * len(passage), most)
    answers = frozenset(
        chunk.id for chunk in there if not passage or (most and len(runs[chunk.id]) >= enough)
    )
    lacking = NO_SOURCE if not sources else NO_PAGE if not there else NO_PASSAGE
    return AnswerKey(question, passage, runs, answers, "" if answers else lacking)


def embed_questions(embedder: Embedder, texts: Sequence[str]) -> Iterator[Vectors]:
    """The vector of each text, shape (dimensions,)."""
    for start in range(0, len(texts), at_once := min(QUESTION_BATCH_SIZE, embedder.inputs)):
        yield from embedder.embed(texts[start : start + at_once])


def mark_hits(key: AnswerKey, hits: Sequence[Hit]) -> AnsweredQuestion:
    """What came, held against what should have."""
    sizes = count_tokens([str(hit.fields["content"]) for hit in hits])
    found = tuple(
        FoundChunk(
            id=(id_ := str(hit.fields["id"])),
            source=str(hit.fields["source"]),
            page_start=cast("int", hit.fields["page_start"]),
            page_end=cast("int", hit.fields["page_end"]),
            text=(text := str(hit.fields["content"])),
            answers=id_ in key.answers,
            tokens=len(tokenize_words(text)),
            size=size,
            run=key.passage_runs.get(id_, range(0)),
        )
        for hit, size in zip(hits, sizes, strict=True)
    )
    return AnsweredQuestion(key.question, key.missing_reason, len(key.answers), key.passage, found)
