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

from ingest.extract.engines.pdfium_raw import Text
from ingest.extract.layout.geometry import BROKEN, NEWLINE, Boxes, Codes, Places, character_boxes

# Words are further apart than this, in heights of the type, where a new piece begins: the spaces
# of justified lines stay below it.
APART = 0.75
LEAPED = 0.7  # in heights: a line that goes on so much higher or lower is another

RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
# What stands before an item of a list, some way off.
MARKER = re.compile(r"[•‣▪●○◦∙·–—*-]|\(?(?:\d{1,2}|[a-zA-Z]|[ivx]{1,4})[.)]")


# What stands between words: white space and controls up to the first, and spaces of other widths.
SPACE, UNBROKEN_SPACE, WIDE_SPACE = 0x20, 0xA0, 0x3000
SHORT = 7  # characters of a marker at most


class Towards(IntEnum):
    """Which way the letters of a line follow each other on the unturned page."""

    RIGHT = 0
    UP = 1
    LEFT = 2  # upside down: the direction of scripts is another matter
    DOWN = 3


# For each the fields of a box that are u0, v0, u1 and v1 to its reader, and their signs.
TURNED = {
    way: (fields, np.array(signs, np.float32))
    for way, fields, signs in (
        (Towards.RIGHT, [0, 1, 2, 3], [1, -1, 1, -1]),
        (Towards.UP, [3, 0, 1, 2], [1, 1, 1, 1]),
        (Towards.LEFT, [2, 3, 0, 1], [-1, 1, -1, 1]),
        (Towards.DOWN, [1, 2, 3, 0], [-1, -1, -1, -1]),
    )
}


class Piece(NamedTuple):
    """Text in a box, in points, as its reader sees it: u runs along a line, v from line to line."""

    u0: float
    v0: float
    u1: float
    v1: float
    text: str
    place: int  # in the order in which the page draws it
    line: int  # of PDFium's lines
    table: bool = False

    @property
    def height(self) -> float:
        """Of its line, in points."""
        return self.v1 - self.v0

    @property
    def middle(self) -> float:
        """Half way down its line."""
        return (self.v0 + self.v1) / 2


@dataclass(frozen=True, slots=True)
class Words:
    """Where each word of a page stands; one row a word."""

    starts: Places  # in the text
    ends: Places  # of the last character
    lines: Places  # number of PDFium's line
    first: Boxes  # of the first character
    last: Boxes

    def chosen(self, rows: Places) -> Words:
        """Some of the words."""
        return Words(*(getattr(self, name)[rows] for name in self.__slots__))


def words(text: Text, points: Codes, written: Boxes) -> Words:
    """The words of a page: what stands between spaces, ends of lines and broken words.

    A line that the page writes in one go, which `written` tells, has no holes and is one word.
    """
    blank = (points <= SPACE) | (points == UNBROKEN_SPACE) | (points == WIDE_SPACE)
    broken = points == BROKEN
    begins, ends = ~blank, ~blank
    begins[1:] &= blank[:-1] | broken[:-1]
    ends[:-1] &= blank[1:] | broken[:-1]
    starts, stops = np.flatnonzero(begins), np.flatnonzero(ends)
    number = np.cumsum(broken | (points == NEWLINE))
    lines = number[starts] - (broken[starts])  # a line ends behind such a mark
    leads = changing(lines)
    trails = np.ones_like(leads)
    trails[:-1] = leads[1:]
    outer = character_boxes(text, np.concatenate([starts[leads], stops[trails]]).tolist())
    half = len(outer) // 2
    split = interrupted(outer[:half], outer[half:], written)[np.cumsum(leads) - 1]
    firsts = leads | split
    starts, stops = starts[firsts], stops[trails | split]
    boxes = character_boxes(text, np.concatenate([starts, stops]).tolist())
    half = len(starts)
    return Words(starts, stops, lines[firsts], boxes[:half], boxes[half:])


def changing(numbers: Places) -> NDArray[np.bool_]:
    """Whether each number is another than the one before; the first is."""
    found = np.ones(len(numbers), bool)
    np.not_equal(numbers[1:], numbers[:-1], out=found[1:])
    return found


def interrupted(first: Boxes, last: Boxes, written: Boxes) -> NDArray[np.bool_]:
    """Whether several of the boxes of what is written stand in each line, given its two ends."""
    middle = (first[:, 1] + first[:, 3]) / 2
    level = (written[:, 3] < middle[:, None]) & (middle[:, None] < written[:, 1])
    left, right = np.minimum(first[:, 0], last[:, 0]), np.maximum(first[:, 2], last[:, 2])
    beside = (written[:, 0] < right[:, None]) & (left[:, None] < written[:, 2])
    turned = np.abs(middle - (last[:, 1] + last[:, 3]) / 2) > first[:, 1] - first[:, 3]
    several: NDArray[np.bool_] = ((level & beside).sum(axis=1) != 1) | turned
    return several


