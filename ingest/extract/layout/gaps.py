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

    Lines whose characters take the usual width are not looked at more closely.
    """
    starts = find_line_starts(text)
    spans = [
        (start, end - len(LINE_END))
        for start, end in pairwise(starts)
        if end - len(LINE_END) > start
    ]
    ends = read_boxes(handle, [place for start, stop in spans for place in (start, stop - 1)])
    boxes = np.concatenate([ends[::2, :2], ends[1::2, 2:]], axis=1)
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 1] - boxes[:, 3]
    counts = np.array([stop - start for start, stop in spans])
    sparse = np.flatnonzero(width > MAX_MEAN_WIDTH * height * counts)
    parts = [split_at_gaps(handle, text, spans[number]) for number in sparse.tolist()]
    if sum(len(part) > 1 for part in parts) < MIN_GAPPED_LINES:
        return None
    found = dict(zip(sparse.tolist(), parts, strict=True))
    return np.concatenate([found.get(n, boxes[n : n + 1]) for n in range(len(spans))])


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
