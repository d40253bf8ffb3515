"""A page whose lines do not tell their order, or have holes: looked at word by word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ingest.extract.engines.pdfium_raw import PageHandle, TextHandle
from ingest.extract.layout.geometry import (
    Boxes,
    Indices,
    code_points,
    read_drawn_boxes,
    read_text_boxes,
)
from ingest.extract.layout.reading_order import order_segments
from ingest.extract.layout.rulings import find_rulings
from ingest.extract.layout.segments import (
    RIGHT_TO_LEFT,
    Direction,
    TextSegment,
    WordBoxes,
    find_directions,
    find_gaps,
    find_ruled_gaps,
    find_words,
    join_boxes,
    make_segments,
    turn_to_reader,
)
from ingest.extract.layout.whitespace import Band

PARAGRAPH_GAP_HEIGHTS = 0.9  # in heights: more white between two lines parts paragraphs


def arrange_by_words(page: PageHandle, handle: TextHandle, text: str, plain: str | None) -> str:
    """The text of a page in the order in which it is read.

    `plain` is what its lines say, which holds where none of them has a hole.
    """
    written = read_text_boxes(handle)
    if plain is not None and not has_holes(written):
        return plain
    return order_words(page, text, find_words(handle, code_points(text), written), plain)


def order_words(page: PageHandle, text: str, words: WordBoxes, plain: str | None) -> str:
    """The text of a page in the order in which it is read, as the places of its words show it.

    `plain` is what its lines say, which holds where none of them has a hole.
    """
    ways = find_directions(words, text)
    several = sorted(set(ways.tolist()))
    usual = Direction(int(np.bincount(ways, minlength=4).argmax()))
    backwards = len(RIGHT_TO_LEFT.findall(text)) > len(text) / 3
    read: list[Band] = []
    for way in sorted(several, key=lambda way: (way != usual, way)):
        part = words if len(several) == 1 else words.select(np.flatnonzero(ways == way))
        sight = join_boxes(
            turn_to_reader(part.first_boxes, Direction(way)),
            turn_to_reader(part.last_boxes, Direction(way)),
        )
        cuts = find_gaps(sight, part.lines)
        if plain is not None and part is words and not has_cut_in_line(cuts, part.lines):
            return plain
        ruled = find_rulings(turn_to_reader(read_drawn_boxes(page), Direction(way)))
        cuts |= find_ruled_gaps(sight, ruled.vertical)
        read += order_segments(
            list(make_segments(text, part, sight, cuts)), ruled, right_to_left=backwards
        )
    if plain is not None and not any(band[0].is_table for band in read) and is_drawing_order(read):
        return plain
    return "\n".join(format_bands(read, right_to_left=backwards))


def has_holes(written_boxes: Boxes) -> bool:
    """Whether some of what a page writes is on one level with what it writes next, but apart."""
    if not len(written_boxes):
        return False
    boxes = written_boxes.tolist()
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


def has_cut_in_line(cuts: NDArray[np.bool_], lines: Indices) -> bool:
    """Whether a cut is within a line."""
    return bool((cuts & (np.diff(lines) == 0)).any())


def is_drawing_order(bands: Sequence[Band]) -> bool:
    """Whether a page is read as it is drawn."""
    places = [piece.drawing_index for band in bands for piece in band]
    return all(a < b for a, b in pairwise(places))


def format_bands(bands: Sequence[Band], *, right_to_left: bool) -> Iterator[str]:
    """The lines of a page, with an empty one around tables and between paragraphs."""
    before: Band = []
    for band in bands:
        if before and is_new_paragraph(before[0], band[0]):
            yield ""
        yield " ".join(piece.text for piece in (reversed(band) if right_to_left else band))
        before = band


def is_new_paragraph(above: TextSegment, below: TextSegment) -> bool:
    """Whether something begins that is not the same paragraph."""
    if above.is_table or below.is_table:
        return True
    return below.v0 - above.v1 > PARAGRAPH_GAP_HEIGHTS * min(above.height, below.height)
