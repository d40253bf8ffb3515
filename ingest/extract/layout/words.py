"""A page whose lines do not tell their order, or have holes: looked at word by word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ingest.extract.engines.pdfium_raw import Page, Text
from ingest.extract.layout.geometry import Boxes, Places, codes, drawn, text_boxes
from ingest.extract.layout.reading_order import in_order
from ingest.extract.layout.rulings import rules
from ingest.extract.layout.segments import (
    RIGHT_TO_LEFT,
    Piece,
    Towards,
    Words,
    directions,
    gaps,
    parted,
    pieces,
    reaching,
    seen,
    words,
)
from ingest.extract.layout.whitespace import Band

PARAGRAPH = 0.9  # in heights: more white between two lines parts paragraphs


def read(page: Page, handle: Text, text: str, plain: str | None) -> str:
    """The text of a page in the order in which it is read.

    `plain` is what its lines say, which holds where none of them has a hole.
    """
    written = text_boxes(handle)
    if plain is not None and not holes(written):
        return plain
    return by_words(page, text, words(handle, codes(text), written), plain)


def by_words(page: Page, text: str, found: Words, plain: str | None) -> str:
    """The text of a page in the order in which it is read, as the places of its words show it.

    `plain` is what its lines say, which holds where none of them has a hole.
    """
    ways = directions(found, text)
    several = sorted(set(ways.tolist()))
    usual = Towards(int(np.bincount(ways, minlength=4).argmax()))
    backwards = len(RIGHT_TO_LEFT.findall(text)) > len(text) / 3
    read: list[Band] = []
    for way in sorted(several, key=lambda way: (way != usual, way)):
        part = found if len(several) == 1 else found.chosen(np.flatnonzero(ways == way))
        sight = reaching(seen(part.first, Towards(way)), seen(part.last, Towards(way)))
        cuts = gaps(sight, part.lines)
        if plain is not None and part is found and not holed(cuts, part.lines):
            return plain
        ruled = rules(seen(drawn(page), Towards(way)))
        cuts |= parted(sight, ruled.upright)
        read += in_order(list(pieces(text, part, sight, cuts)), ruled, backwards=backwards)
    if plain is not None and not any(band[0].table for band in read) and steady(read):
        return plain
    return "\n".join(spelt(read, backwards=backwards))


def holes(written: Boxes) -> bool:
    """Whether some of what a page writes is on one level with what it writes next, but apart."""
    if not len(written):
        return False
    boxes = written.tolist()
    height = sum([top - low for _, top, _, low in boxes]) / len(boxes)
    # A list's marker stands apart too, and is no wider than its line is high.
    return any(
        low < top_above
        and low_above < top
        and right_above - left_above > height
        and (left - right_above > height or left_above - right > height)
        for (left_above, top_above, right_above, low_above), (left, top, right, low) in pairwise(
            boxes
        )
    )


def holed(cuts: NDArray[np.bool_], lines: Places) -> bool:
    """Whether a cut is within a line."""
    return bool((cuts & (np.diff(lines) == 0)).any())


def steady(read: Sequence[Band]) -> bool:
    """Whether a page is read as it is drawn."""
    places = [piece.place for band in read for piece in band]
    return all(a < b for a, b in pairwise(places))


def spelt(read: Sequence[Band], *, backwards: bool) -> Iterator[str]:
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
