"""Split the text of a page into segments that are apart: cells, lines of columns, lines.

Segments are slices of the page's text. Together they hold all of it except white space.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
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
MAX_LINE_SHIFT_HEIGHTS = 0.7  # a word that is so much higher or lower is on another line

RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
# The marker of a list item, which is at some distance from it.
LIST_MARKER = re.compile(r"[•‣▪●○◦∙·–—*-]|\(?(?:\d{1,2}|[a-zA-Z]|[ivx]{1,4})[.)]")


# Word separators: code points up to the first one, and the other two.
SPACE, UNBROKEN_SPACE, WIDE_SPACE = 0x20, 0xA0, 0x3000
NOTHING_CODE = ord(NOTHING)  # a character that another one stands for
MAX_MARKER_CHARS = 7


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
    is_table: bool = False

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


def find_words(text: TextHandle, code_points: CodePoints, written_boxes: Boxes) -> WordBoxes:
    """Find the words of a page, separated by spaces, line ends and hyphens of broken words.

    A line that the page draws as one run, according to `written_boxes`, has no holes and counts as
    one word.
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
    split = interrupted[np.cumsum(is_first) - 1]
    firsts = is_first | split
    starts, stops = starts[firsts], stops[is_last | split]
    boxes = read_char_boxes(text, np.concatenate([starts, stops]).tolist())
    half = len(starts)
    return WordBoxes(starts, stops, lines[firsts], boxes[:half], boxes[half:])


def mark_changes(numbers: Indices) -> NDArray[np.bool_]:
    """Mark each number that differs from the one before, and the first one."""
    changes = np.ones(len(numbers), bool)
    np.not_equal(numbers[1:], numbers[:-1], out=changes[1:])
    return changes


def mark_interrupted_lines(first: Boxes, last: Boxes, written_boxes: Boxes) -> NDArray[np.bool_]:
    """Mark the lines that are drawn as several runs, given the boxes of both ends of each line."""
    middle = (first[:, 1] + first[:, 3]) / 2
    level = (written_boxes[:, 3] < middle[:, None]) & (middle[:, None] < written_boxes[:, 1])
    left, right = np.minimum(first[:, 0], last[:, 0]), np.maximum(first[:, 2], last[:, 2])
    beside = (written_boxes[:, 0] < right[:, None]) & (left[:, None] < written_boxes[:, 2])
    sloping = np.abs(middle - (last[:, 1] + last[:, 3]) / 2) > first[:, 1] - first[:, 3]
    interrupted: NDArray[np.bool_] = ((level & beside).sum(axis=1) != 1) | sloping
    return interrupted


def find_directions(words: WordBoxes, text: str) -> NDArray[np.intp]:
    """Return the direction of each word's line; a line of one character takes the commonest."""
    heads = np.flatnonzero(mark_changes(words.lines))
    tails = np.append(heads[1:], len(words.lines)) - 1
    across = box_centres(words.last_boxes[tails], 0) - box_centres(words.first_boxes[heads], 0)
    upwards = box_centres(words.last_boxes[tails], 1) - box_centres(words.first_boxes[heads], 1)
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
    for top, bottom, u in vertical:
        between = (boxes[:-1, 2] <= u + 1) & (u - 1 <= boxes[1:, 0])
        level = (top <= boxes[1:, 3]) & (boxes[1:, 1] <= bottom)
        gaps |= between & level
    return gaps


def make_segments(
    text: str, words: WordBoxes, boxes: Boxes, cuts: NDArray[np.bool_]
) -> Iterator[TextSegment]:
    """Join the words between cuts into segments. A list marker stays with its item."""
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
    marker: TextSegment | None = None
    for number, ((u0, v0, u1, v1), start, end, line) in enumerate(
        zip(edges, starts, ends, lines, strict=True)
    ):
        segment = TextSegment(u0, v0, u1, v1, text[start:end], number, line)
        if marker:
            if marker.line == segment.line:
                segment = merge_segments([marker, segment], f"{marker.text} {segment.text}")
            else:
                yield marker
            marker = None
        if len(segment.text) <= MAX_MARKER_CHARS and LIST_MARKER.fullmatch(segment.text):
            marker = segment
        else:
            yield segment
    if marker:
        yield marker


def merge_segments(
    segments: Sequence[TextSegment], text: str, *, is_table: bool = False
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
        is_table,
    )
