"""Find text that a page has and a reader cannot see. Native code: only run it in a sandbox.

It is in the index, because it may be meant to be found, but its document is reported: text in the
colour of its background is how instructions to a language model are smuggled into a document.

Colours and positions show on nearly all pages that nothing is hidden. Where they do not, the page
is rendered with and without the text in question.
"""

from __future__ import annotations

import ctypes
from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, count, repeat
from operator import add, sub
from typing import NamedTuple

from pypdfium2 import raw

from ingest.extract.engines.pdfium_objects import (
    IMAGE,
    PATH,
    SHADING,
    Box,
    Edges,
    Item,
    ObjectList,
    PageObjects,
    has_ink,
    intersect,
    iter_boxes,
    multiply,
    read_edges,
    read_matrix,
    transform_box,
)
from ingest.extract.engines.pdfium_raw import (
    PageHandle,
    count_items,
    draw_mode_of,
    fill_of,
    font_size_of,
    has_transparency,
    set_active,
)
from ingest.extract.engines.pdfium_render import render_page, to_pixels

Colour = tuple[int, int, int, int]  # red, green, blue, opacity; 0 to 255

PAPER: Colour = (255, 255, 255, 255)
BLACK: Colour = (0, 0, 0, 255)
MAX_SAME_COLOUR = 20  # colours closer than this in red, green and blue cannot be told apart
MIN_OPACITY = 13  # of 255; text below cannot be seen
MIN_BOX_POINTS = 4.0  # sides of a filled path; a smaller one is a rule
MAX_BOXES = 500  # filled paths of a page that are compared with its text
MIN_COVERED_SHARE = 0.8  # of a text's area
MIN_TYPE_POINTS = 1.0  # smaller type cannot be read
MIN_HIDDEN_LETTERS = 4  # on a page; fewer are anchors and accidents
MAX_RENDERED_OBJECTS = 3000  # of a page; one with more is judged by colours and positions alone
MAX_CANDIDATES = 2000  # texts of a page that are looked at
INVISIBLE_MODES = (raw.FPDF_TEXTRENDERMODE_INVISIBLE, raw.FPDF_TEXTRENDERMODE_CLIP)


PLAIN_MODES = frozenset(range(-1, raw.FPDF_TEXTRENDERMODE_LAST + 1)).difference(INVISIBLE_MODES)
COLOUR_BYTES = 16


