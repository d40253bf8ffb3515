"""Split the text of a page into segments that are apart: cells, lines of columns, lines.

Segments are slices of the page's text, without what stands for nothing. Together they hold all of
it except white space.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from ingest.extract.engines.placeholders import NOTHING
from ingest.extract.layout.geometry import Boxes, Indices
from ingest.extract.layout.word_boxes import (
    MIN_SEGMENT_GAP_HEIGHTS,
    WordBoxes,
    box_centres,
    mark_changes,
)

# In heights of the type.
MAX_LINE_SHIFT_HEIGHTS = 0.7  # a word that is so much higher or lower is on another line

MIN_CELL_GAP_HEIGHTS = 0.3  # between two cells whose columns are shown by the lines below
MIN_CELL_TO_WORD_GAP = 1.2  # in gaps between the last words of the cell
MAX_DOT_HEIGHTS = 0.35  # width of a dot of a leader
MAX_HEADER_DROP_HEIGHTS = 8  # of those lines below the header

SAME_CELL_EDGE_POINTS = 0.8  # edges closer than this are aligned
MIN_ALIGNED_CELLS = 2
RULES_AT_ONCE = 256  # that run down a page
MAX_CLOSE_GAPS = 100  # of a page, that are looked at for cells

RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")


class Direction(IntEnum):
    """Direction of a line on the unrotated page. The direction of the script does not count."""

    RIGHT = 0
    UP = 1
    LEFT = 2  # upside down
    DOWN = 3


# For each direction: the fields of a box that are u0, v0, u1 and v1 to the reader, and their signs.
READER_AXES: dict[int, tuple[list[int], NDArray[np.float32]]] = {
    way: (fields, np.array(signs, np.float32))
    for way, fields, signs in (
        (Direction.RIGHT, [0, 1, 2, 3], [1, -1, 1, -1]),
        (Direction.UP, [3, 0, 1, 2], [1, 1, 1, 1]),
        (Direction.LEFT, [2, 3, 0, 1], [-1, 1, -1, 1]),
        (Direction.DOWN, [1, 2, 3, 0], [-1, -1, -1, -1]),
    )
}


@dataclass(slots=True)
class TextSegment:
    """Text and its box in points, turned to the reader: u runs along a line, v downwards."""

    u0: float
    v0: float
    u1: float
    v1: float
    text: str
    drawing_index: int  # position in drawing order
    line: int  # number of PDFium's line
    columns: tuple[tuple[float, float], ...] = ()  # of a table: the extent of each
    is_raised: bool = False  # a cell over several rows that was drawn below the first of these
    is_table: bool = field(init=False)  # as Markdown
    height: float = field(init=False)  # of its line, in points
    middle: float = field(init=False)  # of its line, vertically

    def __post_init__(self) -> None:
        self.is_table = self.columns != ()
        self.height = self.v1 - self.v0
        self.middle = (self.v0 + self.v1) / 2


place_of = attrgetter("u0", "v0", "u1", "v1", "text", "drawing_index")  # sort key on a line


def find_directions(words: WordBoxes, text: str) -> NDArray[np.intp]:
    """Return the direction of each word's line; a line of one character takes the commonest."""
    heads = np.flatnonzero(mark_changes(words.lines))
    tails = np.append(heads[1:], len(words.lines)) - 1
    across, upwards = (
        np.add.reduceat(
            box_centres(words.last_boxes, axis) - box_centres(words.first_boxes, axis), heads
        )
        for axis in (0, 1)
    )
    # Only words of one letter do not show it, and words that PDFium joins may be on several levels.
    still = np.flatnonzero((across == 0) & (upwards == 0))
    if len(still):
        first, last = words.first_boxes[heads[still]], words.last_boxes[tails[still]]
        across[still] = box_centres(last, 0) - box_centres(first, 0)
        upwards[still] = box_centres(last, 1) - box_centres(first, 1)
    if (across >= np.abs(upwards)).all():
        return np.zeros(len(words.lines), np.intp)  # all Direction.RIGHT
    long = words.ends[tails] - words.starts[heads]
    ways = np.where(
        np.abs(across) >= np.abs(upwards),
        np.where(across >= 0, Direction.RIGHT, Direction.LEFT),
        np.where(upwards > 0, Direction.UP, Direction.DOWN),
    )
    if RIGHT_TO_LEFT.search(text):
        for row in np.flatnonzero(ways == Direction.LEFT):
            line = text[words.starts[heads[row]] : words.ends[tails[row]] + 1]
            # The full stop of a foreign line is left of it where lines run to the left.
            if (
                RIGHT_TO_LEFT.search(line)
                or not any(map(str.isalpha, line))
                or not line[-1].isalnum()
            ):
                ways[row] = Direction.RIGHT
    usual = np.bincount(ways, weights=long, minlength=4).argmax()
    ways[long == 0] = usual
    return np.repeat(ways, tails - heads + 1)


