"""Find the straight lines of a page: rules, and the edges of frames and shaded cells. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from ingest.extract.layout.geometry import Boxes
from ingest.extract.layout.segments import TextSegment
from ingest.extract.layout.whitespace import Band, Extent, merge_extents

MAX_RULE_THICKNESS_POINTS = 3.0  # anything thicker is a frame or a shaded cell
MIN_RULE_LENGTH_POINTS = 20.0  # anything shorter is part of a letter or a drawing
SAME_EDGE_POINTS = 3.0  # edges closer than this count as one
# In heights of the type, from a cell over several columns to the rules between these.
MAX_CLIP_HEIGHTS = 4
MAX_TABLE_RULES = 1000  # that run down a page; more are a drawing


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
