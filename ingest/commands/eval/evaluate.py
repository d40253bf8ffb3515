"""Asking an index what is known. It reads the index and writes nothing.

Which chunks answer is found out from the index itself before anything is asked: so it is known
what could have come, and a document that is not there is told from one that was not found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from ingest.chunk.tokens import count
from ingest.commands.eval.metrics import shared, tokens
from ingest.commands.eval.questions import Question
from ingest.commands.eval.results import Answered, Evaluation, Found
from ingest.embed import Embedder
from ingest.index import Index
from ingest.models import Hit, Mode, Stored

if TYPE_CHECKING:
    from ingest.models import Vectors

TOP = 20  # chunks for a question: of small ones, as many as fill the budget of tokens
ENOUGH = 0.5  # of a passage, in a chunk that answers; less where no chunk has as much
AT_ONCE = 100  # questions in one call to the model

NO_SOURCE = "its document is not in the index"
NO_PAGE = "the page is not in the index, or says nothing"
NO_PASSAGE = "the passage is not on that page in the index"


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of one question before it is asked."""

    question: Question
    passage: tuple[str, ...]  # its tokens
    runs: Mapping[str, range]  # of those, the part that stands in a chunk, by the chunk's id
    answers: frozenset[str]  # ids of the chunks that answer
    lacking: str  # why there are none


def evaluate(index: Index, embedder: Embedder, questions: Sequence[Question]) -> Evaluation:
    """Every question asked by vector, by words and by both.

    Raises ServiceError or ConfigError, as the index and the model do.
    """
    known = chunks_by_source(index, questions)
    vectors = embedded(embedder, [question.text for question in questions])
    answered: dict[Mode, list[Answered]] = {mode: [] for mode in Mode}
    for question, vector in zip(questions, vectors, strict=True):
        key = key_to(question, known)
        for mode, made in answered.items():
            hits = index.search(question.text, None if mode is Mode.TEXT else vector, mode, TOP)
            made.append(marked(key, hits))
    return Evaluation(answered)


def chunks_by_source(index: Index, questions: Sequence[Question]) -> dict[str, list[Stored]]:
    """The chunks of every source that the questions name, by the source's name."""
    wanted = defaultdict(set)
    for question in questions:
        for place in question.places:
            wanted[place.source.rpartition("/")[2]].add(place)
    found: dict[str, list[Stored]] = {}
    for record in index.records():
        places = wanted.get(record.source.rpartition("/")[2], ())
        if record.chunks and any(place.names(record.source) for place in places):
            found.setdefault(record.source, []).extend(index.stored(record.root, record.source))
    return found


def key_to(question: Question, known: Mapping[str, Sequence[Stored]]) -> Key:
    """Which of the known chunks answer a question: those with half of its passage, or the page."""
    passage = tokens(question.passage)
    sources = [
        chunks
        for source, chunks in known.items()
        if any(place.names(source) for place in question.places)
    ]
    there = [
        chunk
        for chunks in sources
        for chunk in chunks
        if any(p.covers(chunk.source, chunk.page_start, chunk.page_end) for p in question.places)
    ]
    runs = {chunk.id: shared(passage, tokens(chunk.text)) for chunk in there} if passage else {}
    most = max(map(len, runs.values()), default=0)
    enough = min(ENOUGH * len(passage), most)
    answers = frozenset(
        chunk.id for chunk in there if not passage or (most and len(runs[chunk.id]) >= enough)
    )
    lacking = NO_SOURCE if not sources else NO_PAGE if not there else NO_PASSAGE
    return Key(question, passage, runs, answers, "" if answers else lacking)


def embedded(embedder: Embedder, texts: Sequence[str]) -> Iterator[Vectors]:
    """The vector of each text, shape (dimensions,)."""
    for start in range(0, len(texts), at_once := min(AT_ONCE, embedder.inputs)):
        yield from embedder.embed(texts[start : start + at_once])


def marked(key: Key, hits: Sequence[Hit]) -> Answered:
    """What came, held against what should have."""
    sizes = count([str(hit.fields["content"]) for hit in hits])
    found = tuple(
        Found(
            id=(id_ := str(hit.fields["id"])),
            source=str(hit.fields["source"]),
            page_start=cast("int", hit.fields["page_start"]),
            page_end=cast("int", hit.fields["page_end"]),
            text=(text := str(hit.fields["content"])),
            answers=id_ in key.answers,
            tokens=len(tokens(text)),
            size=size,
            run=key.runs.get(id_, range(0)),
        )
        for hit, size in zip(hits, sizes, strict=True)
    )
    return Answered(key.question, key.lacking, len(key.answers), key.passage, found)