def directions(found: Words, text: str) -> NDArray[np.intp]:
    """Towards where each word's line runs; one that is too short to tell goes with the most."""
    heads = np.flatnonzero(changing(found.lines))
    tails = np.append(heads[1:], len(found.lines)) - 1
    across = centres(found.last[tails], 0) - centres(found.first[heads], 0)
    upwards = centres(found.last[tails], 1) - centres(found.first[heads], 1)
    if (across >= np.abs(upwards)).all():
        return np.zeros(len(found.lines), np.intp)  # Towards.RIGHT, all of them
    long = found.ends[tails] - found.starts[heads]
    ways = np.where(
        np.abs(across) >= np.abs(upwards),
        np.where(across >= 0, Towards.RIGHT, Towards.LEFT),
        np.where(upwards > 0, Towards.UP, Towards.DOWN),
    )
    if RIGHT_TO_LEFT.search(text):
        for place in np.flatnonzero(ways == Towards.LEFT):
            line = text[found.starts[heads[place]] : found.ends[tails[place]] + 1]
            if RIGHT_TO_LEFT.search(line):
                ways[place] = Towards.RIGHT
    usual = np.bincount(ways, weights=long, minlength=4).argmax()
    ways[long == 0] = usual
    return np.repeat(ways, tails - heads + 1)


def centres(boxes: Boxes, axis: int) -> NDArray[np.float32]:
    """The middle of each box, from left to right or from bottom to top."""
    middle: NDArray[np.float32] = (boxes[:, axis] + boxes[:, axis + 2]) * np.float32(0.5)
    return middle


def seen(boxes: Boxes, way: Towards) -> Boxes:
    """Boxes as the reader of lines that run this way sees them: u0, v0, u1, v1; v grows downwards.

    Lines that run down, turned or of vertical script, follow each other from right to left.
    """
    fields, signs = TURNED[way]
    return boxes[:, fields] * signs


def reaching(first: Boxes, last: Boxes) -> Boxes:
    """The boxes from the first to the last characters, as they are seen."""
    found = np.empty_like(first)
    np.minimum(first[:, :2], last[:, :2], out=found[:, :2])
    np.maximum(first[:, 2:], last[:, 2:], out=found[:, 2:])
    return found


def gaps(boxes: Boxes, lines: Places) -> NDArray[np.bool_]:
    """Whether each word but the first begins a piece: in another line, or some way off."""
    heights = np.maximum(boxes[:-1, 3] - boxes[:-1, 1], boxes[1:, 3] - boxes[1:, 1])
    # Whichever way the script runs, one of these is how far apart two words are.
    apart = np.maximum(boxes[1:, 0] - boxes[:-1, 2], boxes[:-1, 0] - boxes[1:, 2])
    middles = (boxes[:, 1] + boxes[:, 3]) / 2
    leaped = np.abs(np.diff(middles)) > LEAPED * heights
    begun: NDArray[np.bool_] = changing(lines)[1:] | (apart > APART * heights) | leaped
    return begun


def parted(boxes: Boxes, upright: Sequence[tuple[float, float, float]]) -> NDArray[np.bool_]:
    """Whether an upright rule stands between each word and the one before."""
    found = np.zeros(max(0, len(boxes) - 1), bool)
    for top, bottom, along in upright:
        beside = (boxes[:-1, 2] <= along + 1) & (along - 1 <= boxes[1:, 0])
        level = (top <= boxes[1:, 3]) & (boxes[1:, 1] <= bottom)
        found |= beside & level
    return found


def pieces(text: str, found: Words, boxes: Boxes, cuts: NDArray[np.bool_]) -> Iterator[Piece]:
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
    starts, ends = found.starts[firsts].tolist(), (found.ends[lasts] + 1).tolist()
    lines = found.lines[firsts].tolist()
    marker: Piece | None = None
    for place, ((u0, v0, u1, v1), start, end, line) in enumerate(
        zip(edges, starts, ends, lines, strict=True)
    ):
        piece = Piece(u0, v0, u1, v1, text[start:end], place, line)
        if marker:
            if marker.line == piece.line:
                piece = joined([marker, piece], f"{marker.text} {piece.text}")
            else:
                yield marker
            marker = None
        if len(piece.text) <= SHORT and MARKER.fullmatch(piece.text):
            marker = piece
        else:
            yield piece
    if marker:
        yield marker


def joined(together: Sequence[Piece], text: str, *, table: bool = False) -> Piece:
    """One piece in the place of several."""
    return Piece(
        min(piece.u0 for piece in together),
        min(piece.v0 for piece in together),
        max(piece.u1 for piece in together),
        max(piece.v1 for piece in together),
        text,
        min(piece.place for piece in together),
        together[0].line,
        table,
    )
