"""Call PDFium's functions by their addresses. Native code: only run it in a sandbox.

PDFium returns one box a call, so the cost of a call decides that of a page: called by address, it
is half of what pypdfium2's declared functions take, and half of that again with arguments that are
converted once (BatchCall). These calls hold the GIL, which no other thread of a sandbox needs. Code
that needs numpy is elsewhere, so that documents of plain pages never load it.
"""

from __future__ import annotations

import codecs
import ctypes
import sys
from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Any, TypeAlias

from pypdfium2 import raw

PageHandle: TypeAlias = int  # address of a loaded page
TextHandle: TypeAlias = int  # address of its text

BOX_FIELDS = 4
CALLS_AT_ONCE = 1000  # of a batch, whose results have room
MAX_DRAWN_OBJECTS = 3000  # of a page, among which rules and frames are looked for
StringBuffer = ctypes.c_char * 1000  # bytes; most strings have fewer


POINTER, INT, SIZE = ctypes.c_void_p, ctypes.c_int, ctypes.c_ulong
pointer_to = POINTER.from_param  # converts an address for calls without declared types


def address_of(handle: Any) -> int:
    """Return the address of a function, or of a pypdfium2 object, as calls by address take it."""
    address = ctypes.cast(handle, POINTER).value
    assert address
    return address


def bind_by_address(function: Any, result: Any, *arguments: Any) -> Any:
    """Return a PDFium function that takes pointers as integers."""
    return ctypes.PYFUNCTYPE(result, *arguments)(address_of(function))


def bind_undeclared(function: Any, result: Any) -> Any:
    """Return a PDFium function that takes pointers from pointer_to(), and numbers.

    ctypes would convert each pointer in each call, which takes longer than the rest of it. An
    address is cut to 32 bits.
    """
    return ctypes.PYFUNCTYPE(result)(address_of(function))


class BatchCall:
    """A PDFium function that writes up to four numbers about an object, called for many objects.

    Its types are not declared; see bind_undeclared(). All calls write to the same memory, so only
    one thread may use it, as is true of PDFium.
    """

    def __init__(
        self,
        function: Any,
        code: str,
        *,
        pointers: int = BOX_FIELDS,
        blank: Sequence[int] | None = None,
    ) -> None:
        """Prepare a function.

        Args:
            function: One of pypdfium2.raw.
            code: Type of the numbers, as array() names it.
            pointers: How many of the function's arguments point to the numbers: one points to all.
            blank: The numbers of an object that the function has none for; None if it has to.
        """
        self.call = bind_undeclared(function, INT)
        self.is_strict = blank is None
        self.blank = array(code, blank or bytes(array(code).itemsize * BOX_FIELDS)) * CALLS_AT_ONCE
        self.values = self.blank[:]
        start, count = self.values.buffer_info()
        size = self.values.itemsize
        self.pointers = [
            list(map(pointer_to, range(first, start + size * count, size * BOX_FIELDS)))
            for first in range(start, start + size * pointers, size)
        ]

    def __call__(self, objects: Sequence[Any], text: TextHandle = 0) -> array[Any]:
        """Return four numbers for each of some objects: pointers, or indexes in a text.

        Raises ValueError if an object has none.
        """
        handle = [repeat(pointer_to(text))] if text else []
        found = self.blank[:0]
        for first in range(0, len(objects), CALLS_AT_ONCE):
            some = objects[first : first + CALLS_AT_ONCE]
            end = BOX_FIELDS * len(some)
            self.values[:end] = self.blank[:end]
            written = sum(map(self.call, *handle, some, *self.pointers))
            if self.is_strict and written < len(some):
                raise ValueError("an object has no box")
            found += self.values[:end]
        return found


