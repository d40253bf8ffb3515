"""List the objects that draw the text of a page, and their properties. Only run it in a sandbox."""

from __future__ import annotations

import codecs
import ctypes
from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import NamedTuple

from pypdfium2 import raw

from ingest.extract.engines.pdfium_objects import IDENTITY, Matrix, multiply, read_matrix
from ingest.extract.engines.pdfium_raw import (
    PageHandle,
    count_form_items,
    count_marks,
    font_size_of,
    form_item_at,
    kind_of,
    list_page_items,
    mark_at,
    mark_bytes,
    mark_name_of,
    pointer_to,
    read_bounds,
)

# For text that runs up, upside down, and down: the turns that make it run to the right.
TURNS: tuple[Matrix, ...] = (
    (0.0, -1.0, 1.0, 0.0, 0.0, 0.0),
    (-1.0, 0.0, 0.0, -1.0, 0.0, 0.0),
    (0.0, 1.0, -1.0, 0.0, 0.0, 0.0),
)
MAX_SLANT = 0.2  # of text that counts as level

MAX_FORM_DEPTH = 8
MAX_MARK_BYTES = 8192  # of a replacement text; a longer one is ignored


# Used again and again.
MARK_BUFFER = ctypes.create_string_buffer(MAX_MARK_BYTES)
SIZE_BUFFER = ctypes.c_float()
SIZE_ADDRESS = ctypes.addressof(SIZE_BUFFER)
REVERSED_CHARS = "ReversedChars\0".encode("utf-16-le")


class TextItem(NamedTuple):
    """An object of a page that draws text."""

    address: int
    matrix: Matrix  # of its text, on the page
    form: Matrix  # of the form that it is part of
    size: float  # of its font

    def is_level(self) -> bool:
        """Return whether it runs to the right, perhaps mirrored."""
        a, b, c, d, _, _ = self.matrix
        return d > 0 and abs(b) + abs(c) <= MAX_SLANT * (abs(a) + d)


class Mark(NamedTuple):
    """Marked content around an object, as far as it concerns the text."""

    address: int
    text: str  # that stands for what is drawn; "" if it is not replaced
    run: int  # address of a mark that says the text is drawn in reverse; 0 if it is not


NO_MARK = Mark(0, "", 0)


def list_items(page: PageHandle) -> tuple[list[TextItem], Matrix]:
    """Return the objects of a page that draw text, in drawing order, and how the page is turned.

    The page is turned such that most of its text runs to the right.
    """
    items = list(iter_items(page, IDENTITY, 0))
    level = sum(item.is_level() for item in items)
    for turn in TURNS if 2 * level < len(items) else ():
        turned = list(iter_items(page, turn, 0))
        if 2 * sum(item.is_level() for item in turned) > len(items):
            return turned, turn
    return items, IDENTITY


def iter_items(holder: int, form: Matrix, depth: int) -> Iterator[TextItem]:
    """Yield the objects of a page, or of a form on it, that draw text, in drawing order."""
    items: Iterable[int] = (
        map(form_item_at, repeat(holder), range(count_form_items(holder)))
        if depth
        else list_page_items(holder)
    )
    for item in items:
        kind = kind_of(item)
        if kind == raw.FPDF_PAGEOBJ_TEXT:
            yield read_item(item, form)
        elif kind == raw.FPDF_PAGEOBJ_FORM and depth < MAX_FORM_DEPTH:
            yield from iter_items(item, multiply(read_matrix(item), form), depth + 1)


def read_item(address: int, form: Matrix) -> TextItem:
    """Return an object that draws text."""
    font_size_of(address, SIZE_ADDRESS)
    return TextItem(address, multiply(read_matrix(address), form), form, SIZE_BUFFER.value)


def move_point(x: float, y: float, matrix: Matrix) -> tuple[float, float]:
    """Return a point after a matrix has been applied."""
    a, b, c, d, e, f = matrix
    return a * x + c * y + e, b * x + d * y + f


def read_extent(item: TextItem) -> tuple[float, float]:
    """Return the left and right edge of an object."""
    x, y, right, top = read_bounds([pointer_to(item.address)])
    if item.form is IDENTITY:
        return x, right
    one, two = move_point(x, y, item.form)[0], move_point(right, top, item.form)[0]
    return min(one, two), max(one, two)


def read_mark(item: int, known: dict[tuple[int, int], Mark]) -> Mark:
    """Return the mark that counts for an object; `known` are those already read."""
    count = count_marks(item)
    if count <= 0:
        return NO_MARK
    key = count, mark_at(item, count - 1)
    if key not in known:
        addresses = [mark_at(item, number) for number in range(count)]
        for address in addresses:
            if (0, address) not in known:
                known[0, address] = load_mark(address)
        known[key] = join_marks([known[0, address] for address in addresses])
    return known[key]


def join_marks(marks: list[Mark]) -> Mark:
    """Join nested marks to one, in which the inner ones count."""
    replaced = next((mark for mark in reversed(marks) if mark.text), NO_MARK)
    run = next((mark.run for mark in reversed(marks) if mark.run), 0)
    return replaced._replace(run=run)


def load_mark(address: int) -> Mark:
    """Read one mark, with the text that it gives to its content."""
    size = ctypes.c_ulong()
    arguments = (ctypes.addressof(MARK_BUFFER), MAX_MARK_BYTES, ctypes.addressof(size))
    named = mark_name_of(address, *arguments)
    run = address if named and read_buffer(size) == REVERSED_CHARS else 0
    replaced = mark_bytes(address, b"ActualText", *arguments)
    return Mark(address, decode_string(read_buffer(size)) if replaced else "", run)


def read_buffer(size: ctypes.c_ulong) -> bytes:
    """Return the bytes written to the buffer; none if it was too small."""
    return ctypes.string_at(MARK_BUFFER, size.value) if size.value <= MAX_MARK_BYTES else b""


def decode_string(string: bytes) -> str:
    """Return the text of a PDF's string. Control characters in it mean nothing."""
    if string.startswith(codecs.BOM_UTF16_BE):
        text = string[len(codecs.BOM_UTF16_BE) :].decode("utf-16-be", "ignore")
    elif string.startswith(codecs.BOM_UTF8):
        text = string.decode("utf-8-sig", "ignore")
    else:
        text = string.decode("latin-1")
    return "".join(max(char, " ") for char in text)
