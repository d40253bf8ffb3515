"""Find the characters of an embedded TrueType or OpenType font's glyphs, by its own `cmap` table.

A PDF may number the glyphs of such a font and leave out what they stand for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

# Platform and encoding of tables that map Unicode; a table of symbols maps U+F000 and following.
UNICODE_TABLES = {(3, 1), (3, 10), *((0, n) for n in range(7))}
SYMBOL_TABLE, SYMBOL_BASE = (3, 0), 0xF000
MAX_SEGMENT_CODES = 0x10000  # of a table of a broken font


def read_glyph_texts(program: bytes) -> dict[int, str]:
    """Return the first character of each glyph of a font. Raises struct.error if it is broken."""
    found: dict[int, str] = {}
    cmap = find_table(program, b"cmap")
    if not cmap:
        return found
    (count,) = struct.unpack_from(">2xH", cmap)
    for number in range(count):
        platform, encoding, offset = struct.unpack_from(">HHL", cmap, 4 + 8 * number)
        if (platform, encoding) not in UNICODE_TABLES | {SYMBOL_TABLE}:
            continue
        for code, glyph in iter_mapped(cmap[offset:]):
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


def iter_mapped(table: bytes) -> Iterator[tuple[int, int]]:
    """Yield the codes and glyphs of a mapping, of the two formats that fonts have for Unicode."""
    (kind,) = struct.unpack_from(">H", table)
    if kind == 12:  # noqa: PLR2004 - the format's number
        (count,) = struct.unpack_from(">12xL", table)
        for number in range(min(count, len(table) // 12)):
            first, last, glyph = struct.unpack_from(">LLL", table, 16 + 12 * number)
            for code in range(first, min(last, first + MAX_SEGMENT_CODES, 0x10FFFF) + 1):
                yield code, glyph + code - first
    elif kind == 4:  # noqa: PLR2004
        yield from iter_segments(table)


def iter_segments(table: bytes) -> Iterator[tuple[int, int]]:
    """Yield the codes and glyphs of a mapping in format 4."""
    size = struct.unpack_from(">6xH", table)[0]  # bytes of each of four lists
    lists = [14, 16 + size, 16 + 2 * size, 16 + 3 * size]
    for number in range(0, size, 2):
        last, first, delta, offset = (
            struct.unpack_from(">H", table, start + number)[0] for start in lists
        )
        for code in range(first, min(last, 0xFFFE) + 1):
            glyph = code
            if offset:
                place = lists[3] + number + offset + 2 * (code - first)
                (glyph,) = struct.unpack_from(">H", table, place)
            yield code, (glyph + delta) % 0x10000 if glyph else 0
