"""Detect headings of a document without an outline: lines in larger or bold type.

Precision comes first: a wrong heading is attached to every chunk that follows it.
"""

from __future__ import annotations

import ctypes
import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from operator import attrgetter

from ingest.extract.cleaning import clean
from ingest.extract.engines.pdfium_raw import (
    BOX_FIELDS,
    TextHandle,
    font_name,
    font_weight,
    list_char_edges,
    place_of,
)
from ingest.extract.engines.placeholders import NOTHING, Placeholders
from ingest.extract.layout.lines import PageLines
from ingest.extract.layout.word_boxes import MIN_SEGMENT_GAP_HEIGHTS
from ingest.models import Heading

MIN_HEADING_SIZE_RATIO = 1.18  # to the size of body text; fonts of one size differ by less
SAME_SIZE_RATIO = 1.06  # sizes closer than this count as equal
MAX_FONT_NAME_BYTES = 100  # of a font's name; the rest is ignored
MIN_BOLD_WEIGHT = 600  # font weight; 400 is regular
BOLD_NAME = re.compile(rb"Bold|Black")
REGULAR_NAME = re.compile(rb"-(?:Regular|Italic|Light)")
MAX_SIZE_LEVELS = 3  # levels by size; bold lines in the size of body text are one more
MAX_HEADING_GAPS = 1  # after its number
MAX_LARGE_HEADING_CHARS = 120
MAX_BOLD_HEADING_CHARS = 70
MIN_RUNNING_HEAD_PAGES = 3  # a line that is on so many pages is a running head
MAX_HEADING_LINE_SHARE = 0.3  # of all lines; more of a kind are no headings
INITIAL = re.compile(r"[^\w\s]{0,2}[^\W\d_](?=[^\W\d_])")
NON_HEADING_ENDS = frozenset(".,;:!?。、，|")
MIN_SENTENCE_WORDS = 8  # of plain text in larger type: most of the page may be a program


@dataclass(frozen=True, slots=True)
class HeadingLine:
    """A line that may be a heading, or a part of one."""

    page: int  # from 1
    line_number: int
    text: str
    size: float  # height of its type in points; 0 for bold lines in the size of body text
    is_sentence_end: bool = False  # with a full stop, and not bold