load_page = bind_by_address(raw.FPDF_LoadPage, POINTER, POINTER, INT)
close_page = bind_by_address(raw.FPDF_ClosePage, None, POINTER)
load_text = bind_by_address(raw.FPDFText_LoadPage, POINTER, POINTER)
close_text = bind_by_address(raw.FPDFText_ClosePage, None, POINTER)
count_characters = bind_by_address(raw.FPDFText_CountChars, INT, POINTER)
text_of = bind_by_address(raw.FPDFText_GetText, INT, POINTER, INT, INT, POINTER)
text_of_item = bind_by_address(raw.FPDFTextObj_GetText, SIZE, POINTER, POINTER, POINTER, SIZE)
count_annotations = bind_by_address(raw.FPDFPage_GetAnnotCount, INT, POINTER)
page_box_of = bind_by_address(raw.FPDF_GetPageBoundingBox, INT, POINTER, POINTER)
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
read_loose_boxes = BatchCall(raw.FPDFText_GetLooseCharBox, "f", pointers=1)
char_unicode = bind_by_address(raw.FPDFText_GetUnicode, ctypes.c_uint, POINTER, INT)
has_map_error = bind_by_address(raw.FPDFText_HasUnicodeMapError, INT, POINTER, INT)
is_generated = bind_by_address(raw.FPDFText_IsGenerated, INT, POINTER, INT)
font_weight = bind_by_address(raw.FPDFText_GetFontWeight, INT, POINTER, INT)
font_name = bind_by_address(
    raw.FPDFText_GetFontInfo, INT, POINTER, INT, POINTER, ctypes.c_ulong, POINTER
)
read_rects = BatchCall(raw.FPDFText_GetRect, "d")
owner_of = bind_undeclared(raw.FPDFText_GetTextObject, POINTER)
item_at = bind_undeclared(raw.FPDFPage_GetObject, POINTER)
read_mode = bind_undeclared(raw.FPDFTextObj_GetTextRenderMode, INT)
read_clip = bind_undeclared(raw.FPDFPageObj_GetClipPath, POINTER)
kind_of = bind_by_address(raw.FPDFPageObj_GetType, INT, POINTER)
mode_of = bind_by_address(raw.FPDFTextObj_GetTextRenderMode, INT, POINTER)
fill_of = bind_by_address(
    raw.FPDFPageObj_GetFillColor, INT, POINTER, POINTER, POINTER, POINTER, POINTER
)
matrix_of = bind_by_address(raw.FPDFPageObj_GetMatrix, INT, POINTER, POINTER)
font_size_of = bind_by_address(raw.FPDFTextObj_GetFontSize, INT, POINTER, POINTER)
set_active = bind_by_address(raw.FPDFPageObj_SetIsActive, INT, POINTER, INT)
has_transparency = bind_by_address(raw.FPDFPageObj_HasTransparency, INT, POINTER)
draw_mode_of = bind_by_address(raw.FPDFPath_GetDrawMode, INT, POINTER, POINTER, POINTER)
count_form_items = bind_by_address(raw.FPDFFormObj_CountObjects, INT, POINTER)
form_item_at = bind_by_address(raw.FPDFFormObj_GetObject, POINTER, POINTER, SIZE)
clip_of = bind_by_address(raw.FPDFPageObj_GetClipPath, POINTER, POINTER)
count_clips = bind_by_address(raw.FPDFClipPath_CountPaths, INT, POINTER)
count_clip_segments = bind_by_address(raw.FPDFClipPath_CountPathSegments, INT, POINTER, INT)
clip_segment = bind_by_address(raw.FPDFClipPath_GetPathSegment, POINTER, POINTER, INT, INT)
point_of = bind_by_address(raw.FPDFPathSegment_GetPoint, INT, POINTER, POINTER, POINTER)
count_marks = bind_by_address(raw.FPDFPageObj_CountMarks, INT, POINTER)
mark_at = bind_by_address(raw.FPDFPageObj_GetMark, POINTER, POINTER, SIZE)
mark_name_of = bind_by_address(raw.FPDFPageObjMark_GetName, INT, POINTER, POINTER, SIZE, POINTER)
read_bounds = BatchCall(raw.FPDFPageObj_GetBounds, "f")


