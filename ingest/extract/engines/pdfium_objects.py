"""List the objects that a page draws, and leave out text that no viewer shows.

Native code: only run it in a sandbox. PDFium's text of a page has the objects that are active, so
text outside of the page, or clipped away, is set inactive before its text is loaded.
"""

from __future__ import annotations

import ctypes
from array import array
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, compress, repeat
from typing import Any, TypeAlias

from pypdfium2 import raw

from ingest.extract.engines.pdfium_raw import (
    MAX_DRAWN_OBJECTS,
    ListedPage,
    PageHandle,
    clip_of,
    clip_segment,
    count_clip_segments,
    count_clips,
    count_form_items,
    count_items,
    form_item_at,
    kind_of,
    list_page_items,
    matrix_of,
    page_box_of,
    point_of,
    pointer_to,
    read_bounds,
    read_clip,
    read_mode,
    set_active,
)
from ingest.extract.figures.shapes import Box, intersect

Item: TypeAlias = int  # address of a page object
Edges: TypeAlias = "tuple[list[float], ...]"  # lefts, bottoms, rights and tops of objects
Matrix: TypeAlias = tuple[float, float, float, float, float, float]

TEXT, PATH, IMAGE, SHADING, FORM = (
    raw.FPDF_PAGEOBJ_TEXT,
    raw.FPDF_PAGEOBJ_PATH,
    raw.FPDF_PAGEOBJ_IMAGE,
    raw.FPDF_PAGEOBJ_SHADING,
    raw.FPDF_PAGEOBJ_FORM,
)
NO_TEXT = raw.FPDF_TEXTRENDERMODE_UNKNOWN
TEXT_KINDS = {TEXT, FORM}  # objects that may have text
MIN_LETTER_PATHS = 50  # on a page: fewer paths are rules and frames, more may be letters
MAX_COUNTED_OBJECTS = 5000  # of a page
MAX_OBJECTS = 20_000  # of a page; the rest is not looked at
MAX_FORM_LEVELS = 8  # forms within forms
MAX_CLIP_SEGMENTS = 200  # of one clip path; a longer one is taken to show everything
MIN_SEEN_SHARE = 0.3  # of a line's height; with less of it inside of the page, it cannot be read
MIN_INK_POINTS = 0.01  # of either side of a text; one of white space has less
IDENTITY: Matrix = (1, 0, 0, 1, 0, 0)


@dataclass(slots=True)
class ObjectList:
    """The objects of a page or of a form on it, without those in its own forms."""

    items: list[Item]
    others: list[int]  # indexes of those that are no text
    kinds: list[int]  # of the others
    orders: Sequence[int]  # of each among all objects of the page, as they are drawn
    matrix: Matrix | None  # from the form's space to the page's; None for the page itself
    texts: list[Item]
    text_pointers: list[Any]  # to them, as calls take these
    text_modes: list[int]  # how each is drawn: filled, invisible, ...
    text_orders: Sequence[int]
    text_edges: Edges  # in the page's space


@dataclass(slots=True)
class PageObjects:
    """The objects of a page."""

    window: Box  # the part of the page that viewers show
    lists: list[ObjectList] = field(default_factory=list)
    count: int = 0
    unseen: list[Item] = field(default_factory=list)  # texts outside of the page or clipped away


def list_objects(page: PageHandle) -> PageObjects:
    """List the objects of a loaded page."""
    objects = PageObjects(page_box(page))
    add_objects(objects, list_page_items(page, MAX_OBJECTS), None, objects.window, 0)
    return objects