@dataclass(slots=True)
class HeadingDetector:
    """Collects lines that may be headings while the pages of a document are read."""

    placeholders: Placeholders  # in the texts of the pages
    larger_lines: list[HeadingLine] = field(default_factory=list)
    bold_lines: list[HeadingLine] = field(default_factory=list)
    line_count: int = 0
    chars_by_size: Counter[int] = field(default_factory=Counter)  # by half points

    def add_page(self, page: int, handle: TextHandle, text: str, lines: PageLines) -> None:
        """Collect candidates from a page; `lines` are all lines of its text."""
        heights = [
            round(2 * (top - low)) for top, low in zip(lines.tops, lines.bottoms, strict=True)
        ]
        self.line_count += len(heights)
        for height, start, end in zip(heights, lines.starts, lines.starts[1:], strict=False):
            self.chars_by_size[height] += end - start
        usual = sorted(heights)[len(heights) // 2]
        short = []
        for number, height in enumerate(heights):
            start = lines.starts[number]
            line = text[start : lines.starts[number + 1] - 2].rstrip(NOTHING)
            end = start + len(line)
            length = len(line) - line.count(NOTHING)
            if height > MIN_HEADING_SIZE_RATIO * usual or len(heights) < MAX_SIZE_LEVELS:
                if length <= MAX_LARGE_HEADING_CHARS and not (
                    has_large_initial(handle, start, line, height)
                ):
                    shown = self.placeholders.replace(line)
                    is_sentence_end = shown.endswith(".") and not any(
                        find_bold_lines(handle, [(number, start, end)])
                    )
                    self.larger_lines.append(
                        HeadingLine(page, number, shown, height / 2, is_sentence_end)
                    )
            elif length <= MAX_BOLD_HEADING_CHARS and text[end - 1 : end] not in NON_HEADING_ENDS:
                short.append((number, start, end))
        for number, start, end in find_bold_lines(handle, short):
            if count_gaps(handle, text, start, end) > MAX_HEADING_GAPS:
                continue  # the names of columns
            shown = self.placeholders.replace(text[start:end])
            self.bold_lines.append(HeadingLine(page, number, shown, 0.0))

    def forget_table_lines(self, page: int, shown: str) -> None:
        """Drop candidates of the last page that are no lines of it once arranged: a table's."""
        kept = {" ".join(line.split()) for line in shown.splitlines()}
        for candidates in (self.larger_lines, self.bold_lines):
            # The last page's are at the end. Looking at those of all pages would take a time that
            # grows with the square of their number.
            first = bisect_left(candidates, page, key=attrgetter("page"))
            candidates[first:] = [
                line for line in candidates[first:] if " ".join(line.text.split()) in kept
            ]

    def headings(self) -> list[Heading]:
        """Return the headings, in reading order."""
        total = self.line_count
        if not total:
            return []
        # By characters: the indices of formulas are many lines, and small.
        usual = self.chars_by_size.most_common(1)[0][0] / 2
        larger = [line for line in self.larger_lines if line.size > MIN_HEADING_SIZE_RATIO * usual]
        bold = self.bold_lines if len(self.bold_lines) <= MAX_HEADING_LINE_SHARE * total else []
        if len(larger) > MAX_HEADING_LINE_SHARE * total:
            return []
        found = list(
            merge_titles(sorted([*larger, *bold], key=lambda line: (line.page, line.line_number)))
        )
        pages = defaultdict(set)
        for line in found:
            pages[line.text].add(line.page)
        kept = [line for line in found if len(pages[line.text]) < MIN_RUNNING_HEAD_PAGES]
        levels = rank_sizes({line.size for line in kept})
        return [Heading(levels[line.size], line.text, line.page) for line in kept]


def has_large_initial(handle: TextHandle, start: int, line: str, height: float) -> bool:
    """Return whether only the first letter of a line is as high as it is, in half points.

    Small capitals with a large initial make a heading as other lines do.
    """
    match = INITIAL.match(line)
    if line.isupper() or match is None:
        return False
    _, top, _, bottom = list_char_edges(handle, (start + match.end(),))
    return height > MIN_HEADING_SIZE_RATIO * 2 * (top - bottom) + 1


def find_bold_lines(
    handle: TextHandle, lines: Sequence[tuple[int, int, int]]
) -> Iterator[tuple[int, int, int]]:
    """Yield the lines, given as (number, start, end), that begin and end in bold type."""
    starts = [place_of(handle, start) for _, start, _ in lines]
    weights = list(map(font_weight, repeat(handle), starts))
    for line, weight in zip(lines, weights, strict=True):
        ends = line[1], line[2] - 1
        if weight >= MIN_BOLD_WEIGHT:
            # Chromium's weights are guesses: the regular fonts of Noto get more than 600.
            if font_weight(handle, place_of(handle, ends[1])) >= MIN_BOLD_WEIGHT and not any(
                REGULAR_NAME.search(read_font_name(handle, end)) for end in ends
            ):
                yield line
        # Not every font has a weight.
        elif weight <= 0 and all(BOLD_NAME.search(read_font_name(handle, end)) for end in ends):
            yield line


def count_gaps(handle: TextHandle, text: str, start: int, end: int) -> int:
    """Count the places of a line where two words are as far apart as cells are."""
    inked = [n for n in range(start, end) if not text[n].isspace() and text[n] != NOTHING]
    if not inked:
        return 0
    edges = list_char_edges(handle, inked)
    lefts, tops, rights, bottoms = (edges[field::BOX_FIELDS] for field in range(BOX_FIELDS))
    least = MIN_SEGMENT_GAP_HEIGHTS * (tops[0] - bottoms[0])
    return sum(left - right > least for right, left in zip(rights, lefts[1:], strict=False))


def read_font_name(text: TextHandle, index: int) -> bytes:
    """Return the name of a character's font."""
    name = ctypes.create_string_buffer(MAX_FONT_NAME_BYTES)
    font_name(text, place_of(text, index), ctypes.addressof(name), MAX_FONT_NAME_BYTES, None)
    return name.value


def merge_titles(lines: Sequence[HeadingLine]) -> Iterator[HeadingLine]:
    """Merge consecutive lines of one size into titles."""
    parts: list[HeadingLine] = []
    for line in [*lines, HeadingLine(0, 0, "", -1.0)]:
        last = parts[-1] if parts else line
        if parts and (line.page, line.line_number, line.size) != (
            last.page,
            last.line_number + 1,
            last.size,
        ):
            text = " ".join(clean("\n".join(part.text for part in parts)).split())
            if (
                len(text) <= MAX_LARGE_HEADING_CHARS
                and any(map(str.isalpha, text))
                and not (last.is_sentence_end and len(text.split()) >= MIN_SENTENCE_WORDS)
            ):
                yield HeadingLine(last.page, last.line_number, text, last.size)
            parts = []
        parts.append(line)


def rank_sizes(sizes: set[float]) -> dict[float, int]:
    """Assign a heading level to each size; 1 is the largest."""
    levels: dict[float, int] = {}
    level, larger = 0, float("inf")
    for size in sorted(sizes, reverse=True):
        if size * SAME_SIZE_RATIO < larger:
            level = min(level + 1, MAX_SIZE_LEVELS + (size == 0.0))
            larger = size
        levels[size] = level
    return levels
