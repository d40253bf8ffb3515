"""The spans of a text that are never divided, and what the text breaks at between them. Pure.

No span is so long that a chunk cannot hold it; whoever cuts has a choice only between them.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import accumulate, pairwise

import regex

from ingest.chunk.tables import TableSpan, find_tables, table_at
from ingest.chunk.tokens import count_tokens

GRAPHEME = regex.compile(r"\X")


class Boundary(IntEnum):
    """What a chunk can end at, the better the higher."""

    INSIDE = 0  # of a word that is too long
    WORD = 1
    LINE = 2
    SENTENCE = 3
    ROW = 4  # of a table
    PARAGRAPH = 5
    HEADING = 6


MAX_PART_CHARS = 64  # characters
MAX_HEADER_SHARE = 0.25  # of the limit; a longer one is not repeated

# The white space before a line or a sentence belongs to it: so do cl100k's tokens.
EMPTY_LINES = re.compile(r"\n\s*\n")
AFTER_SENTENCE = r"""["'”’»)\]）」』]*(?: (?=\ +[^a-z\s]) | (?<=[。！？｡）」』]) )"""
# One for each character, as a pattern is sought many times as fast by its first one.
SENTENCE_PATTERNS = {
    end: re.compile(re.escape(end) + AFTER_SENTENCE, re.VERBOSE) for end in ".!?…。！？｡"
}
LINE_END_PUNCTUATION = frozenset(".!?:…。！？｡")
CLOSING_PUNCTUATION = frozenset("\"'”’»)]）」』")
# What a line of a list begins with, and must not be cut from.
BULLET = re.compile(
    r"\n[ \t]*(?:[•‣◦▪▫●○■□–—*·-]|\(?(?:[0-9]{1,3}|[A-Za-z]|[ivxIVX]{1,5})[.)])(?=[ \t\n])"
)
# A line that ends a sentence this far before the others end, ends a paragraph.
SHORT_LINE_SHARE = 0.75
ORDINARY_LINE_SHARE = 0.8  # the length that this share of the lines stays below


@dataclass(frozen=True, slots=True)
class AtomicSpans:
    """A text as spans that are not divided: span i runs from starts[i] to starts[i + 1]."""

    starts: list[int]  # one more than there are spans: the last is the end of the text
    boundaries: list[Boundary]  # what the text breaks at there
    tokens_before: list[int]  # tokens before it, counted span by span
    tables: list[TableSpan]
    headers: dict[str, int]  # tokens of the headers that are repeated

    def header_for(self, place: int) -> str:
        """What a chunk that begins at a place repeats."""
        return repeated_header(self.tables, self.headers, self.starts[place])

    def available_tokens(self, place: int, limit: int) -> int:
        """The tokens of text that a chunk may have that begins at a place."""
        if not self.headers:
            return limit
        return limit - self.headers.get(self.header_for(place), 0)


def cut_into_spans(text: str, headings: Sequence[int], limit: int) -> AtomicSpans:
    """The text cut at every boundary, and where there is none, often enough for the limit."""
    found = find_tables(text)
    headers = repeatable_headers(found, limit)
    breaks = add_row_boundaries(find_boundaries(text), found)
    breaks |= dict.fromkeys(headings, Boundary.HEADING)
    breaks |= {0: Boundary.PARAGRAPH, len(text): Boundary.PARAGRAPH}
    starts = sorted(breaks)
    tokens = count_tokens([text[start:end] for start, end in pairwise(starts)])
    long = [span for span, n in zip(pairwise(starts), tokens, strict=True) if n > limit // 8]
    if long:
        # A character is four tokens at most, so no part is more than half the limit, and a part
        # fits with the longest header and the largest overlap.
        width = min(MAX_PART_CHARS, limit // 8)
        whole = find_fitting_rows(text, long, found, headers, limit) if found else ()
        known = dict(zip(starts, tokens, strict=False))
        for start, end in long:
            if start not in whole:
                breaks |= cut_long_span(text, start, end, width)
                del known[start]
        starts = sorted(breaks)
        cut = [(start, end) for start, end in pairwise(starts) if start not in known]
        counted = count_tokens([text[start:end] for start, end in cut])
        known |= zip((start for start, _ in cut), counted, strict=True)
        tokens = [known[start] for start in starts[:-1]]
    kinds = [breaks[start] for start in starts]
    return AtomicSpans(starts, kinds, list(accumulate(tokens, initial=0)), found, headers)


def repeatable_headers(tables: Sequence[TableSpan], limit: int) -> dict[str, int]:
    """The tokens of each header that is not too long to be repeated."""
    headers = list({table.header for table in tables})
    tokens = zip(headers, count_tokens(headers), strict=True)
    return {header: n for header, n in tokens if n <= MAX_HEADER_SHARE * limit}


def add_row_boundaries(
    breaks: dict[int, Boundary], tables: Sequence[TableSpan]
) -> dict[int, Boundary]:
    """The boundaries, inside tables only those between rows; the first stays with the header."""
    if not tables:
        return breaks
    places = sorted(breaks)
    for table in tables:
        inside = slice(bisect_left(places, table.start), bisect_left(places, table.end))
        for place in places[inside]:
            del breaks[place]
        breaks |= dict.fromkeys(table.rows[1:], Boundary.ROW)
        breaks |= {table.start: Boundary.PARAGRAPH, table.end: Boundary.PARAGRAPH}
    return breaks


def repeated_header(tables: Sequence[TableSpan], headers: Container[str], start: int) -> str:
    """What a chunk that begins at an offset repeats: the header of the table, above its rows."""
    table = table_at(tables, start + 1) if tables else None
    return table.header if table and start >= table.body and table.header in headers else ""


def find_fitting_rows(
    text: str,
    spans: Sequence[tuple[int, int]],
    tables: Sequence[TableSpan],
    headers: dict[str, int],
    limit: int,
) -> set[int]:
    """Where the rows begin that fit into a chunk with their header, of these long spans."""
    rows = []
    for start, end in spans:
        if table_at(tables, start + 1):
            rows.append((start, repeated_header(tables, headers, start) + text[start:end].strip()))
    tokens = count_tokens([row for _, row in rows])
    return {start for (start, _), n in zip(rows, tokens, strict=True) if n <= limit}


def find_boundaries(text: str) -> dict[int, Boundary]:
    """Where lines, sentences and paragraphs break."""
    # A look at an enumeration's member takes longer than all else that is done for a line.
    by_line, sentence, paragraph = Boundary.LINE, Boundary.SENTENCE, Boundary.PARAGRAPH
    lines = text.split("\n")
    lengths = sorted(map(len, lines))
    short = SHORT_LINE_SHARE * lengths[int(ORDINARY_LINE_SHARE * (len(lengths) - 1))]
    found = dict.fromkeys(find_sentence_ends(text), sentence)
    place = 0
    for line in lines:
        length, last = len(line), line[-1:]
        end = place + length
        if last in LINE_END_PUNCTUATION or (
            last in CLOSING_PUNCTUATION and line[-2:-1] in LINE_END_PUNCTUATION
        ):
            found[end] = paragraph if length < short else sentence
        else:
            found[end] = by_line
        place = end + 1
    del found[len(text)]  # behind which there is no line
    for match in EMPTY_LINES.finditer(text):
        start, end = match.span()
        found[start] = paragraph
        while (start := text.find("\n", start + 1, end)) >= 0:
            del found[start]
    for match in BULLET.finditer(text):
        start, end = match.span()
        if start in found:
            found[start] = max(found[start], sentence)
        found.pop(end, None)
    return found


def find_sentence_ends(text: str) -> Iterator[int]:
    """Where sentences end within lines."""
    for end, pattern in SENTENCE_PATTERNS.items():
        if end in text:
            yield from [match.end() for match in pattern.finditer(text)]


def cut_long_span(text: str, start: int, end: int, width: int) -> Iterator[tuple[int, Boundary]]:
    """Where to cut a long span so that no part is wider than `width` characters."""
    bullet = BULLET.match(text, start, end)
    least = bullet.end() + 1 if bullet else start + 1
    while end - start > width:
        cell = text.rfind(" |", least, start + width + 2)
        space = text.rfind(" ", least, start + width + 1)
        if cell > 0 or space > 0:
            start = cell if cell > 0 else space
            yield start, Boundary.LINE if cell > 0 else Boundary.WORD
        else:
            # What a person sees as one character may be many code points, even more than fit. A
            # copy, or a flag would be sought from the first of a million flags before it.
            whole = (m.end() for m in GRAPHEME.finditer(text[start : start + 2 * width]))
            start += max((e for e in whole if e <= width), default=width)
            yield start, Boundary.INSIDE
        least = start + 1
