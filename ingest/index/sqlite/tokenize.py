"""Tokenize text and queries for the local index and its search results. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

# Scripts without spaces, of which every character is indexed as a word: Han, kana, hangul, and the
# range from Thai to Khmer.
UNSPACED_SCRIPTS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
)
UNSPACED_CHARACTER = re.compile(f"([{UNSPACED_SCRIPTS}])")
TERM_PATTERN = re.compile(rf"[{UNSPACED_SCRIPTS}]+|[^\W_{UNSPACED_SCRIPTS}]+")


def segment(text: str) -> str:
    """Put spaces around each character that is indexed as a word."""
    return UNSPACED_CHARACTER.sub(r" \1 ", text)


def query_terms(text: str) -> list[str]:
    """Split a query into unique terms, in order; scripts without spaces into character pairs."""
    return list(
        dict.fromkeys(term for run in TERM_PATTERN.findall(text) for term in character_bigrams(run))
    )


def character_bigrams(run: str) -> Iterator[str]:
    """Yield a word unchanged; a run of a script without spaces as overlapping character pairs."""
    if len(run) <= len("字字") or not UNSPACED_CHARACTER.match(run):
        yield run
    else:
        yield from (run[i : i + 2] for i in range(len(run) - 1))


def match_query(words: list[str]) -> str:
    """Build an FTS5 expression that matches any of the terms; "" without terms."""
    return " OR ".join(f'"{" ".join(segment(word).split())}"' for word in words)


def highlight(text: str, words: list[str], before: str, after: str) -> str:
    """Put marks around the given folded terms in a text, ignoring case and accents."""

    def mark(match: re.Match[str]) -> str:
        run = match.group()
        if not UNSPACED_CHARACTER.match(run):
            return f"{before}{run}{after}" if fold_case(run) in words else run
        hits = {
            offset
            for word in words
            for start in range(len(run))
            if run.startswith(word, start)
            for offset in range(start, start + len(word))
        }
        return "".join(f"{before}{c}{after}" if i in hits else c for i, c in enumerate(run))

    return TERM_PATTERN.sub(mark, text).replace(after + before, "")


def fold_case(word: str) -> str:
    """Remove case and accents from a word."""
    parts = unicodedata.normalize("NFD", word.casefold())
    return "".join(c for c in parts if not unicodedata.combining(c))
