"""Find the filled boxes and the pictures of a page, which text may be lost on or behind.

Native code: only run it in a sandbox.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import compress, islice
from typing import Any, NamedTuple

from pypdfium2 import raw

from ingest.extract.engines.pdfium_objects import (
    IMAGE,
    PATH,
    SHADING,
    Item,
    PageObjects,
    iter_boxes,
    read_edges,
    transform_box,
)
from ingest.extract.engines.pdfium_raw import BOX_FIELDS, BatchCall, has_transparency, pointer_to
from ingest.extract.figures.shapes import Box, has_middle, intersect

Colour = tuple[int, int, int, int]  # red, green, blue, opacity; 0 to 255

PAPER: Colour = (255, 255, 255, 255)
BLACK: Colour = (0, 0, 0, 255)
COLOUR_BYTES = 16
MAX_SAME_COLOUR = 20  # colours closer than this in red, green and blue cannot be told apart
MIN_BOX_POINTS = 4.0  # sides of a filled path; a smaller one is a rule
MAX_BOXES = 500  # filled paths of a page that are compared with its text

read_fills = BatchCall(raw.FPDFPageObj_GetFillColor, "I", blank=BLACK)
read_draw_modes = BatchCall(raw.FPDFPath_GetDrawMode, "i", pointers=2, blank=(0, 0, 0, 0))


class FilledBox(NamedTuple):
    """A box that hides earlier objects, or is seen behind later ones."""

    order: int  # in which the page draws it
    box: Box
    colour: Colour | None  # None: an image or a shading
    opaque: bool


def find_filled_boxes(objects: PageObjects, first_text: int) -> Iterator[FilledBox]:
    """Yield the filled paths that may hide text or be seen behind it.

    `first_text` is the order of the first text among all objects of the page.
    """
    paths = list(iter_objects(objects, PATH))
    pointers = [pointer_to(item) for item, _, _ in paths]
    is_filled = read_draw_modes(pointers)[::BOX_FIELDS]
    colours = read_colours(list(compress(pointers, is_filled)))
    seen = (
        FilledBox(order, box, colour, opaque=not has_transparency(item))
        for (item, order, box), colour in zip(compress(paths, is_filled), colours, strict=True)
        if colour[:3] != PAPER[:3] or order > first_text
    )
    yield from islice(seen, MAX_BOXES)


def find_pictures(objects: PageObjects) -> Iterator[FilledBox]:
    """Yield the images and shadings of a page."""
    for kind in (IMAGE, SHADING):
        for _, order, box in iter_objects(objects, kind):
            yield FilledBox(order, box, None, opaque=False)


def iter_objects(objects: PageObjects, kind: int) -> Iterator[tuple[Item, int, Box]]:
    """Yield the objects of a kind that are not too small to hide text: order and bounds."""
    for one in objects.lists:
        places = [n for n, each in zip(one.others, one.kinds, strict=True) if each == kind]
        if not places:
            continue
        edges = read_edges([one.items[place] for place in places])
        for place, box in zip(places, iter_boxes(edges), strict=True):
            left, bottom, right, top = transform_box(one.matrix, box) if one.matrix else box
            if right - left >= MIN_BOX_POINTS and top - bottom >= MIN_BOX_POINTS:
                yield one.items[place], one.orders[place], (left, bottom, right, top)


def read_colours(pointers: Sequence[Any]) -> list[Colour]:
    """Return the fill colours of objects; black where there is none."""
    found = read_fills(pointers)
    if found == array("I", BLACK) * len(pointers):
        return [BLACK] * len(pointers)
    return list(zip(found[0::4], found[1::4], found[2::4], found[3::4], strict=True))


def read_colour(item: Item, colour_of: Callable[..., int], otherwise: Colour) -> Colour:
    """Return a colour of an object, by the function that gives it; for a pattern, another one."""
    found = (ctypes.c_uint * 4)(*otherwise)
    start = ctypes.addressof(found)
    colour_of(item, *range(start, start + COLOUR_BYTES, 4))
    red, green, blue, opacity = found
    return red, green, blue, opacity


def is_same_colour(one: Colour, other: Colour) -> bool:
    """Return whether two colours cannot be told apart."""
    return (
        abs(one[0] - other[0]) <= MAX_SAME_COLOUR
        and abs(one[1] - other[1]) <= MAX_SAME_COLOUR
        and abs(one[2] - other[2]) <= MAX_SAME_COLOUR
    )


def is_on_picture(box: Box, boxes: Sequence[FilledBox]) -> bool:
    """Return whether an image is where a text is: then OCR has read it in the image."""
    return any(one.colour is None and has_middle(one.box, box) for one in boxes)


def covered_share(box: Box, by: Box) -> float:
    """Return the share of a box's area that another covers."""
    left, bottom, right, top = intersect(box, by)
    area = max(0.0, right - left) * max(0.0, top - bottom)
    return area / ((box[2] - box[0]) * (box[3] - box[1]))