def add_objects(
    objects: PageObjects, items: list[Item], matrix: Matrix | None, window: Box, level: int
) -> None:
    """Add the objects of a page or form that is seen through a window in the page's space."""
    pointers = list(map(pointer_to, items))
    modes = list(map(read_mode, pointers))
    others = [n for n, mode in enumerate(modes) if mode == NO_TEXT] if NO_TEXT in modes else []
    kinds = [kind_of(items[index]) for index in others]
    orders: list[int] | range = range(objects.count, objects.count + len(items))
    if FORM in kinds and level < MAX_FORM_LEVELS:
        orders = []
        forms = {items[index] for index, kind in zip(others, kinds, strict=True) if kind == FORM}
        for item in items:
            orders.append(objects.count)
            objects.count += 1
            if item in forms:
                inside = list_form_items(item, MAX_OBJECTS - objects.count)
                seen = intersect(window, clip_window(item, matrix))
                add_objects(objects, inside, multiply(read_matrix(item), matrix), seen, level + 1)
    else:
        objects.count += len(items)
    texts, text_orders = items, orders
    if others:
        is_text = list(map(NO_TEXT.__ne__, modes))
        texts, pointers, modes = (list(compress(x, is_text)) for x in (items, pointers, modes))
        text_orders = list(compress(orders, is_text))
    edges = split_edges(read_bounds(pointers))
    if matrix:
        boxes = (transform_box(matrix, box) for box in iter_boxes(edges))
        edges = split_edges(array("f", chain.from_iterable(boxes)))
    if max(map(count_clips, map(read_clip, pointers)), default=0) > 0:
        objects.unseen += find_clipped(texts, edges, matrix)
    objects.unseen += find_outside(texts, edges, window)
    own = ObjectList(
        items, others, kinds, orders, matrix, texts, pointers, modes, text_orders, edges
    )
    objects.lists.append(own)


def draws_graphics(page: PageHandle) -> bool:
    """Return whether a page draws more than text and rules: OCR may find letters in it."""
    kinds = Counter(list_kinds(page))
    return kinds[FORM] + kinds[IMAGE] > 0 or kinds[PATH] >= MIN_LETTER_PATHS


def draws_no_text(page: PageHandle) -> bool:
    """Return whether a page draws paths and images at most."""
    return count_items(page) <= MAX_COUNTED_OBJECTS and TEXT_KINDS.isdisjoint(list_kinds(page))


def list_kinds(page: PageHandle) -> list[int]:
    """List the kinds of the first objects of a page."""
    return list(map(kind_of, list_page_items(page, MAX_COUNTED_OBJECTS)))


def list_form_items(form: Item, limit: int) -> list[Item]:
    """List the objects of a form, up to a limit."""
    count = max(0, min(count_form_items(form), limit))
    return list(filter(None, map(form_item_at, repeat(form), range(count))))


def with_paths(page: PageHandle, objects: PageObjects) -> ListedPage:
    """Return the handle of a page with the bounds of its paths, which are read once."""
    listed, own = ListedPage(page), objects.lists[-1]
    paths = (
        own.items[index]
        for index, kind in zip(own.others, own.kinds, strict=True)
        if kind == PATH and index < MAX_DRAWN_OBJECTS
    )
    listed.bounds = read_bounds(list(map(pointer_to, paths)))
    return listed


def leave_out(items: Sequence[Item]) -> None:
    """Take objects out of the text and the image of their page."""
    deque(map(set_active, items, repeat(0)), maxlen=0)


def page_box(page: PageHandle) -> Box:
    """Return the part of a page that viewers show: its crop box within its media box."""
    found = raw.FS_RECTF()
    page_box_of(page, ctypes.addressof(found))
    return found.left, found.bottom, found.right, found.top


def read_edges(items: Sequence[Item]) -> Edges:
    """Return the bounds of objects, in the space of their page or form."""
    return split_edges(read_bounds(list(map(pointer_to, items))))


def split_edges(boxes: array[float]) -> Edges:
    """Split boxes, one after the other, into the four edges of all."""
    flat = boxes.tolist()
    return flat[0::4], flat[1::4], flat[2::4], flat[3::4]


