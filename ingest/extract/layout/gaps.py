"""Find the gaps in lines that a page draws as one run each, as distillers draw rows of tables."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ingest.extract.engines.pdfium_raw import BOX_FIELDS, TextHandle, list_char_edges
from ingest.extract.layout.geometry import Boxes
from ingest.extract.layout.lines import LINE_END, find_line_starts

MIN_GAPPED_LINES = 3  # of a page; fewer may be headings with their numbers
# In heights of the font.
MAX_MEAN_WIDTH = 0.43  # of the characters of a line of prose; one with gaps has more
MIN_GAP = 0.6


def find_gapped_runs(handle: TextHandle, text: str) -> Boxes | None:
    """Return the boxes of the parts of all lines between wide gaps; None if there are hardly any.

    If no lines have characters that take more than the usual width, none is looked at more closely.
    """
    starts = find_line_starts(text)
    spans = [
        (start, end - len(LINE_END))
        for start, end in pairwise(starts)
        if text[start : end - len(LINE_END)].strip()
    ]
    ends = read_boxes(handle, [place for start, stop in spans for place in (start, stop - 1)])
    boxes = np.concatenate([ends[::2, :2], ends[1::2, 2:]], axis=1)
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 1] - boxes[:, 3]
    counts = np.array([stop - start for start, stop in spans])
    sparse = np.flatnonzero(width > MAX_MEAN_WIDTH * height * counts)
    parted = [are_cells(split_at_gaps(handle, text, spans[n])) for n in sparse.tolist()]
    if sum(parted) < MIN_GAPPED_LINES:
        return None
    # A gap does not make a long line sparse.
    return np.concatenate([split_at_gaps(handle, text, span) for span in spans])


def are_cells(parts: Boxes) -> bool:
    """Return whether parts of a line may be cells: apart from a marker of a list at its start."""
    width, height = parts[0, 2] - parts[0, 0], parts[0, 1] - parts[0, 3]
    return len(parts) - bool(width < height) > 1


def split_at_gaps(handle: TextHandle, text: str, span: tuple[int, int]) -> Boxes:
    """Return the boxes of the parts of a line between wide gaps."""
    boxes = read_boxes(handle, [place for place in range(*span) if not text[place].isspace()])
    gaps = boxes[1:, 0] - boxes[:-1, 2] > MIN_GAP * (boxes[:-1, 1] - boxes[:-1, 3])
    firsts = np.flatnonzero(np.append(True, gaps))
    lasts = np.append(firsts[1:], len(boxes)) - 1
    return np.concatenate([boxes[firsts, :2], boxes[lasts, 2:]], axis=1)


def read_boxes(handle: TextHandle, places: list[int]) -> Boxes:
    """Return the boxes of characters, as high as their font."""
    return np.array(list_char_edges(handle, places), np.float32).reshape(-1, BOX_FIELDS)
