"""Windows of a chunk's text, a few sentences each, with their page and heading. Pure."""

from __future__ import annotations

import re
import textwrap
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import Any, TypeAlias

from ingest.chunk.boundaries import find_sentence_starts
from ingest.chunk.offsets import join_headings
from ingest.chunk.tables import DELIMITER, find_tables
from ingest.commands.search.paragraphs import join_wrapped_lines
from ingest.index.generated import split_mark

LINE_CHARS = 76  # of a terminal with 80 columns, with an indent
MIN_LINE_SHARE = 0.5  # a short line counts as half of one, so an excerpt has twice as many at most
WINDOW_LINES = 3
# By rank: three of four answers that are found are in the first hit. 35 lines for five hits.
EXCERPT_LINES = (11, 8, 6, 5)
MAX_EXCERPT_PARTS = 2

# Characters that take two columns: hangul, kana, Han, and full-width forms.
WIDE = re.compile(
    "[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60]"
)
# One of them, with the marks that must not begin a line; or a word.
WIDE_OR_WORD = re.compile(
    rf"{WIDE.pattern}[、。，．・：；？！」』）】〉》]*\s*|(?:(?!{WIDE.pattern})\S)+\s*"
)

TextSpan: TypeAlias = tuple[int, int]  # start and end offset


@dataclass(frozen=True, slots=True)
class Passages:
    """The text of a hit with the offsets of its pages, sentences and sections."""

    text: str  # with a line for each paragraph
    page_start: int
    pages: Sequence[int]  # offset of each page
    sections: Sequence[tuple[int, str]]  # offset and headings of each; the first has offset 0
    units: Sequence[TextSpan]  # sentences, and the parts of long ones
    headers: Mapping[int, TextSpan]  # names of the columns, by the offset of each row
    figure: str = ""  # described by the text, with its page and the model; "": not generated

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Passages:
        """Read the fields of a hit. A chunk of an earlier version has no offsets of pages."""
        figure, text = describe_figure(fields), str(fields["content"])
        sentences = fields.get("sentence_offsets") or ()
        if figure:  # above it, the excerpt has what the mark says, and more
            mark, text = split_mark(text)
            sentences = sorted({max(0, offset - len(mark)) for offset in sentences})
        offsets = fields.get("section_offsets") or ()
        inside = zip(offsets, fields.get("sections") or (), strict=True)
        return cls(
            join_wrapped_lines(text, offsets),
            fields["page_start"],
            fields.get("page_offsets") or (0,),
            [(0, join_headings(fields.get("headings") or ())), *inside],
            list(split_units(text, sentences or find_sentence_starts(text))),
            find_column_names(text),
            figure,
        )

    def windows(self) -> list[TextSpan]:
        """Return a window for each sentence, with those that follow it in WINDOW_LINES lines.

        A window does not go on to another page, so that its own is certain, and a row of a table is
        one by itself.
        """
        pages = [self.page_of(unit) for unit in self.units]
        found: list[TextSpan] = []
        after = 0  # number of the sentence after the window
        for number, (start, _) in enumerate(self.units):
            last = after
            after = max(after, number + 1)
            while (
                start not in self.headers
                and after < len(self.units)
                and self.units[after][0] not in self.headers
                and pages[after] == pages[number]
                and count_lines(self.text[start : self.units[after][1]]) <= WINDOW_LINES
            ):
                after += 1
            if after > last:  # else it lies in the window before
                found.append((start, self.units[after - 1][1]))
        return found

    def text_of(self, window: TextSpan) -> str:
        """Return the text of a window; of a row, with the names of its columns."""
        spans = (*self.header_of(window), window)
        return DELIMITER.sub("", "".join(self.text[start:end] for start, end in spans))

    def header_of(self, window: TextSpan) -> list[TextSpan]:
        """Return the names of the columns above a row; none for other windows."""
        return [self.headers[window[0]]] if window[0] in self.headers else []

    def page_share(self, span: TextSpan) -> float:
        """Return the share of the text that is on the page of a span."""
        edges = (*self.pages, len(self.text))
        number = self.page_of(span) - self.page_start
        return (edges[number + 1] - edges[number]) / max(1, len(self.text))

    def page_of(self, span: TextSpan) -> int:
        """Return the page that carries most of a span, without white space."""
        edges = [min(max(page, span[0]), span[1]) for page in (0, *self.pages[1:], len(self.text))]
        sizes = [len("".join(self.text[a:b].split())) for a, b in pairwise(edges)]
        return self.page_start + sizes.index(max(sizes))

    def heading_of(self, span: TextSpan) -> str:
        """Return the headings above the middle of a span."""
        middle = sum(span) // 2
        number = bisect_right(self.sections, middle, key=lambda section: section[0])
        return self.sections[number - 1][1]

    def excerpt(self, windows: Sequence[TextSpan], lines: int) -> str:
        """Join the best of some windows, best first, to at most so many lines.

        "…" marks what is left out.
        """
        if not windows:
            return self.mark()
        parts = self.extend(self.pack(windows, lines), windows[0], lines)
        texts = [("… " if start > 0 else "") + tidy(self.text[start:end]) for start, end in parts]
        return self.mark() + "\n".join(texts) + (" …" if parts[-1][1] < len(self.text) else "")

    def mark(self) -> str:
        """Return the line above a generated text; "" for the document's own."""
        return f"[{self.figure}]\n" if self.figure else ""

    def pack(self, windows: Iterable[TextSpan], lines: int) -> list[TextSpan]:
        """Take windows as long as there is room, without what they share with earlier ones.

        The first comes with the sentence before it, if that fits, and a row with the names of its
        columns.
        """
        fits = self.limit(lines)
        preceding = {end: start for start, end in self.units}
        parts: list[TextSpan] = []
        for window in windows:
            rest = subtract_spans(window, parts)
            if rest[0] == rest[1]:
                continue
            taken = [*parts, *self.header_of(window), rest]
            wider = [taken]
            if not parts and window[0] in preceding and window[0] not in self.headers:
                wider.insert(0, [(preceding[window[0]], window[0]), window])
            parts = next(filter(fits, map(join_adjacent, wider)), parts)
            if len(parts) >= MAX_EXCERPT_PARTS:
                break
        return parts

    def extend(self, parts: Sequence[TextSpan], best: TextSpan, lines: int) -> list[TextSpan]:
        """Fill the room that is left with sentences next to the parts; the best window's first."""
        extended = join_adjacent(parts)
        while True:
            ranked = sorted(extended, key=lambda part: not part[0] <= best[0] < part[1])
            wider = next(filter(self.limit(lines), self.extensions(ranked)), None)
            if wider is None:
                return extended
            extended = wider

    def extensions(self, parts: Sequence[TextSpan]) -> Iterator[list[TextSpan]]:
        """Yield the parts with one of them longer by the sentence after it, or before it."""
        following, preceding = dict(self.units), {end: start for start, end in self.units}
        for _, end in parts:
            if end in following:
                yield join_adjacent([*parts, (end, following[end])])
        for start, _ in parts:
            if start in preceding:
                yield join_adjacent([*parts, (preceding[start], start)])

    def limit(self, lines: int) -> Callable[[Sequence[TextSpan]], bool]:
        """Return a function that tells whether parts have at most so many lines."""
        return lambda parts: sum(count_lines(self.text[a:b]) for a, b in parts) <= lines


