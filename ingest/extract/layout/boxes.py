"""Where characters and rules stand on a page, asked of PDFium. Native code: only in a child process.

PDFium gives boxes one call at a time, so a page costs what it is asked for: the addresses of its
functions are called with bare numbers, at half the time of the declared ones.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from itertools import repeat
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from pypdfium2 import raw

# One row a box: left, top, right, bottom in points; up is positive.
Boxes: TypeAlias = NDArray[np.float32]
Codes: TypeAlias = NDArray[np.uint32]
Places: TypeAlias = NDArray[np.intp]

FIELDS = 4
BYTES = ctypes.sizeof(raw.FS_RECTF)

loose_box = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)(
    ctypes.cast(raw.FPDFText_GetLooseCharBox, ctypes.c_void_p).value or 0
)

NEWLINE = 0x0A
RETURN = 0x0D
BROKEN = 0xFFFE  # PDFium's mark for the hyphen of a broken word: a line ends behind it

OBJECTS = 3000  # of a page that are looked at


def character_boxes(text: raw.FPDF_TEXTPAGE, places: Sequence[int]) -> Boxes:
    """The boxes of these characters, as high and deep as their font is, one row each."""
    boxes = np.zeros((len(places), FIELDS), np.float32)
    handle = ctypes.cast(text, ctypes.c_void_p).value
    start = boxes.ctypes.data
    answers = map(
        loose_box, repeat(handle), places, range(start, start + BYTES * len(places), BYTES)
    )
    if not all(answers):
        raise ValueError("a character has no box")
    return boxes


def codes(text: str) -> Codes:
    """The code points of a text."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def line_starts(points: Codes, *, broken: bool) -> Places:
    """Where the lines begin that are not empty; `broken` says that some end in a broken word."""
    ends = (points == NEWLINE) | (points == BROKEN) if broken else points == NEWLINE
    starts = np.empty(np.count_nonzero(ends) + 1, np.intp)
    starts[0] = 0
    starts[1:] = np.flatnonzero(ends) + 1
    starts = starts[starts < len(points)]
    first = points[starts]
    kept: Places = starts[(first != RETURN) & (first != NEWLINE)]
    return kept


def drawn(page: raw.FPDF_PAGE) -> Boxes:
    """The boxes of what is drawn on the page itself and not written."""
    edges = [ctypes.c_float() for _ in range(FIELDS)]
    references = [ctypes.byref(edge) for edge in edges]
    left, bottom, right, top = edges
    found = []
    for place in range(min(raw.FPDFPage_CountObjects(page), OBJECTS)):
        item = raw.FPDFPage_GetObject(page, place)
        if raw.FPDFPageObj_GetType(item) != raw.FPDF_PAGEOBJ_PATH:
            continue
        if raw.FPDFPageObj_GetBounds(item, *references):
            found.append((left.value, top.value, right.value, bottom.value))
    return np.array(found, np.float32).reshape(-1, FIELDS)
