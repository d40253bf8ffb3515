"""Read the clusters of a page: what a glyph, or a few together, stand for, and where they are.

Hebrew and Arabic, and scripts whose letters change shape or place, are drawn in another order than
they are stored in. PDFium guesses the order from the characters of a line; their places show it.
"""

from __future__ import annotations

import ctypes
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import groupby, pairwise, repeat
from math import hypot
from typing import NamedTuple, TypeAlias

from ingest.extract.bidi import RIGHT_TO_LEFT
from ingest.extract.engines.pdfium_items import (
    NO_MARK,
    Mark,
    TextItem,
    list_items,
    move_point,
    read_extent,
    read_item,
    read_mark,
)
from ingest.extract.engines.pdfium_objects import IDENTITY, Matrix
from ingest.extract.engines.pdfium_raw import (
    BOX_FIELDS,
    PageHandle,
    TextHandle,
    drawn_box,
    is_hyphen,
    list_char_edges,
    list_owners,
    origin_of,
)
from ingest.extract.thai import AM, LAO_AM

# Where a glyph begins, its order among others there, its base line, and its edges.
Glyph: TypeAlias = "tuple[float, int, float, float, float]"

MAX_SIDE_SPACE = 0.25  # of a glyph, in heights of the type
SAME_PLACE_POINTS = 0.01
# In heights of the type, within a run.
MAX_OVERHANG = 2.0  # to the left of the letter before
MAX_SLOPE = 1.5  # above or below its line
HYPHEN_MARK = "\ufffe"  # PDFium's for a hyphen at the end of a line
JOINERS = frozenset("\u200c\u200d")  # they take no space: at the place of the letter after them
UNKNOWN = "\ufffd"  # for a glyph that the font does not map to anything
LAM, ALEFS = "\u0644", frozenset("\u0622\u0623\u0625\u0627\u0671")
MAX_LAM_ALEF = 0.25  # of a lam's width, from its left edge to that of an alef written after it
ELLIPSIS = "…"  # PDFium makes it three dots


@dataclass(slots=True)
class Cluster:
    """A text drawn as one, and its extent along its line and above the page's bottom, in points."""

    text: str
    left: float
    right: float
    base: float  # of its line
    size: float  # height of its type
    place: int  # PDFium's index of a character of it; -1 if it has none
    item: int  # number of the object that draws it, in drawing order
    key: float  # where it is in the order of its line
    run: int = 0  # the reversed run that it is part of, if any
    is_exact: bool = False  # whether the document says what it stands for
    is_turned: bool = False  # whether it is all of an object that is turned or mirrored


@dataclass(slots=True)
class PageChars:
    """The characters of a page as PDFium reads them, and where they are."""

    handle: TextHandle
    text: str
    owned: dict[int, list[int]]  # indexes of the characters that each object draws
    points: Sequence[float]  # x and y of each character's origin
    edges: Sequence[float]  # left, top, right and bottom of each character
    turn: Matrix  # that makes most of the page's text run to the right


class ReadCluster(NamedTuple):
    """A cluster in the order of reading, and its text there."""

    cluster: Cluster
    text: str
    leftward: bool  # whether it is part of a run that is read from the right


def read_clusters(page: PageHandle, handle: TextHandle, drawn: str) -> list[Cluster]:
    """Return the clusters of a page in drawing order."""
    items, turn = list_items(page)
    chars = read_chars(handle, drawn, turn)
    listed = {item.address for item in items}
    items += [read_item(owner, turn) for owner in chars.owned if owner not in listed]
    marks: dict[tuple[int, int], Mark] = {}
    found: list[Cluster] = []
    last = NO_MARK
    for number, item in enumerate(items):
        mark = read_mark(item.address, marks)
        start = len(found)
        if mark.text and mark.address == last.address and found:
            widen(found[-1], item)
        else:
            found += make_clusters(chars, item, mark, number)
        if mark.run:
            follow_run(found, start, mark.run)
        last = mark
    return found


def read_chars(handle: TextHandle, drawn: str, turn: Matrix) -> PageChars:
    """Return the characters of a page, without those that PDFium has put between objects."""
    owned: dict[int, list[int]] = defaultdict(list)
    places = range(len(drawn))
    for place, owner in enumerate(list_owners(handle, places)):
        if owner:
            owned[owner].append(place)
    points = (ctypes.c_double * (2 * len(drawn)))()
    start = ctypes.addressof(points)
    stop = start + ctypes.sizeof(points)
    all(map(origin_of, repeat(handle), places, range(start, stop, 16), range(start + 8, stop, 16)))
    return PageChars(handle, drawn, owned, points[:], list_char_edges(handle, places), turn)


