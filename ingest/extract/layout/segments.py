"""The text of a page as pieces that stand apart: cells, lines of columns, lines.

Nothing is lost: the pieces are slices of the page's text and hold all of it but white space.
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
from ingest.extract.layout.geometry import (
    BROKEN_WORD_CODE,
    NEWLINE,
    Boxes,
    CodePoints,
    Indices,
    read_char_boxes,
)

# Words are further apart than this, in heights of the type, where a new piece begins: the spaces
# of justified lines stay below it.
MIN_SEGMENT_GAP_HEIGHTS = 0.75
MAX_LINE_SHIFT_HEIGHTS = 0.7  # in heights: a line that goes on so much higher or lower is another

RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
# What stands before an item of a list, some way off.
LIST_MARKER = re.compile(r"[•‣▪●○◦∙·–—*-]|\(?(?:\d{1,2}|[a-zA-Z]|[ivx]{1,4})[.)]")


# What stands between words: white space and controls up to the first, and spaces of other widths.
SPACE, UNBROKEN_SPACE, WIDE_SPACE = 0x20, 0xA0, 0x3000
MAX_MARKER_CHARS = 7  # characters of a marker at most


class Direction(IntEnum):
    """Which way the letters of a line follow each other on the unturned page."""

    RIGHT = 0
    UP = 1
    LEFT = 2  # upside down: the direction of scripts is another matter
    DOWN = 3


# For each the fields of a box that are u0, v0, u1 and v1 to its reader, and their signs.
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
    """Text in a box, in points, as its reader sees it: u runs along a line, v from line to line."""

    u0: float
    v0: float
    u1: float
    v1: float
    text: str
    drawing_index: int  # in the order in which the page draws it
    line: int  # of PDFium's lines
    is_table: bool = False

    @property
    def height(self) -> float:
        """Of its line, in points."""
        return self.v1 - self.v0

    @property
    def middle(self) -> float:
        """Half way down its line."""
        return (self.v0 + self.v1) / 2


@dataclass(frozen=True, slots=True)
class WordBoxes:
    """Where each word of a page stands; one row a word."""

    starts: Indices  # in the text
    ends: Indices  # of the last character
    lines: Indices  # number of PDFium's line
    first_boxes: Boxes  # of the first character
    last_boxes: Boxes

    def select(self, rows: Indices) -> WordBoxes:
        """Some of the words."""
        return WordBoxes(*(getattr(self, name)[rows] for name in self.__slots__))


def find_words(text: TextHandle, code_points: CodePoints, written_boxes: Boxes) -> WordBoxes:
    """The words of a page: what stands between spaces, ends of lines and broken words.

    A line that the page writes in one go, which `written` tells, has no holes and is one word.
    """
    blank = (code_points <= SPACE) | (code_points == UNBROKEN_SPACE) | (code_points == WIDE_SPACE)
    broken = code_points == BROKEN_WORD_CODE
    begins, ends = ~blank, ~blank
    begins[1:] &= blank[:-1] | broken[:-1]
    ends[:-1] &= blank[1:] | broken[:-1]
    starts, stops = np.flatnonzero(begins), np.flatnonzero(ends)
    number = np.cumsum(broken | (code_points == NEWLINE))
    lines = number[starts] - (broken[starts])  # a line ends behind such a mark
    leads = mark_changes(lines)
    trails = np.ones_like(leads)
    trails[:-1] = leads[1:]
    outer = read_char_boxes(text, np.concatenate([starts[leads], stops[trails]]).tolist())
    half = len(outer) // 2
    split = mark_interrupted_lines(outer[:half], outer[half:], written_boxes)[np.cumsum(leads) - 1]
    firsts = leads | split
    starts, stops = starts[firsts], stops[trails | split]
    boxes = read_char_boxes(text, np.concatenate([starts, stops]).tolist())
    half = len(starts)
    return WordBoxes(starts, stops, lines[firsts], boxes[:half], boxes[half:])


def mark_changes(numbers: Indices) -> NDArray[np.bool_]:
    """Whether each number is another than the one before; the first is."""
    found = np.ones(len(numbers), bool)
    np.not_equal(numbers[1:], numbers[:-1], out=found[1:])
    return found


def mark_interrupted_lines(first: Boxes, last: Boxes, written_boxes: Boxes) -> NDArray[np.bool_]:
    """Whether several of the boxes of what is written stand in each line, given its two ends."""
    middle = (first[:, 1] + first[:, 3]) / 2
    level = (written_boxes[:, 3] < middle[:, None]) & (middle[:, None] < written_boxes[:, 1])
    left, right = np.minimum(first[:, 0], last[:, 0]), np.maximum(first[:, 2], last[:, 2])
    beside = (written_boxes[:, 0] < right[:, None]) & (left[:, None] < written_boxes[:, 2])
    turned = np.abs(middle - (last[:, 1] + last[:, 3]) / 2) > first[:, 1] - first[:, 3]
    several: NDArray[np.bool_] = ((level & beside).sum(axis=1) != 1) | turned
    return several


def find_directions(words: WordBoxes, text: str) -> NDArray[np.intp]:
    """Towards where each word's line runs; one that is too short to tell goes with the most."""
    heads = np.flatnonzero(mark_changes(words.lines))
    tails = np.append(heads[1:], len(words.lines)) - 1
    across = box_centres(words.last_boxes[tails], 0) - box_centres(words.first_boxes[heads], 0)
    upwards = box_centres(words.last_boxes[tails], 1) - box_centres(words.first_boxes[heads], 1)
    if (across >= np.abs(upwards)).all():
        return np.zeros(len(words.lines), np.intp)  # Towards.RIGHT, all of them
    long = words.ends[tails] - words.starts[heads]
    ways = np.where(
        np.abs(across) >= np.abs(upwards),
        np.where(across >= 0, Direction.RIGHT, Direction.LEFT),
        np.where(upwards > 0, Direction.UP, Direction.DOWN),
    )
    if RIGHT_TO_LEFT.search(text):
        for place in np.flatnonzero(ways == Direction.LEFT):
            line = text[words.starts[heads[place]] : words.ends[tails[place]] + 1]
            if RIGHT_TO_LEFT.search(line):
                ways[place] = Direction.RIGHT
    usual = np.bincount(ways, weights=long, minlength=4).argmax()
    ways[long == 0] = usual
    return np.repeat(ways, tails - heads + 1)


