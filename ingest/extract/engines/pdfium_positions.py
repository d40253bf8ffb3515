"""Where on the picture of a page its text stands. Native code: only run it in a child process.

The text of a document was cleaned, put in order and joined; what the page draws is found in it
again by its letters and digits alone, line by line and, where lines do not help, part by part.
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
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pypdfium2 import raw

from ingest.extract.engines.pdfium import Pdfium, read_characters
from ingest.extract.engines.pdfium_raw import address_of, close_text, count_characters, load_text
from ingest.extract.layout.geometry import Boxes, read_char_boxes

if TYPE_CHECKING:
    from ingest.models import GreyImage

MAX_SEARCHED_CHARS = (
    30_000  # characters of a page: with more it is not looked at; a dense page has a fifth
)
MIN_DISTINCT_LETTERS = 4  # letters: fewer are the right ones only where they come next
NEARBY_LETTERS = 60  # letters: how far away that may be
DEVICE_UNITS = 1 << 24  # what a page is measured with, so that whole numbers are exact
LINE_BREAK = re.compile("\r\n|\ufffe")  # the end of a line; the other is that of a broken word
POINTS_PER_INCH = 72  # points; a page that is lower is drawn larger by no more than this


class TextPosition(NamedTuple):
    """A rectangle of the picture, and which of the texts stands in it; in pixels from the top."""

    text: int
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class LetterIndex:
    """What of a text it is found by, and where each letter is from."""

    text: str
    offsets: Sequence[int]


def render_at_height(engine: Pdfium, index: int, height: int) -> GreyImage:
    """A page in grey, so many pixels high, or less where it is very wide or low."""
    page = engine.document[index]
    width, tall = page.get_size()
    whole = height - 0.5  # what is drawn is rounded up
    scale = min(whole / max(tall, POINTS_PER_INCH), 2 * whole / max(width, POINTS_PER_INCH))
    image = page.render(scale=scale, grayscale=True)
    grey: GreyImage = image.to_numpy().reshape(image.height, image.width)
    return grey


def find_text_positions(
    engine: Pdfium, index: int, texts: Sequence[str], shape: tuple[int, int]
) -> list[TextPosition]:
    """Where the texts stand on a page that is drawn in a picture of this shape, as far as known."""
    page = engine.document[index]
    handle = load_text(address_of(page.raw))
    if not handle:
        return []
    try:
        count = count_characters(handle)
        shown = read_characters(handle, count) if count <= MAX_SEARCHED_CHARS else ""
        if len(shown) != count:
            return []
        needed = [place for place, sign in enumerate(shown) if plain_letters_of(sign)]
        boxes = np.zeros((count, 4), np.float32)
        if needed:
            boxes[needed] = read_char_boxes(handle, needed)
    finally:
        close_text(handle)
    boxes = to_pixels(page, boxes, shape)
    found = []
    for text, places in match_texts(shown, boxes, texts):
        left, top = boxes[places, :2].min(axis=0).tolist()
        right, bottom = boxes[places, 2:].max(axis=0).tolist()
        found.append(TextPosition(text, left, top, right - left, bottom - top))
    return found


def to_pixels(page: Any, boxes: Boxes, shape: tuple[int, int]) -> Boxes:
    """Boxes of a page as left, top, right, bottom in pixels of its picture, and inside it."""
    height, width = shape
    origin, along, up = (
        to_device_point(page, x, y) for x, y in ((0, 0), (POINTS_PER_INCH, 0), (0, POINTS_PER_INCH))
    )
    turn = np.stack([along - origin, up - origin]) / POINTS_PER_INCH
    first, second = boxes[:, :2] @ turn + origin, boxes[:, 2:] @ turn + origin
    scale = np.array([width, height]) / DEVICE_UNITS
    corners = np.stack([first, second]) * scale
    inside = np.hstack([corners.min(axis=0), corners.max(axis=0)])
    within: Boxes = np.clip(inside, 0, [width, height] * 2).astype(np.float32)
    return within


def to_device_point(page: Any, x: float, y: float) -> NDArray[np.float64]:
    """A point of a page, in parts of LARGE from the left and from the top of its picture."""
    across, down = ctypes.c_int(), ctypes.c_int()
    raw.FPDF_PageToDevice(page, 0, 0, DEVICE_UNITS, DEVICE_UNITS, 0, x, y, across, down)
    return np.array([across.value, down.value], np.float64)


def match_texts(shown: str, boxes: Boxes, texts: Sequence[str]) -> Iterator[tuple[int, list[int]]]:
    """The texts that parts of what a page shows belong to, and the characters of each part."""
    hay = [index_letters(text) for text in texts]
    whole = "".join(part.text for part in hay)
    begins = list(accumulate((len(part.text) for part in hay), initial=0))
    alone = {part.text: begin for part, begin in zip(hay, begins, strict=False)}
    cursor = 0
    waiting = split_lines(shown)[::-1]
    while waiting:
        start, end = waiting.pop()
        part = index_letters(shown[start:end])
        if not part.text:
            continue
        place = find_part(part.text, whole, cursor)
        if place is None:
            place = alone.get(part.text)  # a page's number, say
        if place is None:
            waiting += split_at_widest_gap(shown, boxes, start, end)[::-1]
            continue
        cursor = place + len(part.text)
        owners = (bisect_right(begins, place + n) - 1 for n in range(len(part.text)))
        pairs = zip(owners, part.offsets, strict=True)
        for text, run in groupby(pairs, key=lambda pair: pair[0]):
            yield text, [start + origin for _, origin in run]


def split_lines(shown: str) -> list[tuple[int, int]]:
    """Where the lines of a page begin and end, as PDFium has them."""
    breaks = [match.span() for match in LINE_BREAK.finditer(shown)]
    edges = [0, *(edge for span in breaks for edge in span), len(shown)]
    return list(zip(edges[::2], edges[1::2], strict=True))


def find_part(part: str, whole: str, cursor: int) -> int | None:
    """Where a part stands in the whole: the next place, else the first one; None where unsure."""
    if len(part) < MIN_DISTINCT_LETTERS:
        place = whole.find(part, cursor, cursor + NEARBY_LETTERS)
    else:
        place = whole.find(part, cursor)
        place = place if place >= 0 else whole.find(part)
    return None if place < 0 else place


def split_at_widest_gap(shown: str, boxes: Boxes, start: int, end: int) -> list[tuple[int, int]]:
    """A part of a line as two, parted at its widest gap; none where that leaves too little."""
    places = [place for place in range(start, end) if plain_letters_of(shown[place])]
    if len(places) < MIN_DISTINCT_LETTERS:
        return []
    left, right = boxes[places[1:]], boxes[places[:-1]]
    across = np.maximum(left[:, 0] - right[:, 2], right[:, 0] - left[:, 2])
    down = np.maximum(left[:, 1] - right[:, 3], right[:, 1] - left[:, 3])
    widest = places[int(np.maximum(across, down).argmax()) + 1]
    return [(start, widest), (widest, end)]


def index_letters(text: str) -> LetterIndex:
    """The letters and digits of a text, without accents, in their plainest form."""
    origins, parts = [], []
    for place, sign in enumerate(text):
        if plain := plain_letters_of(sign):
            parts.append(plain)
            origins += [place] * len(plain)
    return LetterIndex("".join(parts), origins)


@lru_cache(maxsize=10_000)
def plain_letters_of(sign: str) -> str:
    """The letters and digits that a character is made of."""
    return "".join(c for c in unicodedata.normalize("NFKD", sign) if c.isalnum())
