"""The text of a page from the lines found on it: columns, rows, paragraphs. Pure.

Rows before columns: what stands side by side is one row, as in a table or a form, unless both sides
are clearly columns of prose. A table read by columns is of no use to anybody.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

MIN_PROSE_WIDTH_HEIGHTS = 10  # times its height is the width of a line that is no cell of a table
MIN_PROSE_LINES = 5  # lines of prose make a column
MIN_COLUMN_FILL_SHARE = 0.6  # of a column's width is what its lines have in the median
PARAGRAPH_STEP_RATIO = 1.4  # times the usual step from row to row is one to the next paragraph


@dataclass(frozen=True, slots=True)
class TextLine:
    """A run of text and where it stands: pixels, from the top left corner."""

    text: str
    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        """How far down its middle is."""
        return (self.top + self.bottom) / 2


def arrange_lines(lines: Sequence[TextLine]) -> str:
    """The lines in reading order: a row on each line, an empty line between paragraphs."""
    return "\n\n".join(
        map(join_paragraphs, split_blocks(sorted(lines, key=lambda line: line.middle)))
    )


def split_blocks(lines: Sequence[TextLine]) -> Iterator[list[TextLine]]:
    """Runs of lines, from top to bottom, in the order in which to read them.

    What stands across columns is read before what is below it, and after what is above.
    """
    gutter = find_gutter(lines)
    if gutter is None:
        if lines:
            yield list(lines)
        return
    left, right, across = split_at(lines, gutter)
    for band in group_crossing_lines(across, [*left, *right]):
        above = [line for line in left if line.middle < band[0].middle]
        beside = [line for line in right if line.middle < band[0].middle]
        left, right = left[len(above) :], right[len(beside) :]
        yield from split_blocks(above)
        yield from split_blocks(beside)
        yield band
    yield from split_blocks(left)
    yield from split_blocks(right)


def group_crossing_lines(
    crossing: Sequence[TextLine], others: Sequence[TextLine]
) -> Iterator[list[TextLine]]:
    """The lines across columns, together where no other line is between them."""
    band: list[TextLine] = []
    for line in crossing:
        if band and any(band[-1].middle < other.middle < line.middle for other in others):
            yield band
            band = []
        band.append(line)
    if band:
        yield band


def split_at(
    lines: Sequence[TextLine], x: float
) -> tuple[list[TextLine], list[TextLine], list[TextLine]]:
    """The lines to the left of a place, to the right of it, and across it."""
    left = [line for line in lines if line.right <= x]
    right = [line for line in lines if line.left >= x]
    across = [line for line in lines if line.left < x < line.right]
    return left, right, across


def find_gutter(lines: Sequence[TextLine]) -> float | None:
    """Where the first column of prose ends, if there are several: most of the text keeps off it."""
    prose = [line for line in lines if line.width >= MIN_PROSE_WIDTH_HEIGHTS * line.height]
    if len(prose) < 2 * MIN_PROSE_LINES:
        return None
    edges = sorted({line.right for line in prose})
    x = min(edges, key=lambda edge: measure_crossing(prose, edge))
    if measure_crossing(prose, x) > sum(line.width for line in prose) / 2:
        return None
    left, right, _ = split_at(prose, x)
    more = is_column(right) or find_gutter(right) is not None
    return x if is_column(left) and more else None


def measure_crossing(lines: Sequence[TextLine], x: float) -> float:
    """How much text stands across a place; infinite where one side of it is next to empty."""
    left, right, across = split_at(lines, x)
    if min(len(left), len(right)) < MIN_PROSE_LINES:
        return math.inf
    return sum(line.width for line in across)


def is_column(lines: Sequence[TextLine]) -> bool:
    """Whether most lines are as wide as all of them together."""
    span = max(line.right for line in lines) - min(line.left for line in lines)
    return median(line.width for line in lines) >= MIN_COLUMN_FILL_SHARE * span


def join_paragraphs(lines: Sequence[TextLine]) -> str:
    """The rows of one column, with an empty line where the step to the next is a large one."""
    found = list(group_rows(lines))
    middles = [sum(line.middle for line in row) / len(row) for row in found]
    steps = [after - before for before, after in pairwise(middles)]
    usual = median(steps) if steps else 0.0
    text = [" ".join(line.text for line in row) for row in found]
    for place, step in enumerate(steps):
        if step > PARAGRAPH_STEP_RATIO * usual:
            text[place] += "\n"
    return "\n".join(text)


def group_rows(lines: Sequence[TextLine]) -> Iterator[list[TextLine]]:
    """Lines that stand side by side, from left to right; `lines` come from top to bottom."""
    row: list[TextLine] = []
    for line in lines:
        if row and not is_same_row(line, row[-1]):
            yield sorted(row, key=lambda each: each.left)
            row = []
        row.append(line)
    if row:
        yield sorted(row, key=lambda each: each.left)


def is_same_row(one: TextLine, other: TextLine) -> bool:
    """Whether two lines are at one height."""
    return abs(one.middle - other.middle) < min(one.height, other.height) / 2
