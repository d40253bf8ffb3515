"""Hash the objects that draw a figure, not their image. Native code: only run it in a sandbox.

So the hash is the same for every version of the renderer, in a copy of the document, and after an
edit elsewhere. Places are relative to the figure, as text above it may move it.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from ingest.extract.engines.pdfium_boxes import Colour, read_colour
from ingest.extract.engines.pdfium_captions import Turn
from ingest.extract.engines.pdfium_objects import (
    IDENTITY,
    IMAGE,
    PATH,
    TEXT,
    Item,
    PageObjects,
    iter_boxes,
    read_edges,
    read_matrix,
    transform_box,
)
from ingest.extract.engines.pdfium_raw import (
    TextHandle,
    draw_mode_of,
    fill_of,
    read_utf16,
    text_of_item,
)
from ingest.extract.engines.pdfium_shapes import (
    apply,
    count_segments,
    identify_image,
    read_segments,
    stroke_of,
)
from ingest.extract.figures.shapes import Box, grow, has_middle

MAX_HASHED_OBJECTS = 20_000  # of a figure
MAX_HASHED_SEGMENTS = 100_000  # of the paths of a page
MAX_HASHED_TEXTS = 3000  # of a page

NO_COLOUR: Colour = (0, 0, 0, 0)  # a pattern, nothing of which is its own


class Drawn(NamedTuple):
    """An object of a page, and its box as a viewer shows it."""

    item: Item
    kind: int
    box: Box


class ContentHasher:
    """Hashes the figures of one page."""

    def __init__(self, objects: PageObjects, turn: Turn, text: TextHandle) -> None:
        self.text = text
        self.drawn = list(iter_objects(objects, turn))
        self.segments_left, self.texts_left = MAX_HASHED_SEGMENTS, MAX_HASHED_TEXTS

    def hash_figure(self, box: Box) -> str:
        """Return the hash of the objects whose middle is in a box; "" if it cannot be told."""
        inside = [one for one in self.drawn if has_middle(grow(box, 1), one.box)]
        digest = hashlib.sha256()
        for one in inside[:MAX_HASHED_OBJECTS]:
            shown = self.describe(one)
            if shown is None:
                return ""
            digest.update(repr((one.kind, shown, place_in(one.box, box))).encode())
        return digest.hexdigest() if inside else ""

    def describe(self, one: Drawn) -> object:
        """Return the content of an object, without its place; None if that cannot be told."""
        if one.kind == IMAGE:
            return identify_image(one.item, one.box) or None
        if one.kind == TEXT and self.texts_left > 0:
            self.texts_left -= 1
            read = partial(text_of_item, one.item, self.text)
            return read_utf16(read), read_colour(one.item, fill_of, NO_COLOUR)
        if one.kind == PATH:
            return self.describe_path(one)
        return ""

    def describe_path(self, one: Drawn) -> object:
        """Return the colours and the points of a path."""
        fill, stroke = ctypes.c_int(), ctypes.c_int()
        draw_mode_of(one.item, ctypes.addressof(fill), ctypes.addressof(stroke))
        inks = (
            read_colour(one.item, fill_of, NO_COLOUR) if fill.value else (),
            read_colour(one.item, stroke_of, NO_COLOUR) if stroke.value else (),
        )
        count = count_segments(one.item)
        self.segments_left -= count
        if self.segments_left < 0:
            return inks, count
        return inks, describe_segments(one.item, count)


def iter_objects(objects: PageObjects, turn: Turn) -> Iterator[Drawn]:
    """Yield the objects of a page, those in forms included, but not the forms."""
    for one in objects.lists:
        kinds: list[int] = [TEXT] * len(one.items)
        for index, kind in zip(one.others, one.kinds, strict=True):
            kinds[index] = kind
        boxes = iter_boxes(read_edges(one.items))
        for item, kind, box in zip(one.items, kinds, boxes, strict=True):
            shown = transform_box(one.matrix, box) if one.matrix else box
            if kind in {TEXT, PATH, IMAGE}:
                yield Drawn(item, kind, turn(shown))


def place_in(box: Box, figure: Box) -> tuple[int, ...]:
    """Return the place of an object in its figure, in whole points."""
    return tuple(round(edge - figure[n % 2]) for n, edge in enumerate(box))


def describe_segments(item: Item, count: int) -> list[tuple[int, int, int]]:
    """Return the segments of a path: kind and end of each, in whole points from the first end."""
    kinds, across, along = read_segments(item, count)
    matrix = read_matrix(item)
    if matrix != IDENTITY:
        across, along = apply(matrix, across, along)
    left, bottom = (across[0], along[0]) if across else (0.0, 0.0)
    return [
        (kind, round(x - left), round(y - bottom))
        for kind, x, y in zip(kinds, across, along, strict=True)
    ]
