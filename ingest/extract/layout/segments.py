"""Split the text of a page into segments that are apart: cells, lines of columns, lines.

Segments are slices of the page's text. Together they hold all of it except white space.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.extract.engines.pdfium_raw import TextHandle
from ingest.extract.engines.placeholders import NOTHING
from ingest.extract.layout.geometry import (
    BROKEN_WORD_CODE,
    NEWLINE,
    Boxes,
    CodePoints,
    Indices,
    read_char_boxes,
)

# In heights of the type.
MIN_SEGMENT_GAP_HEIGHTS = 0.75  # between two segments; the spaces of justified lines are narrower
MAX_LEVEL_SHIFT_HEIGHTS = 0.3  # of both ends of a line drawn as one run
MAX_LINE_SHIFT_HEIGHTS = 0.7  # a word that is so much higher or lower is on another line

MIN_CELL_GAP_HEIGHTS = 0.3  # between two cells whose columns are shown by the lines below
MAX_HEADER_DROP_HEIGHTS = 8  # of those lines below the header

MIN_CROSSING_POINTS = 6.0  # of a rule that runs down through a line
SAME_CELL_EDGE_POINTS = 0.8  # edges closer than this are aligned
MIN_ALIGNED_CELLS = 2
RULES_AT_ONCE = 256  # that run down a page
MAX_CLOSE_GAPS = 100  # of a page, that are looked at for cells

RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
HYPHEN, FIGURE_DASH, EM_DASH, MINUS = 0x2D, 0x2012, 0x2014, 0x2212
# Word separators: code points up to the first one, and the other two.
SPACE, UNBROKEN_SPACE, WIDE_SPACE = 0x20, 0xA0, 0x3000
NOTHING_CODE = ord(NOTHING)  # a character that another one stands for


class Direction(IntEnum):
    """Direction of a line on the unrotated page. The direction of the script does not count."""

    RIGHT = 0
    UP = 1
    LEFT = 2  # upside down
    DOWN = 3


# For each direction: the fields of a box that are u0, v0, u1 and v1 to the reader, and their signs.
READER_AXES = {
    way: (fields, np.array(signs, np.float32))
    for way, fields, signs in (
        (Direction.RIGHT, [0, 1, 2, 3], [1, -1, 1, -1]),
        (Direction.UP, [3, 0, 1, 2], [1, 1, 1, 1]),
        (Direction.LEFT, [2, 3, 0, 1], [-1, 1, -1, 1]),
        (Direction.DOWN, [1, 2, 3, 0], [-1, -1, -1, -1]),
    )
}


class TextSegment(NamedTuple):
    """Text and its box in points, turned to the reader: u runs along a line, v downwards."""

    u0: float
    v0: float
    u1: float
    v1: float
    text: str
    drawing_index: int  # position in drawing order
    line: int  # number of PDFium's line
    columns: tuple[tuple[float, float], ...] = ()  # of a table: the extent of each

    @property
    def is_table(self) -> bool:
        """Return whether it is a table, as Markdown."""
        return bool(self.columns)

    @property
    def height(self) -> float:
        """Height of its line, in points."""
        return self.v1 - self.v0

    @property
    def middle(self) -> float:
        """Vertical middle of its line."""
        return (self.v0 + self.v1) / 2


@dataclass(frozen=True, slots=True)
class WordBoxes:
    """Offsets and boxes of the words of a page, one row per word."""

    starts: Indices  # offset of the first character
    ends: Indices  # offset of the last character
    lines: Indices  # number of PDFium's line
    first_boxes: Boxes  # of the first character
    last_boxes: Boxes  # of the last character

    def select(self, rows: Indices) -> WordBoxes:
        """Return some of the words, by their rows."""
        return WordBoxes(*(getattr(self, name)[rows] for name in self.__slots__))


def find_words(
    text: TextHandle, code_points: CodePoints, written_boxes: Boxes, drawn_boxes: Boxes
) -> WordBoxes:
    """Find the words of a page, separated by spaces, line ends and hyphens of broken words.

    A line that the page draws as one run, according to `written_boxes`, has no holes and counts as
    one word, unless a rule runs down through it.
    """
    blank = (code_points <= SPACE) | (code_points == UNBROKEN_SPACE) | (code_points == WIDE_SPACE)
    blank |= code_points == NOTHING_CODE
    broken = code_points == BROKEN_WORD_CODE
    begins, ends = ~blank, ~blank
    begins[1:] &= blank[:-1] | broken[:-1]
    ends[:-1] &= blank[1:] | broken[:-1]
    starts, stops = np.flatnonzero(begins), np.flatnonzero(ends)
    number = np.cumsum(broken | (code_points == NEWLINE))
    lines = number[starts] - (broken[starts])  # the mark of a broken word is on the line it ends
    is_first = mark_changes(lines)
    is_last = np.ones_like(is_first)
    is_last[:-1] = is_first[1:]
    outer = read_char_boxes(text, np.concatenate([starts[is_first], stops[is_last]]).tolist())
    half = len(outer) // 2
    interrupted = mark_interrupted_lines(outer[:half], outer[half:], written_boxes)
    crossed = mark_crossed_lines(outer[:half], outer[half:], drawn_boxes)
    split = (interrupted | crossed)[np.cumsum(is_first) - 1]
    firsts = is_first | split
    starts, stops = starts[firsts], stops[is_last | split]
    boxes = read_char_boxes(text, np.concatenate([starts, stops]).tolist())
    half = len(starts)
    words = WordBoxes(starts, stops, lines[firsts], boxes[:half], boxes[half:])
    return part_dashes(text, words, code_points)


def part_dashes(text: TextHandle, words: WordBoxes, code_points: CodePoints) -> WordBoxes:
    """Part each dash from the word before it that is on another line: PDFium joins them."""
    codes = code_points[words.ends]
    dashes = (codes == HYPHEN) | ((codes >= FIGURE_DASH) & (codes <= EM_DASH)) | (codes == MINUS)
    dashes &= words.ends > words.starts
    if not dashes.any():
        return words
    middles = box_centres(words.first_boxes, 1), box_centres(words.last_boxes, 1)
    heights = words.first_boxes[:, 1] - words.first_boxes[:, 3]
    away = np.flatnonzero(dashes & (np.abs(middles[0] - middles[1]) > heights / 2))
    if not len(away):
        return words
    order = np.sort(np.append(np.arange(len(dashes)), away))
    rests = away + np.arange(len(away))  # rows of the words without their dashes
    parted = words.select(order)
    parted.lines[:] += np.cumsum(np.isin(np.arange(len(order)), rests + 1))
    parted.ends[rests] -= 1
    parted.last_boxes[rests] = read_char_boxes(text, parted.ends[rests].tolist())
    parted.starts[rests + 1] = parted.ends[rests + 1]
    parted.first_boxes[rests + 1] = parted.last_boxes[rests + 1]
    return parted


def mark_changes(numbers: Indices) -> NDArray[np.bool_]:
    """Mark each number that differs from the one before, and the first one."""
    changes = np.ones(len(numbers), bool)
    np.not_equal(numbers[1:], numbers[:-1], out=changes[1:])
    return changes


def mark_interrupted_lines(first: Boxes, last: Boxes, written_boxes: Boxes) -> NDArray[np.bool_]:
    """Mark the lines that are drawn as several runs, given the boxes of both ends of each line."""
    middle = (first[:, 1] + first[:, 3]) / 2
    # A written box is as high as its letters: that of a dash is flat.
    written = (written_boxes[:, 1] + written_boxes[:, 3]) / 2
    level = (first[:, 3, None] < written) & (written < first[:, 1, None])
    left, right = np.minimum(first[:, 0], last[:, 0]), np.maximum(first[:, 2], last[:, 2])
    beside = (written_boxes[:, 0] < right[:, None]) & (left[:, None] < written_boxes[:, 2])
    shift = np.abs(middle - (last[:, 1] + last[:, 3]) / 2)
    sloping = shift > MAX_LEVEL_SHIFT_HEIGHTS * (first[:, 1] - first[:, 3])
    interrupted: NDArray[np.bool_] = ((level & beside).sum(axis=1) != 1) | sloping
    return interrupted


def mark_crossed_lines(first: Boxes, last: Boxes, drawn_boxes: Boxes) -> NDArray[np.bool_]:
    """Mark the lines that a rule, or the edge of a frame, runs down through."""
    high = drawn_boxes[drawn_boxes[:, 1] - drawn_boxes[:, 3] > MIN_CROSSING_POINTS]
    places = np.concatenate([high[:, 0], high[:, 2]])
    tops, bottoms = np.tile(high[:, 1], 2), np.tile(high[:, 3], 2)
    left, right = np.minimum(first[:, 0], last[:, 0]), np.maximum(first[:, 2], last[:, 2])
    middle = (first[:, 1] + first[:, 3]) / 2
    through = (
        (left[:, None] + 1 < places)
        & (places < right[:, None] - 1)
        & (bottoms < middle[:, None])
        & (middle[:, None] < tops)
    )
    return np.asarray(through.any(axis=1), bool)


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
            if RIGHT_TO_LEFT.search(line):
                ways[row] = Direction.RIGHT
    usual = np.bincount(ways, weights=long, minlength=4).argmax()
    ways[long == 0] = usual
    return np.repeat(ways, tails - heads + 1)


def box_centres(boxes: Boxes, axis: int) -> NDArray[np.float32]:
    """Return the middle of each box along an axis: 0 is horizontal, 1 is vertical."""
    middle: NDArray[np.float32] = (boxes[:, axis] + boxes[:, axis + 2]) * np.float32(0.5)
    return middle


def turn_to_reader(boxes: Boxes, direction: Direction) -> Boxes:
    """Turn boxes to the reader of lines in a direction: u0, v0, u1, v1; v grows downwards.

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


