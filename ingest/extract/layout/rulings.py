"""The straight lines of a page: rules, and the edges of frames and shaded cells. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ingest.extract.layout.geometry import Boxes
from ingest.extract.layout.whitespace import Extent, merge_extents

MAX_RULE_THICKNESS_POINTS = 3.0  # points: what is thinner is a rule
MIN_RULE_LENGTH_POINTS = 20.0  # points: what is shorter is a part of a letter or of a drawing
SAME_EDGE_POINTS = 3.0  # points: edges that are closer are one


@dataclass(frozen=True, slots=True)
class Rulings:
    """The straight lines of a page, those that frames and shaded cells end with among them."""

    horizontal: list[tuple[float, Extent]]  # how far down, and from where to where; from the top
    vertical: list[tuple[float, float, float]]  # from how far down to how far, and where


def find_rulings(boxes: Boxes) -> Rulings:
    """The rules among what is drawn, boxes as the reader sees them."""
    flat: list[tuple[float, Extent]] = []
    upright = []
    for u0, v0, u1, v1 in boxes.tolist():
        if u1 - u0 >= MIN_RULE_LENGTH_POINTS:
            flat += (
                [((v0 + v1) / 2, (u0, u1))]
                if v1 - v0 <= MAX_RULE_THICKNESS_POINTS
                else [(v0, (u0, u1)), (v1, (u0, u1))]
            )
        if v1 - v0 > MAX_RULE_THICKNESS_POINTS:
            upright += (
                [(v0, v1, (u0 + u1) / 2)]
                if u1 - u0 <= MAX_RULE_THICKNESS_POINTS
                else [(v0, v1, u0), (v0, v1, u1)]
            )
    return Rulings(join_rulings(flat), upright)


def join_rulings(flat: Sequence[tuple[float, Extent]]) -> list[tuple[float, Extent]]:
    """Rules joined from the parts that one cell each has drawn."""
    levels: list[tuple[float, list[Extent]]] = []
    for level, span in sorted(flat):
        if levels and level - levels[-1][0] <= SAME_EDGE_POINTS:
            levels[-1][1].append(span)
        else:
            levels.append((level, [span]))
    return [
        (level, span) for level, spans in levels for span in merge_extents(spans, SAME_EDGE_POINTS)
    ]
