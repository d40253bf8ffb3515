"""Read the boxes of characters as high as their type. Only run it in a sandbox.

Some programs, LibreOffice among them, write fonts that do not say how high their type is. PDFium's
boxes are then as high as each letter is, and the gaps between lines depend on what they say.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from statistics import median

from pypdfium2 import raw

from ingest.extract.engines.pdfium_raw import (
    ReorderedText,
    TextHandle,
    font_size_at,
    text_matrix_at,
)
from ingest.extract.layout.geometry import Boxes, read_char_boxes

ASCENT, DESCENT = 0.75, 0.25  # of the size of a type
SAMPLE_CHARS = 8  # of a page, that show whether its boxes are as high as its letters
# Of the size of their type, for most boxes: capitals are no higher, and almost any type is. The
# exception is Courier, whose spaces would be as wide as the gap between two cells.
MAX_LETTER_HEIGHT = 0.8


def read_type_boxes(text: TextHandle, indexes: Sequence[int]) -> Boxes:
    """Return the boxes of characters, as high as their type is."""
    boxes = read_char_boxes(text, indexes)
    if isinstance(text, ReorderedText):
        return boxes
    rows = range(0, len(indexes), max(1, len(indexes) // SAMPLE_CHARS))
    shares = [
        float(boxes[row, 1] - boxes[row, 3]) / (top - bottom)
        for row in rows
        for bottom, top in [read_type_edges(text, indexes[row])]
        if top > bottom
    ]
    if not shares or median(shares) > MAX_LETTER_HEIGHT:
        return boxes
    even = boxes.copy()
    for row, index in enumerate(indexes):
        bottom, top = read_type_edges(text, index)
        if top > bottom:
            even[row, 1], even[row, 3] = top, bottom
    return even


def read_type_edges(text: TextHandle, index: int) -> tuple[float, float]:
    """Return the bottom and the top of a character's type; alike if it is not upright."""
    matrix = raw.FS_MATRIX()
    if not text_matrix_at(text, index, ctypes.addressof(matrix)) or matrix.b or matrix.c:
        return 0.0, 0.0
    size: float = font_size_at(text, index) * matrix.d
    return matrix.f - DESCENT * size, matrix.f + ASCENT * size
