"""Read the boxes of characters as high as their type. Only run it in a sandbox.

Some programs, LibreOffice among them, write fonts that do not say how high their type is. PDFium's
boxes are then as high as each letter is, and the gaps between lines depend on what they say.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from pypdfium2 import raw

from ingest.extract.engines.pdfium_raw import (
    BOX_FIELDS,
    ReorderedText,
    TextHandle,
    bind_by_address,
    drawn_box,
)
from ingest.extract.layout.geometry import Boxes, read_char_boxes

ASCENT, DESCENT = 0.75, 0.25  # of a type's size
SAMPLE_CHARS = 4  # of a page, that show whether its boxes are as high as its letters
SAME_POINTS = 0.01

font_size_at = bind_by_address(
    raw.FPDFText_GetFontSize, ctypes.c_double, ctypes.c_void_p, ctypes.c_int
)
matrix_at = bind_by_address(
    raw.FPDFText_GetMatrix, ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p
)


def read_type_boxes(text: TextHandle, indexes: Sequence[int]) -> Boxes:
    """Return the boxes of characters, as high as their type is."""
    boxes = read_char_boxes(text, indexes)
    if isinstance(text, ReorderedText) or not are_letter_boxes(text, indexes, boxes):
        return boxes
    matrix = raw.FS_MATRIX()
    address = ctypes.addressof(matrix)
    even = boxes.copy()
    for row, index in enumerate(indexes):
        if matrix_at(text, index, address) and not matrix.b and not matrix.c and matrix.d > 0:
            size = font_size_at(text, index) * matrix.d
            even[row, 1], even[row, 3] = matrix.f + ASCENT * size, matrix.f - DESCENT * size
    return even


def are_letter_boxes(text: TextHandle, indexes: Sequence[int], boxes: Boxes) -> bool:
    """Return whether the boxes of some characters are as high as the letters themselves."""
    step = max(1, len(indexes) // SAMPLE_CHARS)
    drawn = (ctypes.c_double * BOX_FIELDS)()
    start = ctypes.addressof(drawn)
    for row in range(0, len(indexes), step):
        drawn_box(text, indexes[row], start, start + 8, start + 16, start + 24)
        _, _, bottom, top = drawn
        if abs(top - boxes[row, 1]) + abs(bottom - boxes[row, 3]) > SAME_POINTS:
            return False
    return bool(len(indexes))
