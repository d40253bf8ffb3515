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
from ingest.extract.engines.pdfium_raw import Text, font_name, font_weight
from ingest.extract.layout.lines import Lines
from ingest.models import Heading

LARGER = 1.18  # times the type of the text; fonts of one size differ by less
ALIKE = 1.06  # sizes that are closer are one
NAME = 100  # bytes of a font's name that are looked at
BOLD = 600  # of a font's weight; 400 is regular
LEVELS = 3  # of sizes; bold lines of the text's size are one more
LONGEST = 120  # characters of a heading
SHORT = 70  # of a bold one
PAGES = 3  # a line that stands on so many is a running head
SHARE = 0.3  # of all lines: what is commoner does not stand out
ENDS = frozenset(".,;:!?。、，|")


@dataclass(frozen=True, slots=True)
class Line:
    """A line that stands out."""

    page: int  # from 1
    number: int
    text: str
    size: float  # height of its type in points; 0 for that of the text, but bold


@dataclass(slots=True)
class Prominent:
    """The lines of a document that stand out, noted while its pages are read."""

    larger: list[Line] = field(default_factory=list)
    bold: list[Line] = field(default_factory=list)
    sizes: Counter[int] = field(default_factory=Counter)  # lines of each, in half points

    def note(self, page: int, handle: Text, text: str, lines: Lines) -> None:
        """Note what stands out on a page; `lines` are all lines of its text."""
        heights = [
            round(2 * (top - low)) for top, low in zip(lines.tops, lines.bottoms, strict=True)
        ]
        self.sizes.update(heights)
        usual = sorted(heights)[len(heights) // 2]
        short = []
        for number, height in enumerate(heights):
            start, end = lines.starts[number], lines.starts[number + 1] - 2
            if height > LARGER * usual or len(heights) < LEVELS:
                if end - start <= LONGEST:
                    self.larger.append(Line(page, number, text[start:end], height / 2))
            elif end - start <= SHORT and text[end - 1 : end] not in ENDS:
                short.append((number, start, end))
        for number, start, end in bold(handle, short):
            self.bold.append(Line(page, number, text[start:end], 0.0))

    def without(self, page: int, shown: str) -> None:
        """Forget the lines of a page that became rows of a table there."""
        whole = {" ".join(line.split()) for line in shown.splitlines()}
        for noted in (self.larger, self.bold):
            noted[:] = [
                line for line in noted if line.page != page or " ".join(line.text.split()) in whole
            ]

    def headings(self) -> list[Heading]:
        """The headings in reading order."""
        total = self.sizes.total()
        if not total:
            return []
        usual = self.sizes.most_common(1)[0][0] / 2
        larger = [line for line in self.larger if line.size > LARGER * usual]
        marked = self.bold if len(self.bold) <= SHARE * total else []
        if len(larger) > SHARE * total:
            return []
        found = list(titles(sorted([*larger, *marked], key=lambda line: (line.page, line.number))))
        pages = defaultdict(set)
        for line in found:
            pages[line.text].add(line.page)
        kept = [line for line in found if len(pages[line.text]) < PAGES]
        levels = ranked({line.size for line in kept})
        return [Heading(levels[line.size], line.text, line.page) for line in kept]


def bold(handle: Text, lines: Sequence[tuple[int, int, int]]) -> Iterator[tuple[int, int, int]]:
    """Those lines that begin and end in bold type."""
    weights = list(map(font_weight, repeat(handle), [start for _, start, _ in lines]))
    for line, weight in zip(lines, weights, strict=True):
        if weight >= BOLD:
            if font_weight(handle, line[2] - 1) >= BOLD:
                yield line
        elif weight <= 0 and called_bold(handle, line[1]) and called_bold(handle, line[2] - 1):
            yield line


def called_bold(text: Text, place: int) -> bool:
    """Whether the font of a character is bold by its name: not every font says its weight."""
    name = ctypes.create_string_buffer(NAME)
    font_name(text, place, ctypes.addressof(name), NAME, None)
    return b"Bold" in name.value or b"Black" in name.value


def titles(lines: Sequence[Line]) -> Iterator[Line]:
    """The lines as titles: those that follow each other in the same type are one."""
    parts: list[Line] = []
    for line in [*lines, Line(0, 0, "", -1.0)]:
        last = parts[-1] if parts else line
        if parts and (line.page, line.number, line.size) != (last.page, last.number + 1, last.size):
            text = " ".join(clean("\n".join(part.text for part in parts)).split())
            if len(text) <= LONGEST and any(map(str.isalpha, text)):
                yield Line(last.page, last.number, text, last.size)
            parts = []
        parts.append(line)


def ranked(sizes: set[float]) -> dict[float, int]:
    """The level of each size: the largest is 1."""
    levels: dict[float, int] = {}
    level, before = 0, float("inf")
    for size in sorted(sizes, reverse=True):
        if size * ALIKE < before:
            level = min(level + 1, LEVELS + (size == 0.0))
            before = size
        levels[size] = level
    return levels
