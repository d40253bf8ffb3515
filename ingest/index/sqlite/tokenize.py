"""Tokenize text and queries for the local index and its search results. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise

from ingest.index.names import split_names
from ingest.index.sqlite.arabic import stem_arabic

# Scripts without spaces, of which every character is indexed as a word: Han, kana, hangul, and the
# range from Thai to Khmer.
UNSPACED_SCRIPTS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
)
UNSPACED_CHARACTER = re.compile(f"([{UNSPACED_SCRIPTS}])")
# Compounds such as "COVID-19", also over the end of a line. The class of its first character is
# looked for last: it would be tried at every character.
COMPOUND_HYPHENS = "-\u2010\u2011"
COMPOUND_PATTERN = re.compile(rf"[^\W_]+(?:[{COMPOUND_HYPHENS}]\n?[^\W_]+)+")
COMPOUND_HYPHEN = re.compile(rf"[{COMPOUND_HYPHENS}]\n?")
# A footnote mark behind its word, or an exponent.
RAISED_OR_LOWERED = re.compile("(?<=\\w)(?=[\u00b2\u00b3\u00b9\u2070-\u209c])")
TERM_PATTERN = re.compile(rf"[{UNSPACED_SCRIPTS}]+|[^\W_{UNSPACED_SCRIPTS}]+")
# Numbers such as "4,000", "17:30" and "3.11.2", and codes such as "XJ-900", whose digits alone are
# in many other ones. Only from the beginning of a word on, which keeps it linear.
ALNUM = rf"[^\W_{UNSPACED_SCRIPTS}]"
LETTER = rf"[^\W\d_{UNSPACED_SCRIPTS}]"
CODE = (
    rf"(?<!{ALNUM})"
    rf"(?:{ALNUM}*\d(?:[.,:]\d{ALNUM}*)+|{LETTER}+(?:[{COMPOUND_HYPHENS}]\n?\d{ALNUM}*)+)"
)
MIN_WORD_LETTERS = 4  # that a code begins with, as "COVID-19"; "LG" and "ISO" are part of it
QUERY_PATTERN = re.compile(f"{CODE}|{TERM_PATTERN.pattern}")


def fold_text(text: str) -> str:
    """Fold a text for the word index, and add the spelling of its compounds in one word.

    Full-width and mathematical letters, ligatures and the like become plain ones, in lower case.
    Arabic words are stemmed.
    """
    if not text.isascii():
        text = RAISED_OR_LOWERED.sub(" ", text)
        if not unicodedata.is_normalized("NFKC", text):
            text = unicodedata.normalize("NFKC", text)
        text = stem_arabic(text)
    text = text.casefold()
    joined = " ".join(join_compounds(text))
    return f"{text}\n{joined}" if joined else text


def join_compounds(text: str) -> Iterator[str]:
    """Yield each compound of a text without hyphens, and each two neighbours of a longer one."""
    if not any(hyphen in text for hyphen in COMPOUND_HYPHENS):
        return
    for match in COMPOUND_PATTERN.finditer(text):
        parts = COMPOUND_HYPHEN.split(match.group())
        yield "".join(parts)
        if len(parts) > len(("COVID", "19")):
            yield from map("".join, pairwise(parts))


def index_words(text: str) -> str:
    """Return a text as the word index holds it."""
    return segment(fold_text(text))


def index_names(source: str, title: str) -> str:
    """Return the words of a source's name and title as the word index holds them."""
    return segment(fold_text(f"{split_names(source)} {title}"))


def segment(text: str) -> str:
    """Put spaces around each character that is indexed as a word."""
    return UNSPACED_CHARACTER.sub(r" \1 ", text)


def query_terms(text: str) -> list[str]:
    """Split a query into unique terms, folded, in order.

    Unspaced scripts are split into character pairs. A number or code with separators is one term,
    and so is the word that a code begins with.
    """
    runs = split_query(fold_text(text))
    return list(dict.fromkeys(term for run in runs for term in split_run(run)))


def split_query(text: str) -> list[str]:
    """Split a query into its words, numbers and codes, as they are written."""
    return QUERY_PATTERN.findall(text)


def split_run(run: str) -> Iterator[str]:
    """Yield the terms of a word, number or code, or of a run of a script without spaces."""
    if len(run) > len("字字") and UNSPACED_CHARACTER.match(run):
        yield from (run[i : i + 2] for i in range(len(run) - 1))
        return
    yield run
    parts = COMPOUND_HYPHEN.split(run)
    if len(parts) > 1 and len(parts[0]) >= MIN_WORD_LETTERS:
        yield parts[0]


def match_query(words: list[str]) -> str:
    """Build an FTS5 expression that matches any of the terms; "" without terms."""
    return " OR ".join(f'"{" ".join(segment(word).split())}"' for word in words)


def highlight(text: str, words: list[str], before: str, after: str) -> str:
    """Put marks around the given folded terms in a text, ignoring case, accents and hyphens."""

    def mark(match: re.Match[str]) -> str:
        run = match.group()
        if fold_case(run) not in words and not TERM_PATTERN.fullmatch(run):
            return TERM_PATTERN.sub(mark, run)
        if not UNSPACED_CHARACTER.match(run):
            return f"{before}{run}{after}" if stem_arabic(fold_case(run)) in words else run
        hits = {
            offset
            for word in words
            for start in range(len(run))
            if run.startswith(word, start)
            for offset in range(start, start + len(word))
        }
        return "".join(f"{before}{c}{after}" if i in hits else c for i, c in enumerate(run))

    def mark_compound(match: re.Match[str]) -> str:
        compound = match.group()
        if fold_case("".join(COMPOUND_HYPHEN.split(compound))) in words:
            return f"{before}{compound}{after}"
        return QUERY_PATTERN.sub(mark, compound)

    parts = []
    end = 0
    for match in COMPOUND_PATTERN.finditer(text):
        parts += [QUERY_PATTERN.sub(mark, text[end : match.start()]), mark_compound(match)]
        end = match.end()
    parts.append(QUERY_PATTERN.sub(mark, text[end:]))
    return "".join(parts).replace(after + before, "")


def fold_case(word: str) -> str:
    """Remove case, accents and the width of letters from a word."""
    parts = unicodedata.normalize("NFKD", word.casefold())
    return "".join(c for c in parts if not unicodedata.combining(c))
