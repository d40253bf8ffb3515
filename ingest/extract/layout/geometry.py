"""Read the boxes of characters and drawn objects as arrays. Only run it in a sandbox."""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import compress, repeat
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pypdfium2 import raw

from ingest.extract.engines.pdfium_raw import (
    BOX_FIELDS,
    PageHandle,
    TextHandle,
    bounds_of,
    count_items,
    count_rects,
    fill_char_boxes,
    item_at,
    kind_of,
    rect_at,
)

# One row per box: left, top, right, bottom in points; up is positive.
Boxes: TypeAlias = NDArray[np.float32]
CodePoints: TypeAlias = NDArray[np.uint32]
Indices: TypeAlias = NDArray[np.intp]

NEWLINE = 0x0A
BROKEN_WORD_CODE = 0xFFFE  # PDFium's mark for the hyphen of a broken word: a line ends after it

MAX_DRAWN_OBJECTS = 3000  # of a page; the rest is ignored


def read_char_boxes(text: TextHandle, indexes: Sequence[int]) -> Boxes:
    """Return the boxes of characters, with the height of their font."""
    return np.frombuffer(memoryview(fill_char_boxes(text, indexes)), np.float32).reshape(
        -1, BOX_FIELDS
    )


def code_points(text: str) -> CodePoints:
    """Return the code points of a text."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def read_text_boxes(text: TextHandle) -> Boxes:
    """Return the boxes of the runs of text that the page draws: lines, or parts of them."""
    count = count_rects(text, 0, -1)
    found = (ctypes.c_double * (BOX_FIELDS * count))()
    deque(map(rect_at, repeat(text), range(count), *edge_addresses(found)), maxlen=0)
    return np.frombuffer(memoryview(found), np.float64).reshape(-1, BOX_FIELDS).astype(np.float32)


def read_drawn_boxes(page: PageHandle) -> Boxes:
    """Return the boxes of the paths on a page: rules, frames, drawings."""
    count = min(count_items(page), MAX_DRAWN_OBJECTS)
    items = list(map(item_at, repeat(page), range(count)))
    paths = list(compress(items, map(raw.FPDF_PAGEOBJ_PATH.__eq__, map(kind_of, items))))
    found = (ctypes.c_float * (BOX_FIELDS * len(paths)))()  # left, bottom, right, top
    deque(map(bounds_of, paths, *edge_addresses(found)), maxlen=0)
    return np.frombuffer(memoryview(found), np.float32).reshape(-1, BOX_FIELDS)[:, [0, 3, 2, 1]]


def edge_addresses(boxes: ctypes.Array[Any]) -> Iterator[range]:
    """Yield, for each of the four edges, its addresses in all boxes."""
    start, end = ctypes.addressof(boxes), ctypes.addressof(boxes) + ctypes.sizeof(boxes)
    edge = ctypes.sizeof(boxes._type_)
    return (range(start + field * edge, end, BOX_FIELDS * edge) for field in range(BOX_FIELDS))