def iter_boxes(edges: Edges) -> Iterator[Box]:
    """Yield the boxes of objects."""
    lefts, bottoms, rights, tops = edges
    return zip(lefts, bottoms, rights, tops, strict=True)


def find_outside(texts: Sequence[Item], edges: Edges, window: Box) -> list[Item]:
    """Return the texts that are outside of a window."""
    lefts, bottoms, rights, tops = edges
    if not texts or (
        min(lefts) >= window[0]
        and min(bottoms) >= window[1]
        and max(rights) <= window[2]
        and max(tops) <= window[3]
    ):
        return []
    boxes = zip(texts, iter_boxes(edges), strict=True)
    return [text for text, box in boxes if has_ink(box) and is_cut(box, window)]


def has_ink(box: Box) -> bool:
    """Return whether a text has an extent: white space has none."""
    return box[2] - box[0] > MIN_INK_POINTS and box[3] - box[1] > MIN_INK_POINTS


def is_cut(box: Box, window: Box) -> bool:
    """Return whether a window shows too little of a line of text to read it."""
    width, height = box[2] - box[0], box[3] - box[1]
    seen_width = min(box[2], window[2]) - max(box[0], window[0])
    seen_height = min(box[3], window[3]) - max(box[1], window[1])
    if seen_width <= 0 or seen_height <= 0:
        return True
    across = seen_height / height if width >= height else seen_width / width
    return across < MIN_SEEN_SHARE


def find_clipped(texts: Sequence[Item], edges: Edges, matrix: Matrix | None) -> list[Item]:
    """Return the texts that their clip paths hide."""
    boxes = zip(texts, iter_boxes(edges), strict=True)
    return [text for text, box in boxes if has_ink(box) and is_cut(box, clip_window(text, matrix))]


def clip_window(item: Item, matrix: Matrix | None) -> Box:
    """Return the bounds of an object's clip paths, in the page's space."""
    window: Box = (float("-inf"), float("-inf"), float("inf"), float("inf"))
    clip = clip_of(item)
    for index in range(max(0, count_clips(clip))):
        count = count_clip_segments(clip, index)
        if 0 < count <= MAX_CLIP_SEGMENTS:
            across, along = read_points([clip_segment(clip, index, n) for n in range(count)])
            bounds = min(across), min(along), max(across), max(along)
            window = intersect(window, transform_box(matrix, bounds) if matrix else bounds)
    return window


def read_points(segments: Sequence[int]) -> tuple[list[float], list[float]]:
    """Return the x and the y of the ends of path segments, in the space of the path."""
    found = array("f", bytes(8 * len(segments)))
    start, _ = found.buffer_info()
    end = start + 8 * len(segments)
    deque(map(point_of, segments, range(start, end, 8), range(start + 4, end, 8)), maxlen=0)
    return found[0::2].tolist(), found[1::2].tolist()


def read_matrix(item: Item) -> Matrix:
    """Return the matrix of an object; the identity if it has none."""
    found = (ctypes.c_float * 6)()
    if not matrix_of(item, ctypes.addressof(found)):
        return IDENTITY
    a, b, c, d, e, f = found
    return a, b, c, d, e, f


def multiply(first: Matrix, then: Matrix | None) -> Matrix:
    """Return the matrix that applies one matrix and then another."""
    if then is None or then is IDENTITY:
        return first
    a, b, c, d, e, f = first
    g, h, i, j, k, m = then
    return (
        a * g + b * i, a * h + b * j,
        c * g + d * i, c * h + d * j,
        e * g + f * i + k, e * h + f * j + m,
    )  # fmt: skip


def transform_box(matrix: Matrix, box: Box) -> Box:
    """Return the bounds of a transformed box."""
    a, b, c, d, e, f = matrix
    left, bottom, right, top = box
    across = [a * x + c * y + e for x in (left, right) for y in (bottom, top)]
    along = [b * x + d * y + f for x in (left, right) for y in (bottom, top)]
    return min(across), min(along), max(across), max(along)
