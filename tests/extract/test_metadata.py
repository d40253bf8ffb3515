"""Metadata of documents, and which of it is trusted."""

from __future__ import annotations

import io

import pypdf
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypdf.generic import (
    ArrayObject,
    ByteStringObject,
    DictionaryObject,
    NameObject,
    NumberObject,
    PdfObject,
    StreamObject,
    TextStringObject,
)

from ingest.chunk.chunks import choose_title
from ingest.extract.document import ExtractOptions, extract
from ingest.extract.metadata import clean_entry, parse_pdf_date, read_author, read_title
from ingest.models import Document, Heading
from tests.pdfs import pdf, to_bytes

EXTRACTORS = ["pdfium", "pypdf"]


def info_pdf(xmp: str = "", **entries: str | bytes) -> bytes:
    """A PDF that says this of itself, byte for byte where it is bytes."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf("a page")))
    writer.metadata = None
    writer.add_metadata({"/Producer": "Acme"})
    info = writer._info
    assert info is not None
    for name, value in entries.items():
        if isinstance(value, bytes):
            info[NameObject(f"/{name}")] = ByteStringObject(value)
        else:
            info[NameObject(f"/{name}")] = TextStringObject(value)
    if xmp:
        stream = StreamObject()
        stream.set_data(xmp.encode())
        stream[NameObject("/Type")] = NameObject("/Metadata")
        stream[NameObject("/Subtype")] = NameObject("/XML")
        writer.root_object[NameObject("/Metadata")] = writer._add_object(stream)
    return to_bytes(writer)


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_author_dates_and_program_are_kept(extractor: str) -> None:
    """I can filter by who wrote a document, and when."""
    data = info_pdf(
        Title="Annual report",
        Author="Ada Lovelace",
        CreationDate="D:20250317103000+01'30'",
        ModDate="D:20250401",
    )
    document = extract(data, ExtractOptions(extractor))

    assert document.title == "Annual report"
    assert document.details.author == "Ada Lovelace"
    assert document.details.created == "2025-03-17T09:00:00Z"
    assert document.details.modified == "2025-04-01T00:00:00Z"
    assert document.details.producer == "Acme"


@pytest.mark.parametrize("extractor", EXTRACTORS)
@pytest.mark.parametrize(
    "raw",
    [
        pytest.param("Überblick – Ä", id="as it should be"),
        pytest.param("\ufeffÜberblick – Ä".encode("utf-16-be"), id="UTF-16 with a mark"),
        pytest.param("Überblick – Ä".encode(), id="UTF-8 without one"),
        pytest.param(b"\xef\xbb\xbf" + "Überblick – Ä".encode(), id="UTF-8 with one"),
        pytest.param(b"\xdcberblick \x85 \xc4", id="the encoding of PDFs"),
        pytest.param("Überblick – Ä\0\0", id="zeros at the end"),
    ],
)
def test_odd_encodings_are_repaired(extractor: str, raw: str | bytes) -> None:
    """A title in a wrong encoding is readable."""
    assert extract(info_pdf(Title=raw), ExtractOptions(extractor)).title == "Überblick – Ä"


@pytest.mark.parametrize("codec", ["utf-16-be", "utf-16-le"])
def test_utf_16_without_a_mark_is_repaired(codec: str) -> None:
    """The commonest mistake of all leaves a zero at every other place."""
    assert clean_entry("Jahresbericht Ä".encode(codec).decode("latin-1")) == "Jahresbericht Ä"


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        ("D:20250317090000Z", "2025-03-17T09:00:00Z"),
        ("D:20250317090000Z00'00'", "2025-03-17T09:00:00Z"),
        ("D:20250317090000-05'00", "2025-03-17T14:00:00Z"),
        ("D:20250317090000+0530", "2025-03-17T03:30:00Z"),
        ("20250317", "2025-03-17T00:00:00Z"),
        ("D:202503", "2025-03-01T00:00:00Z"),
        ("D:2025", "2025-01-01T00:00:00Z"),
        ("2025-03-17T09:00:00+01:00", "2025-03-17T08:00:00Z"),
        ("2025-03-17 09:00", "2025-03-17T09:00:00Z"),
        ("D:20250317250000Z", "2025-03-17T00:00:00Z"),
        ("D:20250317090000+99'99'", "2025-03-17T00:00:00Z"),
        ("D:20240230000000Z", ""),
        ("D:00000101000000Z", ""),
        ("D:20250001000000Z", ""),
        ("D:99990101000000Z", ""),
        ("D:19040101000000Z", ""),
        ("1/2/98", ""),
        ("D:", ""),
        ("", ""),
        ("yesterday", ""),
        ("٢٠٢٥", ""),
    ],
)
def test_dates_are_repaired_or_dropped(raw: str, wanted: str) -> None:
    """An impossible date is dropped, so that filters by date work."""
    assert parse_pdf_date(raw) == wanted


@given(st.text())
def test_no_entry_is_ever_fatal(raw: str) -> None:
    """Whatever stands there, the outcome is a line of text or nothing."""
    info = {"Title": raw, "Author": raw}
    for text in (read_title(info), read_author(info), parse_pdf_date(raw), clean_entry(raw)):
        text.encode("utf-8")
        assert len(text) <= 500
        assert "\n" not in text


@pytest.mark.parametrize(
    "raw",
    [
        "Microsoft Word - letter.doc",
        "Microsoft PowerPoint - Folien",
        "untitled",
        "(Untitled)",
        "Untitled-1",
        "Unbenannt 2",
        "Document1",
        "Dokument1",
        "Slide 1",
        "PowerPoint Presentation",
        "report_final.docx",
        "C:\\Users\\ann\\x.indd",
        "file:///C|/temp/print.htm",
        "scan0001.tif",
        "2024-03-17",
        "-",
        "\ufffd\ufffd\ufffdx",
        "\ue001\ue002\ue003 a",
    ],
)
def test_titles_that_programs_make_up_are_none(raw: str) -> None:
    """A document is called by its first heading rather than by "Microsoft Word - x.doc"."""
    assert read_title({"Title": raw}) == ""


@pytest.mark.parametrize(
    "raw",
    [
        "Documentation",
        "Untitled Goose Game: a history",
        "The .NET book",
        "Slide rules of the world",
        "2024 annual report",
        "1984: a novel",
        "Title IX",
        "Microsoft and the law",
        "either/or",
        "作業ガイド",
    ],
)
def test_titles_that_people_give_are_kept(raw: str) -> None:
    """A title is not thrown away because it looks a little odd."""
    assert read_title({"Title": raw}) == raw


def test_a_document_without_a_title_is_called_by_its_heading_or_its_name() -> None:
    """Each answer says which document it is from, in words."""
    data = pdf("Mills", title="untitled", outline=[(1, "All about mills", 1)])

    assert choose_title(extract(data, ExtractOptions()), "docs/x.pdf") == "All about mills"
    assert (
        choose_title(extract(pdf("Mills", title="untitled"), ExtractOptions()), "docs/x.pdf") == "x"
    )
    assert choose_title(Document(("",), headings=(Heading(1, " ", 1),)), "a/b.c.pdf") == "b.c"


@pytest.mark.parametrize("raw", ["Administrator", "unknown", "user", "(anonymous)", "..."])
def test_nobody_is_no_author(raw: str) -> None:
    """Names such as "Administrator" are not taken for authors."""
    assert read_author({"Author": raw}) == ""
    assert read_author({"Author": f"{raw} Smith"}) == f"{raw} Smith"


XMP = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/">
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">Élan &amp; vital</rdf:li></rdf:Alt></dc:title>
<dc:creator><rdf:Seq><rdf:li>Ada</rdf:li><rdf:li>Bo</rdf:li></rdf:Seq></dc:creator>
<xmp:CreateDate>2025-03-17T09:00:00+01:00</xmp:CreateDate>
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_what_only_xmp_says_is_heard(extractor: str) -> None:
    """Metadata is read from XMP if the older place is empty."""
    document = extract(info_pdf(XMP), ExtractOptions(extractor))

    assert document.title == "Élan & vital"
    assert document.details.author == "Ada, Bo"
    assert document.details.created == "2025-03-17T08:00:00Z"
    assert document.details.producer == "Acme"
    assert extract(info_pdf(XMP, Title="Own"), ExtractOptions(extractor)).title == "Own"
    assert extract(info_pdf(XMP[:500]), ExtractOptions(extractor)).title == ""


def label(labels: PdfObject) -> bytes:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf("one", "two")))
    writer.root_object[NameObject("/PageLabels")] = labels
    return to_bytes(writer)


def ranges(*numbers: object) -> DictionaryObject:
    return DictionaryObject({NameObject("/Nums"): ArrayObject(numbers)})


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_odd_labels_cost_no_page(extractor: str) -> None:
    """Labels that are none cost nothing, and those that begin late are not overlooked."""
    style = DictionaryObject({NameObject("/S"): NameObject("/D")})

    broken = extract(label(TextStringObject("broken")), ExtractOptions(extractor))
    late = extract(label(ranges(NumberObject(1), style)), ExtractOptions(extractor))

    assert broken.pages == late.pages == ("one", "two")
    assert broken.labels == ()
    assert late.labels[1] == "1"
