"""Complete the Unicode maps of a PDF's fonts from their glyphs' names, or their own maps.

Some programs map a ligature to nothing, to U+FFFD or to a private character, though its glyph is
named "ffi" or "f_f_i". Only such entries are replaced. Others number the glyphs of an embedded font
and map none. Slow, so only for documents that need it.
"""

from __future__ import annotations

import io
import re
import struct
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pypdf
from pypdf._codecs.adobe_glyphs import adobe_glyphs
from pypdf.generic import ArrayObject, DictionaryObject, NameObject, PdfObject, StreamObject

from ingest.extract.engines.font_programs import read_glyph_texts
from ingest.extract.engines.pypdf import Pypdf
from ingest.extract.safe_call import try_call

MAX_REPAIRED_BYTES = 100_000_000  # of a file; copying a larger one takes too much memory
MAX_FORM_DEPTH = 4  # of forms in forms, whose fonts are looked at

UNDECODED = re.compile("[\x00-\x1f\x7f-\x9f\ufffd\ufffe\ue000-\uf8ff]|^$")
BF_SECTION = re.compile(rb"beginbf(char|range)(.*?)endbf(?:char|range)", re.DOTALL)
BF_TOKEN = re.compile(rb"<([0-9A-Fa-f\s]*)>|[\[\]]")
UNICODE_NAME = re.compile("uni((?:[0-9A-F]{4})+)|u([0-9A-F]{4,6})")
# Names of ligatures that are not in Adobe's list; each is made up of its letters.
LIGATURE_NAME = re.compile("Th|[fs]?[ft]{1,2}[bfhijklt]?|ct|sp|ch|ck|tz|fr|fu|rt")
MAX_CODE = 255  # of a simple font

CodeMap = Mapping[int, str]


class GlyphNames:
    """Names of the glyphs in a document's fonts. Raises any exception of pypdf."""

    def __init__(self, data: bytes, password: bytes) -> None:
        if len(data) > MAX_REPAIRED_BYTES:
            raise ValueError("the document is too large")
        self.reader = Pypdf(data, (), password).reader
        self.complete_fonts: dict[int, DictionaryObject] = {}  # by address

    def has_incomplete_fonts(self, index: int) -> bool:
        """Return whether a font of a page has names for codes that its map lacks."""
        for font in iter_fonts(self.reader.pages[index]):
            if id(font) not in self.complete_fonts:
                if find_texts(font):
                    return True
                self.complete_fonts[id(font)] = font
        return False

    def complete(self) -> bytes:
        """Return a copy of the document with complete maps."""
        writer = pypdf.PdfWriter(clone_from=self.reader)
        done: dict[int, DictionaryObject] = {}
        for page in writer.pages:
            for font in iter_fonts(page):
                if id(font) not in done and (found := find_texts(font)):
                    stream = StreamObject()
                    stream.set_data(
                        format_unicode_map(found, digits=4)
                        if is_composite(font)
                        else format_unicode_map({**read_unicode_map(font), **found})
                    )
                    # The only way to add a stream to a document.
                    font[NameObject("/ToUnicode")] = writer._add_object(stream)  # noqa: SLF001
                done[id(font)] = font
        out = io.BytesIO()
        writer.write(out)
        return out.getvalue()


def iter_fonts(holder: DictionaryObject, depth: int = 0) -> Iterator[DictionaryObject]:
    """Yield the fonts of a page or form, and of the forms it draws."""
    resources = resolve(holder.get("/Resources"))
    if not isinstance(resources, DictionaryObject):
        return
    fonts, drawn = resolve(resources.get("/Font")), resolve(resources.get("/XObject"))
    for reference in fonts.values() if isinstance(fonts, DictionaryObject) else ():
        if isinstance(font := resolve(reference), DictionaryObject):
            yield font
    for reference in drawn.values() if isinstance(drawn, DictionaryObject) else ():
        form = resolve(reference)
        if isinstance(form, DictionaryObject) and depth < MAX_FORM_DEPTH:
            yield from iter_fonts(form, depth + 1)


def resolve(value: object) -> object:
    """Return the object that a reference refers to."""
    return value.get_object() if isinstance(value, PdfObject) else value


def find_texts(font: DictionaryObject) -> dict[int, str]:
    """Return the texts of a font's codes that its map in the PDF lacks; none of a damaged font."""
    find = find_numbered_texts if is_composite(font) else find_decoded_names
    nothing: dict[int, str] = {}
    return try_call(partial(find, font), nothing)


def is_composite(font: DictionaryObject) -> bool:
    """Return whether a font's codes have two bytes."""
    return font.get("/Subtype") == "/Type0"


