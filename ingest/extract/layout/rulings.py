"""Find the straight lines of a page: rules, and the edges of frames and shaded cells. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from ingest.extract.layout.geometry import Boxes
from ingest.extract.layout.segments import TextSegment, merge_segments
from ingest.extract.layout.whitespace import Band, Extent, merge_extents

MAX_RULE_THICKNESS_POINTS = 3.0  # anything thicker is a frame or a shaded cell
MIN_RULE_LENGTH_POINTS = 20.0  # anything shorter is part of a letter or a drawing
SAME_EDGE_POINTS = 3.0  # edges closer than this count as one
# In heights of the type, from a cell over several columns to the rules between these.
MAX_CLIP_HEIGHTS = 4
MAX_TABLE_RULES = 1000  # that run down a page, or across; more are a drawing
MAX_CELL_LINES = 6  # of a cell over several rows; more are a column of text


@dataclass(frozen=True, slots=True)
class Rulings:
    """The straight lines of a page, including the edges of frames and shaded cells, in points."""

    horizontal: list[tuple[float, Extent]]  # v, and the extent in u; from the top
    vertical: list[tuple[float, float, float]]  # v of the top, v of the bottom, u


def find_rulings(boxes: Boxes) -> Rulings:
    """Find the straight lines among the boxes of drawn objects, turned to the reader."""
    horizontal: list[tuple[float, Extent]] = []
    vertical = []
    for u0, v0, u1, v1 in boxes.tolist():
        if u1 - u0 >= MIN_RULE_LENGTH_POINTS:
            horizontal += (
                [((v0 + v1) / 2, (u0, u1))]
                if v1 - v0 <= MAX_RULE_THICKNESS_POINTS
                else [(v0, (u0, u1)), (v1, (u0, u1))]
            )
        if v1 - v0 > MAX_RULE_THICKNESS_POINTS:
            vertical += (
                [(v0, v1, (u0 + u1) / 2)]
                if u1 - u0 <= MAX_RULE_THICKNESS_POINTS
                else [(v0, v1, u0), (v0, v1, u1)]
            )
    return Rulings(join_rulings(horizontal), vertical)


def join_rulings(rulings: Sequence[tuple[float, Extent]]) -> list[tuple[float, Extent]]:
    """Join horizontal lines that were drawn cell by cell."""
    levels: list[tuple[float, list[Extent]]] = []
    for level, span in sorted(rulings):
        if levels and level - levels[-1][0] <= SAME_EDGE_POINTS:
            levels[-1][1].append(span)
        else:
            levels.append((level, [span]))
    return [
        (level, span) for level, spans in levels for span in merge_extents(spans, SAME_EDGE_POINTS)
    ]


class SpanningCell(NamedTuple):
    """A cell over several rows: its edges, the bottom of its first row, and that rule's extent."""

    left: float
    top: float
    right: float
    bottom: float
    first_row: float
    rule: Extent


def raise_spanning_cells(
    segments: Sequence[TextSegment], rulings: Rulings
) -> Sequence[TextSegment]:
    """Return segments with the text of each cell over several rows as one, in the first of these.

    Most programs draw it in the middle, where it would seem to belong to another row.
    """
    if not 0 < max(len(rulings.vertical), len(rulings.horizontal)) <= MAX_TABLE_RULES:
        return segments
    cells: dict[SpanningCell, list[TextSegment]] = defaultdict(list)
    for segment in segments:
        if cell := find_spanning_cell(segment, rulings):
            cells[cell].append(segment)
    moved: dict[int, TextSegment | None] = {}  # by drawing index; None for further lines
    for cell, lines in cells.items():
        beside = [
            s
            for s in segments
            if cell.top < s.middle < cell.first_row and s.u0 < cell.rule[1] and s.u1 > cell.rule[0]
        ]
        if (
            beside
            and len(lines) <= MAX_CELL_LINES
            and all(above.middle < below.v0 for above, below in pairwise(lines))
        ):
            row = min(beside, key=lambda s: s.v0)
            merged = merge_segments(lines, "\n".join(line.text for line in lines))
            moved |= dict.fromkeys([line.drawing_index for line in lines])
            moved[merged.drawing_index] = merged._replace(v0=row.v0, v1=row.v1)
    placed = (moved.get(segment.drawing_index, segment) for segment in segments)
    return [segment for segment in placed if segment]


