"""Search the bytes of a PDF for what its pages may need: annotations, layers, further pages.

Searching the file, object streams included, is faster than asking an engine about every page. Most
of the bytes are in other streams, which are left out first.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

OBJECT_STREAM = b"/ObjStm"
SUBTYPE_KEY = b"/Subtype"
# Fonts, images and links have a subtype too, but none of these.
RELEVANT_SUBTYPE = re.compile(
    rb"\s*/(?:Widget|Text|FreeText|Highlight|Underline|Squiggly|StrikeOut|Stamp|Caret|Ink|Line"
    rb"|Square|Circle|Polygon|PolyLine|FileAttachment|Redact|Sound|Movie|Screen|Watermark)\b"
)
LAYERS_KEY = b"/OCProperties"
GLYPH_NAMES_KEY = b"/Differences"
NUMBERED_KEY, MAP_KEY = b"/Identity-H", b"/ToUnicode"
FIGURE_KEY = b"/Figure"
# A glyph of the letters f, f and i. Most programs that write such names do not compress them.
LIGATURE_NAME = re.compile(rb"/[A-Za-z]{1,3}(?:_[A-Za-z]{1,3})+(?=[\s/\]])")
ALTERNATIVE_KEYS = (b"/Alt(", b"/Alt (", b"/Alt<", b"/Alt <", b"/ActualText")
PAGE_TYPE = b"/Page"
TYPE_BEFORE = re.compile(rb"/Type\s*$")
LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
STREAM_START = re.compile(rb"[^>]{0,200}>>\s*stream\r?\n")
STREAM_ENDS = tuple(b"endstream" + end for end in (b"\r\n", b"\n", b"\r", b""))
MAX_OBJECT_STREAM_BYTES = 64 << 20  # of object streams that are unpacked to search them


@dataclass(frozen=True, slots=True)
class Traits:
    """Findings about a file; True where they are unknown."""

    annotations: bool  # other than links
    layers: bool  # optional content: layers that may be switched off
    glyph_names: bool  # fonts that name their glyphs
    ligatures: bool  # glyphs named as several letters, which engines may read as any other
    unmapped: bool  # fonts whose codes are the numbers of their glyphs, without a map
    alternatives: bool  # tagged figures with a text in place of them
    pages: int  # page objects, those of earlier revisions included


def find_traits(data: bytes) -> Traits:
    """Search a PDF. Object streams of an encrypted one cannot be searched."""
    plain = leave_out_streams(data)
    annotations = layers = glyph_names = unmapped = alternatives = b"/Encrypt" in plain
    ligatures = LIGATURE_NAME.search(plain) is not None
    pages = 0
    for part in (plain, *(iter_object_streams(data) if OBJECT_STREAM in plain else ())):
        if not part:
            return Traits(True, True, True, ligatures, True, True, pages)
        annotations = annotations or has_relevant_subtype(part)
        layers = layers or LAYERS_KEY in part
        glyph_names = glyph_names or GLYPH_NAMES_KEY in part
        unmapped = unmapped or has_unmapped_font(part)
        alternatives = alternatives or (
            FIGURE_KEY in part and any(key in part for key in ALTERNATIVE_KEYS)
        )
        pages += count_page_objects(part)
    return Traits(annotations, layers, glyph_names, ligatures, unmapped, alternatives, pages)


def leave_out_streams(data: bytes) -> bytes:
    """Return a PDF without the content of its streams; a stream without a proper end stays."""
    return b"endobj".join(
        [
            part[: part.find(b"stream")] if part.endswith(STREAM_ENDS) else part
            for part in data.split(b"endobj")
        ]
    )


def iter_object_streams(data: bytes) -> Iterator[bytes]:
    """Yield the object streams of a PDF unpacked; b"" for one that cannot be."""
    bytes_left, offset = MAX_OBJECT_STREAM_BYTES, 0
    while (offset := data.find(OBJECT_STREAM, offset) + 1) > 0:
        start = STREAM_START.match(data, offset)
        if start is None or bytes_left <= 0:
            yield b""
            return
        try:
            unpacked = zlib.decompressobj().decompress(memoryview(data)[start.end() :], bytes_left)
        except zlib.error:
            unpacked = b""
        yield unpacked
        bytes_left -= len(unpacked)


def has_relevant_subtype(data: bytes) -> bool:
    """Return whether uncompressed objects include an annotation of a relevant subtype."""
    offset = 0
    while (offset := data.find(SUBTYPE_KEY, offset) + len(SUBTYPE_KEY)) >= len(SUBTYPE_KEY):
        if RELEVANT_SUBTYPE.match(data, offset):
            return True
    return False


def has_unmapped_font(data: bytes) -> bool:
    """Return whether uncompressed objects may include a font of numbered glyphs without a map."""
    parts = data.split(b">>") if NUMBERED_KEY in data else ()
    return any(NUMBERED_KEY in part and MAP_KEY not in part.rpartition(b"<<")[2] for part in parts)


def count_page_objects(data: bytes) -> int:
    """Count the page objects among uncompressed objects."""
    count = offset = 0
    while (offset := data.find(PAGE_TYPE, offset) + len(PAGE_TYPE)) >= len(PAGE_TYPE):
        start = offset - len(PAGE_TYPE)
        if data[offset : offset + 1] not in LETTERS or offset == len(data):
            count += bool(TYPE_BEFORE.search(data, max(0, start - 20), start))
    return count
