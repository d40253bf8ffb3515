"""Render single lines of a page. Native code: only run it in a sandbox."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from ingest.extract.engines.pdfium_objects import leave_out, list_objects
from ingest.extract.engines.pdfium_raw import (
    address_of,
    close_page,
    close_text,
    count_characters,
    list_char_edges,
    load_page,
    load_text,
    read_characters,
)
from ingest.extract.engines.pdfium_render import to_pixels
from ingest.models import GreyImage

if TYPE_CHECKING:
    from ingest.extract.engines.pdfium import Pdfium

LINE_END = "\r\n"
MARGIN_SHARE = 0.1  # of a line's height, around it
MAX_GAP_HEIGHTS = 3.0  # between two characters of a line; at a wider gap it is cut


class DrawnLines:
    """The lines of a page as PDFium draws them, and images of them."""

    def __init__(self, engine: Pdfium, index: int) -> None:
        self.engine = engine
        self.index = index
        self.lines: list[str] = []
        self.boxes: list[tuple[float, float, float, float]] = []
        page = load_page(address_of(engine.document), index)
        try:
            leave_out(list_objects(page).unseen)
            text = load_text(page)
            try:
                self.find_lines(text)
            finally:
                close_text(text)
        finally:
            close_page(page)

    def find_lines(self, text: int) -> None:
        """Find the lines of a loaded text, cut at wide gaps."""
        count = count_characters(text)
        drawn = read_characters(text, count)
        if len(drawn) != count:  # its characters have other indexes
            return
        start = 0
        for line in drawn.split(LINE_END):
            places = [
                start + n for n, char in enumerate(line) if char.isprintable() and char != " "
            ]
            start += len(line) + len(LINE_END)
            if places:
                flat = list_char_edges(text, places)
                boxes = list(zip(flat[0::4], flat[1::4], flat[2::4], flat[3::4], strict=True))
                for first, end in cut_at_gaps(boxes):
                    part = boxes[first:end]
                    self.lines.append(drawn[places[first] : places[end - 1] + 1])
                    self.boxes.append(
                        (
                            min(box[0] for box in part),
                            min(box[3] for box in part),
                            max(box[2] for box in part),
                            max(box[1] for box in part),
                        )
                    )

    def draw(self, numbers: Sequence[int]) -> list[GreyImage]:
        """Render lines, given their indexes."""
        image = self.engine.render(self.index)
        page = self.engine.document[self.index]
        handle = ctypes.cast(page.raw, ctypes.c_void_p).value
        assert handle
        found = []
        for number in numbers:
            left, low, right, high = self.boxes[number]
            margin = MARGIN_SHARE * min(high - low, right - left)
            box = left - margin, low - margin, right + margin, high + margin
            top, bottom, start, end = to_pixels(handle, box, image.shape)
            found.append(image[top:bottom, start:end])
        return [line for line in found if line.size]


def cut_at_gaps(boxes: Sequence[tuple[float, ...]]) -> list[tuple[int, int]]:
    """Return the first and last character of each part of a line without wide gaps."""
    height = max(top - bottom for _, top, _, bottom in boxes)
    cuts = [
        n + 1
        for n, (one, other) in enumerate(pairwise(boxes))
        if other[0] - one[2] > MAX_GAP_HEIGHTS * height
    ]
    return list(pairwise([0, *cuts, len(boxes)]))
