"""Measure the lines of a page, and tell which captions may be those of a figure.

Native code: only run it in a sandbox.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence

from ingest.extract.engines.pdfium_objects import (
    FORM,
    PATH,
    PageObjects,
    iter_boxes,
    read_edges,
    transform_box,
)
from ingest.extract.engines.pdfium_raw import (
    BOX_FIELDS,
    PageHandle,
    TextHandle,
    list_char_edges,
    rotation_of,
)
from ingest.extract.figures.captions import MAX_INSIDE_POINTS, Caption, is_beside
from ingest.extract.figures.shapes import MIN_PATHS, RULE_POINTS, Box, enclose, touches

MAX_SHAPES = 6000  # of a page; the rest is not looked at
MIN_PICTURE_POINTS = 20.0  # of either side of a figure with a caption
LABELS_POINTS = 45.0  # between a caption and the paths of its figure: labels of an axis
FIGURE_POINTS = 150.0  # above or below a caption, where its figure is looked for at first
# U+FFFE is PDFium's for a hyphen at the end of a line; the next one follows it at once.
LINE = re.compile(r"[^\s\ufffe](?:[^\r\n\ufffe]*[^\s\ufffe])?")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # but tabs and line breaks


class Lines:
    """The lines of a page's text, measured if need be."""

    def __init__(self, text: TextHandle, drawn: str, turn: Turn) -> None:
        self.text, self.drawn, self.turn = text, drawn, turn
        self.boxes: list[tuple[Box, str]] | None = None

    def find_next(self, figure: Box, *, above: bool) -> str:
        """Return the next line above or below a figure, in its column; "" if there is none."""
        if self.boxes is None:
            spans = [found.span() for found in LINE.finditer(self.drawn)]
            self.boxes = [
                (caption.box, caption.text)
                for caption in measure_lines(self.text, self.drawn, spans, self.turn)
            ]
        beside = [one for one in self.boxes if one[0][0] < figure[2] and figure[0] < one[0][2]]
        if above:
            found = [(-box[1], text) for box, text in beside if box[1] >= figure[3] - 2]
        else:
            found = [(box[3], text) for box, text in beside if box[3] <= figure[1] + 2]
        return max(found)[1] if found else ""


def measure_lines(
    text: TextHandle, drawn: str, spans: Sequence[tuple[int, int]], turn: Turn
) -> list[Caption]:
    """Return the lines at some offsets with their boxes, from their first and last characters."""
    if not spans:
        return []
    edges = list_char_edges(text, [n for start, end in spans for n in (start, end - 1)])
    corners = [edges[n : n + BOX_FIELDS] for n in range(0, len(edges), BOX_FIELDS)]
    found = []
    for (start, end), first, last in zip(spans, corners[::2], corners[1::2], strict=True):
        boxes = [(left, bottom, right, top) for left, top, right, bottom in (first, last)]
        line = drawn[start:end].encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
        found.append(Caption(start, CONTROL.sub("", line), turn(enclose(boxes))))
    return found


def as_units(drawn: str, count: int) -> str:
    """Return the characters of a page, one for each that PDFium counts; "" if that fails.

    It counts a character beyond the first 65,536 as two, as UTF-16 does.
    """
    if len(drawn) != count:
        drawn = "".join(map(chr, array("H", drawn.encode("utf-16-le", "surrogatepass"))))
    return drawn if len(drawn) == count else ""


def iter_bounds(objects: PageObjects) -> Iterator[tuple[int, Box]]:
    """Yield the kind and the bounds of the objects of a page except text, clipped or not."""
    for one in objects.lists:
        if not one.kinds:
            continue
        pairs = zip(one.others[:MAX_SHAPES], one.kinds, strict=False)
        drawn = [(n, kind) for n, kind in pairs if kind != FORM]
        boxes = iter_boxes(read_edges([one.items[n] for n, _ in drawn]))
        for (_, kind), box in zip(drawn, boxes, strict=True):
            yield kind, transform_box(one.matrix, box) if one.matrix else box


def may_have_figure(bounds: Sequence[tuple[int, Box]]) -> bool:
    """Return whether a page draws a picture, or several paths that are not all rules."""
    if any(kind != PATH and is_extended(box, MIN_PICTURE_POINTS) for kind, box in bounds):
        return True
    return len(bounds) >= MIN_PATHS and any(is_extended(box, RULE_POINTS) for _, box in bounds)


def is_extended(box: Box, points: float) -> bool:
    """Return whether both sides of a box have a length."""
    return box[2] - box[0] >= points and box[3] - box[1] >= points


def draws_beside(
    captions: Sequence[Caption], bounds: Sequence[tuple[int, Box]], turn: Turn
) -> bool:
    """Return whether a page draws a picture or several paths beside a caption."""
    drawn = [(kind, turn(box)) for kind, box in bounds]
    for one in captions:
        left, bottom, right, top = one.box
        if any(kind != PATH and is_beside(one.box, box) for kind, box in drawn):
            return True
        above = left, top - MAX_INSIDE_POINTS, right, top + FIGURE_POINTS
        below = left, bottom - FIGURE_POINTS, right, bottom + MAX_INSIDE_POINTS
        for area in (above, below):
            near = [box for _, box in drawn if touches(box, area)]
            # Rules alone are those of a table.
            if len(near) < MIN_PATHS or not any(is_extended(box, RULE_POINTS) for box in near):
                continue
            around = enclose(near)
            gap = max(around[1] - top, bottom - around[3])
            if gap <= LABELS_POINTS and is_extended(around, MIN_PICTURE_POINTS):
                return True
    return False


class Turn:
    """Turns boxes of a page as a viewer shows it, with the origin at its lower left corner."""

    def __init__(self, page: PageHandle, window: Box) -> None:
        self.quarters = rotation_of(page)
        self.window = window
        width, height = window[2] - window[0], window[3] - window[1]
        self.width, self.height = (height, width) if self.quarters % 2 else (width, height)

    def __call__(self, box: Box) -> Box:
        left, bottom, right, top = box
        x, y = self.window[:2]
        left, bottom, right, top = left - x, bottom - y, right - x, top - y
        if not self.quarters:
            return left, bottom, right, top
        width, height = self.window[2] - x, self.window[3] - y
        if self.quarters == 1:
            return bottom, width - right, top, width - left
        if self.quarters == 2:  # noqa: PLR2004 - quarter turns
            return width - right, height - top, width - left, height - bottom
        return height - top, left, height - bottom, right


def has_size(box: Box) -> bool:
    """Return whether a text has an extent: white space has none."""
    return box[2] - box[0] > 0.01 and box[3] - box[1] > 0.01  # noqa: PLR2004 - points
