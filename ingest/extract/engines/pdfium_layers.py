"""Find the text of switched-off layers. Native code: only run it in a sandbox.

Which layers a viewer shows depends on the document's default configuration, on groups of layers and
on the usage of each. PDFium knows this when it renders, and nothing else of it tells. So one small
rectangle per layer is drawn with the layer's mark; a form is drawn alone.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat

from pypdfium2 import raw

from ingest.extract.engines.pdfium_objects import (
    FORM,
    MAX_FORM_LEVELS,
    MAX_OBJECTS,
    TEXT,
    Item,
    leave_out,
    list_form_items,
    list_objects,
    page_box,
)
from ingest.extract.engines.pdfium_raw import (
    PageHandle,
    count_marks,
    kind_of,
    list_page_items,
    mark_at,
    mark_name_of,
    mode_of,
    set_active,
)
from ingest.extract.engines.pdfium_render import render_alpha

LAYER_MARK = "OC"  # ISO 32000-2, 14.6: the tag of content in a layer
MAX_MARKS = 4000  # of a page that are tried; the others count as shown
MAX_FORMS = 60  # of a page that are tried
TILE_PIXELS = 4  # side of the rectangle that stands for a layer
TILES_PER_ROW = 64
FORM_PIXELS = 1200  # longer side of the image that a form is drawn on
MIN_LETTER_PIXELS = 200  # at 72 dpi: ten letters of a text, or a large ornament
INVISIBLE_MODES = (raw.FPDF_TEXTRENDERMODE_INVISIBLE, raw.FPDF_TEXTRENDERMODE_CLIP)
SHOW_INVISIBLE = raw.FPDF_TEXTRENDERMODE_FILL


def find_switched_off(page: PageHandle) -> list[Item]:
    """Return the objects of a loaded page whose layers are switched off."""
    items = list_page_items(page, MAX_OBJECTS)
    found = find_hidden_forms(page, items, iter(range(MAX_FORMS)))
    tagged = list(iter_tagged(items))
    marks = list(dict.fromkeys(mark for _, mark in tagged))[:MAX_MARKS]
    hidden = set(find_hidden_marks(page, items, marks)) if marks else set()
    return found + [item for item, mark in tagged if mark in hidden]


def iter_tagged(items: Sequence[Item]) -> Iterator[tuple[Item, int]]:
    """Yield the objects that have marks of layers, those in forms included, with each mark."""
    for item in walk(items):
        for index in range(max(0, count_marks(item))):
            mark = mark_at(item, index)
            if mark and read_mark_name(mark) == LAYER_MARK:
                yield item, mark


def walk(items: Sequence[Item]) -> Iterator[Item]:
    """Yield objects and those in their forms, up to a limit: forms may hold each other."""
    waiting = [(item, 0) for item in reversed(items)]
    for _ in range(MAX_OBJECTS):
        if not waiting:
            return
        item, level = waiting.pop()
        yield item
        if level < MAX_FORM_LEVELS and kind_of(item) == FORM:
            inside = list_form_items(item, MAX_OBJECTS)
            waiting += [(each, level + 1) for each in reversed(inside)]


def read_mark_name(mark: int) -> str:
    """Return the tag of marked content; "" for one of more than 15 characters."""
    name, size = (ctypes.c_char * 32)(), ctypes.c_ulong()
    known = mark_name_of(mark, ctypes.addressof(name), len(name), ctypes.addressof(size))
    return name.raw[: max(0, size.value - 2)].decode("utf-16-le", "ignore") if known else ""


def find_hidden_marks(page: PageHandle, items: Sequence[Item], marks: Sequence[int]) -> list[int]:
    """Return the marks whose content is not shown."""
    left, bottom, right, top = page_box(page)
    rows = -(-len(marks) // TILES_PER_ROW)
    across, along = (right - left) / TILES_PER_ROW, (top - bottom) / rows
    tiles = []
    for number, mark in enumerate(marks):
        row, column = divmod(number, TILES_PER_ROW)
        x, y = left + column * across, top - (row + 1) * along
        tile = raw.FPDFPageObj_CreateNewRect(x, y, across, along)
        raw.FPDFPageObj_SetFillColor(tile, 0, 0, 0, 255)
        raw.FPDFPath_SetDrawMode(tile, raw.FPDF_FILLMODE_WINDING, False)
        raw.FPDFPageObj_AddExistingMark(tile, ctypes.cast(mark, raw.FPDF_PAGEOBJECTMARK))
        tiles.append(tile)
    handle = ctypes.cast(page, raw.FPDF_PAGE)
    turns = raw.FPDFPage_GetRotation(handle)
    try:
        for tile in tiles:
            raw.FPDFPage_InsertObject(handle, tile)
        width, height = TILES_PER_ROW * TILE_PIXELS, rows * TILE_PIXELS
        with inactive(items):
            # Against the page's rotation, so that the tiles are where they were put.
            pixels = render_alpha(page, width, height, -turns % 4)
    finally:
        for tile in tiles:
            raw.FPDFPage_RemoveObject(handle, tile)
            raw.FPDFPageObj_Destroy(tile)
    hidden = []
    for number, mark in enumerate(marks):
        row, column = divmod(number, TILES_PER_ROW)
        middle = (row * TILE_PIXELS + TILE_PIXELS // 2) * width
        if not pixels[middle + column * TILE_PIXELS + TILE_PIXELS // 2]:
            hidden.append(mark)
    return hidden


def find_hidden_forms(
    page: PageHandle, siblings: Sequence[Item], trials: Iterator[int]
) -> list[Item]:
    """Return the forms with text that draw nothing, among these objects and in their forms."""
    hidden = []
    for form in [item for item in siblings if kind_of(item) == FORM]:
        inside = list_form_items(form, MAX_OBJECTS)
        texts = [item for item in walk(inside) if kind_of(item) == TEXT]
        if not texts:
            continue
        if next(trials, None) is None:
            break
        with inactive([item for item in siblings if item != form]):
            if not draws_anything(page, texts):
                hidden.append(form)
                continue
            hidden += find_hidden_forms(page, inside, trials)
    return hidden


def draws_anything(page: PageHandle, texts: Sequence[Item]) -> bool:
    """Return whether the active objects of a page draw anything, invisible text included."""
    invisible = [(text, mode) for text in texts if (mode := mode_of(text)) in INVISIBLE_MODES]
    for text, _ in invisible:
        set_text_mode(text, SHOW_INVISIBLE)
    try:
        left, bottom, right, top = page_box(page)
        scale = FORM_PIXELS / max(1.0, right - left, top - bottom)
        width, height = (max(1, round(side * scale)) for side in (right - left, top - bottom))
        return any(render_alpha(page, width, height, 0))
    finally:
        for text, mode in invisible:
            set_text_mode(text, mode)


def draws_letters(page: PageHandle) -> bool:
    """Return whether the texts of a page leave more than a few pixels on it."""
    objects = list_objects(page)
    if not any(one.texts or FORM in one.kinds for one in objects.lists):
        return False
    drawings = (
        one.items[place]
        for one in objects.lists
        for place, kind in zip(one.others, one.kinds, strict=True)
        if kind != FORM
    )
    leave_out(list(drawings))
    left, bottom, right, top = objects.window
    scale = min(1.0, FORM_PIXELS / max(1.0, right - left, top - bottom))
    width, height = (max(1, round(side * scale)) for side in (right - left, top - bottom))
    pixels = render_alpha(page, width, height, 0)
    return len(pixels) - pixels.count(0) >= MIN_LETTER_PIXELS


def set_text_mode(text: Item, mode: int) -> None:
    """Set the render mode of a text."""
    raw.FPDFTextObj_SetTextRenderMode(ctypes.cast(text, raw.FPDF_PAGEOBJECT), mode)


@contextmanager
def inactive(items: Sequence[Item]) -> Iterator[None]:
    """Leave objects out of the image of their page."""
    list(map(set_active, items, repeat(0)))
    try:
        yield
    finally:
        list(map(set_active, items, repeat(1)))
