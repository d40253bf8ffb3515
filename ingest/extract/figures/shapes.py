"""Boxes and shapes on a page, in points; up is positive."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, TypeAlias

Box: TypeAlias = tuple[float, float, float, float]  # left, bottom, right, top

MIN_PATHS = 3  # of a drawing
RULE_POINTS = 2.5  # a path that is thinner is a line

MIN_SIDE_POINTS = 28.0  # 1 cm; a figure is no narrower, or it is a rule
MIN_AREA_POINTS = 57.0 * 57.0  # 2 x 2 cm
MIN_PAGE_SHARE = 0.015
MIN_CAPTIONED_POINTS = 20.0  # of either side, with a caption


class Look(Enum):
    """Appearance of a drawn object."""

    PICTURE = 0  # an image or a shading
    RULE = 1  # a level or upright line
    PLAIN_BOX = 2  # a rectangle, its corners rounded or not
    SHAPE = 3  # anything slanted or curved


class Shape(NamedTuple):
    """One image, shading or path of a page."""

    box: Box
    look: Look
    filled: bool = False  # in another colour than paper
    identity: str = ""  # of an image: equal where the same image is shown


@dataclass(frozen=True, slots=True)
class DrawnPage:
    """Page as drawn: shapes in drawing order, and lines of text."""

    width: float
    height: float
    shapes: Sequence[Shape]
    lines: Sequence[Box]  # of text; cells of a table and labels are lines of their own
    body: frozenset[int] = field(default=frozenset())  # indexes of the lines of paragraphs


def width_of(box: Box) -> float:
    """Return the width of a box."""
    return box[2] - box[0]


def height_of(box: Box) -> float:
    """Return the height of a box."""
    return box[3] - box[1]


def area_of(box: Box) -> float:
    """Return the area of a box; 0 if its sides are in reverse."""
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def is_large(width: float, height: float, share: float, *, has_caption: bool) -> bool:
    """Return whether a figure of so many points, and a share of its page, is large enough."""
    if has_caption:
        return min(width, height) >= MIN_CAPTIONED_POINTS
    return (
        min(width, height) >= MIN_SIDE_POINTS
        and width * height >= MIN_AREA_POINTS
        and share >= MIN_PAGE_SHARE
    )


def grow(box: Box, by: float) -> Box:
    """Return a box that is larger on each side."""
    return box[0] - by, box[1] - by, box[2] + by, box[3] + by


def intersect(a: Box, b: Box) -> Box:
    """Return the intersection of two boxes; its sides are in reverse if they do not meet."""
    return max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])


def touches(one: Box, other: Box) -> bool:
    """Return whether two boxes have a point in common."""
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]


def has_middle(outer: Box, inner: Box) -> bool:
    """Return whether the middle of one box is in another."""
    x, y = (inner[0] + inner[2]) / 2, (inner[1] + inner[3]) / 2
    return outer[0] <= x <= outer[2] and outer[1] <= y <= outer[3]


def share_inside(box: Box, outer: Box) -> float:
    """Return the share of a box that is inside of another."""
    return area_of(intersect(grow(box, 0.5), outer)) / area_of(grow(box, 0.5))


def enclose(boxes: Iterable[Box]) -> Box:
    """Return the smallest box around some boxes."""
    lefts, bottoms, rights, tops = zip(*boxes, strict=True)
    return min(lefts), min(bottoms), max(rights), max(tops)
