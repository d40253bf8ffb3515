"""Where characters and rules stand on a page, as arrays. Only run it in a child process."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from pypdfium2 import raw

from ingest.extract.calls import (
    FIELDS,
    Page,
    Text,
    bounds_of,
    count_items,
    count_rects,
    filled,
    item_at,
    kind_of,
    rect_at,
)

# One row a box: left, top, right, bottom in points; up is positive.
Boxes: TypeAlias = NDArray[np.float32]
Codes: TypeAlias = NDArray[np.uint32]
Places: TypeAlias = NDArray[np.intp]

NEWLINE = 0x0A
BROKEN = 0xFFFE  # PDFium's mark for the hyphen of a broken word: a line ends behind it

OBJECTS = 3000  # of a page that are looked at


def character_boxes(text: Text, places: Sequence[int]) -> Boxes:
    """The boxes of these characters, as high and deep as their font is, one row each."""
    return np.frombuffer(filled(text, places), np.float32).reshape(-1, FIELDS)


def codes(text: str) -> Codes:
    """The code points of a text."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def text_boxes(text: Text) -> Boxes:
    """The boxes of what the page writes in one go: of lines, or of parts of them."""
    found = np.zeros((count_rects(text, 0, -1), FIELDS), np.float64)
    edge = found.itemsize
    start = found.ctypes.data
    for number in range(len(found)):
        rect_at(text, number, start, start + edge, start + 2 * edge, start + 3 * edge)
        start += FIELDS * edge
    return found.astype(np.float32)


def drawn(page: Page) -> Boxes:
    """The boxes of what is drawn on the page itself and not written."""
    count = min(count_items(page), OBJECTS)
    items = list(map(item_at, repeat(page), range(count)))
    paths = [
        item
        for item, kind in zip(items, map(kind_of, items), strict=True)
        if kind == raw.FPDF_PAGEOBJ_PATH
    ]
    found = np.zeros((len(paths), FIELDS), np.float32)  # left, bottom, right, top
    edge = found.itemsize
    start = found.ctypes.data
    for item in paths:
        bounds_of(item, start, start + edge, start + 2 * edge, start + 3 * edge)
        start += FIELDS * edge
    return found[:, [0, 3, 2, 1]]
