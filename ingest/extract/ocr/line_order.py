"""Arrange recognised lines in reading order: columns, rows, paragraphs. Pure.

Lines side by side form one row, as in a table or a form, unless both sides are clearly columns of
prose: a table read column by column is useless.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

MIN_PROSE_WIDTH_HEIGHTS = 10  # line heights; a narrower line may be a cell of a table
MIN_PROSE_LINES = 5  # that make a column
MIN_COLUMN_FILL_SHARE = 0.6  # median width of its lines, as a share of the width of the column
PARAGRAPH_STEP_RATIO = 1.4  # times the median step between rows: a new paragraph


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of text and its position, in pixels from the top left corner."""

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
        """Vertical position of its middle."""
        return (self.top + self.bottom) / 2


def arrange_lines(lines: Sequence[TextLine]) -> str:
    """Join the lines in reading order: one row per line, an empty line between paragraphs."""
    return "\n\n".join(
        map(join_paragraphs, split_blocks(sorted(lines, key=lambda line: line.middle)))
    )


def split_blocks(lines: Sequence[TextLine]) -> Iterator[list[TextLine]]:
    """Yield blocks of lines in reading order.

    Lines that cross columns are read after all lines above them, and before all lines below.
    """
    gutter = find_gutter(lines)
    if gutter is None:
        if lines:
            yield list(lines)
        return
    left, right, crossing = split_at(lines, gutter)
    for band in group_crossing_lines(crossing, [*left, *right]):
        left_above = [line for line in left if line.middle < band[0].middle]
        right_above = [line for line in right if line.middle < band[0].middle]
        left, right = left[len(left_above) :], right[len(right_above) :]
        yield from split_blocks(left_above)
        yield from split_blocks(right_above)
        yield band
    yield from split_blocks(left)
    yield from split_blocks(right)


def group_crossing_lines(
    crossing: Sequence[TextLine], others: Sequence[TextLine]
) -> Iterator[list[TextLine]]:
    """Group lines that cross columns and have no other line between them."""
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
    """Return the lines to the left of x, to the right of it, and across it."""
    left = [line for line in lines if line.right <= x]
    right = [line for line in lines if line.left >= x]
    crossing = [line for line in lines if line.left < x < line.right]
    return left, right, crossing


def find_gutter(lines: Sequence[TextLine]) -> float | None:
    """Find the right edge of the first column of prose; None if there is only one column.

    Most of the text must not cross it.
    """
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
    """Return the total width of the lines that cross x; infinite if a side has too few lines."""
    left, right, crossing = split_at(lines, x)
    if min(len(left), len(right)) < MIN_PROSE_LINES:
        return math.inf
    return sum(line.width for line in crossing)


def is_column(lines: Sequence[TextLine]) -> bool:
    """Return True if most lines fill the width that all of them span."""
    span = max(line.right for line in lines) - min(line.left for line in lines)
    return median(line.width for line in lines) >= MIN_COLUMN_FILL_SHARE * span


def join_paragraphs(lines: Sequence[TextLine]) -> str:
    """Join the rows of one column, with an empty line after each paragraph."""
    rows = list(group_rows(lines))
    middles = [sum(line.middle for line in row) / len(row) for row in rows]
    steps = [after - before for before, after in pairwise(middles)]
    usual = median(steps) if steps else 0.0
    text = [" ".join(line.text for line in row) for row in rows]
    for index, step in enumerate(steps):
        if step > PARAGRAPH_STEP_RATIO * usual:
            text[index] += "\n"
    return "\n".join(text)


def group_rows(lines: Sequence[TextLine]) -> Iterator[list[TextLine]]:
    """Yield rows of lines side by side, left to right. `lines` must be sorted top to bottom."""
    row: list[TextLine] = []
    for line in lines:
        if row and not is_same_row(line, row[-1]):
            yield sorted(row, key=lambda each: each.left)
            row = []
        row.append(line)
    if row:
        yield sorted(row, key=lambda each: each.left)


def is_same_row(one: TextLine, other: TextLine) -> bool:
    """Return True if two lines are at the same height."""
    return abs(one.middle - other.middle) < min(one.height, other.height) / 2
