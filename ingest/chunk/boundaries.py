"""Cut a text into atomic spans: the parts that a chunk never divides. Pure.

Each is short enough to fit into a chunk, so the splitter only chooses between their boundaries.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import accumulate, pairwise

import regex

from ingest.chunk.tables import TableSpan, find_tables, table_at
from ingest.chunk.tokens import count_tokens

GRAPHEME = regex.compile(r"\X")


class Boundary(IntEnum):
    """Kinds of places where a chunk can end; a higher value is a better place."""

    INSIDE = 0  # in the middle of a word that is too long
    WORD = 1
    LINE = 2
    SENTENCE = 3
    ROW = 4  # of a table
    PARAGRAPH = 5
    HEADING = 6


MAX_PART_CHARS = 64  # of the parts that a long span is cut into
MAX_HEADER_SHARE = 0.25  # of the token limit; a longer table header is not repeated

# White space belongs to the line or sentence that follows it, as it does in cl100k's tokens.
EMPTY_LINES = re.compile(r"\n\s*\n")
AFTER_SENTENCE = r"""["'”’»)\]）」』]*(?: (?=\ +[^a-z\s]) | (?<=[。！？｡）」』]) )"""
# One pattern for each character: one with a literal first character is found many times as fast.
SENTENCE_PATTERNS = {
    end: re.compile(re.escape(end) + AFTER_SENTENCE, re.VERBOSE) for end in ".!?…。！？｡"
}
LINE_END_PUNCTUATION = frozenset(".!?:…。！？｡")
CLOSING_PUNCTUATION = frozenset("\"'”’»)]）」』")
# The marker of a list item, which must not be cut off from its item.
BULLET = re.compile(
    r"\n[ \t]*(?:[•‣◦▪▫●○■□–—*·-]|\(?(?:[0-9]{1,3}|[A-Za-z]|[ivxIVX]{1,5})[.)])(?=[ \t\n])"
)
# A line that ends a sentence ends a paragraph too if it is shorter than this share of an ordinary
# line, which is as long as the 80th percentile of all.
SHORT_LINE_SHARE = 0.75
ORDINARY_LINE_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class AtomicSpans:
    """The atomic spans of a text: span i runs from starts[i] to starts[i + 1]."""

    starts: list[int]  # offsets; the last one is the end of the text
    boundaries: list[Boundary]  # the kind of each start
    tokens_before: list[int]  # tokens before each start, counted span by span
    tables: list[TableSpan]
    headers: dict[str, int]  # table headers that chunks repeat, and their tokens

    def header_for(self, first: int) -> str:
        """Return the table header to repeat in a chunk whose first span is `first`."""
        return repeated_header(self.tables, self.headers, self.starts[first])

    def sentences_between(self, start: int, end: int) -> tuple[int, ...]:
        """Return the offsets inside a part of the text at which sentences or table rows begin."""
        first, last = bisect_right(self.starts, start), bisect_left(self.starts, end)
        least = Boundary.SENTENCE
        kinds = self.boundaries[first:last]
        found = [s for s, kind in zip(self.starts[first:last], kinds, strict=True) if kind >= least]
        # The first row of a table has no boundary before it: a chunk never ends there.
        before = bisect_right(self.tables, start, key=lambda table: table.body)
        until = bisect_left(self.tables, end, key=lambda table: table.body)
        rows = [table.body for table in self.tables[before:until] if table.rows]
        return tuple(sorted({*found, *rows}) if rows else found)

    def available_tokens(self, first: int, limit: int) -> int:
        """Return the tokens left for text in a chunk whose first span is `first`."""
        if not self.headers:
            return limit
        return limit - self.headers.get(self.header_for(first), 0)


def cut_into_spans(text: str, headings: Sequence[int], limit: int) -> AtomicSpans:
    """Cut a text at every boundary; where there is none, often enough for the token limit."""
    found = find_tables(text)
    headers = repeatable_headers(found, limit)
    breaks = add_row_boundaries(find_boundaries(text), found)
    breaks |= dict.fromkeys(headings, Boundary.HEADING)
    breaks |= {0: Boundary.PARAGRAPH, len(text): Boundary.PARAGRAPH}
    starts = sorted(breaks)
    tokens = count_tokens([text[start:end] for start, end in pairwise(starts)])
    long = [span for span, n in zip(pairwise(starts), tokens, strict=True) if n > limit // 8]
    if long:
        # A character has four tokens at most, so a part has at most half the limit, and fits with
        # the longest header and the largest overlap.
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
    """Return the table headers that are short enough to repeat, and their tokens."""
    headers = list({table.header for table in tables})
    tokens = zip(headers, count_tokens(headers), strict=True)
    return {header: n for header, n in tokens if n <= MAX_HEADER_SHARE * limit}


def add_row_boundaries(
    breaks: dict[int, Boundary], tables: Sequence[TableSpan]
) -> dict[int, Boundary]:
    """Replace the boundaries inside tables by those between rows, but none before the first row."""
    if not tables:
        return breaks
    offsets = sorted(breaks)
    for table in tables:
        inside = slice(bisect_left(offsets, table.start), bisect_left(offsets, table.end))
        for offset in offsets[inside]:
            del breaks[offset]
        breaks |= dict.fromkeys(table.rows[1:], Boundary.ROW)
        breaks |= {table.start: Boundary.PARAGRAPH, table.end: Boundary.PARAGRAPH}
    return breaks


def repeated_header(tables: Sequence[TableSpan], headers: Container[str], start: int) -> str:
    """Return the table header to repeat in a chunk that begins at an offset; "" for none."""
    table = table_at(tables, start + 1) if tables else None
    return table.header if table and start >= table.body and table.header in headers else ""


def find_fitting_rows(
    text: str,
    spans: Sequence[tuple[int, int]],
    tables: Sequence[TableSpan],
    headers: dict[str, int],
    limit: int,
) -> set[int]:
    """Return the starts of those long spans that are table rows and fit below their header."""
    rows = []
    for start, end in spans:
        if table_at(tables, start + 1):
            rows.append((start, repeated_header(tables, headers, start) + text[start:end].strip()))
    tokens = count_tokens([row for _, row in rows])
    return {start for (start, _), n in zip(rows, tokens, strict=True) if n <= limit}


def find_boundaries(text: str) -> dict[int, Boundary]:
    """Find the ends of lines, sentences and paragraphs."""
    # Looking up a member of an enumeration takes longer than all other work for a line.
    by_line, sentence, paragraph = Boundary.LINE, Boundary.SENTENCE, Boundary.PARAGRAPH
    lines = text.split("\n")
    lengths = sorted(map(len, lines))
    short = SHORT_LINE_SHARE * lengths[int(ORDINARY_LINE_SHARE * (len(lengths) - 1))]
    found = dict.fromkeys(find_sentence_ends(text), sentence)
    start = 0
    for line in lines:
        length, last = len(line), line[-1:]
        end = start + length
        if last in LINE_END_PUNCTUATION or (
            last in CLOSING_PUNCTUATION and line[-2:-1] in LINE_END_PUNCTUATION
        ):
            found[end] = paragraph if length < short else sentence
        else:
            found[end] = by_line
        start = end + 1
    del found[len(text)]  # no line follows it
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


def find_sentence_starts(text: str) -> list[int]:
    """Return the offsets at which sentences, paragraphs, list items and table rows begin."""
    found = add_row_boundaries(find_boundaries(text), find_tables(text))
    starts = (start for start, kind in found.items() if kind >= Boundary.SENTENCE)
    return sorted({0, *(start for start in starts if start < len(text))})


def find_sentence_ends(text: str) -> Iterator[int]:
    """Find the ends of sentences within lines."""
    for end, pattern in SENTENCE_PATTERNS.items():
        if end in text:
            yield from [match.end() for match in pattern.finditer(text)]


def cut_long_span(text: str, start: int, end: int, width: int) -> Iterator[tuple[int, Boundary]]:
    """Find where to cut a long span so that no part has more than `width` characters."""
    bullet = BULLET.match(text, start, end)
    least = bullet.end() + 1 if bullet else start + 1
    while end - start > width:
        cell = text.rfind(" |", least, start + width + 2)
        space = text.rfind(" ", least, start + width + 1)
        if cell > 0 or space > 0:
            start = cell if cell > 0 else space
            yield start, Boundary.LINE if cell > 0 else Boundary.WORD
        else:
            # A grapheme may have many code points, even more than fit. The slice is a copy on
            # purpose: in the whole text, a flag is parsed from the first of a million before it.
            whole = (m.end() for m in GRAPHEME.finditer(text[start : start + 2 * width]))
            start += max((e for e in whole if e <= width), default=width)
            yield start, Boundary.INSIDE
        least = start + 1