def find_gaps(boxes: Boxes, lines: Indices) -> NDArray[np.bool_]:
    """Mark each word after the first that begins a segment: on another line, or at a distance."""
    heights = np.maximum(boxes[:-1, 3] - boxes[:-1, 1], boxes[1:, 3] - boxes[1:, 1])
    # The larger one is the distance of two words, whichever way the script runs.
    apart = np.maximum(boxes[1:, 0] - boxes[:-1, 2], boxes[:-1, 0] - boxes[1:, 2])
    middles = (boxes[:, 1] + boxes[:, 3]) / 2
    shifted = np.abs(np.diff(middles)) > MAX_LINE_SHIFT_HEIGHTS * heights
    gaps: NDArray[np.bool_] = (
        mark_changes(lines)[1:] | (apart > MIN_SEGMENT_GAP_HEIGHTS * heights) | shifted
    )
    return gaps


def find_ruled_gaps(
    boxes: Boxes, vertical: Sequence[tuple[float, float, float]]
) -> NDArray[np.bool_]:
    """Mark each word after the first that a vertical rule separates from the one before."""
    gaps = np.zeros(max(0, len(boxes) - 1), bool)
    if not vertical:
        return gaps
    ends, starts = boxes[:-1, 2].copy(), boxes[1:, 0].copy()
    tops, bottoms = boxes[1:, 1].copy(), boxes[1:, 3].copy()
    # A rule a row, and a drawing has thousands.
    rules = [(top, bottom, u - 1, u + 1) for top, bottom, u in dict.fromkeys(vertical)]
    for first in range(0, len(rules), RULES_AT_ONCE):
        part = np.array(rules[first : first + RULES_AT_ONCE], boxes.dtype)
        top, bottom, left, right = (part[:, field, None] for field in range(4))
        between = (ends <= right) & (left <= starts)
        gaps |= (between & (top <= bottoms) & (tops <= bottom)).any(axis=0)
    return gaps


