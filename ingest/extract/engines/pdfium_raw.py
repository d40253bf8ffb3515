"""PDFium's functions, called with bare numbers. Native code: only run it in a child process.

PDFium gives boxes one call at a time, so a page costs what it is asked for: with the addresses of
its functions that is half of what the declared ones take. They hold Python's lock, which nobody
else in a child wants. What numpy is needed for is elsewhere, so that a document of plain pages
never loads it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any, TypeAlias

from pypdfium2 import raw

Page: TypeAlias = int  # the address of a loaded page
Text: TypeAlias = int  # and of its text

FIELDS = 4
BYTES = ctypes.sizeof(raw.FS_RECTF)
SHORT = ctypes.c_char * 1000  # bytes of a string; most have fewer


def bare(function: Any, answer: Any, *arguments: Any) -> Any:
    """A function of PDFium that takes addresses as numbers."""
    address = ctypes.cast(function, ctypes.c_void_p).value
    assert address
    return ctypes.PYFUNCTYPE(answer, *arguments)(address)


POINTER, INT, SIZE = ctypes.c_void_p, ctypes.c_int, ctypes.c_ulong
load_page = bare(raw.FPDF_LoadPage, POINTER, POINTER, INT)
close_page = bare(raw.FPDF_ClosePage, None, POINTER)
load_text = bare(raw.FPDFText_LoadPage, POINTER, POINTER)
close_text = bare(raw.FPDFText_ClosePage, None, POINTER)
count_characters = bare(raw.FPDFText_CountChars, INT, POINTER)
text_of = bare(raw.FPDFText_GetText, INT, POINTER, INT, INT, POINTER)
count_annotations = bare(raw.FPDFPage_GetAnnotCount, INT, POINTER)
rotation_of = bare(raw.FPDFPage_GetRotation, INT, POINTER)
count_items = bare(raw.FPDFPage_CountObjects, INT, POINTER)
first_child = bare(raw.FPDFBookmark_GetFirstChild, POINTER, POINTER, POINTER)
next_sibling = bare(raw.FPDFBookmark_GetNextSibling, POINTER, POINTER, POINTER)
title_of = bare(raw.FPDFBookmark_GetTitle, SIZE, POINTER, POINTER, SIZE)
destination_of = bare(raw.FPDFBookmark_GetDest, POINTER, POINTER, POINTER)
page_of = bare(raw.FPDFDest_GetDestPageIndex, INT, POINTER, POINTER)
label_of = bare(raw.FPDF_GetPageLabel, SIZE, POINTER, INT, POINTER, SIZE)
entry_of = bare(raw.FPDF_GetMetaText, SIZE, POINTER, ctypes.c_char_p, POINTER, SIZE)
count_rects = bare(raw.FPDFText_CountRects, INT, POINTER, INT, INT)
loose_box = bare(raw.FPDFText_GetLooseCharBox, INT, POINTER, INT, POINTER)
font_weight = bare(raw.FPDFText_GetFontWeight, INT, POINTER, INT)
font_name = bare(raw.FPDFText_GetFontInfo, INT, POINTER, INT, POINTER, ctypes.c_ulong, POINTER)
rect_at = bare(raw.FPDFText_GetRect, INT, POINTER, INT, POINTER, POINTER, POINTER, POINTER)
item_at = bare(raw.FPDFPage_GetObject, POINTER, POINTER, INT)
kind_of = bare(raw.FPDFPageObj_GetType, INT, POINTER)
bounds_of = bare(raw.FPDFPageObj_GetBounds, INT, POINTER, POINTER, POINTER, POINTER, POINTER)


def address(thing: Any) -> int:
    """The address of a document, as the functions above take it."""
    found = ctypes.cast(thing, POINTER).value
    assert found
    return found


def string(call: Callable[[int, int], int]) -> str:
    """The text that a function writes to an address, given how much room is there, whatever it is.

    One that is no Unicode must not take all the others with it.
    """
    buffer: ctypes.Array[ctypes.c_char] = SHORT()
    size = call(ctypes.addressof(buffer), len(buffer))
    if size > len(buffer):
        buffer = (ctypes.c_char * size)()
        size = call(ctypes.addressof(buffer), size)
    return buffer.raw[: max(0, size - 2)].decode("utf-16-le", "ignore")


def edges(text: Text, places: Sequence[int]) -> list[float]:
    """The boxes of these characters, as high and deep as their font is: four numbers each.

    They are left, top, right and bottom, in points; up is positive.
    """
    return filled(text, places)[:]


def filled(text: Text, places: Sequence[int]) -> ctypes.Array[ctypes.c_float]:
    """The same as PDFium writes it. Raises ValueError where it does not know a character."""
    found = (ctypes.c_float * (FIELDS * len(places)))()
    start = ctypes.addressof(found)
    addresses = range(start, start + BYTES * len(places), BYTES)
    if not all(map(loose_box, repeat(text), places, addresses)):
        raise ValueError("a character has no box")
    return found