def turn_to_reader(boxes: Boxes, direction: int) -> Boxes:
    """Turn boxes to the reader of lines in a Direction: u0, v0, u1, v1; v grows downwards.

    Lines that run down, rotated or in vertical script, follow each other from right to left.
    """
    fields, signs = READER_AXES[direction]
    return boxes[:, fields] * signs


def join_boxes(first: Boxes, last: Boxes) -> Boxes:
    """Return the boxes that enclose each pair of boxes, turned to the reader."""
    boxes = np.empty_like(first)
    np.minimum(first[:, :2], last[:, :2], out=boxes[:, :2])
    np.maximum(first[:, 2:], last[:, 2:], out=boxes[:, 2:])
    return boxes


def find_gaps(boxes: Boxes, lines: Indices, *, mixed: bool = False) -> NDArray[np.bool_]:
    """Mark each word after the first that begins a segment: on another line, or at a distance.

    With `mixed`, lines may have words of both directions, and words that are read one after the
    other may have further ones between them.
    """
    heights = np.maximum(boxes[:-1, 3] - boxes[:-1, 1], boxes[1:, 3] - boxes[1:, 1])
    # The larger one is the distance of two words, whichever way the script runs.
    distances = np.maximum(boxes[1:, 0] - boxes[:-1, 2], boxes[:-1, 0] - boxes[1:, 2])
    apart = distances > MIN_SEGMENT_GAP_HEIGHTS * heights
    begins = mark_changes(lines)[1:]
    if mixed:
        for line in np.unique(lines[1:][apart & ~begins]):
            first, end = np.searchsorted(lines, [line, line + 1])
            pieces = number_pieces(boxes[first:end])
            apart[first : end - 1] &= pieces[1:] != pieces[:-1]
    middles = (boxes[:, 1] + boxes[:, 3]) / 2
    shifted = np.abs(np.diff(middles)) > MAX_LINE_SHIFT_HEIGHTS * heights
    gaps: NDArray[np.bool_] = begins | apart | shifted
    return gaps


def number_pieces(boxes: Boxes) -> Indices:
    """Number the words of a line by the white space left of them: alike where there is none."""
    order = np.argsort(boxes[:, 0], kind="stable")
    lefts, edges = boxes[order, 0], np.maximum.accumulate(boxes[order, 2])
    height = (boxes[:, 3] - boxes[:, 1]).max()
    pieces = np.zeros(len(boxes), np.intp)
    pieces[order[1:]] = np.cumsum(lefts[1:] - edges[:-1] > MIN_SEGMENT_GAP_HEIGHTS * height)
    return pieces


def find_ruled_gaps(
    boxes: Boxes, vertical: Sequence[tuple[float, float, float]], *, mixed: bool = False
) -> NDArray[np.bool_]:
    """Mark each word after the first that a vertical rule separates from the one before.

    With `mixed`, it may be left of the one before.
    """
    gaps = np.zeros(max(0, len(boxes) - 1), bool)
    if not vertical:
        return gaps
    leftward = mixed & (boxes[1:, 2] <= boxes[:-1, 0])
    ends = np.where(leftward, boxes[1:, 2], boxes[:-1, 2])
    starts = np.where(leftward, boxes[:-1, 0], boxes[1:, 0])
    tops, bottoms = boxes[1:, 1].copy(), boxes[1:, 3].copy()
    # A rule a row, and a drawing has thousands.
    rules = [(top, bottom, u - 1, u + 1) for top, bottom, u in dict.fromkeys(vertical)]
    for first in range(0, len(rules), RULES_AT_ONCE):
        part = np.array(rules[first : first + RULES_AT_ONCE], boxes.dtype)
        top, bottom, left, right = (part[:, field, None] for field in range(4))
        between = (ends <= right) & (left <= starts)
        gaps |= (between & (top <= bottoms) & (tops <= bottom)).any(axis=0)
    return gaps


def are_apart(boxes: Boxes) -> NDArray[np.bool_]:
    """Mark each word after the first that is further from the one before than two words are."""
    heights = boxes[:-1, 3] - boxes[:-1, 1]
    distances = np.maximum(boxes[1:, 0] - boxes[:-1, 2], boxes[:-1, 0] - boxes[1:, 2])
    apart: NDArray[np.bool_] = distances > MIN_CELL_GAP_HEIGHTS * heights
    return apart


