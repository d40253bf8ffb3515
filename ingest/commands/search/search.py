"""Search an index: the hits of a question, with the passages that answer it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ingest.commands.search.excerpts import add_excerpts
from ingest.commands.search.missing_words import find_missing_words
from ingest.commands.search.outdated import mark_outdated
from ingest.commands.search.scripts import uses_vector
from ingest.embed import Embedder
from ingest.index import Index
from ingest.models import FigureFilter, Hit, Mode, Permissions, Vectors


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A question, and which of the chunks that match it are wanted."""

    question: str
    mode: Mode
    top: int  # maximum number of hits
    person: Permissions | None  # find only what they may read; None: no restriction
    figures: FigureFilter


def search_index(request: SearchRequest, index: Index, model: Embedder) -> list[Hit]:
    """Find the chunks that match a question best, each with the passages that answer it."""
    question, mode = request.question, request.mode
    is_near = uses_vector(mode, question, model.model)
    vector = model.embed_questions([question])[0] if is_near else None
    hits = find_chunks(request, vector, index)

    def is_found(text: str) -> bool:
        word = replace(request, question=text, mode=Mode.TEXT, top=1)
        return bool(find_chunks(word, None, index))

    if hits and mode is not Mode.VECTOR:
        missing = find_missing_words(question, is_found)
        hits = [replace(hit, missing_words=missing) for hit in hits]
    return add_excerpts(question, vector, mark_outdated(hits, index), model)


def find_chunks(request: SearchRequest, vector: Vectors | None, index: Index) -> list[Hit]:
    """Find the chunks that match a request; the vector is that of its question."""
    question, mode, top = request.question, request.mode, request.top
    if request.person is None and request.figures is FigureFilter.INCLUDE:
        return index.search(question, vector, mode, top)
    return index.search_permitted(
        question, vector, mode, top, request.person, figures=request.figures
    )
