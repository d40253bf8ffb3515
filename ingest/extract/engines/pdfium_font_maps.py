"""Read which letters the glyphs of a page's embedded fonts are, by the fonts' own maps.

A document need not say what a glyph stands for. Its fonts keep the map by which the letters were
drawn, as far as a letter has a glyph of its own. Native code: only run it in a sandbox.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import partial

from pypdfium2 import raw

from ingest.extract.engines.font_programs import read_glyph_texts
from ingest.extract.engines.pdfium_raw import INT, POINTER, SIZE, bind_by_address
from ingest.extract.safe_call import try_call

MAX_FONT_BYTES = 4_000_000
MAX_FONTS = 20  # of a page

font_of = bind_by_address(raw.FPDFTextObj_GetFont, POINTER, POINTER)
font_data_of = bind_by_address(raw.FPDFFont_GetFontData, INT, POINTER, POINTER, SIZE, POINTER)


def read_font_letters(items: Sequence[int], scripts: range) -> list[dict[int, str]]:
    """Return the letters of some scripts in the font of each text, by the number of their glyph."""
    fonts = list(map(font_of, items))
    letters: dict[int, dict[int, str]] = {}
    for font in list(dict.fromkeys(filter(None, fonts)))[:MAX_FONTS]:
        program = read_font(font)
        nothing: dict[int, str] = {}
        letters[font] = try_call(partial(read_glyph_texts, program, scripts), nothing)
    return [letters.get(font, {}) for font in fonts]


def read_font(font: int) -> bytes:
    """Return the program of an embedded font; b"" if it is too large."""
    size = ctypes.c_size_t()
    font_data_of(font, None, 0, ctypes.addressof(size))
    if not 0 < size.value <= MAX_FONT_BYTES:
        return b""
    buffer = ctypes.create_string_buffer(size.value)
    font_data_of(font, ctypes.addressof(buffer), size.value, ctypes.addressof(size))
    return buffer.raw
