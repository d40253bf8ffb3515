"""Find the characters of an embedded TrueType or OpenType font's glyphs, by its own `cmap` table.

A PDF may number the glyphs of such a font and leave out what they stand for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice

# Platform and encoding of tables that map Unicode; a table of symbols maps U+F000 and following.
SYMBOL_TABLE, SYMBOL_BASE = (3, 0), 0xF000
KNOWN_TABLES = {SYMBOL_TABLE, (3, 1), (3, 10), *((0, n) for n in range(7))}
UNICODE = range(0x110000)
MAX_TABLES = 10  # of a font
MAX_MAPPED_CODES = 100_000  # of a table; only a damaged one has more
SEGMENTED, GROUPED = 4, 12  # formats of tables


def read_glyph_texts(program: bytes, codes: range = UNICODE) -> dict[int, str]:
    """Return the first character of each glyph of a font, of those in a range.

    Raises struct.error if the font is damaged.
    """
    found: dict[int, str] = {}
    cmap = find_table(program, b"cmap")
    if not cmap:
        return found
    (count,) = struct.unpack_from(">2xH", cmap)
    for number in range(min(count, MAX_TABLES)):
        platform, encoding, offset = struct.unpack_from(">HHL", cmap, 4 + 8 * number)
        if (platform, encoding) not in KNOWN_TABLES:
            continue
        for code, glyph in islice(iter_mapped(cmap[offset:], codes), MAX_MAPPED_CODES):
            is_symbol = (platform, encoding) == SYMBOL_TABLE and code >= SYMBOL_BASE
            if glyph:
                found.setdefault(glyph, chr(code - SYMBOL_BASE if is_symbol else code))
    return found


def find_table(program: bytes, name: bytes) -> bytes:
    """Return a table of a font; b"" if it has none."""
    (count,) = struct.unpack_from(">4xH", program)
    for number in range(count):
        tag, offset, length = struct.unpack_from(">4s4xLL", program, 12 + 16 * number)
        if tag == name:
            return program[offset : offset + length]
    return b""


def iter_mapped(table: bytes, codes: range) -> Iterator[tuple[int, int]]:
    """Yield the codes and glyphs of a mapping, of the two formats that fonts have for Unicode."""
    (kind,) = struct.unpack_from(">H", table)
    if kind == GROUPED:
        (count,) = struct.unpack_from(">12xL", table)
        for number in range(min(count, MAX_MAPPED_CODES)):
            first, last, glyph = struct.unpack_from(">LLL", table, 16 + 12 * number)
            for code in range(max(first, codes.start), min(last + 1, codes.stop)):
                yield code, glyph + code - first
    elif kind == SEGMENTED:
        yield from iter_segments(table, codes)


def iter_segments(table: bytes, codes: range) -> Iterator[tuple[int, int]]:
    """Yield the codes and glyphs of a segmented mapping."""
    size = struct.unpack_from(">6xH", table)[0]  # bytes of each of four lists
    lists = [14, 16 + size, 16 + 2 * size, 16 + 3 * size]
    for number in range(0, size, 2):
        last, first, delta, offset = (
            struct.unpack_from(">H", table, start + number)[0] for start in lists
        )
        for code in range(max(first, codes.start), min(last + 1, codes.stop, 0xFFFF)):
            glyph = code
            if offset:
                place = lists[3] + number + offset + 2 * (code - first)
                (glyph,) = struct.unpack_from(">H", table, place)
            yield code, (glyph + delta) % 0x10000 if glyph else 0
