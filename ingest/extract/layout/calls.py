"""PDFium's functions, called with bare numbers. Native code: only run it in a child process.

PDFium gives boxes one call at a time, so a page costs what it is asked for: with the addresses of
its functions that is half of what the declared ones take. What numpy is needed for is elsewhere,
so that a document of plain pages never loads it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from itertools import repeat
from typing import Any

from pypdfium2 import raw

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


def handle_of(thing: Any) -> int | None:
    """The address of a page, as the functions above take it."""
    return ctypes.cast(thing, POINTER).value


def edges(text: raw.FPDF_TEXTPAGE, places: Sequence[int]) -> list[float]:
    """The boxes of these characters, as high and deep as their font is: four numbers each.

    They are left, top, right and bottom, in points; up is positive.
    """
    return list(filled(text, places))


def filled(text: raw.FPDF_TEXTPAGE, places: Sequence[int]) -> ctypes.Array[ctypes.c_float]:
    """The same as PDFium writes it. Raises ValueError where it does not know a character."""
    found = (ctypes.c_float * (FIELDS * len(places)))()
    start = ctypes.addressof(found)
    addresses = range(start, start + BYTES * len(places), BYTES)
    if not all(map(loose_box, repeat(handle_of(text)), places, addresses)):
        raise ValueError("a character has no box")
    return found
