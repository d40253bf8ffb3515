"""Read the boxes of characters as high as their type. Only run it in a sandbox.

Some programs, LibreOffice among them, write fonts that do not say how high their type is. PDFium's
boxes are then as high as each letter is, and the gaps between lines depend on what they say.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from statistics import median

import numpy as np
from pypdfium2 import raw

from ingest.extract.engines.pdfium_raw import (
    ReorderedText,
    TextHandle,
    font_size_at,
    list_owners,
    text_matrix_at,
)
from ingest.extract.layout.geometry import Boxes, read_char_boxes

ASCENT, DESCENT = 0.75, 0.25  # of the size of a type
SAMPLE_CHARS = 8  # of a page, that show whether its boxes are as high as its letters
# Of the size of their type, for most boxes: capitals are no higher, and almost any type is. The
# exception is Courier, whose spaces would be as wide as the gap between two cells.
MAX_LETTER_HEIGHT = 0.8

MATRIX = raw.FS_MATRIX()  # used again and again
MATRIX_ADDRESS = ctypes.addressof(MATRIX)


def read_type_boxes(text: TextHandle, indexes: Sequence[int]) -> Boxes:
    """Return the boxes of characters, as high as their type is."""
    boxes = read_char_boxes(text, indexes)
    if isinstance(text, ReorderedText):
        return boxes
    step = max(1, len(indexes) // SAMPLE_CHARS)
    heights = (boxes[::step, 1] - boxes[::step, 3]).tolist()
    shares = [
        height / (top - bottom)
        for height, index in zip(heights, indexes[::step], strict=True)
        for bottom, top in [read_type_edges(text, index)]
        if top > bottom
    ]
    if not shares or median(shares) > MAX_LETTER_HEIGHT:
        return boxes
    # The characters that one object draws have the same base line.
    owners = list_owners(text, indexes)
    edges_of = {
        owner: read_type_edges(text, index)
        for owner, index in dict(zip(owners, indexes, strict=True)).items()
    }
    edges = np.array([edges_of[owner] for owner in owners])
    upright = edges[:, 1] > edges[:, 0]
    boxes[upright, 1], boxes[upright, 3] = edges[upright, 1], edges[upright, 0]
    return boxes


def read_type_edges(text: TextHandle, index: int) -> tuple[float, float]:
    """Return the bottom and the top of a character's type; alike if it is not upright."""
    if not text_matrix_at(text, index, MATRIX_ADDRESS) or MATRIX.b or MATRIX.c:
        return 0.0, 0.0
    size: float = font_size_at(text, index) * MATRIX.d
    base: float = MATRIX.f
    return base - DESCENT * size, base + ASCENT * size
