"""Find the words of a page, and their boxes. Only run it in a sandbox."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingest.extract.engines.pdfium_raw import BOX_FIELDS, ReorderedText, TextHandle
from ingest.extract.engines.placeholders import FIRST, LAST, NOTHING
from ingest.extract.layout.geometry import BROKEN_WORD_CODE, NEWLINE, Boxes, CodePoints, Indices
from ingest.extract.layout.type_boxes import read_type_boxes

# In heights of the type.
MIN_SEGMENT_GAP_HEIGHTS = 0.75  # between two segments; the spaces of justified lines are narrower
MAX_LEVEL_SHIFT_HEIGHTS = 0.3  # of both ends of a line drawn as one run

MIN_CROSSING_POINTS = 6.0  # of a rule that runs down through a line
# Word separators: code points up to the first one, and the other two.
SPACE, UNBROKEN_SPACE, WIDE_SPACE = 0x20, 0xA0, 0x3000
HYPHEN, LINE_END_CODE = 0x2D, 0x0D
PARAGRAPH_CODE = 0x2029  # before a line end
NOTHING_CODE = ord(NOTHING)  # a character that another one stands for


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
    blank |= (code_points == NOTHING_CODE) | (code_points == PARAGRAPH_CODE)
    broken = code_points == BROKEN_WORD_CODE
    begins, ends = ~blank, ~blank
    spaced = (code_points >= FIRST) & (code_points <= LAST)  # it may begin with a space
    begins[1:] &= blank[:-1] | broken[:-1] | spaced[1:]
    ends[:-1] &= blank[1:] | broken[:-1] | spaced[1:]
    final = broken.copy()
    final[:-1] |= (code_points[:-1] == HYPHEN) & (code_points[1:] == LINE_END_CODE)
    if (dashes := (final & ~begins & ~blank).nonzero()[0]).size:
        part_end_dashes(text, begins, ends, dashes)
    starts, stops = begins.nonzero()[0], ends.nonzero()[0]
    number = (broken | (code_points == NEWLINE)).cumsum()
    lines = number[starts] - (broken[starts])  # the mark of a broken word is on the line it ends
    is_first = mark_changes(lines)
    is_last = np.ones_like(is_first)
    is_last[:-1] = is_first[1:]
    outer = read_type_boxes(text, np.concatenate([starts[is_first], stops[is_last]]).tolist())
    half = len(outer) // 2
    interrupted = mark_interrupted_lines(outer[:half], outer[half:], written_boxes)
    crossed = mark_crossed_lines(outer[:half], outer[half:], drawn_boxes)
    split = (interrupted | crossed)[is_first.cumsum() - 1]
    if spaced.any():
        split |= np.isin(lines, lines[spaced[starts] & ~is_first])
    firsts = is_first | split
    starts, stops = starts[firsts], stops[is_last | split]
    boxes = read_type_boxes(text, np.concatenate([starts, stops]).tolist())
    half = len(starts)
    words = WordBoxes(starts, stops, lines[firsts], boxes[:half], boxes[half:])
    if isinstance(text, ReorderedText):
        widen_words(words, np.array(text.edges, np.float32).reshape(-1, BOX_FIELDS))
    return words


def widen_words(words: WordBoxes, char_boxes: Boxes) -> None:
    """Extend the boxes at both ends of each word to all of its characters.

    The first and the last one of a number in a word, or of words in both directions that count as
    one, may be in the midst of it.
    """
    spans = np.stack([words.starts, words.ends + 1], axis=1).ravel()
    padded = np.concatenate([char_boxes, char_boxes[-1:]])  # the last word may end the page
    lefts = np.minimum.reduceat(padded[:, 0], spans)[::2]
    rights = np.maximum.reduceat(padded[:, 2], spans)[::2]
    leftward = box_centres(words.last_boxes, 0) < box_centres(words.first_boxes, 0)
    for boxes, is_left in ((words.first_boxes, ~leftward), (words.last_boxes, leftward)):
        boxes[is_left, 0], boxes[~is_left, 2] = lefts[is_left], rights[~is_left]


def mark_changes(numbers: Indices) -> NDArray[np.bool_]:
    """Mark each number that differs from the one before, and the first one."""
    changes = np.ones(len(numbers), bool)
    np.not_equal(numbers[1:], numbers[:-1], out=changes[1:])
    return changes


def part_end_dashes(
    text: TextHandle, begins: NDArray[np.bool_], ends: NDArray[np.bool_], places: Indices
) -> None:
    """Part the hyphens that end a word from it if there is a gap, or a line end: they are dashes.

    PDFium takes a dash that is drawn below a word for a hyphen at the end of it.
    """
    boxes = read_type_boxes(text, np.concatenate([places - 1, places]).tolist())
    before, dashes = boxes[: len(places)], boxes[len(places) :]
    gaps = dashes[:, 0] - before[:, 2] > MIN_SEGMENT_GAP_HEIGHTS * (before[:, 1] - before[:, 3])
    gaps |= (dashes[:, 1] <= before[:, 3]) | (dashes[:, 3] >= before[:, 1])
    begins[places[gaps]] = True
    ends[places[gaps] - 1] = True


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
    if not len(high):
        return np.zeros(len(first), bool)
    places = np.concatenate([high[:, 0], high[:, 2]])
    tops, bottoms = np.concatenate([high[:, [1, 3]]] * 2).T
    left, right = np.minimum(first[:, 0], last[:, 0]), np.maximum(first[:, 2], last[:, 2])
    middle = (first[:, 1] + first[:, 3]) / 2
    through = (
        (left[:, None] + 1 < places)
        & (places < right[:, None] - 1)
        & (bottoms < middle[:, None])
        & (middle[:, None] < tops)
    )
    return np.asarray(through.any(axis=1), bool)


def box_centres(boxes: Boxes, axis: int) -> NDArray[np.float32]:
    """Return the middle of each box along an axis: 0 is horizontal, 1 is vertical."""
    middle: NDArray[np.float32] = (boxes[:, axis] + boxes[:, axis + 2]) * np.float32(0.5)
    return middle
