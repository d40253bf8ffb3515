"""A page in the order in which it is read, its tables as Markdown. Only run it in a child process.

A page whose lines follow each other downwards and have no holes is left as it is, after one call of
PDFium for each of its lines; only the others are looked at word by word. Whatever is made of a page,
it keeps all characters that are not white space: what is moved is whole pieces of its text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from pypdfium2 import raw

from ingest.extract.layout.bands import Band
from ingest.extract.layout.boxes import (
    Boxes,
    Codes,
    Places,
    character_boxes,
    codes,
    drawn,
    line_starts,
)
from ingest.extract.layout.columns import in_order
from ingest.extract.layout.pieces import (
    RIGHT_TO_LEFT,
    Piece,
    Towards,
    directions,
    gaps,
    parted,
    pieces,
    reaching,
    seen,
    words,
)
from ingest.extract.layout.tables import rules

# Text objects for each line: up to so many, a line has no holes worth looking at.
WHOLE, SPARE = 1.25, 4
DOWN = 0.25  # in heights: a line that begins so much lower follows the one before
PARAGRAPH = 0.9  # in heights: more white between two lines parts paragraphs
MOST = 20_000  # characters of a page that is looked at word by word


def lines(handle: raw.FPDF_TEXTPAGE, text: str) -> tuple[Codes, Places, Boxes]:
    """The code points of a page, where its lines begin, and the boxes of their first characters.

    Raises ValueError where PDFium counts the characters of the page otherwise.
    """
    points = codes(text)
    if len(points) != raw.FPDFText_CountChars(handle):
        raise ValueError("characters are missing")
    starts = line_starts(points, broken="\ufffe" in text)
    return points, starts, character_boxes(handle, starts.tolist())


def arranged(page: raw.FPDF_PAGE, handle: raw.FPDF_TEXTPAGE, text: str) -> str:
    """The text of a page in the order in which it is read; `begun` is what `lines` gave."""
    points, starts, boxes = lines(handle, text)
    follow = following(boxes)
    if (follow and not holes(page, handle, len(starts))) or len(points) > MOST or len(starts) < 2:
        return text
    found = words(handle, points)
    ways = directions(found, text)
    usual = Towards(int(np.bincount(ways, minlength=4).argmax()))
    backwards = len(RIGHT_TO_LEFT.findall(text)) > len(text) / 3
    read: list[Band] = []
    for way in sorted(set(ways.tolist()), key=lambda way: (way != usual, way)):
        chosen = np.flatnonzero(ways == way)
        part = type(found)(*(getattr(found, name)[chosen] for name in found.__slots__))
        sight = reaching(seen(part.first, Towards(way)), seen(part.last, Towards(way)))
        cuts = gaps(sight, part.lines)
        if follow and way == usual and len(chosen) == len(ways) and not holed(cuts, part.lines):
            return text
        ruled = rules(seen(drawn(page), Towards(way)))
        cuts |= parted(sight, ruled.upright)
        apart = list(pieces(text, part, sight, cuts))
        read += in_order(apart, ruled, backwards=backwards)
    return "\n".join(written(read, backwards=backwards)) if worth(read, follow=follow) else text


def following(boxes: Boxes) -> bool:
    """Whether each line begins lower than the one before."""
    middles = (boxes[:, 1] + boxes[:, 3]) / 2
    heights = boxes[:-1, 1] - boxes[:-1, 3]
    return bool((middles[1:] < middles[:-1] - DOWN * heights).all())


def holes(page: raw.FPDF_PAGE, handle: raw.FPDF_TEXTPAGE, lines: int) -> bool:
    """Whether lines may have holes: there is more to write on the page than the lines."""
    most = WHOLE * lines + SPARE
    objects = raw.FPDFPage_CountObjects(page)
    if lines / 2 < objects <= most:
        return False
    return bool(raw.FPDFText_CountRects(handle, 0, -1) > most)


def holed(cuts: np.ndarray, lines: Places) -> bool:
    """Whether a cut is within a line."""
    return bool((cuts & (np.diff(lines) == 0)).any())


def worth(read: Sequence[Band], *, follow: bool) -> bool:
    """Whether a page reads otherwise than it is drawn."""
    if any(band[0].table for band in read) or not follow:
        return True
    places = [piece.place for band in read for piece in band]
    return any(b < a for a, b in zip(places, places[1:], strict=False))


def written(read: Sequence[Band], *, backwards: bool) -> Iterator[str]:
    """The lines of a page, with an empty one around tables and between paragraphs."""
    before: Band = []
    for band in read:
        if before and apart(before[0], band[0]):
            yield ""
        yield " ".join(piece.text for piece in (reversed(band) if backwards else band))
        before = band


def apart(above: Piece, below: Piece) -> bool:
    """Whether something begins that is not the same paragraph."""
    if above.table or below.table:
        return True
    return below.v0 - above.v1 > PARAGRAPH * min(above.height, below.height)