def find_spanning_cell(segment: TextSegment, rulings: Rulings) -> SpanningCell | None:
    """Return the cell over several rows that a segment is in: rules beside it end at the cell."""
    rules, middle = rulings.horizontal, segment.middle
    left, right = segment.u0 + SAME_EDGE_POINTS, segment.u1 - SAME_EDGE_POINTS
    place = bisect_left(rules, (middle,))

    def is_across(number: int) -> bool:
        start, end = rules[number][1]
        return start < left and end > right

    above = next(filter(is_across, range(place - 1, -1, -1)), None)
    below = next(filter(is_across, range(place, len(rules))), None)
    if above is None or below is None or above + 1 == below:
        return None
    top, bottom = rules[above][0], rules[below][0]
    edges = [u for t, b, u in rulings.vertical if t - 1 <= middle <= b + 1]
    between = [
        (level, span)
        for level, span in rules[above + 1 : below]
        if top + SAME_EDGE_POINTS < level < bottom - SAME_EDGE_POINTS
        and (span[0] > right or span[1] < left)
        and all(any(abs(u - v) <= SAME_EDGE_POINTS for v in edges) for u in span)
    ]
    before, after = [u for u in edges if u < left], [u for u in edges if u > right]
    if not (between and before and after):
        return None
    return SpanningCell(max(before), top, min(after), bottom, *between[0])


def clip_spanning_cells(bands: Sequence[Band], rulings: Rulings) -> list[Band]:
    """Return bands whose cells over several columns end where the first of these ends.

    Rules are on all sides of such a cell, and rules of the rows next to it end at its own.
    """
    rules = sorted({(u, top, bottom) for top, bottom, u in rulings.vertical})
    if not 0 < len(rules) <= MAX_TABLE_RULES:
        return list(bands)
    edges = [u for u, _, _ in rules]

    def clip(segment: TextSegment) -> TextSegment:
        near, middle = MAX_CLIP_HEIGHTS * segment.height, segment.middle
        left, right = segment.u0 + SAME_EDGE_POINTS, segment.u1 - SAME_EDGE_POINTS
        crossed = rules[bisect_right(edges, left) : bisect_right(edges, right)]
        if not crossed:
            return segment
        first = bisect_left(rulings.horizontal, (middle - near - 1,))
        last = bisect_left(rulings.horizontal, (middle + near + 1,))
        levels = [
            level
            for level, (start, end) in rulings.horizontal[first:last]
            if start < left and end > right and abs(level - middle) < near
        ]
        if not (levels and min(levels) < middle < max(levels)):
            return segment
        beside = [u for u, top, bottom in rules if top < middle < bottom]
        if not (beside and beside[0] < left and beside[-1] > right):
            return segment
        ends = (
            u
            for u, top, bottom in crossed
            for end in (top, bottom)
            if not top < middle < bottom
            and any(abs(end - level) <= SAME_EDGE_POINTS for level in levels)
        )
        end = next(ends, None)
        return segment if end is None else segment._replace(u1=end)

    return [[clip(segment) for segment in band] for band in bands]


def find_row_rulings(band: Band, rulings: Rulings) -> list[float]:
    """Return v of the lines that extend as far as the nearest one that underlines a whole band."""
    left, right = band[0].u0, max(segment.u1 for segment in band)
    fitting = [
        (level, span)
        for level, span in rulings.horizontal
        if span[0] <= left + SAME_EDGE_POINTS and span[1] >= right - SAME_EDGE_POINTS
    ]
    below = [(level, span) for level, span in fitting if level >= band[0].middle]
    if not below:
        return []
    _, (u0, u1) = below[0]
    return [
        level
        for level, span in fitting
        if abs(span[0] - u0) <= SAME_EDGE_POINTS and abs(span[1] - u1) <= SAME_EDGE_POINTS
    ]