def describe_figure(fields: Mapping[str, Any]) -> str:
    """Name the figure that a chunk describes, its page and the model; "" for other chunks."""
    if not fields.get("figure_kind"):
        return ""
    label, page = fields.get("figure_label") or "Figure", fields["page_start"]
    return f"{label}, page {page}, described by {fields.get('figure_model') or 'a model'}"


def find_column_names(text: str) -> dict[int, TextSpan]:
    """Return where the names of the columns stand, by the offset of each row of the tables."""
    return {
        row: (table.body - len(table.header) + 1, table.body)
        for table in find_tables(text)
        for row in table.rows
    }


def split_units(text: str, sentences: Sequence[int]) -> Iterator[TextSpan]:
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


def subtract_spans(span: TextSpan, others: Iterable[TextSpan]) -> TextSpan:
    """Return the part of a span outside of others, at one of its ends; may be empty."""
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


def join_adjacent(spans: Iterable[TextSpan]) -> list[TextSpan]:
    """Sort spans, and join those without a gap."""
    joined: list[TextSpan] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def tidy(text: str) -> str:
    """Return the lines of a text without empty ones, spare spaces and the delimiters of tables."""
    lines = DELIMITER.sub("", f"\n{text.strip()}").split("\n")
    tidied = (line if line.startswith("|") else " ".join(line.split()) for line in lines)
    return "\n".join(filter(None, tidied))


def count_lines(text: str) -> int:
    """Count the lines that a text takes on a terminal; a row of a table takes whole ones."""
    sizes = ((line, len(line) / LINE_CHARS) for line in tidy(text).split("\n"))
    return ceil(sum(ceil(n) if line[:1] == "|" else max(n, MIN_LINE_SHARE) for line, n in sizes))


def wrap(text: str, width: int) -> Iterator[str]:
    """Wrap each line of a text to so many columns of a terminal."""
    for line in text.split("\n"):
        yield from wrap_wide(line, width) if WIDE.search(line) else textwrap.wrap(line, width)


def wrap_wide(line: str, width: int) -> Iterator[str]:
    """Wrap a line with Chinese or Japanese characters, which take two columns and need no space."""
    part, columns = "", 0
    for piece in WIDE_OR_WORD.findall(line):
        size = len(piece.rstrip()) + len(WIDE.findall(piece))
        if part and columns + size > width:
            yield part.rstrip()
            part, columns = "", 0
        part += piece
        columns += size + len(piece) - len(piece.rstrip())
    yield part.rstrip()