def box_centres(boxes: Boxes, axis: int) -> NDArray[np.float32]:
    """The middle of each box, from left to right or from bottom to top."""
    middle: NDArray[np.float32] = (boxes[:, axis] + boxes[:, axis + 2]) * np.float32(0.5)
    return middle


def turn_to_reader(boxes: Boxes, direction: Direction) -> Boxes:
    """Boxes as the reader of lines that run this way sees them: u0, v0, u1, v1; v grows downwards.

    Lines that run down, turned or of vertical script, follow each other from right to left.
    """
    fields, signs = READER_AXES[direction]
    return boxes[:, fields] * signs


def join_boxes(first: Boxes, last: Boxes) -> Boxes:
    """The boxes from the first to the last characters, as they are seen."""
    found = np.empty_like(first)
    np.minimum(first[:, :2], last[:, :2], out=found[:, :2])
    np.maximum(first[:, 2:], last[:, 2:], out=found[:, 2:])
    return found


def find_gaps(boxes: Boxes, lines: Indices) -> NDArray[np.bool_]:
    """Whether each word but the first begins a piece: in another line, or some way off."""
    heights = np.maximum(boxes[:-1, 3] - boxes[:-1, 1], boxes[1:, 3] - boxes[1:, 1])
    # Whichever way the script runs, one of these is how far apart two words are.
    apart = np.maximum(boxes[1:, 0] - boxes[:-1, 2], boxes[:-1, 0] - boxes[1:, 2])
    middles = (boxes[:, 1] + boxes[:, 3]) / 2
    leaped = np.abs(np.diff(middles)) > MAX_LINE_SHIFT_HEIGHTS * heights
    begun: NDArray[np.bool_] = (
        mark_changes(lines)[1:] | (apart > MIN_SEGMENT_GAP_HEIGHTS * heights) | leaped
    )
    return begun


def find_ruled_gaps(
    boxes: Boxes, vertical: Sequence[tuple[float, float, float]]
) -> NDArray[np.bool_]:
    """Whether an upright rule stands between each word and the one before."""
    found = np.zeros(max(0, len(boxes) - 1), bool)
    for top, bottom, along in vertical:
        beside = (boxes[:-1, 2] <= along + 1) & (along - 1 <= boxes[1:, 0])
        level = (top <= boxes[1:, 3]) & (boxes[1:, 1] <= bottom)
        found |= beside & level
    return found


def make_segments(
    text: str, words: WordBoxes, boxes: Boxes, cuts: NDArray[np.bool_]
) -> Iterator[TextSegment]:
    """The words between the cuts, as pieces; a list's marker stays with its item."""
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
    for place, ((u0, v0, u1, v1), start, end, line) in enumerate(
        zip(edges, starts, ends, lines, strict=True)
    ):
        piece = TextSegment(u0, v0, u1, v1, text[start:end], place, line)
        if marker:
            if marker.line == piece.line:
                piece = merge_segments([marker, piece], f"{marker.text} {piece.text}")
            else:
                yield marker
            marker = None
        if len(piece.text) <= MAX_MARKER_CHARS and LIST_MARKER.fullmatch(piece.text):
            marker = piece
        else:
            yield piece
    if marker:
        yield marker


def merge_segments(
    segments: Sequence[TextSegment], text: str, *, is_table: bool = False
) -> TextSegment:
    """One piece in the place of several."""
    return TextSegment(
        min(piece.u0 for piece in segments),
        min(piece.v0 for piece in segments),
        max(piece.u1 for piece in segments),
        max(piece.v1 for piece in segments),
        text,
        min(piece.drawing_index for piece in segments),
        segments[0].line,
        is_table,
    )