def make_clusters(chars: PageChars, item: TextItem, mark: Mark, number: int) -> Iterator[Cluster]:
    """Yield the clusters of an object. It has none if it is drawn a second time, to look bold."""
    places = chars.owned.get(item.address, [])
    a, _, c, d, x, y = item.matrix
    size = item.size * hypot(c, d)
    if mark.text:
        left, right = read_extent(item)
        if not is_mark(mark.text):
            left, right = x, max(x, right)  # the advance, and not what is drawn
        place = places[0] if places else -1
        yield Cluster(mark.text, left, right, y, size, place, number, left, is_exact=True)
    elif places and not item.is_level():
        text = "".join(read_char(chars, place) for place in places)
        yield Cluster(text, x, x, y, size, places[0], number, x, is_turned=True)
    elif places and a < 0:
        yield from join_mirrored(list(split_item(chars, places, number, size)))
    elif places:
        yield from split_item(chars, places, number, size)
    else:
        left, right = read_extent(item)
        if right - left < SAME_PLACE_POINTS:
            yield Cluster(" ", x, x, y, size, -1, number, x)


def join_mirrored(clusters: Sequence[Cluster]) -> Iterator[Cluster]:
    """Yield what is drawn leftwards as one: programs that recognise text do so, in its order."""
    if clusters:
        text = "".join(cluster.text for cluster in reversed(clusters))
        left, right = clusters[0].left, max(cluster.right for cluster in clusters)
        yield replace(clusters[0], text=text, left=left, right=right, is_turned=True)


def widen(cluster: Cluster, item: TextItem) -> None:
    """Add another object to a cluster, if it is on the same line."""
    if abs(item.matrix[5] - cluster.base) < cluster.size:
        left, right = read_extent(item)
        left = left if is_mark(cluster.text) else item.matrix[4]
        cluster.left, cluster.right = min(cluster.left, left), max(cluster.right, right)
        cluster.key = min(cluster.key, left)


def follow_run(clusters: Sequence[Cluster], start: int, run: int) -> None:
    """Put clusters of a reversed run after those before, though they may hang over or under them.

    The letters of a word in Nastaliq go down a slope, and some begin left of the one before.
    """
    for place in range(start, len(clusters)):
        cluster, before = clusters[place], clusters[max(0, place - 1)]
        cluster.run = run
        turns = cluster.left < before.left - MAX_OVERHANG * cluster.size
        level = abs(cluster.base - before.base) < MAX_SLOPE * cluster.size
        if before.run == run and level and not turns:
            cluster.base = before.base
            cluster.key = max(cluster.key, before.key)


def split_item(
    chars: PageChars, places: Sequence[int], number: int, size: float
) -> Iterator[Cluster]:
    """Yield the clusters that an object draws, from left to right."""
    if len(places) == 1:
        x, _, y, low, high = read_glyph(chars, places[0])
        yield from make_cluster(chars, places, (x, y, low, high), number, size)
        return
    glyphs = sorted(read_glyph(chars, place) for place in places)
    if chars.turn is not IDENTITY:
        glyphs = [*map(reach_next, glyphs, glyphs[1:], repeat(size)), *glyphs[-1:]]
    for glyph, same in groupby(glyphs, key=lambda glyph: (glyph[0], glyph[2:])):
        x, (y, low, high) = glyph
        group = sorted(abs(order) for _, order, *_ in same)
        yield from make_cluster(chars, group, (x, y, low, high), number, size)


def make_cluster(
    chars: PageChars,
    places: Sequence[int],
    box: tuple[float, float, float, float],
    number: int,
    size: float,
) -> Iterator[Cluster]:
    """Yield the cluster of a glyph, given its origin and its edges; none for what is no glyph."""
    x, y, low, high = box
    text = restore_order("".join([read_char(chars, place) for place in places]))
    left = x if low <= x < high else low  # the advance, and not what is drawn
    if text in ("", " ") and left == high:
        return  # a control character; a space of PDFium's, for a gap
    if is_mark(text):
        left, high = read_drawn_extent(chars, places[0])
    yield Cluster(text, left, high, y, size, places[0], number, x)


def reach_next(glyph: Glyph, following: Glyph, size: float) -> Glyph:
    """Extend what a glyph draws to the next glyph, unless that is further than its own space."""
    x, order, y, low, high = glyph
    is_near = following[0] - high < MAX_SIDE_SPACE * size
    return (x, order, y, low, max(high, following[0])) if is_near else glyph