# For the closer look at pages in scripts that are not stored in the order they are drawn in.
char_code = bind_by_address(raw.FPDFText_GetUnicode, ctypes.c_uint, POINTER, INT)
is_hyphen = bind_by_address(raw.FPDFText_IsHyphen, INT, POINTER, INT)
origin_of = bind_by_address(raw.FPDFText_GetCharOrigin, INT, POINTER, INT, POINTER, POINTER)
# For fonts that do not say how high their type is.
font_size_at = bind_by_address(raw.FPDFText_GetFontSize, ctypes.c_double, POINTER, INT)
text_matrix_at = bind_by_address(raw.FPDFText_GetMatrix, INT, POINTER, INT, POINTER)
drawn_box = bind_by_address(
    raw.FPDFText_GetCharBox, INT, POINTER, INT, POINTER, POINTER, POINTER, POINTER
)
mark_bytes = bind_by_address(
    raw.FPDFPageObjMark_GetParamBlobValue,
    INT,
    POINTER,
    ctypes.c_char_p,
    POINTER,
    ctypes.c_ulong,
    POINTER,
)


class ListedPage(int):
    """The address of a loaded page whose objects have been listed."""

    # Left, bottom, right and top of each path among its first MAX_DRAWN_OBJECTS.
    bounds: array[float]


class ReorderedText(int):
    """The address of a page's text whose characters are put into another order than PDFium's."""

    places: Sequence[int]  # PDFium's index of each character
    edges: Sequence[float]  # left, top, right and bottom of each character


def list_page_items(page: PageHandle, limit: int = sys.maxsize) -> list[int]:
    """List the addresses of the objects of a page, in drawing order, up to a limit."""
    return list(map(item_at, repeat(pointer_to(page)), range(min(count_items(page), limit))))


def list_owners(text: TextHandle, indexes: Iterable[int]) -> list[int | None]:
    """List the addresses of the objects that draw characters; None for one that PDFium adds."""
    return list(map(owner_of, repeat(pointer_to(text)), indexes))


def place_of(text: TextHandle, index: int) -> int:
    """Return PDFium's index of a character."""
    return text.places[index] if isinstance(text, ReorderedText) else index


def use_installed_fonts(*, used: bool) -> None:
    """Choose whether documents opened from now on may use the fonts of this machine.

    For a font that a document does not embed, PDFium then takes one of these, and else its own.
    """
    # PDFium releases what it was given before, so this takes a new one each time.
    raw.FPDF_SetSystemFontInfo(raw.FPDF_GetDefaultSystemFontInfo() if used else None)


def read_utf16(call: Callable[[int, int], int]) -> str:
    """Return the UTF-16 text that a function writes to an address, given the size of the buffer.

    Invalid characters are dropped, so that one bad entry does not cost all others.
    """
    buffer: ctypes.Array[ctypes.c_char] = StringBuffer()
    size = call(ctypes.addressof(buffer), len(buffer))
    if size > len(buffer):
        buffer = (ctypes.c_char * size)()
        size = call(ctypes.addressof(buffer), size)
    return buffer.raw[: max(0, size - 2)].decode("utf-16-le", "ignore")


def list_char_edges(text: TextHandle, indexes: Sequence[int]) -> list[float]:
    """Return the boxes of characters, with the height of their font, in one flat list.

    Each box is left, top, right and bottom, in points; up is positive.
    """
    return fill_char_boxes(text, indexes).tolist()


def fill_char_boxes(text: TextHandle, indexes: Sequence[int]) -> array[float]:
    """Return the boxes of characters as a C array. Raises ValueError if one has no box."""
    if isinstance(text, ReorderedText):
        fields = range(BOX_FIELDS)
        edges = text.edges
        return array("f", [edges[BOX_FIELDS * n + field] for n in indexes for field in fields])
    return read_loose_boxes(indexes, text)


def read_characters(text: TextHandle, count: int) -> str:
    """Return the `count` characters of a loaded page, in drawing order."""
    if count <= 0:
        return ""
    # UTF-16: a character beyond the first 65,536 is two units, and a zero ends the text.
    buffer = bytearray(2 * (2 * count + 1))
    units = text_of(text, 0, 2 * count, ctypes.addressof(ctypes.c_char.from_buffer(buffer)))
    return codecs.utf_16_le_decode(memoryview(buffer)[: 2 * max(0, units - 1)], "ignore", True)[0]
