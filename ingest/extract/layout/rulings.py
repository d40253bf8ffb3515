"""Find the straight lines of a page: rules, and the edges of frames and shaded cells. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple

from ingest.extract.layout.geometry import Boxes
from ingest.extract.layout.segments import TextSegment, merge_segments
from ingest.extract.layout.whitespace import MIN_WHITE_HEIGHTS, Band, Extent, merge_extents

MAX_RULE_THICKNESS_POINTS = 3.0  # anything thicker is a frame or a shaded cell
MIN_RULE_LENGTH_POINTS = 20.0  # anything shorter is part of a letter or a drawing
SAME_EDGE_POINTS = 3.0  # edges closer than this count as one
MIN_RULED_GAP_POINTS = 0.5  # between columns that rules part
MAX_CELL_POINTS = 20.0  # from a line to the text of the cell above it
# In heights of the type, from a cell over several columns to the rules between these.
MAX_CLIP_HEIGHTS = 4
MAX_TABLE_RULES = 1000  # that run down a page, or across; more are a drawing
MIN_GRID_BANDS = 2  # lines above the end of a grid, that are all in it
MIN_GRID_RULES = 3  # from edge to edge
MAX_CELL_LINES = 6  # of a cell over several rows; more are a column of text


@dataclass(frozen=True, slots=True)
class Rulings:
    """The straight lines of a page, including the edges of frames and shaded cells, in points."""

    horizontal: list[tuple[float, Extent]]  # v, and the extent in u; from the top
    # v of the top, v of the bottom, u; from the left
    vertical: list[tuple[float, float, float]]
    # the same of the edges between cells that are drawn with a line each, above or below them
    joints: Sequence[tuple[float, float, float]] = ()


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
    levels = group_levels(horizontal)
    joined = [
        (level, span) for level, spans in levels for span in merge_extents(spans, SAME_EDGE_POINTS)
    ]
    return Rulings(joined, sorted(vertical, key=itemgetter(2)), find_joints(levels))


def group_levels(rulings: Sequence[tuple[float, Extent]]) -> list[tuple[float, list[Extent]]]:
    """Group horizontal lines that are on one level, from left to right."""
    levels: list[tuple[float, list[Extent]]] = []
    for level, span in sorted(rulings):
        if levels and level - levels[-1][0] <= SAME_EDGE_POINTS:
            levels[-1][1].append(span)
        else:
            levels.append((level, [span]))
    return [(level, sorted(spans)) for level, spans in levels]


def find_joints(
    levels: Sequence[tuple[float, Sequence[Extent]]],
) -> list[tuple[float, float, float]]:
    """Find where lines on one level meet: the edge between two cells.

    It goes down to the next level, and else as far as a line of text.
    """
    found = []
    for number, (level, spans) in enumerate(levels):
        after = levels[number + 1][0] if number + 1 < len(levels) else level + MAX_CELL_POINTS
        found += [
            (level - MAX_CELL_POINTS, after, (one[1] + other[0]) / 2)
            for one, other in pairwise(spans)
            if abs(other[0] - one[1]) <= SAME_EDGE_POINTS
        ]
    return found[:MAX_TABLE_RULES]


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

    Most programs draw it in the middle, where it would seem to belong to another row. What is
    neither there nor in the first row is something else.
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
        off = abs(lines[0].v0 + lines[-1].v1 - cell.top - cell.bottom)
        if (
            beside
            and len(lines) <= MAX_CELL_LINES
            and (off <= lines[0].height or lines[0].middle < cell.first_row)
            and all(above.middle < below.v0 for above, below in pairwise(lines))
        ):
            row = min(beside, key=lambda s: s.v0)
            merged = merge_segments(lines, "\n".join(line.text for line in lines))
            moved |= dict.fromkeys([line.drawing_index for line in lines])
            moved[merged.drawing_index] = replace(merged, v0=row.v0, v1=row.v1)
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
    edges = find_edges([segment], rulings)
    between = [
        (level, span)
        for level, span in rules[above + 1 : below]
        if top + SAME_EDGE_POINTS < level < bottom - SAME_EDGE_POINTS
        and (span[0] > right or span[1] < left)
        and is_between_edges(level, span, rulings)
    ]
    before, after = [u for u in edges if u < left], [u for u in edges if u > right]
    if not (between and before and after):
        return None
    return SpanningCell(max(before), top, min(after), bottom, *between[0])


def split_below_grids(bands: Sequence[Band], rulings: Rulings) -> Iterator[Sequence[Band]]:
    """Split bands at each line of text below a grid: rules run down beside no line but those above.

    What follows may be another grid, whose columns are others.
    """
    start = 0
    if 0 < len(rulings.vertical) <= MAX_TABLE_RULES:
        for number in range(MIN_GRID_BANDS, len(bands)):
            band, above = bands[number], bands[number - MIN_GRID_BANDS : number]
            if (
                len(band) == 1
                and len(above[-1]) > 1
                and not find_edges(band, rulings)
                and all(is_in_grid(one, find_edges(one, rulings)) for one in above)
            ):
                yield bands[start:number]
                start = number
    yield bands[start:]


def find_edges(band: Band, rulings: Rulings) -> list[float]:
    """Return u of the rules that run down beside a band."""
    middle = band[0].middle
    return [u for top, bottom, u in rulings.vertical if top - 1 <= middle <= bottom + 1]


def is_in_grid(band: Band, edges: Sequence[float]) -> bool:
    """Return whether a band is between the edges of a grid."""
    return bool(edges) and min(edges) < band[0].u0 and band[-1].u1 < max(edges)


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
        return segment if end is None else replace(segment, u1=end)

    return [[clip(segment) for segment in band] for band in bands]


def find_row_rulings(band: Band, rulings: Rulings) -> list[float]:
    """Return v of the lines that extend as far as the nearest one that underlines a whole band.

    Below the first row, lines that end at a cell over several rows part the other cells.
    """
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
    levels = [
        level
        for level, span in fitting
        if abs(span[0] - u0) <= SAME_EDGE_POINTS and abs(span[1] - u1) <= SAME_EDGE_POINTS
    ]
    if len(levels) < MIN_GRID_RULES:
        return levels
    inner = [
        level
        for level, span in rulings.horizontal
        if levels[1] < level < levels[-1]
        and level not in levels
        and min(abs(span[0] - u0), abs(span[1] - u1)) <= SAME_EDGE_POINTS
        and is_between_edges(level, span, rulings)
    ]
    return sorted([*levels, *inner])


def is_between_edges(level: float, span: Extent, rulings: Rulings) -> bool:
    """Return whether a rule begins and ends at rules that run down across its level."""
    edges = rulings.vertical

    def is_edge(u: float) -> bool:
        first = bisect_left(edges, u - SAME_EDGE_POINTS, key=itemgetter(2))
        last = bisect_right(edges, u + SAME_EDGE_POINTS, key=itemgetter(2))
        return any(top - 1 <= level <= bottom + 1 for top, bottom, _ in edges[first:last])

    return all(map(is_edge, span))


def find_min_gap(band: Band, rulings: Rulings, height: float) -> float:
    """Return the least gap between two columns; where rules part them, that of two words."""
    left, right, middle = band[0].u1 - 1, band[-1].u0 + 1, band[0].middle
    is_parted = any(
        left < u < right and top < middle < bottom for top, bottom, u in rulings.vertical
    )
    return MIN_RULED_GAP_POINTS if is_parted else MIN_WHITE_HEIGHTS * height
