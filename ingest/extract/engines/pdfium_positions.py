"""Locate texts on the image of a page. Native code: only run it in a sandbox.

Extraction has cleaned, reordered and joined the text of a document. What the page draws is found
in it again by letters and digits alone: line by line or, where a line is not found, part by part.
"""

from __future__ import annotations

import ctypes
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pypdfium2 import raw

from ingest.extract.engines.pdfium import Pdfium
from ingest.extract.engines.pdfium_bidi import needs_reordering, reorder_page
from ingest.extract.engines.pdfium_raw import (
    address_of,
    close_text,
    count_characters,
    load_text,
    read_characters,
)
from ingest.extract.engines.pdfium_syllables import GlyphTexts
from ingest.extract.layout.geometry import Boxes, read_char_boxes
from ingest.models import GreyImage

MAX_SEARCHED_CHARS = 30_000  # a page with more is not searched; a dense page has a fifth as many
MIN_DISTINCT_LETTERS = 4  # a shorter part is matched only near where the last one ended
NEARBY_LETTERS = 60  # the distance that counts as near
DEVICE_UNITS = 1 << 24  # size of the canvas that points are mapped to, so that integers are exact
LINE_BREAK = re.compile("\r\n|\ufffe")  # the end of a line, or of one within a broken word
POINTS_PER_INCH = 72  # a page is scaled as if no side were shorter than an inch


class TextPosition(NamedTuple):
    """A rectangle of the image that shows a text, in pixels from the top left."""

    text: int  # index of the text
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class LetterIndex:
    """The letters of a text to search for, and the offset of each in it."""

    letters: str
    offsets: Sequence[int]


def render_at_height(engine: Pdfium, index: int, height: int) -> GreyImage:
    """Render a page in grey, `height` pixels high; smaller if it is very wide or tiny."""
    page = engine.document[index]
    page_width, page_height = page.get_size()
    target = height - 0.5  # PDFium rounds up
    scale = min(
        target / max(page_height, POINTS_PER_INCH), 2 * target / max(page_width, POINTS_PER_INCH)
    )
    image = page.render(scale=scale, grayscale=True)
    grey: GreyImage = image.to_numpy().reshape(image.height, image.width)
    return grey


def find_text_positions(
    engine: Pdfium, index: int, texts: Sequence[str], shape: tuple[int, int]
) -> list[TextPosition]:
    """Locate texts on an image of a page with this shape, as far as they can be found."""
    page = engine.document[index]
    handle = load_text(address_of(page.raw))
    if not handle:
        return []
    try:
        count = count_characters(handle)
        shown = read_characters(handle, count) if count <= MAX_SEARCHED_CHARS else ""
        if needs_reordering(shown):
            handle, shown = reorder_page(address_of(page.raw), handle, shown, GlyphTexts())
        elif len(shown) != count:
            return []
        with_letters = [place for place, char in enumerate(shown) if plain_letters_of(char)]
        boxes = np.zeros((len(shown), 4), np.float32)
        if with_letters:
            boxes[with_letters] = read_char_boxes(handle, with_letters)
    finally:
        close_text(handle)
    boxes = to_pixels(page, boxes, shape)
    found = []
    for text, chars in match_texts(shown, boxes, texts):
        left, top = boxes[chars, :2].min(axis=0).tolist()
        right, bottom = boxes[chars, 2:].max(axis=0).tolist()
        found.append(TextPosition(text, left, top, right - left, bottom - top))
    return found


def to_pixels(page: Any, boxes: Boxes, shape: tuple[int, int]) -> Boxes:
    """Convert boxes in points to left, top, right, bottom in pixels, clipped to the image."""
    height, width = shape
    origin, along, up = (
        to_device_point(page, x, y) for x, y in ((0, 0), (POINTS_PER_INCH, 0), (0, POINTS_PER_INCH))
    )
    transform = np.stack([along - origin, up - origin]) / POINTS_PER_INCH
    first, second = boxes[:, :2] @ transform + origin, boxes[:, 2:] @ transform + origin
    scale = np.array([width, height]) / DEVICE_UNITS
    corners = np.stack([first, second]) * scale
    pixels = np.hstack([corners.min(axis=0), corners.max(axis=0)])
    clipped: Boxes = np.clip(pixels, 0, [width, height] * 2).astype(np.float32)
    return clipped


