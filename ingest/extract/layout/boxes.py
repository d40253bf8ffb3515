"""Where characters and rules stand on a page, asked of PDFium. Only run it in a child process.

PDFium gives boxes one call at a time, so a page costs what it is asked for: the addresses of its
functions are called with bare numbers, at half the time of the declared ones.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from itertools import repeat
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pypdfium2 import raw

# One row a box: left, top, right, bottom in points; up is positive.
Boxes: TypeAlias = NDArray[np.float32]
Codes: TypeAlias = NDArray[np.uint32]
Places: TypeAlias = NDArray[np.intp]

FIELDS = 4
BYTES = ctypes.sizeof(raw.FS_RECTF)


def bare(function: Any, answer: Any, *arguments: Any) -> Any:
    """A function of PDFium that takes addresses as numbers."""
    address = ctypes.cast(function, ctypes.c_void_p).value
    assert address
    return ctypes.PYFUNCTYPE(answer, *arguments)(address)


POINTER, INT = ctypes.c_void_p, ctypes.c_int
loose_box = bare(raw.FPDFText_GetLooseCharBox, INT, POINTER, INT, POINTER)
font_weight = bare(raw.FPDFText_GetFontWeight, INT, POINTER, INT)
font_name = bare(raw.FPDFText_GetFontInfo, INT, POINTER, INT, POINTER, ctypes.c_ulong, POINTER)
rect_at = bare(raw.FPDFText_GetRect, INT, POINTER, INT, POINTER, POINTER, POINTER, POINTER)
item_at = bare(raw.FPDFPage_GetObject, POINTER, POINTER, INT)
kind_of = bare(raw.FPDFPageObj_GetType, INT, POINTER)
bounds_of = bare(raw.FPDFPageObj_GetBounds, INT, POINTER, POINTER, POINTER, POINTER, POINTER)

NEWLINE = 0x0A
BROKEN = 0xFFFE  # PDFium's mark for the hyphen of a broken word: a line ends behind it

OBJECTS = 3000  # of a page that are looked at


def handle_of(thing: Any) -> int | None:
    """The address of a page, as the functions above take it."""
    return ctypes.cast(thing, POINTER).value


def character_boxes(text: raw.FPDF_TEXTPAGE, places: Sequence[int]) -> Boxes:
    """The boxes of these characters, as high and deep as their font is, one row each."""
    return np.ctypeslib.as_array(filled(text, places)).reshape(-1, FIELDS)


def edges(text: raw.FPDF_TEXTPAGE, places: Sequence[int]) -> list[float]:
    """The same as one list, four numbers a character: for a few, that is faster than an array."""
    return list(filled(text, places))


def filled(text: raw.FPDF_TEXTPAGE, places: Sequence[int]) -> ctypes.Array[ctypes.c_float]:
    """The same as PDFium writes it. Raises ValueError where it does not know a character."""
    found = (ctypes.c_float * (FIELDS * len(places)))()
    start = ctypes.addressof(found)
    addresses = range(start, start + BYTES * len(places), BYTES)
    if not all(map(loose_box, repeat(handle_of(text)), places, addresses)):
        raise ValueError("a character has no box")
    return found


def codes(text: str) -> Codes:
    """The code points of a text."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def text_boxes(text: raw.FPDF_TEXTPAGE) -> Boxes:
    """The boxes of what the page writes in one go: of lines, or of parts of them."""
    found = np.zeros((raw.FPDFText_CountRects(text, 0, -1), FIELDS), np.float64)
    handle = handle_of(text)
    edge = found.itemsize
    start = found.ctypes.data
    for number in range(len(found)):
        rect_at(handle, number, start, start + edge, start + 2 * edge, start + 3 * edge)
        start += FIELDS * edge
    return found.astype(np.float32)


def drawn(page: raw.FPDF_PAGE) -> Boxes:
    """The boxes of what is drawn on the page itself and not written."""
    handle = handle_of(page)
    count = min(raw.FPDFPage_CountObjects(page), OBJECTS)
    items = list(map(item_at, repeat(handle), range(count)))
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
