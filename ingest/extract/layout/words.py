"""Put a page into reading order by its words, where its lines do not show the order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from ingest.extract.ascii_parts import non_ascii
from ingest.extract.engines.pdfium_raw import PageHandle, ReorderedText, TextHandle
from ingest.extract.layout.continued import ArrangedPage
from ingest.extract.layout.drawing_order import find_better_drawing_order, is_drawn_in_order
from ingest.extract.layout.gaps import find_gapped_runs
from ingest.extract.layout.geometry import Boxes, code_points, read_drawn_boxes, read_text_boxes
from ingest.extract.layout.pieces import join_markers
from ingest.extract.layout.reading_order import order_page
from ingest.extract.layout.rulings import find_rulings
from ingest.extract.layout.segments import (
    RIGHT_TO_LEFT,
    TextSegment,
    are_apart,
    find_column_gaps,
    find_directions,
    find_gaps,
    find_ruled_gaps,
    join_boxes,
    make_segments,
    turn_to_reader,
)
from ingest.extract.layout.whitespace import Band
from ingest.extract.layout.word_boxes import WordBoxes, find_words

MAX_LONE_HOLES = 2  # of a page without a table
MIN_RULES = 3  # of a page with one whose rows are drawn as a whole

# In heights of a line.
PARAGRAPH_GAP_HEIGHTS = 0.9  # a larger gap separates paragraphs
MIN_WIDER_GAP_HEIGHTS = 0.3  # more than the usual gap of a page with wide line spacing

# Scripts without spaces between words: Thai, Lao, Burmese, Khmer.
UNSPACED_SCRIPT = re.compile("[\u0e01-\u0e3a\u0e40-\u0eff\u1000-\u109f\u1780-\u17ff]")
LONG_LINE_SHARE = 0.75  # of the width of the longest line
MIN_LINE_GAPS = 2  # after long lines, to know the usual one


def arrange_by_words(  # noqa: PLR0913 - what is known of a page
    page: PageHandle,
    handle: TextHandle,
    text: str,
    plain: str | None,
    runs: Boxes | None = None,
    *,
    draws_rows: bool = False,
) -> ArrangedPage:
    """Return the text of a page in reading order.

    `plain` is its text ordered by lines, if that was possible; it is right if no line has a hole.
    `runs` are the boxes of its runs of text, if they have been read. With `draws_rows`, a run may
    be a whole row of cells.
    """
    written = read_text_boxes(handle) if runs is None else runs
    is_reordered = isinstance(handle, ReorderedText)
    # Some programs draw each letter by itself. Lines of Thai are joined, line by line.
    by_letters = (is_reordered or 2 * len(written) > len(text)) and not UNSPACED_SCRIPT.search(text)
    drawn = None
    if plain is not None and not has_holes(written, by_letters=by_letters):
        if not draws_rows or is_reordered or len(drawn := read_drawn_boxes(page)) < MIN_RULES:
            return ArrangedPage(plain)
        gapped = find_gapped_runs(handle, text)
        if gapped is None:
            return ArrangedPage(plain)
        written = gapped
    drawn = read_drawn_boxes(page) if drawn is None else drawn
    words = find_words(handle, code_points(text), written, drawn)
    return order_words(drawn, text, words, plain)


def order_words(drawn: Boxes, text: str, words: WordBoxes, plain: str | None) -> ArrangedPage:
    """Return the text of a page in reading order, by the positions of its words.

    See arrange_by_words() for `plain`. `drawn` are the boxes of rules and frames.
    """
    directions = find_directions(words, text)
    present = sorted(set(directions.tolist()))
    usual = np.bincount(directions, minlength=4).argmax()
    leftward = len(RIGHT_TO_LEFT.findall(non_ascii(text)))
    right_to_left, is_mixed = leftward > len(text) / 3, leftward > 0
    bands: list[Band] = []
    for way in sorted(present, key=lambda way: (way != usual, way)):
        part = words if len(present) == 1 else words.select(np.flatnonzero(directions == way))
        boxes = join_boxes(
            turn_to_reader(part.first_boxes, way),
            turn_to_reader(part.last_boxes, way),
        )
        cuts = find_gaps(boxes, part.lines, mixed=is_mixed)
        is_uncut = not (cuts & (np.diff(part.lines) == 0)).any()
        if plain is not None and part is words and is_uncut:
            return ArrangedPage(plain)
        rulings = find_rulings(turn_to_reader(drawn, way))
        cuts |= find_ruled_gaps(boxes, rulings.vertical, mixed=is_mixed)
        cuts |= find_ruled_gaps(boxes, rulings.joints, mixed=is_mixed) & are_apart(boxes)
        cuts |= find_column_gaps(boxes, part.lines, cuts)
        bands += order_page(
            join_markers(make_segments(text, part, boxes, cuts)),
            rulings,
            right_to_left=right_to_left,
        )
    if len(present) == 1:
        bands = find_better_drawing_order(bands, right_to_left=right_to_left) or bands
    has_table = any(band[0].is_table for band in bands)
    if (
        not has_table
        and plain is not None
        and is_drawn_in_order([s for band in bands for s in band])
    ):
        return ArrangedPage(plain)
    return ArrangedPage(
        "\n".join(format_bands(bands, right_to_left=right_to_left)),
        tuple(band[0].columns for band in bands if band[0].is_table),
    )


def has_holes(written: Boxes, *, by_letters: bool = False) -> bool:
    """Return whether some runs of text are side by side with the next ones, at a distance.

    A hole or two are those of a running head: a table or columns have more. If a page is drawn
    `by_letters`, two letters count as a run.
    """
    if len(written) <= MAX_LONE_HOLES:
        return False
    heights = written[:, 1] - written[:, 3]
    height = np.add.reduce(heights) / np.float32(len(heights))  # the mean, without its checks
    one, other = written[:-1], written[1:]
    apart = (other[:, 0] - one[:, 2] > height) | (one[:, 0] - other[:, 2] > height)
    if np.count_nonzero(apart) <= MAX_LONE_HOLES:
        return False
    level = (other[:, 3] < one[:, 1]) & (one[:, 3] < other[:, 1])
    # A list marker is at a distance too, but no wider than its line is high.
    wide = one[:, 2] - one[:, 0] > height
    if by_letters:
        # Of two letters next to each other, in either direction.
        pair = np.maximum(one[1:, 2] - one[:-1, 0], one[:-1, 2] - one[1:, 0])
        wide[1:] |= level[:-1] & ~apart[:-1] & (pair > height)
    holes = apart & level & wide
    return int(np.count_nonzero(holes)) > MAX_LONE_HOLES


def format_bands(bands: Sequence[Band], *, right_to_left: bool) -> Iterator[str]:
    """Yield bands as lines of text, with an empty line around tables and between paragraphs."""
    usual = find_line_gap(bands)
    previous: Band = []
    for band in bands:
        if previous and is_new_paragraph(previous[0], band[0], usual):
            yield ""
        yield " ".join(segment.text for segment in (reversed(band) if right_to_left else band))
        previous = band


def find_line_gap(bands: Sequence[Band]) -> float:
    """Return the usual gap after the long lines of a page, which go on in the next line."""
    lines = [band for band in bands if not band[0].is_table]
    if not lines:
        return 0.0
    long = LONG_LINE_SHARE * max(band[-1].u1 - band[0].u0 for band in lines)
    gaps = sorted(
        below[0].v0 - above[0].v1
        for above, below in pairwise(bands)
        if not above[0].is_table
        and not below[0].is_table
        and above[-1].u1 - above[0].u0 >= long
        and above[0].middle < below[0].middle
    )
    return gaps[len(gaps) // 2] if len(gaps) >= MIN_LINE_GAPS else 0.0


def is_new_paragraph(above: TextSegment, below: TextSegment, usual_gap: float) -> bool:
    """Return whether the lower of two segments begins a paragraph or a table."""
    if above.is_table or below.is_table:
        return True
    height = min(above.height, below.height)
    least = max(PARAGRAPH_GAP_HEIGHTS * height, usual_gap + MIN_WIDER_GAP_HEIGHTS * height)
    return below.v0 - above.v1 > least
