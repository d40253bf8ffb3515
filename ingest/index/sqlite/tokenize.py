"""Words, as the embedded index and its search results see them. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

# Scripts written without spaces, where every character is indexed as a word: Han, kana, hangul,
# and the Thai to Khmer range.
UNSPACED_SCRIPTS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
)
UNSPACED_CHARACTER = re.compile(f"([{UNSPACED_SCRIPTS}])")
TERM_PATTERN = re.compile(rf"[{UNSPACED_SCRIPTS}]+|[^\W_{UNSPACED_SCRIPTS}]+")


def segment(text: str) -> str:
    """The text with a space around each character that is a word of its own."""
    return UNSPACED_CHARACTER.sub(r" \1 ", text)


def query_terms(text: str) -> list[str]:
    """The terms of a question in their order, each once; unspaced scripts come in pairs."""
    return list(
        dict.fromkeys(term for run in TERM_PATTERN.findall(text) for term in character_bigrams(run))
    )


def character_bigrams(run: str) -> Iterator[str]:
    """A word as it is; a run of an unspaced script as its overlapping pairs of characters."""
    if len(run) <= len("字字") or not UNSPACED_CHARACTER.match(run):
        yield run
    else:
        yield from (run[i : i + 2] for i in range(len(run) - 1))


def match_query(words: list[str]) -> str:
    """An FTS5 expression for any of the terms; empty if there are none."""
    return " OR ".join(f'"{" ".join(segment(word).split())}"' for word in words)


def highlight(text: str, words: list[str], before: str, after: str) -> str:
    """The text with the given folded terms between two marks, whatever their case and accents."""

    def mark(match: re.Match[str]) -> str:
        run = match.group()
        if not UNSPACED_CHARACTER.match(run):
            return f"{before}{run}{after}" if fold_case(run) in words else run
        hits = {
            place
            for word in words
            for start in range(len(run))
            if run.startswith(word, start)
            for place in range(start, start + len(word))
        }
        return "".join(f"{before}{c}{after}" if i in hits else c for i, c in enumerate(run))

    return TERM_PATTERN.sub(mark, text).replace(after + before, "")


def fold_case(word: str) -> str:
    """A word without case and accents."""
    parts = unicodedata.normalize("NFD", word.casefold())
    return "".join(c for c in parts if not unicodedata.combining(c))