def find_column_gaps(boxes: Boxes, lines: Indices, cuts: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark each word after the first that begins a cell close to the one before it.

    The widest cell of a column, or its header, may be as close to the next one as two words are. It
    is parted from it where the cells of at least two lines near it begin, or end, as both do.
    """
    gaps = np.zeros(len(cuts), bool)
    inner = np.flatnonzero(cuts & (np.diff(lines) == 0))
    if len(inner) < MIN_ALIGNED_CELLS:
        return gaps
    heights = boxes[:-1, 3] - boxes[:-1, 1]
    distances = boxes[1:, 0] - boxes[:-1, 2]
    close = distances > MIN_CELL_GAP_HEIGHTS * heights
    close &= boxes[1:, 2] - boxes[1:, 0] > MAX_DOT_HEIGHTS * heights
    # Within a cell, words are closer to each other than to the next cell.
    narrow = ~np.append(True, cuts[:-1])
    narrow &= distances <= MIN_CELL_TO_WORD_GAP * np.append(0, distances[:-1])
    after_close = np.append(False, close[:-1])
    close &= ~narrow | after_close
    has_cell = np.zeros(lines[-1] + 1, bool)
    has_cell[lines[inner]] = True
    close &= ~cuts & has_cell[lines[:-1]]
    if not close.any():
        return gaps
    firsts = np.append(0, np.flatnonzero(cuts) + 1)
    begins = boxes[firsts]
    ends = boxes[inner]
    starts, stops = np.sort(begins[:, 0]), np.sort(ends[:, 2])
    # Where the cell of each word begins.
    lefts = begins[np.cumsum(np.append(0, cuts))[:-1], 0]
    # Few places have enough edges on a page, and fewer have them on the lines below.
    close &= (
        (count_edges(starts, boxes[1:, 0]) >= MIN_ALIGNED_CELLS)
        & (after_close | (count_edges(starts, lefts) >= MIN_ALIGNED_CELLS))
    ) | (count_edges(stops, boxes[:-1, 2]) >= MIN_ALIGNED_CELLS)
    for row in np.flatnonzero(close)[:MAX_CLOSE_GAPS].tolist():
        is_after_gap = row > 0 and gaps[row - 1]
        if narrow[row] and not is_after_gap:
            continue
        left, right = boxes[row], boxes[row + 1]
        start = left[0] if is_after_gap else lefts[row]
        extent = left[3], left[1] + MAX_HEADER_DROP_HEIGHTS * heights[row]
        gaps[row] = (
            count_level(begins, 0, right[0], extent) >= MIN_ALIGNED_CELLS
            and count_level(begins, 0, start, extent) >= MIN_ALIGNED_CELLS
        ) or count_level(ends, 2, left[2], extent) >= MIN_ALIGNED_CELLS
    return gaps


def count_edges(edges: NDArray[np.float32], places: NDArray[np.float32]) -> Indices:
    """Count the sorted edges at each place."""
    counts: Indices = np.searchsorted(edges, places + SAME_CELL_EDGE_POINTS) - np.searchsorted(
        edges, places - SAME_CELL_EDGE_POINTS
    )
    return counts


def count_level(boxes: Boxes, field: int, edge: float, extent: tuple[float, float]) -> int:
    """Count the boxes between two levels that have an edge at the given place."""
    return int(
        np.count_nonzero(
            (np.abs(boxes[:, field] - edge) <= SAME_CELL_EDGE_POINTS)
            & (boxes[:, 3] > extent[0])
            & (boxes[:, 1] < extent[1])
        )
    )


def make_segments(
    text: str, words: WordBoxes, boxes: Boxes, cuts: NDArray[np.bool_]
) -> list[TextSegment]:
    """Join the words between cuts into segments."""
    firsts = np.flatnonzero(np.append(True, cuts))
    lasts = np.append(firsts[1:], len(boxes)) - 1
    edges = np.concatenate(
        [
            np.minimum.reduceat(boxes[:, :2], firsts, axis=0),
            np.maximum.reduceat(boxes[:, 2:], firsts, axis=0),
        ],
        axis=1,
    ).tolist()
    starts, ends = words.starts[firsts].tolist(), (words.ends[lasts] + 1).tolist()
    lines = words.lines[firsts].tolist()
    return [
        TextSegment(u0, v0, u1, v1, text[start:end].replace(NOTHING, ""), number, line)
        for number, ((u0, v0, u1, v1), start, end, line) in enumerate(
            zip(edges, starts, ends, lines, strict=True)
        )
    ]


def merge_segments(
    segments: Sequence[TextSegment], text: str, columns: tuple[tuple[float, float], ...] = ()
) -> TextSegment:
    """Replace segments by one with the given text, in the box that encloses them."""
    return TextSegment(
        min(s.u0 for s in segments),
        min(s.v0 for s in segments),
        max(s.u1 for s in segments),
        max(s.v1 for s in segments),
        text,
        min(s.drawing_index for s in segments),
        segments[0].line,
        columns,
    )
