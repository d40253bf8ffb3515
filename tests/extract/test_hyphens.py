"""A hyphen at the end of a line goes only where it marks the line's end."""

from __future__ import annotations

import io

import pytest
from reportlab.pdfgen.canvas import Canvas

from ingest.extract.cleaning import clean
from ingest.extract.document import ExtractOptions, extract
from ingest.extract.hyphens import Vocabulary
from tests.extract.scripts_pdf import LEFT, TOP, Shown, draw_page
from tests.pdfs import pdf


def clean_text(text: str, document: str = "", language: str = "en") -> str:
    """A text of a document whose other pages are given."""
    return clean(text, Vocabulary([text, document], lambda: language))


@pytest.mark.parametrize("mark", ["-\n", "\ufffe", "\ufffe\n", "-\r\n"])
@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        pytest.param("COVID|19", "COVID-19", id="a digit"),
        pytest.param("Smith|Jones", "Smith-Jones", id="a capital"),
        pytest.param("e|mail", "e-mail", id="a single letter"),
        pytest.param("DNA|based", "DNA-based", id="an abbreviation"),
        pytest.param("Haupt|und Nebenfach", "Haupt- und Nebenfach", id="und"),
        pytest.param("pre|or postwar", "pre- or postwar", id="or"),
        pytest.param("--no|prune", "--no-prune", id="an option"),
        pytest.param("(-n|prune", "(-n-prune", id="an option in brackets"),
        pytest.param("https://example.com/long|path", "https://example.com/long-path", id="a URL"),
        pytest.param("jane@some|where.org", "jane@some-where.org", id="an address"),
        pytest.param("/usr/lib/foo|bar", "/usr/lib/foo-bar", id="a path"),
        pytest.param("the ABC_foo|bar", "the ABC_foo-bar", id="a name in code"),
        pytest.param("a 5|year plan", "a 5-year plan", id="a count"),
        pytest.param("the A4711|b", "the A4711-b", id="a part number"),
        pytest.param("020-7946|0123", "020-7946-0123", id="a telephone number"),
        pytest.param("ISBN 2|903-11842-7", "ISBN 2-903-11842-7", id="the start of a number"),
        pytest.param("in 1990|1999", "in 1990-1999", id="a range"),
        pytest.param("ein 10|Euro-Schein", "ein 10-Euro-Schein", id="a count in a compound"),
        pytest.param("to press|office@x.example", "to press-office@x.example", id="e-mail"),
        pytest.param("CO2|Ausstoß", "CO2-Ausstoß", id="a formula"),
        pytest.param("AX-77|B5", "AX-77-B5", id="an order number"),
        pytest.param("self|esteem", "self-esteem", id="the start of a compound"),
        pytest.param("a two-and-a-half|hour talk", "a two-and-a-half-hour talk", id="a phrase"),
        pytest.param("the editor|in-chief", "the editor-in-chief", id="a link"),
        pytest.param("from Stoke|on-Trent", "from Stoke-on-Trent", id="a town"),
        pytest.param("guarda|-chuva", "guarda-chuva", id="a hyphen said twice"),
        pytest.param("infor|mation", "information", id="a broken word"),
        pytest.param(
            "the Ex|changes of the day, and changes",
            "the Exchanges of the day, and changes",
            id="Ex, a syllable",
        ),
        pytest.param(
            "色は#RGBでGraph|icsを", "色は#RGBでGraphicsを", id="a word inside of Japanese"
        ),
        pytest.param("конфи|денциальность", "конфиденциальность", id="a broken word in Cyrillic"),
    ],
)
def test_what_stands_around_a_hyphen_decides(written: str, mark: str, wanted: str) -> None:
    """Names, codes and compounds keep their hyphens, and can be found as written."""
    assert clean_text(f"Of {written.replace('|', mark)} they say.") == f"Of {wanted} they say."


def test_the_document_decides_how_a_word_is_written() -> None:
    """What is written in one piece elsewhere is joined; a compound keeps its hyphen."""
    text = "The long-\nterm data-\nbase"

    assert clean_text(text, "A long-term plan. A database.") == "The long-term database"
    assert clean_text(text, "A longterm plan. A data-base.") == "The longterm data-base"
    assert clean_text(text, "long-term, longterm, Long-term") == "The long-term database"


