"""PDFs in any script, without a font file: a font of one width, and a map from codes to text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tests.hostile.writing import page, pdf, stream

SIZE = 20  # points; each glyph is 0.6 of it wide
WIDTH = 0.6 * SIZE
LEFT, TOP, LEADING = 72, 720, 40
# Glyphs that fill their width come first, so that there are no gaps between them.
CODES = [*b"MWNHmwKXUQGDABRVOZEPYknhxuqgdabvope", *range(162, 250)]


class Shown(NamedTuple):
    """Glyphs drawn from a place to the right, and the text that is given for them, if any."""

    x: float
    y: float
    glyphs: Sequence[str]  # the text of each glyph
    replaced: str | None = None
    apart: bool = False  # whether each glyph is drawn by itself
    matrix: str = "1 0 0 1"


def draw_page(*parts: Shown, catalog: bytes = b"", more: bytes = b"") -> bytes:
    """A page with these parts, drawn in this order."""
    texts = list(dict.fromkeys(glyph for part in parts for glyph in part.glyphs if glyph != " "))
    codes = dict(zip(texts, CODES, strict=False)) | {" ": 32}
    body = "\n".join(draw(part, codes) for part in parts)
    rows = "\n".join(f"<{code:02x}> <{to_hex(text)}>" for text, code in codes.items())
    cmap = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap\n"
        "/CMapName /Made def /CMapType 2 def\n"
        "1 begincodespacerange <00> <ff> endcodespacerange\n"
        f"{len(codes)} beginbfchar\n{rows}\nendbfchar\nendcmap end end"
    )
    font = (
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier /FirstChar 32 /LastChar 255 "
        b"/Widths [%b] /ToUnicode 10 0 R >>" % (b"600 " * 224)
    )
    content = stream(f"BT /F {SIZE} Tf\n{body}\nET".encode())
    objects = {3: page(more), 4: content, 5: font, 10: stream(cmap.encode())}
    return pdf(objects, catalog)


def draw(part: Shown, codes: dict[str, int]) -> str:
    """The content that draws a part."""
    drawn = [(part.x, part.glyphs)]
    if part.apart:
        drawn = [(part.x + WIDTH * n, [glyph]) for n, glyph in enumerate(part.glyphs)]
    content = "\n".join(
        f"{part.matrix} {x:.2f} {part.y:.2f} Tm <{bytes(codes[g] for g in glyphs).hex()}> Tj"
        for x, glyphs in drawn
    )
    if part.replaced is not None:
        content = f"/Span << /ActualText <feff{to_hex(part.replaced)}> >> BDC\n{content}\nEMC"
    return content


def to_hex(text: str) -> str:
    """A text as the hexadecimal digits of its UTF-16."""
    return text.encode("utf-16-be").hex()


def lines(*texts: str, x: float = LEFT) -> list[Shown]:
    """Lines as they are seen, each drawn in one piece from the left."""
    return [Shown(x, TOP - LEADING * number, text) for number, text in enumerate(texts)]


def draw_glyphs(text: str, *, plain: str = "") -> list[Shown]:
    """A line as it is seen, drawn glyph by glyph; for all but plain ones the text is given."""
    return [
        Shown(LEFT + WIDTH * place, TOP, glyph, None if glyph in plain else glyph)
        for place, glyph in enumerate(text)
    ]
