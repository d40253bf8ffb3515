"""Read the boxes of characters and drawn objects as arrays. Only run it in a sandbox."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ingest.extract.engines.pdfium_raw import (
    BOX_FIELDS,
    ListedPage,
    PageHandle,
    TextHandle,
    count_rects,
    fill_char_boxes,
    read_rects,
)

# One row per box: left, top, right, bottom in points; up is positive.
Boxes: TypeAlias = NDArray[np.float32]
CodePoints: TypeAlias = NDArray[np.uint32]
Indices: TypeAlias = NDArray[np.intp]

NEWLINE = 0x0A
BROKEN_WORD_CODE = 0xFFFE  # PDFium's mark for the hyphen of a broken word: a line ends after it


def read_char_boxes(text: TextHandle, indexes: Sequence[int]) -> Boxes:
    """Return the boxes of characters, with the height of their font."""
    return np.frombuffer(fill_char_boxes(text, indexes), np.float32).reshape(-1, BOX_FIELDS)


def code_points(text: str) -> CodePoints:
    """Return the code points of a text."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def read_text_boxes(text: TextHandle) -> Boxes:
    """Return the boxes of the runs of text that the page draws: lines, or parts of them."""
    found = read_rects(range(count_rects(text, 0, -1)), text)
    return np.array(found, np.float32).reshape(-1, BOX_FIELDS)


def read_drawn_boxes(page: PageHandle) -> Boxes:
    """Return the boxes of the paths on a page whose objects are listed: rules, frames, drawings."""
    found = page.bounds if isinstance(page, ListedPage) else b""
    return np.frombuffer(found, np.float32).reshape(-1, BOX_FIELDS)[:, [0, 3, 2, 1]]
