"""Headings of a document without an outline: lines in larger or bolder type than its text.

Precision comes first: a wrong heading stands above every chunk that follows it.
"""

from __future__ import annotations

import ctypes
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat

from ingest.extract.cleaning import clean
from ingest.extract.engines.pdfium_raw import TextHandle, font_name, font_weight
from ingest.extract.layout.lines import PageLines
from ingest.models import Heading

MIN_HEADING_SIZE_RATIO = 1.18  # times the type of the text; fonts of one size differ by less
SAME_SIZE_RATIO = 1.06  # sizes that are closer are one
MAX_FONT_NAME_BYTES = 100  # bytes of a font's name that are looked at
MIN_BOLD_WEIGHT = 600  # of a font's weight; 400 is regular
MAX_SIZE_LEVELS = 3  # of sizes; bold lines of the text's size are one more
MAX_LARGE_HEADING_CHARS = 120  # characters of a heading
MAX_BOLD_HEADING_CHARS = 70  # of a bold one
MIN_RUNNING_HEAD_PAGES = 3  # a line that stands on so many is a running head
MAX_HEADING_LINE_SHARE = 0.3  # of all lines: what is commoner does not stand out
NON_HEADING_ENDS = frozenset(".,;:!?。、，|")


@dataclass(frozen=True, slots=True)
class HeadingLine:
    """A line that stands out."""

    page: int  # from 1
    line_number: int
    text: str
    size: float  # height of its type in points; 0 for that of the text, but bold


@dataclass(slots=True)
class HeadingDetector:
    """The lines of a document that stand out, noted while its pages are read."""

    larger_lines: list[HeadingLine] = field(default_factory=list)
    bold_lines: list[HeadingLine] = field(default_factory=list)
    lines_by_size: Counter[int] = field(default_factory=Counter)  # lines of each, in half points

    def add_page(self, page: int, handle: TextHandle, text: str, lines: PageLines) -> None:
        """Note what stands out on a page; `lines` are all lines of its text."""
        heights = [
            round(2 * (top - low)) for top, low in zip(lines.tops, lines.bottoms, strict=True)
        ]
        self.lines_by_size.update(heights)
        usual = sorted(heights)[len(heights) // 2]
        short = []
        for number, height in enumerate(heights):
            start, end = lines.starts[number], lines.starts[number + 1] - 2
            if height > MIN_HEADING_SIZE_RATIO * usual or len(heights) < MAX_SIZE_LEVELS:
                if end - start <= MAX_LARGE_HEADING_CHARS:
                    self.larger_lines.append(HeadingLine(page, number, text[start:end], height / 2))
            elif (
                end - start <= MAX_BOLD_HEADING_CHARS
                and text[end - 1 : end] not in NON_HEADING_ENDS
            ):
                short.append((number, start, end))
        for number, start, end in find_bold_lines(handle, short):
            self.bold_lines.append(HeadingLine(page, number, text[start:end], 0.0))

    def forget_table_lines(self, page: int, shown: str) -> None:
        """Forget the lines of a page that became rows of a table there."""
        whole = {" ".join(line.split()) for line in shown.splitlines()}
        for noted in (self.larger_lines, self.bold_lines):
            noted[:] = [
                line for line in noted if line.page != page or " ".join(line.text.split()) in whole
            ]

    def headings(self) -> list[Heading]:
        """The headings in reading order."""
        total = self.lines_by_size.total()
        if not total:
            return []
        usual = self.lines_by_size.most_common(1)[0][0] / 2
        larger = [line for line in self.larger_lines if line.size > MIN_HEADING_SIZE_RATIO * usual]
        marked = self.bold_lines if len(self.bold_lines) <= MAX_HEADING_LINE_SHARE * total else []
        if len(larger) > MAX_HEADING_LINE_SHARE * total:
            return []
        found = list(
            merge_titles(sorted([*larger, *marked], key=lambda line: (line.page, line.line_number)))
        )
        pages = defaultdict(set)
        for line in found:
            pages[line.text].add(line.page)
        kept = [line for line in found if len(pages[line.text]) < MIN_RUNNING_HEAD_PAGES]
        levels = rank_sizes({line.size for line in kept})
        return [Heading(levels[line.size], line.text, line.page) for line in kept]


def find_bold_lines(
    handle: TextHandle, lines: Sequence[tuple[int, int, int]]
) -> Iterator[tuple[int, int, int]]:
    """Those lines that begin and end in bold type."""
    weights = list(map(font_weight, repeat(handle), [start for _, start, _ in lines]))
    for line, weight in zip(lines, weights, strict=True):
        if weight >= MIN_BOLD_WEIGHT:
            if font_weight(handle, line[2] - 1) >= MIN_BOLD_WEIGHT:
                yield line
        elif (
            weight <= 0
            and has_bold_font_name(handle, line[1])
            and has_bold_font_name(handle, line[2] - 1)
        ):
            yield line


def has_bold_font_name(text: TextHandle, place: int) -> bool:
    """Whether the font of a character is bold by its name: not every font says its weight."""
    name = ctypes.create_string_buffer(MAX_FONT_NAME_BYTES)
    font_name(text, place, ctypes.addressof(name), MAX_FONT_NAME_BYTES, None)
    return b"Bold" in name.value or b"Black" in name.value


def merge_titles(lines: Sequence[HeadingLine]) -> Iterator[HeadingLine]:
    """The lines as titles: those that follow each other in the same type are one."""
    parts: list[HeadingLine] = []
    for line in [*lines, HeadingLine(0, 0, "", -1.0)]:
        last = parts[-1] if parts else line
        if parts and (line.page, line.line_number, line.size) != (
            last.page,
            last.line_number + 1,
            last.size,
        ):
            text = " ".join(clean("\n".join(part.text for part in parts)).split())
            if len(text) <= MAX_LARGE_HEADING_CHARS and any(map(str.isalpha, text)):
                yield HeadingLine(last.page, last.line_number, text, last.size)
            parts = []
        parts.append(line)


def rank_sizes(sizes: set[float]) -> dict[float, int]:
    """The level of each size: the largest is 1."""
    levels: dict[float, int] = {}
    level, before = 0, float("inf")
    for size in sorted(sizes, reverse=True):
        if size * SAME_SIZE_RATIO < before:
            level = min(level + 1, MAX_SIZE_LEVELS + (size == 0.0))
            before = size
        levels[size] = level
    return levels
