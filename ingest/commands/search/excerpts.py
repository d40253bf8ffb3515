"""Excerpts of hits: the passages that answer, chosen by words and by meaning.

By meaning only with a local model, whose calls are free. A few windows of each hit, chosen by
the question's words, are embedded: more of better hits, which have the answer more often.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from itertools import chain, islice, repeat
from typing import Any

import numpy as np

from ingest.chunk.tables import strip_table_marks
from ingest.commands.search.passages import EXCERPT_LINES, LINE_CHARS, Passages, TextSpan
from ingest.embed import Embedder
from ingest.index.function_words import content_words
from ingest.index.sqlite.tokenize import fold_case, query_terms
from ingest.models import Hit, Vectors

# Measured on four sets of questions (docs/decisions/index.md).
WORD_WEIGHT = 0.3  # of the share of the question's words, against a cosine
FIRST_LINE_WEIGHT = 0.01  # decides between equal windows
PAGE_WEIGHT = 0.1  # of the share of the hit's text that is on the page of the window
MAX_EMBEDDED_CHARS = 5800  # for one search; five hits take at most 92%, some 1,100 tokens
EMBEDDED_SHARE = 0.4  # of the room that better hits have left
MAX_OVERLAP = 0.5  # of a window that is embedded with a better one, by words: it says the same
PAGE_OF_LINK = re.compile(r"#page=\d+\Z")
MAX_STEM_LETTERS = 5  # words that begin alike count as one: "physician" and "physicians"


def add_excerpts(
    question: str, vector: Vectors | None, hits: Sequence[Hit], embedder: Embedder | None
) -> list[Hit]:
    """Add page, heading and excerpt to hits. Without a vector, or a local model, by words only."""
    found = [Passages.of(hit.fields) for hit in hits]
    windows = [passages.windows() for passages in found]
    texts = [
        [passages.text_of(span) for span in spans]
        for passages, spans in zip(found, windows, strict=True)
    ]
    scores = score_words(question, texts)
    if vector is not None and embedder is not None and embedder.is_local:
        chosen = list(choose_windows(windows, texts, scores))
        if any(chosen):
            scores = score_meaning(vector, texts, scores, chosen, embedder)
    lines = islice(chain(EXCERPT_LINES, repeat(EXCERPT_LINES[-1])), len(hits))
    return [
        locate(hit, passages, rank_windows(passages, spans, by_window), most)
        for hit, passages, spans, by_window, most in zip(
            hits, found, windows, scores, lines, strict=True
        )
    ]


def rank_windows(
    passages: Passages, windows: Sequence[TextSpan], scores: Sequence[float]
) -> list[TextSpan]:
    """Sort windows, best first; of two about as good, the one on the page with more text."""
    by_page = [
        score + PAGE_WEIGHT * passages.page_share(window)
        for window, score in zip(windows, scores, strict=True)
    ]
    return [windows[n] for n in sorted(range(len(windows)), key=lambda n: -by_page[n])]


def locate(hit: Hit, passages: Passages, ranked: Sequence[TextSpan], lines: int) -> Hit:
    """Add the page and heading of the best window to a hit, and the excerpt of the best few."""
    best = ranked[0] if ranked else (0, 0)
    page = passages.page_of(best)
    return replace(
        hit,
        fields=hit.fields | citation_of(hit.fields, page),
        page=page,
        heading=passages.heading_of(best),
        excerpt=passages.excerpt(ranked, lines),
        figure=passages.figure,
    )


def citation_of(fields: Mapping[str, Any], page: int) -> dict[str, object]:
    """Return the fields of a chunk that name its page, for one of its pages."""
    labels = fields.get("page_labels") or (fields.get("page_label") or "",)
    number = page - fields["page_start"]
    link = fields.get("sourcepage")
    return {
        "sourcepage": link and PAGE_OF_LINK.sub(f"#page={page}", link),
        "page_label": labels[number] if number < len(labels) else "",
    }


def score_words(question: str, texts: Sequence[Sequence[str]]) -> list[list[float]]:
    """Score each window by its share of the question's words, those of few windows weighing more.

    `texts` are the windows of each hit. Of several that share a sentence, the one that begins with
    the words is better.
    """
    asked = {stem(word) for word in content_words([fold_case(w) for w in query_terms(question)])}
    stems = [[asked & text_stems(text) for text in some] for some in texts]
    first = [
        [known and known & text_stems(text.strip()[:LINE_CHARS]) for known, text in pairs]
        for pairs in (zip(*pair, strict=True) for pair in zip(stems, texts, strict=True))
    ]
    counts = Counter(word for some in stems for found in some for word in found)
    total = sum(map(len, texts))
    weights = {word: math.log(1 + total / max(1, counts[word])) for word in asked}
    whole = sum(weights.values()) or 1

    def share(found: frozenset[str] | set[str]) -> float:
        return sum(weights[word] for word in found) / whole

    return [
        [
            share(found) + FIRST_LINE_WEIGHT * share(begins)
            for found, begins in zip(*pair, strict=True)
        ]
        for pair in zip(stems, first, strict=True)
    ]


def choose_windows(
    windows: Sequence[Sequence[TextSpan]],
    texts: Sequence[Sequence[str]],
    scores: Sequence[Sequence[float]],
) -> Iterator[list[int]]:
    """Yield the numbers of the windows to embed for each hit, by words.

    None if there is room for one only, which would be the best whatever its cosine.
    """
    left = float(MAX_EMBEDDED_CHARS)
    for spans, some, by_words in zip(windows, texts, scores, strict=True):
        room = EMBEDDED_SHARE * left
        left -= room
        chosen: list[int] = []
        for number in sorted(range(len(some)), key=lambda number: -by_words[number]):
            if any(share_overlap(spans[number], spans[other]) > MAX_OVERLAP for other in chosen):
                continue
            if chosen and len(some[number]) > room:
                break
            chosen.append(number)
            room -= len(some[number])
        yield chosen if len(chosen) > 1 else []


def share_overlap(span: TextSpan, other: TextSpan) -> float:
    """Return the share of a span that is in another one."""
    return (min(span[1], other[1]) - max(span[0], other[0])) / (span[1] - span[0])


def score_meaning(
    vector: Vectors,
    texts: Sequence[Sequence[str]],
    word_scores: Sequence[Sequence[float]],
    chosen: Sequence[Sequence[int]],
    embedder: Embedder,
) -> list[list[float]]:
    """Score the chosen windows by cosine and words; the others rank behind them, by words."""
    pairs = [(hit, number) for hit, numbers in enumerate(chosen) for number in numbers]
    vectors = embed_parallel([plain_text(texts[hit][number]) for hit, number in pairs], embedder)
    cosines = (vectors @ vector) / (
        np.linalg.norm(vectors, axis=1) * (np.linalg.norm(vector) or 1) + 1e-12
    )
    scores = [[WORD_WEIGHT * score - 2 for score in some] for some in word_scores]
    for (hit, number), cosine in zip(pairs, cosines, strict=True):
        scores[hit][number] += 2 + float(cosine)
    return scores


def embed_parallel(texts: Sequence[str], embedder: Embedder) -> Vectors:
    """Embed texts with as many threads as the model takes calls, each its share of them."""
    size = min(embedder.inputs, max(1, -(-len(texts) // embedder.at_once)))
    batches = [texts[start : start + size] for start in range(0, len(texts), size)]
    with ThreadPoolExecutor(embedder.at_once) as threads:
        return np.concatenate(list(threads.map(embedder.embed, batches)))


def plain_text(text: str) -> str:
    """Return the text of a window without line breaks and marks of tables."""
    return " ".join(strip_table_marks(text.strip()).split())


@lru_cache(maxsize=10_000)  # windows of chunks that answer several questions of an evaluation
def text_stems(text: str) -> frozenset[str]:
    """Return the stems of a text's words."""
    return frozenset(stem(fold_case(word)) for word in query_terms(text))


def stem(word: str) -> str:
    """Return the beginning of a word; of a number or code, all of it."""
    return word[:MAX_STEM_LETTERS] if word.isalpha() else word


def words_to_mark(question: str) -> list[str]:
    """Return the folded words of a question that are marked in an excerpt."""
    return content_words([fold_case(word) for word in query_terms(question)])
