"""Write the bullets of lists that are drawn as shapes. Native code: only run it in a sandbox.

Browsers draw the disc, circle or square before an item as a path, which no text of the page has.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from itertools import combinations
from operator import sub

from ingest.extract.bidi import RIGHT_TO_LEFT
from ingest.extract.engines.pdfium_objects import iter_boxes, split_edges
from ingest.extract.engines.pdfium_raw import BOX_FIELDS, TextHandle, list_char_edges
from ingest.extract.engines.placeholders import Placeholders
from ingest.extract.figures.shapes import Box

# Of a line with more than a letter or two, as at the points of a chart.
WORD_START = re.compile(r"(?<!\S)\S(?=[^\r\n]{2})")
BULLET = "\u2022 "

MIN_SIDE_POINTS, MAX_SIDE_POINTS = 1.5, 20.0
MAX_SAME_POINTS = 0.3  # from one bullet of a list to another, in size and from the left
MIN_APART_SIDES = 2  # from one bullet to another; a dotted line has closer ones
MAX_SHAPES = 200  # of a page; with more, they are a drawing
MAX_CHARS = 20_000  # of a page; one with more has no bullets

# In heights of the type of an item.
MIN_SIDE, MAX_SIDE = 0.15, 0.5
MAX_GAP = 1.2  # from a bullet to its item
MAX_OFF_MIDDLE = 0.25
MAX_SIZE_RATIO = 1.5  # of its type to that of most words; a shape before a heading is decoration


def write_bullets(
    handle: TextHandle, text: str, bounds: array[float], placeholders: Placeholders
) -> str:
    """Return the text of a page with a bullet at each word that one is drawn before.

    `bounds` are the left, bottom, right and top of each path of the page.
    """
    bullets = find_bullets(bounds) if len(text) <= MAX_CHARS else []
    if not bullets:
        return text
    starts = [match.start() for match in WORD_START.finditer(text)]
    edges = list_char_edges(handle, starts)
    fields = (edges[field::BOX_FIELDS] for field in range(BOX_FIELDS))
    heights = sorted(map(sub, edges[1::BOX_FIELDS], edges[3::BOX_FIELDS]))
    largest = MAX_SIZE_RATIO * heights[len(heights) // 2] if heights else 0.0
    words = [w for w in zip(starts, *fields, strict=True) if w[2] - w[4] <= largest]
    chars = list(text)
    for left, low, right, high in bullets:
        middle, side = (low + high) / 2, right - left
        beside = []
        for start, word_left, top, word_right, bottom in words:
            height = top - bottom
            if bottom < middle < top and MIN_SIDE * height <= side <= MAX_SIDE * height:
                is_leftward = RIGHT_TO_LEFT.match(text, start)
                gap = left - word_right if is_leftward else word_left - right
                off = abs(middle - (top + bottom) / 2)
                if 0 <= gap <= MAX_GAP * height and off <= MAX_OFF_MIDDLE * height:
                    beside.append((gap, start))
        if beside:
            _, start = min(beside)
            chars[start] = placeholders.standing_for(BULLET + text[start])
    return "".join(chars)


def find_bullets(bounds: array[float]) -> list[Box]:
    """Return the bounds of the paths that may be bullets: small, as wide as high, and in a column.

    Lone ones are as large as some in a column, and close ones are a dotted line.
    """
    shapes = [
        (left, low, right, high)
        for left, low, right, high in iter_boxes(split_edges(bounds))
        if MIN_SIDE_POINTS <= right - left <= MAX_SIDE_POINTS and is_near(right - left, high - low)
    ]
    if not 1 < len(shapes) <= MAX_SHAPES:
        return []
    apart = [shape for shape in shapes if is_apart(shape, shapes)]
    sizes = {
        one[2] - one[0]
        for one, other in combinations(apart, 2)
        if is_near(one[0], other[0]) and is_near(one[2], other[2])
    }
    return [shape for shape in apart if any(is_near(shape[2] - shape[0], size) for size in sizes)]


def is_apart(shape: Box, shapes: Sequence[Box]) -> bool:
    """Return whether no other shape is close to one."""
    left, low, right, _ = shape
    near = MIN_APART_SIDES * (right - left)
    return all(
        abs(other[0] - left) > near or abs(other[1] - low) > near
        for other in shapes
        if other is not shape
    )


def is_near(one: float, other: float) -> bool:
    """Return whether two lengths or places of bullets are the same."""
    return abs(one - other) <= MAX_SAME_POINTS
