"""Read which letters the glyphs of an embedded font are, by the font's own map.

A document need not say what a glyph stands for. Its fonts keep the map by which the letters were
drawn, as far as a letter has a glyph of its own. Native code: only run it in a sandbox.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice

from pypdfium2 import raw

from ingest.extract.engines.pdfium_raw import INT, POINTER, SIZE, bind_by_address
from ingest.extract.safe_call import try_call

MAX_FONT_BYTES = 4_000_000
MAX_FONTS = 20  # of a page
MAX_LETTERS = 5000  # of a font; only a damaged one has more
TABLE_BYTES, SUBTABLE_BYTES = 16, 8  # of an entry in a font's list of tables, and in that of maps
SEGMENTED = 4  # the format of a map of the first 65,536 characters

font_of = bind_by_address(raw.FPDFTextObj_GetFont, POINTER, POINTER)
font_data_of = bind_by_address(raw.FPDFFont_GetFontData, INT, POINTER, POINTER, SIZE, POINTER)


def read_font_letters(items: Sequence[int], scripts: range) -> dict[int, str]:
    """Return the letters of some scripts by the number of their glyph, in the fonts of texts."""
    fonts = dict.fromkeys(filter(None, map(font_of, dict.fromkeys(items))))
    letters: dict[int, str] = {}
    for font in list(fonts)[:MAX_FONTS]:
        nothing: dict[int, str] = {}
        letters = try_call(partial(read_letters, font, scripts), nothing) | letters
    return letters


def read_letters(font: int, scripts: range) -> dict[int, str]:
    """Return the letters of a font by the number of their glyph. Raises struct.error, KeyError."""
    return dict(islice(iter_letters(read_font(font), scripts), MAX_LETTERS))


def read_font(font: int) -> bytes:
    """Return the program of an embedded font; b"" if it is too large."""
    size = ctypes.c_size_t()
    font_data_of(font, None, 0, ctypes.addressof(size))
    if not 0 < size.value <= MAX_FONT_BYTES:
        return b""
    buffer = ctypes.create_string_buffer(size.value)
    font_data_of(font, ctypes.addressof(buffer), size.value, ctypes.addressof(size))
    return buffer.raw


def iter_letters(font: bytes, scripts: range) -> Iterator[tuple[int, str]]:
    """Yield the number of each glyph of a font program that is a letter, and that letter."""
    (count,) = struct.unpack_from(">H", font, 4)
    entries = (struct.unpack_from(">4s4xI4x", font, 12 + TABLE_BYTES * n) for n in range(count))
    start = dict(entries)[b"cmap"]
    (count,) = struct.unpack_from(">H", font, start + 2)
    for number in range(count):
        (offset,) = struct.unpack_from(">I", font, start + 8 + SUBTABLE_BYTES * number)
        if struct.unpack_from(">H", font, start + offset) == (SEGMENTED,):
            yield from iter_segmented(font, start + offset, scripts)
            return


def iter_segmented(font: bytes, start: int, scripts: range) -> Iterator[tuple[int, str]]:
    """Yield the glyphs and letters of a map in segments of characters."""
    (size,) = struct.unpack_from(">H", font, start + 6)
    ends, starts = start + 14, start + 16 + size
    for place in range(0, size, 2):
        (last,) = struct.unpack_from(">H", font, ends + place)
        first, delta, offset = (
            struct.unpack_from(">H", font, starts + field * size + place)[0] for field in range(3)
        )
        for code in range(max(first, scripts.start), min(last + 1, scripts.stop)):
            glyph = code
            if offset:
                at = starts + 2 * size + place + offset + 2 * (code - first)
                (glyph,) = struct.unpack_from(">H", font, at)
            yield (glyph + delta) & 0xFFFF, chr(code)