def find_column_gaps(boxes: Boxes, lines: Indices, cuts: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark each word after the first that begins a cell close to the one before it.

    The header of a narrow column may be as close to the next one as two words are. It is parted
    from it where the cells of at least two lines below begin, or end, as the header does.
    """
    gaps = np.zeros(len(cuts), bool)
    inner = np.flatnonzero(cuts & (np.diff(lines) == 0))
    if len(inner) < MIN_ALIGNED_CELLS:
        return gaps
    heights = boxes[:-1, 3] - boxes[:-1, 1]
    close = boxes[1:, 0] - boxes[:-1, 2] > MIN_CELL_GAP_HEIGHTS * heights
    has_cell = np.zeros(lines[-1] + 1, bool)
    has_cell[lines[inner]] = True
    close &= ~cuts & has_cell[lines[:-1]]
    if not close.any():
        return gaps
    begins = boxes[np.append(0, np.flatnonzero(cuts) + 1)]
    ends = boxes[inner]
    starts, stops = np.sort(begins[:, 0]), np.sort(ends[:, 2])
    # Few places have enough edges on a page, and fewer have them on the lines below.
    close &= (
        (count_edges(starts, boxes[1:, 0]) >= MIN_ALIGNED_CELLS)
        & (count_edges(starts, boxes[:-1, 0]) >= MIN_ALIGNED_CELLS)
    ) | (count_edges(stops, boxes[:-1, 2]) >= MIN_ALIGNED_CELLS)
    for row in np.flatnonzero(close)[:MAX_CLOSE_GAPS].tolist():
        left, right = boxes[row], boxes[row + 1]
        extent = left[3], left[1] + MAX_HEADER_DROP_HEIGHTS * heights[row]
        gaps[row] = (
            count_level(begins, 0, right[0], extent) >= MIN_ALIGNED_CELLS
            and count_level(begins, 0, left[0], extent) >= MIN_ALIGNED_CELLS
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
        TextSegment(u0, v0, u1, v1, text[start:end], number, line)
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
