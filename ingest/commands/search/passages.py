"""Windows of a chunk's text, a few sentences each, with their page and heading. Pure."""

from __future__ import annotations

import textwrap
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any, TypeAlias

from ingest.chunk.boundaries import find_sentence_starts
from ingest.chunk.offsets import join_headings
from ingest.chunk.tables import DELIMITER

LINE_CHARS = 76  # of a terminal with 80 columns, with an indent
WINDOW_LINES = 3
EXCERPT_LINES = 7
MAX_EXCERPT_PARTS = 3
MIN_PART_CHARS = 30  # a shorter rest of a window says nothing

Span: TypeAlias = tuple[int, int]  # start and end offset


@dataclass(frozen=True, slots=True)
class Passages:
    """The text of a hit with the offsets of its pages, sentences and sections."""

    text: str
    page_start: int
    pages: Sequence[int]  # offset of each page
    sections: Sequence[tuple[int, str]]  # offset and headings of each; the first has offset 0
    units: Sequence[Span]  # sentences, and the parts of long ones

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Passages:
        """Read the fields of a hit. A chunk of an earlier version has no offsets of pages."""
        text = str(fields["content"])
        inside = zip(fields.get("section_offsets") or (), fields.get("sections") or (), strict=True)
        return cls(
            text,
            fields["page_start"],
            fields.get("page_offsets") or (0,),
            [(0, join_headings(fields.get("headings") or ())), *inside],
            list(split_units(text, fields.get("sentence_offsets") or find_sentence_starts(text))),
        )

    def windows(self) -> list[Span]:
        """Return a window for each sentence, with those that follow it in WINDOW_LINES lines.

        A window does not go on to another page, so that its own is certain.
        """
        pages = [self.page_of(unit) for unit in self.units]
        found: list[Span] = []
        after = 0  # number of the sentence after the window
        for number, (start, _) in enumerate(self.units):
            last = after
            after = max(after, number + 1)
            while (
                after < len(self.units)
                and pages[after] == pages[number]
                and count_lines(self.text[start : self.units[after][1]]) <= WINDOW_LINES
            ):
                after += 1
            if after > last:  # else it lies in the window before
                found.append((start, self.units[after - 1][1]))
        return found

    def page_of(self, span: Span) -> int:
        """Return the page that carries most of a span, without white space."""
        edges = [min(max(page, span[0]), span[1]) for page in (0, *self.pages[1:], len(self.text))]
        sizes = [len("".join(self.text[a:b].split())) for a, b in pairwise(edges)]
        return self.page_start + sizes.index(max(sizes))

    def heading_of(self, span: Span) -> str:
        """Return the headings above the middle of a span."""
        middle = sum(span) // 2
        number = bisect_right(self.sections, middle, key=lambda section: section[0])
        return self.sections[number - 1][1]

    def excerpt(self, windows: Iterable[Span]) -> str:
        """Join the best of some windows, best first, to at most EXCERPT_LINES lines.

        "…" marks what is left out.
        """
        parts = self.extend(self.pack(windows))
        if not parts:
            return ""
        texts = [("… " if start > 0 else "") + unwrap(self.text[start:end]) for start, end in parts]
        return "\n".join(texts) + (" …" if parts[-1][1] < len(self.text) else "")

    def pack(self, windows: Iterable[Span]) -> list[Span]:
        """Take windows as long as there is room, without what they share with earlier ones."""
        parts: list[Span] = []
        for window in windows:
            rest = subtract_spans(window, parts)
            is_whole = rest == window
            if (is_whole or rest[1] - rest[0] >= MIN_PART_CHARS) and self.fits([*parts, rest]):
                parts.append(rest)
            if len(parts) == MAX_EXCERPT_PARTS:
                break
        return parts

    def extend(self, parts: Sequence[Span]) -> list[Span]:
        """Fill the room that is left with the sentences after and before the parts; in order."""
        extended = join_adjacent(parts)
        while wider := next(filter(self.fits, self.extensions(extended)), None):
            extended = wider
        return extended

    def extensions(self, parts: Sequence[Span]) -> Iterator[list[Span]]:
        """Yield the parts with one of them longer by the sentence after it, or before it."""
        following, preceding = dict(self.units), {end: start for start, end in self.units}
        for _, end in parts:
            if end in following:
                yield join_adjacent([*parts, (end, following[end])])
        for start, _ in parts:
            if start in preceding:
                yield join_adjacent([*parts, (preceding[start], start)])

    def fits(self, parts: Sequence[Span]) -> bool:
        """Return whether parts have EXCERPT_LINES lines at most."""
        texts = (self.text[start:end] for start, end in join_adjacent(parts))
        return sum(map(count_lines, texts)) <= EXCERPT_LINES


def split_units(text: str, sentences: Sequence[int]) -> Iterator[Span]:
    """Yield the sentences; the parts of those that are longer than a window."""
    longest = WINDOW_LINES * LINE_CHARS
    for begin, end in pairwise((*sentences, len(text))):
        start = begin
        while end - start > longest:
            cut = text.rfind("\n", start + longest // 2, start + longest)
            cut = cut if cut > 0 else text.rfind(" ", start + 1, start + longest)
            cut = cut if cut > 0 else start + longest
            yield start, cut
            start = cut
        if text[start:end].strip():
            yield start, end


def subtract_spans(span: Span, others: Iterable[Span]) -> Span:
    """Return what is left of a span outside of others, at one of its ends; may be empty."""
    start, end = span
    for a, b in others:
        if start < b and end > a:
            if start >= a:
                start = min(b, end)
            elif end <= b:
                end = a
            else:
                end = start
    return start, end


def join_adjacent(spans: Iterable[Span]) -> list[Span]:
    """Sort spans, and join those without a gap."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def unwrap(text: str) -> str:
    """Join the lines of a text, but not the rows of tables; without delimiter rows."""
    lines = DELIMITER.sub("", f"\n{text.strip()}").strip().split("\n")
    return "\n".join(
        line
        for is_row, some in groupby(lines, lambda line: line.startswith("|"))
        for line in (some if is_row else (" ".join(" ".join(some).split()),))
        if line
    )


def count_lines(text: str) -> int:
    """Count the lines that a text takes, each row of a table beginning a new one."""
    return sum(-(-len(line) // LINE_CHARS) for line in unwrap(text).split("\n"))


def wrap(text: str, width: int) -> Iterator[str]:
    """Wrap each line of a text."""
    for line in text.split("\n"):
        yield from textwrap.wrap(line, width)