def read_glyph(chars: PageChars, place: int) -> Glyph:
    """Return where a glyph begins, its order among others there, its base and its edges.

    PDFium has turned leftward letters around, those at one place as well.
    """
    char = chars.text[place]
    order = -place if char in JOINERS or RIGHT_TO_LEFT.match(char) else place
    x, y = chars.points[2 * place : 2 * place + 2]
    if chars.turn is not IDENTITY:
        x, y = move_point(x, y, chars.turn)
        return x, order, y, *read_drawn_extent(chars, place)
    low, _, high, _ = chars.edges[BOX_FIELDS * place : BOX_FIELDS * place + BOX_FIELDS]
    return (x, order, y, low, high) if low <= high else (x, order, y, high, low)


def read_drawn_extent(chars: PageChars, place: int) -> tuple[float, float]:
    """Return the left and right edge of what is drawn for a character."""
    box = (ctypes.c_double * BOX_FIELDS)()
    start = ctypes.addressof(box)
    drawn_box(chars.handle, place, start, start + 8, start + 16, start + 24)
    left, right, bottom, top = box
    one, two = (move_point(x, y, chars.turn)[0] for x, y in ((left, bottom), (right, top)))
    return min(one, two), max(one, two)


def hangs_over(handle: TextHandle, place: int) -> bool:
    """Return whether a character is drawn left of its origin, as a mark on the letter before."""
    point = (ctypes.c_double * 2)()
    start = ctypes.addressof(point)
    left, _, right, _ = list_char_edges(handle, [place])
    return bool(origin_of(handle, place, start, start + 8)) and 2 * point[0] > left + right


def read_char(chars: PageChars, place: int) -> str:
    """Return a character; a line's last hyphen as a hyphen, what is not decoded as unknown."""
    char = chars.text[place]
    if char < " ":
        left, right = read_drawn_extent(chars, place)
        return UNKNOWN if right - left > SAME_PLACE_POINTS else ""  # a space draws nothing
    if char == HYPHEN_MARK:  # or what the font maps to nothing
        return "-" if is_hyphen(chars.handle, place) == 1 else UNKNOWN
    return char


def order_lam_alef(bases: list[Cluster]) -> list[Cluster]:
    """Return clusters with each alef left of the lam that it is drawn within: it is read later."""
    for place, (left, right) in enumerate(pairwise(bases)):
        if left.text == LAM and right.text in ALEFS:
            reach = left.left + MAX_LAM_ALEF * (left.right - left.left)
            if right.left < reach and right.right <= left.right:
                bases[place : place + 2] = right, left
    return bases


def drop_covered_spaces(bases: Sequence[Cluster]) -> list[Cluster]:
    """Drop the spaces that begin where the letter before them does: they take no place.

    A line from right to left that ends with a space may draw it so.
    """
    return [
        cluster
        for number, cluster in enumerate(bases)
        if not (
            number
            and cluster.text == " "
            and cluster.right <= bases[number - 1].right + SAME_PLACE_POINTS
            and abs(cluster.left - bases[number - 1].left) < SAME_PLACE_POINTS
        )
    ]


@lru_cache(maxsize=10_000)
def is_mark(text: str) -> bool:
    """Return whether a text is all combining marks, which are drawn on another letter."""
    return text > "\u02ff" and all(unicodedata.category(char) in ("Mn", "Me") for char in text)


@lru_cache(maxsize=10_000)
def has_mark(text: str) -> bool:
    """Return whether a text has a vowel or another mark on a letter, or the vowel am."""
    return any(unicodedata.category(char)[0] == "M" or char in (AM, LAO_AM) for char in text)


@lru_cache(maxsize=10_000)
def restore_order(text: str) -> str:
    """Return the letters of one glyph in the order of reading, which PDFium has turned around.

    It does not turn those of a ligature that Unicode has a character for.
    """
    if text == "...":
        return ELLIPSIS
    is_turned = RIGHT_TO_LEFT.search(text) and text not in known_ligatures()
    return text[::-1] if is_turned else text


@cache
def known_ligatures() -> frozenset[str]:
    """Return the letters of each Arabic ligature that Unicode has a character for."""
    codes = (*range(0xFB50, 0xFE00), *range(0xFE70, 0xFF00))
    letters = {unicodedata.normalize("NFKC", chr(code)) for code in codes}
    return frozenset(text for text in letters if len(text) > 1)