class FilledBox(NamedTuple):
    """Something that hides what was drawn before it, or is seen behind what follows."""

    order: int  # in which the page draws it
    box: Box
    colour: Colour | None  # None: an image or a shading
    opaque: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text that may be hidden."""

    item: Item
    box: Box
    invisible: bool = False  # drawn in no colour, as a layer of OCR is
    tiny: bool = False
    on_picture: bool = False  # most such text is seen


@dataclass(frozen=True)
class TextLook:
    """Appearance of the texts of a page."""

    objects: PageObjects
    items: list[Item]
    edges: Edges
    modes: list[int]  # render modes
    colours: list[Colour]

    @cached_property
    def orders(self) -> list[int]:
        """The order of each among all objects of the page."""
        return [order for one in self.objects.lists for order in text_orders(one)]

    @cached_property
    def first_order(self) -> int:
        """The order of the first text among all objects of the page."""
        return min(self.orders)

    def box(self, n: int) -> Box:
        lefts, bottoms, rights, tops = self.edges
        return lefts[n], bottoms[n], rights[n], tops[n]


def find_candidates(objects: PageObjects) -> list[Candidate]:
    """Return the texts of a page that may be hidden, by colour, mode, position and size."""
    page = look_at_texts(objects)
    if not page.items:
        return []
    boxes = list(find_filled_boxes(objects, page)) if len(page.items) < objects.count else []
    suspects = find_suspects(page, boxes)
    if not suspects:
        return []
    boxes = sorted([*boxes, *find_pictures(objects)], key=lambda one: one.order)
    unseen = set(objects.unseen)
    found = [look_closer(page, n, boxes) for n in sorted(suspects) if page.items[n] not in unseen]
    return list(filter(None, found))[:MAX_CANDIDATES]


def look_at_texts(objects: PageObjects) -> TextLook:
    """Collect how the texts of a page look."""
    first, *others = objects.lists
    items, edges, modes = first.texts, first.text_edges, first.text_modes
    if others:
        items = [item for one in objects.lists for item in one.texts]
        modes = [mode for one in objects.lists for mode in one.text_modes]
        parts = zip(*(one.text_edges for one in objects.lists), strict=True)
        edges = tuple(list(chain.from_iterable(part)) for part in parts)
    return TextLook(objects, items, edges, modes, read_colours(items))


def text_orders(one: ObjectList) -> Sequence[int]:
    """Return the order of each text of a list among all objects of the page."""
    if not one.others:
        return one.orders
    no_text = set(one.others)
    return [order for index, order in enumerate(one.orders) if index not in no_text]


def find_suspects(page: TextLook, boxes: Sequence[FilledBox]) -> set[int]:
    """Return the indexes of the texts that need a closer look."""
    used = set(page.colours)
    suspects: set[int] = set()
    if doubtful := {colour for colour in used if not shows_on_paper(colour)}:
        suspects.update(n for n, one in enumerate(page.colours) if one in doubtful)
    if not PLAIN_MODES.issuperset(page.modes):
        suspects.update(n for n, mode in enumerate(page.modes) if mode in INVISIBLE_MODES)
    _, bottoms, _, tops = page.edges
    heights = list(map(sub, tops, bottoms))
    if min(heights) < MIN_TYPE_POINTS:
        suspects.update(n for n, height in enumerate(heights) if height < MIN_TYPE_POINTS)
    if boxes:
        near = [one for one in boxes if may_hide(one, page.first_order, used)]
        suspects.update(find_texts_in_boxes(page, near, used) if near else ())
    return suspects


def find_texts_in_boxes(
    page: TextLook, boxes: Sequence[FilledBox], used: set[Colour]
) -> Iterator[int]:
    """Yield the texts in boxes that were drawn after them, or before them in their colour.

    `used` are the colours of the page's texts.
    """
    lefts, bottoms, rights, tops = page.edges
    middles = sorted(zip(map(add, bottoms, tops), count(), strict=False))
    for one in boxes:
        same = {colour for colour in used if one.colour and is_same_colour(one.colour, colour)}
        left, bottom, right, top = one.box
        start = bisect_left(middles, (2 * bottom, 0))
        for _, n in middles[start : bisect_right(middles, (2 * top, len(middles)))]:
            if (one.order > page.orders[n] or page.colours[n] in same) and (
                left <= (lefts[n] + rights[n]) / 2 <= right
            ):
                yield n


def look_closer(page: TextLook, n: int, boxes: Sequence[FilledBox]) -> Candidate | None:
    """Return a text as a candidate if it may be hidden."""
    item, colour, box = page.items[n], page.colours[n], page.box(n)
    if not has_ink(box):
        return None
    if page.modes[n] in INVISIBLE_MODES or colour[3] < MIN_OPACITY:
        return None if is_on_picture(box, boxes) else Candidate(item, box, invisible=True)
    if box[3] - box[1] < MIN_TYPE_POINTS and type_size(item, page.objects) < MIN_TYPE_POINTS:
        return Candidate(item, box, tiny=True)
    if is_lost_behind(page.orders[n], box, colour, boxes):
        return Candidate(item, box, on_picture=is_on_picture(box, boxes))
    return None


def may_hide(one: FilledBox, first_text: int, colours: set[Colour]) -> bool:
    """Return whether a box may hide text of these colours."""
    return (one.opaque and one.order > first_text) or any(
        is_same_colour(one.colour or PAPER, colour) for colour in colours
    )


def shows_on_paper(colour: Colour) -> bool:
    """Return whether text of a colour is seen on white paper."""
    return colour[3] >= MIN_OPACITY and not is_same_colour(colour, PAPER)


def read_colours(items: Sequence[Item]) -> list[Colour]:
    """Return the fill colours of objects; black where there is none."""
    black = array("I", BLACK) * len(items)
    found = black[:]
    start, _ = found.buffer_info()
    end = start + COLOUR_BYTES * len(items)
    parts = (range(start + 4 * part, end, COLOUR_BYTES) for part in range(4))
    deque(map(fill_of, items, *parts), maxlen=0)
    if found.tobytes() == black.tobytes():
        return [BLACK] * len(items)
    return list(zip(found[0::4], found[1::4], found[2::4], found[3::4], strict=True))


def find_filled_boxes(objects: PageObjects, page: TextLook) -> Iterator[FilledBox]:
    """Yield the filled paths that may hide text or be seen behind it."""
    fill, stroke = ctypes.c_int(), ctypes.c_int()
    modes = ctypes.addressof(fill), ctypes.addressof(stroke)
    found = (ctypes.c_uint * 4)()
    parts = range(ctypes.addressof(found), ctypes.addressof(found) + COLOUR_BYTES, 4)
    left = MAX_BOXES
    for item, order, box in iter_objects(objects, PATH):
        if not left or not draw_mode_of(item, *modes) or not fill.value:
            continue
        found[:] = [*BLACK]  # where it has no plain colour
        fill_of(item, *parts)
        red, green, blue, opacity = found
        if (red, green, blue) != PAPER[:3] or order > page.first_order:
            left -= 1
            yield FilledBox(
                order, box, (red, green, blue, opacity), opaque=not has_transparency(item)
            )


def find_pictures(objects: PageObjects) -> Iterator[FilledBox]:
    """Yield the images and shadings of a page."""
    for kind in (IMAGE, SHADING):
        for _, order, box in iter_objects(objects, kind):
            yield FilledBox(order, box, None, opaque=False)


def iter_objects(objects: PageObjects, kind: int) -> Iterator[tuple[Item, int, Box]]:
    """Yield the objects of a kind that are not too small to hide text: order and bounds."""
    for one in objects.lists:
        places = [n for n, each in zip(one.others, one.kinds, strict=True) if each == kind]
        if not places:
            continue
        edges = read_edges([one.items[place] for place in places])
        for place, box in zip(places, iter_boxes(edges), strict=True):
            left, bottom, right, top = transform_box(one.matrix, box) if one.matrix else box
            if right - left >= MIN_BOX_POINTS and top - bottom >= MIN_BOX_POINTS:
                yield one.items[place], one.orders[place], (left, bottom, right, top)


def is_on_picture(box: Box, boxes: Sequence[FilledBox]) -> bool:
    """Return whether an image is where a text is: then it is what OCR read in the image."""
    return any(one.colour is None and covers_middle(one.box, box) for one in boxes)


def covers_middle(outer: Box, inner: Box) -> bool:
    """Return whether a box has the middle of another."""
    x, y = (inner[0] + inner[2]) / 2, (inner[1] + inner[3]) / 2
    return outer[0] <= x <= outer[2] and outer[1] <= y <= outer[3]


def covered_share(box: Box, by: Box) -> float:
    """Return the share of a box's area that another covers."""
    left, bottom, right, top = intersect(box, by)
    area = max(0.0, right - left) * max(0.0, top - bottom)
    return area / ((box[2] - box[0]) * (box[3] - box[1]))


