"""Search an index: the hits of a question, with the passages that answer it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ingest.commands.search.excerpts import add_excerpts
from ingest.commands.search.scripts import uses_vector
from ingest.embed import Embedder
from ingest.index import Index, RecordStore
from ingest.index.function_words import content_words
from ingest.index.sqlite.tokenize import fold_case, split_query
from ingest.models import FigureFilter, Hit, Mode, Permissions, SourceKey, Vectors, parent_name
from ingest.pipeline.diff import INTERRUPTED_REASON

MAX_WORDS = 2  # of a question, besides function words, that is looked up as a whole
MAX_CODES = 3  # that are looked up, each by itself
MIN_CODE_CHARS = 3


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
    """Find the chunks that match a request; `vector` is the embedded question."""
    question, mode, top = request.question, request.mode, request.top
    if request.person is None and request.figures is FigureFilter.INCLUDE:
        return index.search(question, vector, mode, top)
    return index.search_permitted(
        question, vector, mode, top, request.person, figures=request.figures
    )


def find_missing_words(question: str, is_found: Callable[[str], bool]) -> tuple[str, ...]:
    """Return the codes of a question that no document has; of one or two words, both if none has.

    Longer questions have words of the questioner that no document needs. `is_found` tells whether
    a search finds any of the words of a text.
    """
    written = {fold_case(word): word for word in split_query(question)}
    words = [written[word] for word in content_words(list(written))]
    if words and len(words) <= MAX_WORDS and not is_found(" ".join(words)):
        return tuple(words)
    codes = [word for word in words if is_code(word)]
    return tuple(word for word in codes[:MAX_CODES] if not is_found(word))


def is_code(word: str) -> bool:
    """Return whether a word is a number or code that stands for itself: "XJ-900", "4,000"."""
    return len(word) >= MIN_CODE_CHARS and any(c.isdigit() for c in word)


def mark_outdated(hits: Sequence[Hit], index: RecordStore) -> list[Hit]:
    """Return the hits; each of outdated text has the reason why its source could not be read."""
    sources = [(str(hit.fields["root"]), str(hit.fields["source"])) for hit in hits]
    keys = {*sources, *map(container_of, sources)}
    errors = index.errors_of(keys) if hits else {}
    # A source that a run is reading, or was reading when it was killed, may be as it was.
    known = {key: text for key, text in errors.items() if not text.endswith(INTERRUPTED_REASON)}
    return [
        replace(hit, outdated=known.get(source) or known.get(container_of(source), ""))
        for hit, source in zip(hits, sources, strict=True)
    ]


def container_of(source: SourceKey) -> SourceKey:
    """Return the document that a source is attached to; the source itself if it is none."""
    root, name = source
    return root, parent_name(name) or name
