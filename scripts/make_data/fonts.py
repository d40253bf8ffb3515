"""Register the fonts: real ones, embedded, so that every page looks the same everywhere.

All of them come from packages on PyPI and are under the SIL Open Font License.
"""

from functools import cache
from io import BytesIO
from typing import Any

import fontpkg
import pylopdf_fonts_jp
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.cu2quPen import Cu2QuPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont as FontFile
from reportlab.lib.fonts import addMapping
from reportlab.pdfbase.pdfmetrics import registerFont
from reportlab.pdfbase.ttfonts import TTFont

SERIF = "Crimson Text"
SANS = "Fira Sans"
ARABIC = "Amiri"
JAPANESE = "Noto Sans JP"


@cache
def register_family(family: str) -> None:
    """Make regular, bold, italic and bold italic known as one family."""
    for bold in (0, 1):
        for italic in (0, 1):
            name = f"{family}{' Bold' * bold}{' Italic' * italic}"
            style = "italic" if italic else "normal"
            path = fontpkg.path(family, weight=700 if bold else 400, style=style)
            registerFont(TTFont(name, str(path)))
            addMapping(family, bold, italic, name)


def register_japanese(text: str) -> None:
    """Make the characters of the text known as a font.

    The small Japanese fonts on PyPI have cubic outlines, which reportlab cannot embed, so the few
    hundred glyphs needed are redrawn with quadratic ones.
    """
    source = FontFile(pylopdf_fonts_jp.sans_path())
    glyphs = source.getGlyphSet()
    characters = {ord(character) for character in text} & source.getBestCmap().keys()
    mapping = {character: source.getBestCmap()[character] for character in sorted(characters)}
    names = [".notdef", *dict.fromkeys(mapping.values())]

    builder = FontBuilder(source["head"].unitsPerEm, isTTF=True)
    builder.updateHead(created=0, modified=0)  # instead of the time of the run
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap(mapping)
    builder.setupGlyf({name: redraw_quadratic(glyphs[name]) for name in names})
    builder.setupHorizontalMetrics({name: source["hmtx"][name] for name in names})
    builder.setupHorizontalHeader(ascent=source["hhea"].ascent, descent=source["hhea"].descent)
    builder.setupNameTable({"familyName": JAPANESE, "psName": "NotoSansJP-Regular"})
    builder.setupOS2()
    builder.setupPost(keepGlyphNames=False)
    file = BytesIO()
    builder.save(file)
    file.seek(0)
    registerFont(TTFont(JAPANESE, file))
    for bold in (0, 1):
        for italic in (0, 1):
            addMapping(JAPANESE, bold, italic, JAPANESE)


def redraw_quadratic(glyph: Any) -> Any:
    pen = TTGlyphPen(None)
    glyph.draw(Cu2QuPen(pen, max_err=1.0, reverse_direction=True))
    return pen.glyph()
