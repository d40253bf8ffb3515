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

PageHandle: TypeAlias = int  # the address of a loaded page
TextHandle: TypeAlias = int  # and of its text

BOX_FIELDS = 4
BOX_BYTES = ctypes.sizeof(raw.FS_RECTF)
StringBuffer = ctypes.c_char * 1000  # bytes of a string; most have fewer


def bind_by_address(function: Any, answer: Any, *arguments: Any) -> Any:
    """A function of PDFium that takes addresses as numbers."""
    address = ctypes.cast(function, ctypes.c_void_p).value
    assert address
    return ctypes.PYFUNCTYPE(answer, *arguments)(address)


POINTER, INT, SIZE = ctypes.c_void_p, ctypes.c_int, ctypes.c_ulong
load_page = bind_by_address(raw.FPDF_LoadPage, POINTER, POINTER, INT)
close_page = bind_by_address(raw.FPDF_ClosePage, None, POINTER)
load_text = bind_by_address(raw.FPDFText_LoadPage, POINTER, POINTER)
close_text = bind_by_address(raw.FPDFText_ClosePage, None, POINTER)
count_characters = bind_by_address(raw.FPDFText_CountChars, INT, POINTER)
text_of = bind_by_address(raw.FPDFText_GetText, INT, POINTER, INT, INT, POINTER)
count_annotations = bind_by_address(raw.FPDFPage_GetAnnotCount, INT, POINTER)
rotation_of = bind_by_address(raw.FPDFPage_GetRotation, INT, POINTER)
count_items = bind_by_address(raw.FPDFPage_CountObjects, INT, POINTER)
first_child = bind_by_address(raw.FPDFBookmark_GetFirstChild, POINTER, POINTER, POINTER)
next_sibling = bind_by_address(raw.FPDFBookmark_GetNextSibling, POINTER, POINTER, POINTER)
title_of = bind_by_address(raw.FPDFBookmark_GetTitle, SIZE, POINTER, POINTER, SIZE)
destination_of = bind_by_address(raw.FPDFBookmark_GetDest, POINTER, POINTER, POINTER)
page_of = bind_by_address(raw.FPDFDest_GetDestPageIndex, INT, POINTER, POINTER)
label_of = bind_by_address(raw.FPDF_GetPageLabel, SIZE, POINTER, INT, POINTER, SIZE)
entry_of = bind_by_address(raw.FPDF_GetMetaText, SIZE, POINTER, ctypes.c_char_p, POINTER, SIZE)
count_rects = bind_by_address(raw.FPDFText_CountRects, INT, POINTER, INT, INT)
loose_box = bind_by_address(raw.FPDFText_GetLooseCharBox, INT, POINTER, INT, POINTER)
font_weight = bind_by_address(raw.FPDFText_GetFontWeight, INT, POINTER, INT)
font_name = bind_by_address(
    raw.FPDFText_GetFontInfo, INT, POINTER, INT, POINTER, ctypes.c_ulong, POINTER
)
rect_at = bind_by_address(
    raw.FPDFText_GetRect, INT, POINTER, INT, POINTER, POINTER, POINTER, POINTER
)
item_at = bind_by_address(raw.FPDFPage_GetObject, POINTER, POINTER, INT)
kind_of = bind_by_address(raw.FPDFPageObj_GetType, INT, POINTER)
bounds_of = bind_by_address(
    raw.FPDFPageObj_GetBounds, INT, POINTER, POINTER, POINTER, POINTER, POINTER
)


def address_of(thing: Any) -> int:
    """The address of a document, as the functions above take it."""
    found = ctypes.cast(thing, POINTER).value
    assert found
    return found


def read_utf16(call: Callable[[int, int], int]) -> str:
    """The text that a function writes to an address, given how much room is there, whatever it is.

    One that is no Unicode must not take all the others with it.
    """
    buffer: ctypes.Array[ctypes.c_char] = StringBuffer()
    size = call(ctypes.addressof(buffer), len(buffer))
    if size > len(buffer):
        buffer = (ctypes.c_char * size)()
        size = call(ctypes.addressof(buffer), size)
    return buffer.raw[: max(0, size - 2)].decode("utf-16-le", "ignore")


def list_char_edges(text: TextHandle, places: Sequence[int]) -> list[float]:
    """The boxes of these characters, as high and deep as their font is: four numbers each.

    They are left, top, right and bottom, in points; up is positive.
    """
    return fill_char_boxes(text, places)[:]


def fill_char_boxes(text: TextHandle, places: Sequence[int]) -> ctypes.Array[ctypes.c_float]:
    """The same as PDFium writes it. Raises ValueError where it does not know a character."""
    found = (ctypes.c_float * (BOX_FIELDS * len(places)))()
    start = ctypes.addressof(found)
    addresses = range(start, start + BOX_BYTES * len(places), BOX_BYTES)
    if not all(map(loose_box, repeat(text), places, addresses)):
        raise ValueError("a character has no box")
    return found