def is_lost_behind(order: int, box: Box, colour: Colour, boxes: Sequence[FilledBox]) -> bool:
    """Return whether a later box seems to hide a text, or its background to have its colour."""
    background: Colour | None = PAPER
    for one in boxes:
        if one.order > order:
            if one.opaque and covered_share(box, one.box) >= MIN_COVERED_SHARE:
                return True
        elif covers_middle(one.box, box) and (one.opaque or one.colour is None):
            background = one.colour
    # On an image, only light text is suspect: dark letters are what pictures are made for.
    return is_same_colour(colour, background or PAPER)


def is_same_colour(one: Colour, other: Colour) -> bool:
    """Return whether two colours cannot be told apart."""
    return (
        abs(one[0] - other[0]) <= MAX_SAME_COLOUR
        and abs(one[1] - other[1]) <= MAX_SAME_COLOUR
        and abs(one[2] - other[2]) <= MAX_SAME_COLOUR
    )


def type_size(item: Item, objects: PageObjects) -> float:
    """Return the size of a text's type on the page, in points."""
    size = ctypes.c_float()
    font_size_of(item, ctypes.addressof(size))
    form = next((one.matrix for one in objects.lists if item in one.texts), None)
    a, b, c, d, _, _ = multiply(read_matrix(item), form)
    return float(abs(size.value) * abs(a * d - b * c) ** 0.5)


def confirm_hidden(
    page: PageHandle,
    candidates: Sequence[Candidate],
    count_letters: Callable[[Item], int],
    may_render: Callable[[bool], bool],
) -> bool:
    """Return whether a page hides text that matters among the candidates.

    Args:
        page: The page, with its text loaded.
        candidates: What may be hidden.
        count_letters: Counts the letters of a text.
        may_render: Called with whether hidden text is likely; says if the page may be rendered,
            which takes ten times as long as reading it.
    """
    letters = {one.item: count_letters(one.item) for one in candidates}
    if sum(letters.values()) < MIN_HIDDEN_LETTERS:
        return False
    is_slow = count_items(page) > MAX_RENDERED_OBJECTS
    certain = [one for one in candidates if one.tiny or (is_slow and not one.on_picture)]
    hidden = sum(letters[one.item] for one in certain)
    others = [one for one in candidates if not one.tiny and letters[one.item]]
    likely = not all(one.on_picture for one in others)
    if hidden < MIN_HIDDEN_LETTERS and others and not is_slow and may_render(likely):
        hidden += sum(letters[one.item] for one in find_without_trace(page, others))
    return hidden >= MIN_HIDDEN_LETTERS


def find_without_trace(page: PageHandle, candidates: Sequence[Candidate]) -> Iterator[Candidate]:
    """Yield the candidates that leave no trace in the image of their page."""
    items = [one.item for one in candidates]
    shown = render_page(page)
    list(map(set_active, items, repeat(0)))
    try:
        without = render_page(page)
    finally:
        list(map(set_active, items, repeat(1)))
    for one in candidates:
        top, bottom, left, right = to_pixels(page, one.box, shown.shape)
        part = without[top:bottom, left:right, :3].astype(int)
        if not part.size:
            continue
        if one.invisible:
            # Over letters that are drawn as paths, it is their text.
            hidden = bool(part.max() - part.min() <= MAX_SAME_COLOUR)
        else:
            difference = abs(shown[top:bottom, left:right, :3].astype(int) - part)
            hidden = bool(difference.max() <= MAX_SAME_COLOUR)
        if hidden:
            yield one