def to_device_point(page: Any, x: float, y: float) -> NDArray[np.float64]:
    """Map a point of a page to device units, from the left and the top of its image."""
    across, down = ctypes.c_int(), ctypes.c_int()
    raw.FPDF_PageToDevice(page, 0, 0, DEVICE_UNITS, DEVICE_UNITS, 0, x, y, across, down)
    return np.array([across.value, down.value], np.float64)


def match_texts(shown: str, boxes: Boxes, texts: Sequence[str]) -> Iterator[tuple[int, list[int]]]:
    """Match parts of a page's characters to texts; yield a text's index and the characters."""
    indexes = [index_letters(text) for text in texts]
    haystack = "".join(index.letters for index in indexes)
    starts = list(accumulate((len(index.letters) for index in indexes), initial=0))
    by_letters = {index.letters: start for index, start in zip(indexes, starts, strict=False)}
    cursor = 0
    pending = split_lines(shown)[::-1]
    while pending:
        start, end = pending.pop()
        part = index_letters(shown[start:end])
        if not part.letters:
            continue
        place = find_part(part.letters, haystack, cursor)
        if place is None:
            place = by_letters.get(part.letters)  # a page number, for instance
        if place is None:
            pending += split_at_widest_gap(shown, boxes, start, end)[::-1]
            continue
        cursor = place + len(part.letters)
        owners = (bisect_right(starts, place + n) - 1 for n in range(len(part.letters)))
        pairs = zip(owners, part.offsets, strict=True)
        for text, run in groupby(pairs, key=lambda pair: pair[0]):
            yield text, [start + offset for _, offset in run]


def split_lines(shown: str) -> list[tuple[int, int]]:
    """Return the start and end of each of PDFium's lines of a page."""
    breaks = [match.span() for match in LINE_BREAK.finditer(shown)]
    edges = [0, *(edge for span in breaks for edge in span), len(shown)]
    return list(zip(edges[::2], edges[1::2], strict=True))


def find_part(part: str, haystack: str, cursor: int) -> int | None:
    """Find a part at or after the cursor, or else anywhere; None if it is not found for certain."""
    if len(part) < MIN_DISTINCT_LETTERS:
        place = haystack.find(part, cursor, cursor + NEARBY_LETTERS)
    else:
        place = haystack.find(part, cursor)
        place = place if place >= 0 else haystack.find(part)
    return None if place < 0 else place


def split_at_widest_gap(shown: str, boxes: Boxes, start: int, end: int) -> list[tuple[int, int]]:
    """Split a part of a line at its widest gap; [] if it is too short to split."""
    places = [place for place in range(start, end) if plain_letters_of(shown[place])]
    if len(places) < MIN_DISTINCT_LETTERS:
        return []
    after, before = boxes[places[1:]], boxes[places[:-1]]
    across = np.maximum(after[:, 0] - before[:, 2], before[:, 0] - after[:, 2])
    down = np.maximum(after[:, 1] - before[:, 3], before[:, 1] - after[:, 3])
    widest = places[int(np.maximum(across, down).argmax()) + 1]
    return [(start, widest), (widest, end)]


def index_letters(text: str) -> LetterIndex:
    """Index the letters and digits of a text, decomposed and without accents."""
    offsets, parts = [], []
    for offset, char in enumerate(text):
        if plain := plain_letters_of(char):
            parts.append(plain)
            offsets += [offset] * len(plain)
    return LetterIndex("".join(parts), offsets)


@lru_cache(maxsize=10_000)
def plain_letters_of(char: str) -> str:
    """Return the letters and digits that a character decomposes to (NFKD)."""
    return "".join(c for c in unicodedata.normalize("NFKD", char) if c.isalnum())
