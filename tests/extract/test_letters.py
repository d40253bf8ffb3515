"""Letters are read as the page shows them, whatever its fonts call them."""

from __future__ import annotations

import io
from collections.abc import Mapping

import pypdf
import pytest
from pypdf.generic import ArrayObject, DictionaryObject, NameObject, NumberObject, StreamObject

from ingest.extract.document import ExtractOptions, extract
from tests.pdfs import pdf

# Codes of a font and the names of their glyphs.
NAMES = {ord("~"): "/f_f_i", ord("|"): "/f_f", ord("{"): "/T_h", ord("}"): "/ffi.alt"}
WRITTEN = "{e di~cult o}ce shut o| again"


def unicode_map(texts: Mapping[int, str]) -> bytes:
    """A ToUnicode map of these codes."""
    pairs = "\n".join(f"<{code:02x}> <{text}>" for code, text in texts.items())
    return f"begincmap\n{len(texts)} beginbfchar\n{pairs}\nendbfchar\nendcmap".encode()


def with_glyph_names(data: bytes, names: Mapping[int, str], texts: Mapping[int, str]) -> bytes:
    """A PDF whose font has these names, and this map if it is not empty."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(data))
    for page in writer.pages:
        for reference in page["/Resources"]["/Font"].values():  # type: ignore[index]
            font = reference.get_object()
            differences = ArrayObject()
            for code, name in names.items():
                differences += [NumberObject(code), NameObject(name)]
            font[NameObject("/Encoding")] = DictionaryObject(
                {
                    NameObject("/Type"): NameObject("/Encoding"),
                    NameObject("/BaseEncoding"): NameObject("/WinAnsiEncoding"),
                    NameObject("/Differences"): differences,
                }
            )
            if texts:
                stream = StreamObject()
                stream.set_data(unicode_map(texts))
                font[NameObject("/ToUnicode")] = writer._add_object(stream)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


ASCII = {code: f"{code:04x}" for code in range(32, 123)}


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param({}, id="without a map"),
        pytest.param(ASCII, id="left out of the map"),
        pytest.param(ASCII | dict.fromkeys(NAMES, "0000"), id="mapped to NUL"),
        pytest.param(ASCII | dict.fromkeys(NAMES, "FFFD"), id="mapped to U+FFFD"),
        pytest.param(ASCII | dict.fromkeys(NAMES, "E007"), id="mapped to a private character"),
        pytest.param(ASCII | dict.fromkeys(NAMES, "0001"), id="mapped to a control character"),
    ],
)
def test_the_name_of_a_glyph_tells_its_letters(texts: Mapping[int, str]) -> None:
    """A ligature that the font does not translate is read all the same, on every page."""
    data = with_glyph_names(pdf("plain", WRITTEN, WRITTEN), NAMES, texts)

    assert extract(data, ExtractOptions()).pages[1:] == ("The difficult office shut off again",) * 2


def test_a_map_that_says_something_is_believed() -> None:
    """A name never overrules what the font translates."""
    data = with_glyph_names(pdf("o~ and }"), NAMES, ASCII | {ord("~"): "006b", ord("}"): "0000"})

    assert extract(data, ExtractOptions()).pages == ("ok and ffi",)


def test_a_locked_document_is_completed_too() -> None:
    """The copy with the letters opens without a password, and nobody else sees it."""
    data = with_glyph_names(pdf(WRITTEN), NAMES, ASCII | dict.fromkeys(NAMES, "0000"))
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(data))
    writer.encrypt("secret", algorithm="AES-256")
    out = io.BytesIO()
    writer.write(out)

    (page,) = extract(out.getvalue(), ExtractOptions(passwords=("secret",))).pages

    assert page == "The difficult office shut off again"


def test_a_letter_that_nothing_tells_is_not_dropped() -> None:
    """A glyph without name or translation leaves a mark, not a hole."""
    data = with_glyph_names(
        pdf("an o~ce of the town, and a longer line of text"),
        {ord("~"): "/g17"},
        ASCII | {ord("~"): "0000"},
    )

    assert "an o\ufffdce" in extract(data, ExtractOptions()).pages[0]
