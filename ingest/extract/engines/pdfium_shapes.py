"""Read the shapes of a loaded page, to find its figures. Native code: only run it in a sandbox."""

from __future__ import annotations

import ctypes
import hashlib
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from functools import partial
from itertools import repeat
from typing import TypeAlias

from pypdfium2 import raw

from ingest.extract.engines.pdfium_boxes import BLACK, PAPER, read_colour
from ingest.extract.engines.pdfium_captions import MAX_SHAPES, Turn, has_size
from ingest.extract.engines.pdfium_objects import (
    IDENTITY,
    IMAGE,
    PATH,
    SHADING,
    Item,
    Matrix,
    PageObjects,
    clip_window,
    iter_boxes,
    list_objects,
    read_edges,
    read_matrix,
    read_points,
    transform_box,
)
from ingest.extract.engines.pdfium_raw import (
    INT,
    POINTER,
    SIZE,
    PageHandle,
    bind_by_address,
    clip_of,
    close_page,
    count_clips,
    draw_mode_of,
    fill_of,
    load_page,
)
from ingest.extract.figures.drawings import may_be_drawing
from ingest.extract.figures.lines import join_lines
from ingest.extract.figures.shapes import RULE_POINTS, Box, DrawnPage, Look, Shape, intersect
from ingest.extract.safe_call import try_call

count_segments = bind_by_address(raw.FPDFPath_CountSegments, INT, POINTER)
segment_at = bind_by_address(raw.FPDFPath_GetPathSegment, POINTER, POINTER, INT)
segment_kind = bind_by_address(raw.FPDFPathSegment_GetType, INT, POINTER)
stroke_of = bind_by_address(
    raw.FPDFPageObj_GetStrokeColor, INT, POINTER, POINTER, POINTER, POINTER, POINTER
)
raw_size_of = bind_by_address(raw.FPDFImageObj_GetImageDataRaw, SIZE, POINTER, POINTER, SIZE)

# Kind, place and image of something drawn.
Signature: TypeAlias = tuple[int, tuple[int, ...], str]

DRAWN_KINDS = {IMAGE, PATH, SHADING}
MAX_COMPARED_PAGES = 40  # of a document, to find shapes that repeat
MIN_REPEATED_SHARE = 0.6  # of these pages, that draw the same
MIN_REPEATED_PAGES = 3  # or all pages of a shorter document
MAX_LINES = 3000  # texts of a page that are joined to lines
MAX_SEGMENTS = 60  # of a path; one with more is no rectangle
MAX_CORNER_SHARE = 0.45  # of a rectangle's side that a rounded corner takes
MAX_OFF_EDGE = 0.6  # points that a rectangle's path is off its bounds
MAX_IDENTITY_BYTES = 64 << 20  # of an image's data; a larger one is not compared
FAINT = 8  # opacity, of 255, that cannot be seen


def read_drawn_page(
    page: PageHandle, objects: PageObjects, repeated: Container[Signature] | None = None
) -> DrawnPage:
    """Return the shapes of a page, turned as viewers show it, except those on other pages too."""
    turn = Turn(page, objects.window)
    shapes = list(iter_shapes(objects, turn, repeated))
    if not may_be_drawing(shapes):  # then the text makes no difference
        return DrawnPage(turn.width, turn.height, shapes, [])
    boxes = (box for one in objects.lists for box in iter_boxes(one.text_edges))
    seen = [turn(box) for box, _ in zip(boxes, range(MAX_LINES), strict=False) if has_size(box)]
    return DrawnPage(turn.width, turn.height, shapes, join_lines(seen))


def iter_shapes(
    objects: PageObjects, turn: Turn, repeated: Container[Signature] | None
) -> Iterator[Shape]:
    """Yield the images, shadings and visible paths of a page that other pages do not repeat."""
    for item, kind, box in iter_drawn(objects, turn):
        identity = ""
        if repeated is not None:
            identity = identify_image(item, box) if kind == IMAGE else ""
            if (kind, round_box(box), identity) in repeated:
                continue
        if kind == PATH:
            yield from read_path(item, box)
        else:
            yield Shape(box, Look.PICTURE, filled=True, identity=identity)


def iter_drawn(objects: PageObjects, turn: Turn) -> Iterator[tuple[Item, int, Box]]:
    """Yield the objects of a page except text, each with its kind and its box as shown."""
    left = MAX_SHAPES
    for one in objects.lists:
        pairs = zip(one.others, one.kinds, strict=True)
        drawn = [(one.items[n], kind) for n, kind in pairs if kind in DRAWN_KINDS][:left]
        left -= len(drawn)
        boxes = iter_boxes(read_edges([item for item, _ in drawn]))
        for (item, kind), own in zip(drawn, boxes, strict=True):
            box = transform_box(one.matrix, own) if one.matrix else own
            if count_clips(clip_of(item)) > 0:
                box = intersect(box, clip_window(item, one.matrix))
            box = intersect(box, objects.window)
            if box[0] <= box[2] and box[1] <= box[3]:
                yield item, kind, turn(box)


def round_box(box: Box) -> tuple[int, ...]:
    """Return a box in whole points, by which pages are compared."""
    return tuple(map(round, box))


