"""The straight lines of a page: rules, and the edges of frames and shaded cells. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ingest.extract.layout.geometry import Boxes
from ingest.extract.layout.whitespace import Span, covered

THIN = 3.0  # points: what is thinner is a rule
LONG = 20.0  # points: what is shorter is a part of a letter or of a drawing
SAME = 3.0  # points: edges that are closer are one


@dataclass(frozen=True, slots=True)
class Rules:
    """The straight lines of a page, those that frames and shaded cells end with among them."""

    flat: list[tuple[float, Span]]  # how far down, and from where to where; from the top
    upright: list[tuple[float, float, float]]  # from how far down to how far, and where


def rules(boxes: Boxes) -> Rules:
    """The rules among what is drawn, boxes as the reader sees them."""
    flat: list[tuple[float, Span]] = []
    upright = []
    for u0, v0, u1, v1 in boxes.tolist():
        if u1 - u0 >= LONG:
            flat += (
                [((v0 + v1) / 2, (u0, u1))] if v1 - v0 <= THIN else [(v0, (u0, u1)), (v1, (u0, u1))]
            )
        if v1 - v0 > THIN:
            upright += (
                [(v0, v1, (u0 + u1) / 2)] if u1 - u0 <= THIN else [(v0, v1, u0), (v0, v1, u1)]
            )
    return Rules(whole(flat), upright)


def whole(flat: Sequence[tuple[float, Span]]) -> list[tuple[float, Span]]:
    """Rules joined from the parts that one cell each has drawn."""
    levels: list[tuple[float, list[Span]]] = []
    for level, span in sorted(flat):
        if levels and level - levels[-1][0] <= SAME:
            levels[-1][1].append(span)
        else:
            levels.append((level, [span]))
    return [(level, span) for level, spans in levels for span in covered(spans, SAME)]