def find_numbered_texts(font: DictionaryObject) -> dict[int, str]:
    """Return the texts of a font without a map whose codes are the numbers of its glyphs.

    Raises any exception if no font is embedded, or a damaged one.
    """
    if "/ToUnicode" in font or font.get("/Encoding") != "/Identity-H":
        return {}
    descendants: Any = font["/DescendantFonts"]
    descendant = descendants[0].get_object()
    descriptor = descendant["/FontDescriptor"]
    program = resolve(descriptor.get("/FontFile2") or descriptor.get("/FontFile3"))
    assert isinstance(program, StreamObject)
    texts = read_glyph_texts(program.get_data())
    numbers = resolve(descendant.get("/CIDToGIDMap"))
    if isinstance(numbers, StreamObject):
        data = numbers.get_data()
        glyphs = struct.unpack(f">{len(data) // 2}H", data[: len(data) // 2 * 2])
        return {code: texts[glyph] for code, glyph in enumerate(glyphs) if glyph in texts}
    return texts


def find_decoded_names(font: DictionaryObject) -> dict[int, str]:
    """Return the texts of a simple font's codes that its map lacks and its glyph names tell."""
    encoding = resolve(font.get("/Encoding"))
    if not isinstance(encoding, DictionaryObject):
        return {}
    differences = resolve(encoding.get("/Differences"))
    if not isinstance(differences, ArrayObject):
        return {}
    known = read_unicode_map(font)
    found: dict[int, str] = {}
    code = 0
    for item in map(resolve, differences):
        if isinstance(item, NameObject):
            mapped = known.get(code)
            if code <= MAX_CODE and (mapped is None or UNDECODED.search(mapped)):
                text = decode_glyph_name(str(item)[1:])
                if text and not UNDECODED.search(text) and (known or len(text) > 1):
                    found[code] = text
            code += 1
        elif isinstance(item, int):
            code = int(item)
    return found


def decode_glyph_name(name: str) -> str:
    """Return the text that a glyph's name stands for, by Adobe's rules; "" if it says nothing."""
    return "".join(part_texts) if all(part_texts := decode_name_parts(name)) else ""


def decode_name_parts(name: str) -> list[str]:
    """Return the text of each part of a glyph's name; "" for one that says nothing."""
    texts = []
    for part in name.partition(".")[0].split("_"):
        listed = adobe_glyphs.get(f"/{part}", "")
        if match := UNICODE_NAME.fullmatch(part):
            digits = match[1] or match[2]
            width = 4 if match[1] else len(digits)
            codes = [int(digits[i : i + width], 16) for i in range(0, len(digits), width)]
            listed = "".join(map(chr, (c for c in codes if c <= sys.maxunicode)))
        elif not listed and LIGATURE_NAME.fullmatch(part):
            listed = part
        texts.append(listed)
    return texts


def read_unicode_map(font: DictionaryObject) -> dict[int, str]:
    """Return the ToUnicode map of a simple font."""
    stream = resolve(font.get("/ToUnicode"))
    found: dict[int, str] = {}
    if not isinstance(stream, StreamObject):
        return found
    for kind, body in BF_SECTION.findall(stream.get_data()):
        tokens = [m[0].decode() if m[1] is None else m[1] for m in BF_TOKEN.finditer(body)]
        read = read_ranges(tokens) if kind == b"range" else read_pairs(tokens)
        found.update((code, text) for code, text in read if code <= MAX_CODE)
    return found


def read_pairs(tokens: list[str | bytes]) -> Iterator[tuple[int, str]]:
    """Yield the codes and texts of a section of single characters."""
    for code, text in zip(tokens[::2], tokens[1::2], strict=False):
        if isinstance(code, bytes) and isinstance(text, bytes):
            yield int(code or b"0", 16), decode_hex(text)


def read_ranges(tokens: list[str | bytes]) -> Iterator[tuple[int, str]]:
    """Yield the codes and texts of a section of ranges."""
    place = 0
    while place + 2 < len(tokens):
        first, last, text = tokens[place : place + 3]
        if not (isinstance(first, bytes) and isinstance(last, bytes)):
            return
        start, end = int(first or b"0", 16), min(MAX_CODE, int(last or b"0", 16))
        place += 3
        if isinstance(text, bytes):
            base = decode_hex(text)
            for code in range(start, end + 1):
                yield code, base[:-1] + chr(ord(base[-1]) + code - start) if base else ""
            continue
        code = start
        while place < len(tokens) and isinstance(item := tokens[place], bytes):
            yield code, decode_hex(item)
            code, place = code + 1, place + 1
        place += 1


def decode_hex(digits: bytes) -> str:
    """Decode a hexadecimal string of UTF-16."""
    plain = b"".join(digits.split()).decode()
    return bytes.fromhex(plain + "0" * (-len(plain) % 4)).decode("utf-16-be", "replace")


def format_unicode_map(texts: CodeMap, digits: int = 2) -> bytes:
    """Format a ToUnicode map of a font whose codes have that many digits, of a byte each two."""
    lines = [
        f"<{code:0{digits}x}> <{text.encode('utf-16-be', 'surrogatepass').hex()}>"
        for code, text in sorted(texts.items())
        if text
    ]
    sections = [
        f"{len(part)} beginbfchar\n" + "\n".join(part) + "\nendbfchar"
        for part in (lines[i : i + 100] for i in range(0, len(lines), 100))
    ]
    return (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /Names def "
        "/CMapType 2 def\n1 begincodespacerange "
        f"<{'0' * digits}> <{'f' * digits}> endcodespacerange\n"
        + "\n".join(sections)
        + "\nendcmap CMapName currentdict /CMap defineresource pop end end"
    ).encode()