def find_repeated(address: int, count: int) -> frozenset[Signature]:
    """Return the shapes that most of a document's `count` pages draw at the same place."""
    if count < 2:  # noqa: PLR2004 - one page repeats nothing
        return frozenset()
    indexes = range(0, count, -(-count // MAX_COMPARED_PAGES))
    seen: Counter[Signature] = Counter()
    none: set[Signature] = set()
    for index in indexes:
        if page := load_page(address, index):
            try:
                seen.update(try_call(partial(list_signatures, page), none))
            finally:
                close_page(page)
    least = max(min(MIN_REPEATED_PAGES, len(indexes)), MIN_REPEATED_SHARE * len(indexes))
    return frozenset(one for one, pages in seen.items() if pages >= least)


def list_signatures(page: PageHandle) -> set[Signature]:
    """Return what tells the drawn objects of a page from those of others."""
    objects = list_objects(page)
    turn = Turn(page, objects.window)
    return {
        (kind, round_box(box), identify_image(item, box) if kind == IMAGE else "")
        for item, kind, box in iter_drawn(objects, turn)
    }


def read_path(item: Item, box: Box) -> Iterator[Shape]:
    """Yield a path as a shape, if it can be seen."""
    fill, stroke = ctypes.c_int(), ctypes.c_int()
    if not draw_mode_of(item, ctypes.addressof(fill), ctypes.addressof(stroke)):
        return
    filled = bool(fill.value) and is_inked(item, fill_of)
    if not filled and not (stroke.value and is_inked(item, stroke_of)):
        return
    if min(box[2] - box[0], box[3] - box[1]) < RULE_POINTS:
        yield Shape(box, Look.RULE, filled)
        return
    yield Shape(box, Look.PLAIN_BOX if is_plain_box(item) else Look.SHAPE, filled)


def is_inked(item: Item, colour_of: Callable[..., int]) -> bool:
    """Return whether a colour of a path differs from paper; a pattern counts as ink."""
    *colour, opacity = read_colour(item, colour_of, BLACK)
    return colour != [*PAPER[:3]] and opacity > FAINT


def is_plain_box(item: Item) -> bool:
    """Return whether a path is a rectangle, its corners rounded or not, or several lines of one."""
    count = count_segments(item)
    if count > MAX_SEGMENTS:
        return False
    kinds, across, along = read_segments(item, count)
    matrix = read_matrix(item)
    is_level = not (matrix[1] or matrix[2]) or not (matrix[0] or matrix[3])
    if is_level and raw.FPDF_SEGMENT_BEZIERTO not in kinds and is_rectangle(across, along):
        return True  # most are: the rest is for those with rounded corners
    if matrix != IDENTITY:
        across, along = apply(matrix, across, along)
    left, right, bottom, top = min(across), max(across), min(along), max(along)
    off = MAX_OFF_EDGE
    for x, y in zip(across, along, strict=True):
        if min(x - left, right - x, y - bottom, top - y) > off:
            return False
    ends = [n for n, kind in enumerate(kinds) if kind != raw.FPDF_SEGMENT_BEZIERTO]
    ends += bezier_ends(kinds)
    # The ends of a straight side are near the corners; those of an ellipse are halfway.
    return all(
        any(
            (abs(along[n] - y) <= off and abs(across[n] - x) <= MAX_CORNER_SHARE * (right - left))
            or (
                abs(across[n] - x) <= off and abs(along[n] - y) <= MAX_CORNER_SHARE * (top - bottom)
            )
            for n in ends
        )
        for x in (left, right)
        for y in (bottom, top)
    )


def read_segments(item: Item, count: int) -> tuple[list[int], list[float], list[float]]:
    """Return the kinds of a path's segments, and the x and the y of their ends in its space."""
    segments = list(map(segment_at, repeat(item), range(count)))
    return [*map(segment_kind, segments)], *read_points(segments)


def is_rectangle(across: Sequence[float], along: Sequence[float]) -> bool:
    """Return whether the points of a path are the four corners of a rectangle."""
    corners = set(zip(across, along, strict=True))
    return len(corners) == 4 and len(set(across)) == len(set(along)) == 2  # noqa: PLR2004 - corners


def bezier_ends(kinds: Sequence[int]) -> Iterator[int]:
    """Yield the indexes of the points where curves end: each is three segments."""
    run = 0
    for n, kind in enumerate(kinds):
        run = run + 1 if kind == raw.FPDF_SEGMENT_BEZIERTO else 0
        if run and run % 3 == 0:
            yield n


def apply(
    matrix: Matrix, across: Iterable[float], along: Iterable[float]
) -> tuple[list[float], list[float]]:
    """Return the coordinates of transformed points."""
    a, b, c, d, e, f = matrix
    points = list(zip(across, along, strict=True))
    return [a * x + c * y + e for x, y in points], [b * x + d * y + f for x, y in points]


def identify_image(item: Item, box: Box) -> str:
    """Return a hash of an image's data and its size on the page; "" if it has no data, or too much.

    The data leaves out masks, so two images of one colour may have the same; hardly of one size.
    """
    size = raw_size_of(item, 0, 0)
    if not 0 < size <= MAX_IDENTITY_BYTES:
        return ""
    data = bytearray(size)
    raw_size_of(item, ctypes.addressof(ctypes.c_char.from_buffer(data)), size)
    size_shown = f" {box[2] - box[0]:.0f} x {box[3] - box[1]:.0f}"
    return hashlib.sha256(data).hexdigest()[:32] + size_shown
