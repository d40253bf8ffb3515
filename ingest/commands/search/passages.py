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
    sentences: Sequence[int]
    sections: Sequence[tuple[int, str]]  # offset and headings of each; the first has offset 0

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Passages:
        """Read the fields of a hit. A chunk of an earlier version has no offsets of pages."""
        text = str(fields["content"])
        inside = zip(fields.get("section_offsets") or (), fields.get("sections") or (), strict=True)
        return cls(
            text,
            fields["page_start"],
            fields.get("page_offsets") or (0,),
            fields.get("sentence_offsets") or find_sentence_starts(text),
            [(0, join_headings(fields.get("headings") or ())), *inside],
        )

    def windows(self) -> list[Span]:
        """Return a window for each sentence, with those that follow it in WINDOW_LINES lines."""
        units = list(self.units())
        found: list[Span] = []
        last = 0
        for number, (start, _) in enumerate(units):
            end = self.window_end(start, units[number:])
            if end > last:  # else it lies in the window before
                found.append((start, end))
                last = end
        return found

    def window_end(self, start: int, units: Sequence[Span]) -> int:
        """Return the end of the last of the first units that fit into a window; of one at least."""
        ends = [units[0][1]]
        for _, end in units[1:]:
            if count_lines(self.text[start:end]) > WINDOW_LINES:
                break
            ends.append(end)
        return ends[-1]

    def units(self) -> Iterator[Span]:
        """Yield the sentences; the parts of those that are longer than a window."""
        longest = WINDOW_LINES * LINE_CHARS
        for begin, end in pairwise((*self.sentences, len(self.text))):
            start = begin
            while end - start > longest:
                cut = self.text.rfind("\n", start + longest // 2, start + longest)
                cut = cut if cut > 0 else self.text.rfind(" ", start + 1, start + longest)
                cut = cut if cut > 0 else start + longest
                yield start, cut
                start = cut
            if self.text[start:end].strip():
                yield start, end

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
            start, end = subtract_spans(window, parts)
            if end - start >= min(MIN_PART_CHARS, len(self.text)) and self.fits(
                [*parts, (start, end)]
            ):
                parts.append((start, end))
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
        units = list(self.units())
        following, preceding = dict(units), {end: start for start, end in units}
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
