"""Put cells over several rows into the first of these, as the drawing order shows. Pure.

Programs that draw a table cell by cell draw such a cell, half-way down its rows, between the cells
of the first one. The drawing goes down to it, and up again.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from operator import attrgetter
from typing import NamedTuple

from ingest.extract.layout.segments import TextSegment, merge_segments

MAX_CELL_LINES = 6  # of a cell over several rows; more are a column of text
MIN_CELLS = 2  # over several rows, in one column
MAX_PIECES = 200  # among which the last row of a cell is
SAME_EDGE_POINTS = 1.0  # of the cells of a column

# In heights of the type.
MIN_DROP = 0.5  # from the first row to the cell
MAX_OFF_MIDDLE = 0.15  # of its rows
MAX_LINE_DROP = 2.0  # from one line of a cell to the next


class RaisedCell(NamedTuple):
    """A cell on a line with others of its first row, and the drawing indexes of its lines."""

    segment: TextSegment
    lines: list[int]


def find_drawn_cells(segments: Sequence[TextSegment]) -> list[RaisedCell]:
    """Find the cells that are drawn below others of their row, and put them on a line with these.

    A single one may be anything: there are two in a column.
    """
    cells = list_cells(sorted(segments, key=attrgetter("drawing_index")))
    found = list(find_raised(cells))
    lefts = sorted(cell[0].u0 for cell, _ in found)
    raised = []
    for cell, row in found:
        left = cell[0].u0
        aligned = bisect(lefts, left + SAME_EDGE_POINTS) - bisect(lefts, left - SAME_EDGE_POINTS)
        if aligned >= MIN_CELLS:
            merged = merge_segments(cell, "\n".join(line.text for line in cell))
            lines = [line.drawing_index for line in cell]
            merged = replace(merged, v0=row.v0, v1=row.v1, is_raised=True)
            raised.append(RaisedCell(merged, lines))
    return raised


def raise_cells(
    segments: Sequence[TextSegment], raised: Sequence[RaisedCell]
) -> Sequence[TextSegment]:
    """Return segments with some cells in the line of their first row."""
    lines = {line for cell in raised for line in cell.lines}
    kept = [segment for segment in segments if segment.drawing_index not in lines]
    return [*kept, *(cell.segment for cell in raised)] if raised else segments


def list_cells(drawn: Sequence[TextSegment]) -> list[list[TextSegment]]:
    """Group segments that are drawn one below the other."""
    cells: list[list[TextSegment]] = []
    for segment in drawn:
        last = cells[-1][-1] if cells else None
        if (
            last
            and segment.u0 < last.u1
            and segment.u1 > last.u0
            and last.v0 < segment.v0 < last.v0 + MAX_LINE_DROP * (last.v1 - last.v0)
        ):
            cells[-1].append(segment)
        else:
            cells.append([segment])
    return cells


def find_raised(
    cells: Sequence[Sequence[TextSegment]],
) -> Iterator[tuple[Sequence[TextSegment], TextSegment]]:
    """Yield each cell over several rows, and one of the first of these; the last cell first."""
    row: TextSegment | None = None
    for number in range(len(cells) - 2, -1, -1):
        cell, after = cells[number], cells[number + 1][0]
        if not row and after.v0 >= cell[0].v0 and after.u1 >= cell[0].u0:
            continue  # saves time: most pieces are followed by what is below or right of them
        before = cells[number - 1][-1] if number else None
        level = is_level(before, cell)
        if row or not level:  # what is on a line with such a cell is one, too
            row = find_row(None if level else before, cell, row or after)
        later = cells[number + 1 : number + MAX_PIECES]
        if row and len(cell) <= MAX_CELL_LINES and is_half_way(cell, row, later):
            yield cell, row
        else:
            row = None


def is_level(before: TextSegment | None, cell: Sequence[TextSegment]) -> bool:
    """Return whether what is drawn before a cell is on a line with it."""
    first = cell[0]
    return before is not None and abs(before.middle - first.middle) < MIN_DROP * first.height


def find_row(
    before: TextSegment | None, cell: Sequence[TextSegment], after: TextSegment
) -> TextSegment | None:
    """Return a piece on the line that a lower cell belongs to, given what is drawn next to it."""
    first, right = cell[0], max(line.u1 for line in cell)
    low = first.middle - MIN_DROP * first.height
    if after.u0 > right and after.middle <= low:
        is_first = not before or before.u1 < first.u0 or before.v1 < after.middle
        return after if is_first else None
    # The last cell of its row.
    is_last = before and max(before.u1, after.u1) < first.u0
    return before if before and is_last and before.middle <= min(low, after.v0) else None


def is_half_way(
    cell: Sequence[TextSegment], row: TextSegment, later: Sequence[Sequence[TextSegment]]
) -> bool:
    """Return whether a cell is half-way between its first row and one that is drawn later."""
    middle, off = (cell[0].v0 + cell[-1].v1) / 2, MAX_OFF_MIDDLE * row.height
    for other in islice(chain.from_iterable(later), MAX_PIECES):
        if abs(other.u0 - cell[0].u0) <= SAME_EDGE_POINTS and other.middle > middle:
            return False
        if abs((row.middle + other.middle) / 2 - middle) <= off:
            return True
    return False
