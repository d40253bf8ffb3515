"""Find text that a page has and a reader cannot see. Native code: only run it in a sandbox.

It is in the index, because it may be meant to be found, but its document is reported: text in the
colour of its background is how instructions to a language model are smuggled into a document.

Colours and positions show on nearly all pages that nothing is hidden. Where they do not, the page
is rendered with and without the text in question.
"""

from __future__ import annotations

import ctypes
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count, repeat
from operator import add, sub
from typing import Any

from pypdfium2 import raw

from ingest.extract.engines.pdfium_boxes import (
    MAX_SAME_COLOUR,
    PAPER,
    Colour,
    FilledBox,
    covered_share,
    find_filled_boxes,
    find_pictures,
    is_on_picture,
    is_same_colour,
    read_colours,
)
from ingest.extract.engines.pdfium_objects import (
    MIN_INK_POINTS,
    Item,
    PageObjects,
    has_ink,
    multiply,
    read_matrix,
)
from ingest.extract.engines.pdfium_raw import (
    PageHandle,
    TextHandle,
    count_items,
    font_size_of,
    set_active,
    text_of_item,
)
from ingest.extract.engines.pdfium_render import image_shape, render_page, to_pixels
from ingest.extract.figures.shapes import Box, has_middle

MIN_OPACITY = 13  # of 255; text below cannot be seen
MIN_COVERED_SHARE = 0.8  # of a text's area
MIN_TYPE_POINTS = 1.0  # smaller type cannot be read
MIN_HIDDEN_LETTERS = 4  # on a page; fewer are anchors and accidents
MAX_RENDERED_OBJECTS = 3000  # of a page; one with more is judged by colours and positions alone
MAX_CANDIDATES = 2000  # texts of a page that are looked at
INVISIBLE_MODES = (raw.FPDF_TEXTRENDERMODE_INVISIBLE, raw.FPDF_TEXTRENDERMODE_CLIP)
PLAIN_MODES = frozenset(range(-1, raw.FPDF_TEXTRENDERMODE_LAST + 1)).difference(INVISIBLE_MODES)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text that may be hidden."""

    item: Item
    box: Box
    invisible: bool = False  # drawn in no colour, as a layer of OCR is
    tiny: bool = False
    on_picture: bool = False  # most such text is seen


@dataclass(frozen=True, slots=True)
class TextLook:
    """Appearance of the texts of a page."""

    objects: PageObjects
    items: Sequence[Item]
    edges: Sequence[Sequence[float]]  # lefts, bottoms, rights and tops
    modes: Sequence[int]  # render modes
    orders: Sequence[int]  # of each among all objects of the page
    colours: list[Colour]

    def box(self, n: int) -> Box:
        lefts, bottoms, rights, tops = self.edges
        return lefts[n], bottoms[n], rights[n], tops[n]


def find_candidates(objects: PageObjects) -> list[Candidate]:
    """Return the texts of a page that may be hidden, by colour, mode, position and size."""
    page = look_at_texts(objects)
    if not page.items:
        return []
    boxes = (
        list(find_filled_boxes(objects, min(page.orders)))
        if len(page.items) < objects.count
        else []
    )
    suspects = find_suspects(page, boxes)
    if not suspects:
        return []
    boxes = sorted([*boxes, *find_pictures(objects)], key=lambda one: one.order)
    unseen = set(objects.unseen)
    found = [look_closer(page, n, boxes) for n in sorted(suspects) if page.items[n] not in unseen]
    return list(filter(None, found))[:MAX_CANDIDATES]


def look_at_texts(objects: PageObjects) -> TextLook:
    """Collect how the texts of a page look."""
    parts = [
        (one.texts, one.text_pointers, one.text_modes, one.text_orders, *one.text_edges)
        for one in objects.lists
    ]
    joined: Sequence[Sequence[Any]] = parts[0]
    if len(parts) > 1:
        joined = [list(chain.from_iterable(part)) for part in zip(*parts, strict=True)]
    items, pointers, modes, orders, *edges = joined
    return TextLook(objects, items, edges, modes, orders, read_colours(pointers))


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
        suspects.update(
            n for n, height in enumerate(heights) if MIN_INK_POINTS < height < MIN_TYPE_POINTS
        )
    if boxes:
        first = min(page.orders)
        near = [one for one in boxes if may_hide(one, first, used)]
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


def is_lost_behind(order: int, box: Box, colour: Colour, boxes: Sequence[FilledBox]) -> bool:
    """Return whether a later box seems to hide a text, or its background to have its colour."""
    background: Colour | None = PAPER
    for one in boxes:
        if one.order > order:
            if one.opaque and covered_share(box, one.box) >= MIN_COVERED_SHARE:
                return True
        elif has_middle(one.box, box) and (one.opaque or one.colour is None):
            background = one.colour
    # On an image, only light text is suspect: dark letters are what pictures are made for.
    return is_same_colour(colour, background or PAPER)


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


def count_letters(text: TextHandle, item: int) -> int:
    """Return the number of letters and digits that an object draws on a loaded page."""
    size = text_of_item(item, text, None, 0)
    buffer = (ctypes.c_char * max(2, size))()
    text_of_item(item, text, ctypes.addressof(buffer), size)
    return sum(map(str.isalnum, buffer.raw.decode("utf-16-le", "ignore")))


def find_without_trace(page: PageHandle, candidates: Sequence[Candidate]) -> Iterator[Candidate]:
    """Yield the candidates that leave no trace in the image of their page."""
    items = [one.item for one in candidates]
    shape = image_shape(page)
    places = [to_pixels(page, one.box, shape) for one in candidates]
    tops, bottoms, lefts, rights = zip(*places, strict=True)
    first, last = min(tops), min(max(bottoms), shape[0])
    start, end = min(lefts), min(max(rights), shape[1])
    if first >= last or start >= end:
        return  # outside of the page
    shown = render_page(page, shape, (first, last, start, end))
    list(map(set_active, items, repeat(0)))
    try:
        without = render_page(page, shape, (first, last, start, end))
    finally:
        list(map(set_active, items, repeat(1)))
    for one, (top, bottom, left, right) in zip(candidates, places, strict=True):
        if top >= min(bottom, last) or left >= min(right, end):
            continue
        rows, columns = slice(top - first, bottom - first), slice(left - start, right - start)
        part = without[rows, columns, :3].astype(int)
        if one.invisible:
            # Over letters that are drawn as paths, it is their text.
            hidden = bool(part.max() - part.min() <= MAX_SAME_COLOUR)
        else:
            difference = abs(shown[rows, columns, :3].astype(int) - part)
            hidden = bool(difference.max() <= MAX_SAME_COLOUR)
        if hidden:
            yield one