def test_two_words_of_the_document_are_a_compound_where_the_language_has_them() -> None:
    """English parts its compounds, German does not."""
    other = "A machine is dependent on power. Die Noten und ein Symbol."

    assert clean_text("machine-\ndependent", other) == "machine-dependent"
    assert clean_text("Noten-\nsymbol", other, "de") == "Notensymbol"
    assert clean_text("head-\nphones", "Phones on every head.") == "headphones"
    assert (
        clean_text("dit-\nil, peut-\nêtre présen-\ntés", language="fr")
        == "dit-il, peut-être présentés"
    )
    assert clean_text("through-\nout", "It goes through and out.") == "throughout"


def test_a_conjunction_may_be_the_end_of_a_word() -> None:
    """A word such as "or" after a hyphen may end a word that the document has; languages differ."""
    assert clean_text("the vend-\nor is", "Each vendor has a number.") == "the vendor is"
    assert clean_text("voor-\nen nadelen", language="nl") == "voor- en nadelen"
    assert clean_text("wir bau-\nen ein Haus", language="de") == "wir bauen ein Haus"
    assert clean_text("franco-\ny hispanohablantes", language="es") == "franco- y hispanohablantes"


def test_capitals_are_joined_only_if_the_document_joins_them() -> None:
    """A title in capitals may be broken; two abbreviations may not be one word."""
    assert clean_text("INFOR-\nMATION", "Information for you") == "INFORMATION"
    assert clean_text("TCP-\nIP", "the protocol") == "TCP-IP"


def test_the_hyphen_that_a_browser_sets_tells_it_from_one_that_was_written() -> None:
    """U+2010 at line ends only is the mark of a program that hyphenates; "-" is the author's."""
    text = "infor~\nmation and pa~\nper and gar~\nden of a cost-\neffective, blue-\ngreen bird"

    assert (
        clean_text(text.replace("~", "\u2010"))
        == "information and paper and garden of a cost-effective, blue-green bird"
    )
    assert "bluegreen" in clean_text("of a blue-\ngreen bird")
    address = "at https://docs.ex\u2010\nample.org/long-\nterm-plan"
    assert clean_text(address) == "at https://docs.example.org/long-term-plan"


def test_a_web_address_over_two_lines_is_whole() -> None:
    """I find it as it is written; what follows an address that ends its line is none of it."""
    assert (
        clean_text("See https://x.org/docs/\nold-files/a.pdf.")
        == "See https://x.org/docs/old-files/a.pdf."
    )
    assert clean_text("See https://x.org/\nfor the rest.") == "See https://x.org/\nfor the rest."


def test_a_minus_stays_where_no_word_is_broken() -> None:
    """Amounts, ranges and dashes stay as they were."""
    for text in ("1,250.00-\nand more", "120-\n80-", "so it is -\nor not", "word--\nnext"):
        assert clean_text(text) == text


def test_soft_hyphens_that_are_drawn_are_hyphens() -> None:
    """A font that calls its hyphen a soft one changes no amount and no number."""
    out = io.BytesIO()
    canvas = Canvas(out, pageCompression=0)
    canvas.drawString(72, 760, "Total: ~6,39 EUR, call 020~7946~0000, a well~known firm")
    canvas.save()
    data = out.getvalue().replace(b"~", b"\xad")

    (page,) = extract(data, ExtractOptions()).pages

    assert page == "Total: -6,39 EUR, call 020-7946-0000, a well-known firm"


def test_a_soft_hyphen_within_a_ligature_is_none() -> None:
    """A glyph may stand for letters and the place after them where the word could be broken."""
    data = draw_page(Shown(LEFT, TOP, ["N", "ffi\xad", "c", "ient"]))
    assert extract(data, ExtractOptions()).pages == ("Nfficient",)


def test_a_document_is_read_with_its_own_words() -> None:
    """What page two writes in full decides on page one, and a table's cells are no exception."""
    first = "The cut-\noff value is a mile-\nstone for all of us who work in the place."
    second = "A cut-off. Two milestones and a milestone."

    assert extract(pdf(first, second), ExtractOptions()).pages[0] == (
        "The cut-off value is a milestone for all of us who work in the place."
    )
