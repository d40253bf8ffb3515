"""Text of form fields and annotations."""

from __future__ import annotations

import io
import struct
import zlib

import pypdf
import pytest
from pypdf.annotations import FreeText, Highlight, Link, Popup, Text
from pypdf.generic import (
    ArrayObject,
    DictionaryObject,
    FloatObject,
    NameObject,
    NumberObject,
    StreamObject,
    TextStringObject,
)
from reportlab.pdfgen.canvas import Canvas

from ingest.errors import DocumentError
from ingest.extract.document import ExtractOptions, extract
from ingest.models import Code
from tests.pdfs import pdf, to_bytes

EXTRACTORS = ["pdfium", "pypdf"]
BOX = (50, 600, 200, 620)


def form() -> bytes:
    """A form of two pages, as people send them back."""
    out = io.BytesIO()
    canvas = Canvas(out, invariant=True)
    canvas.drawString(50, 800, "Application for leave, of Ada Lovelace")
    fields = canvas.acroForm
    fields.textfield(name="who", tooltip="Name", value="Ada Lovelace", x=50, y=700)
    fields.textfield(name="why", value="Bernoulli numbers\nwait", x=50, y=650)
    fields.textfield(name="empty", x=50, y=620)
    fields.textfield(name="pin", value="98765", fieldFlags="password", x=50, y=600)
    fields.checkbox(name="paid", tooltip="Paid leave", checked=True, x=50, y=550)
    fields.checkbox(name="unpaid", tooltip="Unpaid leave", checked=False, x=50, y=530)
    fields.radio(name="half", value="morning", selected=True, x=50, y=500)
    fields.radio(name="half", value="evening", selected=False, x=80, y=500)
    fields.choice(name="site", value="L", options=[("London", "L"), ("Paris", "P")], x=50, y=450)
    canvas.showPage()
    canvas.drawString(50, 800, "For the office")
    fields.textfield(name="seen", tooltip="Seen by", value="Babbage", x=50, y=700)
    canvas.showPage()
    canvas.save()
    return out.getvalue()


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_what_was_filled_in_is_found(extractor: str) -> None:
    """I can search for what people wrote into a form, by the label they saw."""
    first, second = extract(form(), ExtractOptions(extractor)).pages

    assert first.split("\n") == [
        "Application for leave, of Ada Lovelace",
        "",
        "why: Bernoulli numbers wait",
        "Paid leave: yes",
        "half: morning",
        "site: London",
    ]
    assert second.endswith("Seen by: Babbage")


def test_a_field_within_a_field_has_its_parents_name_and_value() -> None:
    """Forms by other programs keep names and values above the boxes."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf("a form")))
    parent = DictionaryObject(
        {
            NameObject("/FT"): NameObject("/Tx"),
            NameObject("/T"): TextStringObject("city[0]"),
            NameObject("/V"): TextStringObject("Genève"),
        }
    )
    kid = widget(NameObject("/Parent"), writer._add_object(parent))
    put(writer, kid)
    writer.root_object[NameObject("/AcroForm")] = DictionaryObject()

    for extractor in EXTRACTORS:
        assert extract(to_bytes(writer), ExtractOptions(extractor)).pages == (
            "a form\n\ncity: Genève",
        )


def widget(*more: object) -> DictionaryObject:
    found = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Annot"),
            NameObject("/Subtype"): NameObject("/Widget"),
            NameObject("/Rect"): ArrayObject(map(FloatObject, BOX)),
        }
    )
    for key, value in zip(more[::2], more[1::2], strict=True):
        found[key] = value
    return found


def put(writer: pypdf.PdfWriter, annotation: DictionaryObject) -> None:
    page = writer.pages[0]
    page[NameObject("/Annots")] = ArrayObject(
        [*page.get("/Annots", []), writer._add_object(annotation)]
    )


def test_a_field_that_is_its_own_parent_costs_nothing() -> None:
    """A hostile form is read as far as it can be, and ends."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf("a form")))
    loop = widget()
    reference = writer._add_object(loop)
    loop[NameObject("/Parent")] = reference
    writer.pages[0][NameObject("/Annots")] = ArrayObject([reference] * 5000)
    writer.root_object[NameObject("/AcroForm")] = DictionaryObject()

    for extractor in EXTRACTORS:
        assert extract(to_bytes(writer), ExtractOptions(extractor)).pages == ("a form",)


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_notes_on_the_pages_are_found(extractor: str) -> None:
    """A reviewer's comments are part of the document; links and a note's frame are not."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf("one", "two")))
    note = writer.add_annotation(0, Text(rect=BOX, text="Who approved this?\rI did not."))
    writer.add_annotation(0, Popup(rect=BOX, parent=note))
    writer.add_annotation(0, Link(rect=BOX, url="https://example.org/"))
    writer.add_annotation(0, FreeText(rect=BOX, text="Überholt"))
    quads = ArrayObject(map(FloatObject, [50, 620, 200, 620, 50, 600, 200, 600]))
    bright = Highlight(rect=BOX, quad_points=quads)
    bright[NameObject("/Contents")] = TextStringObject("quote this")
    writer.add_annotation(1, bright)
    marked = Highlight(rect=BOX, quad_points=quads)
    marked[NameObject("/Contents")] = TextStringObject("two")  # some programs copy what is marked
    writer.add_annotation(1, marked)
    gone = Text(rect=BOX, text="hidden")
    gone[NameObject("/F")] = NumberObject(2)
    writer.add_annotation(1, gone)

    assert extract(to_bytes(writer), ExtractOptions(extractor)).pages == (
        "one\n\nWho approved this?\nI did not.\n\nÜberholt",
        "two\n\nquote this",
    )


def pack(annotation: str) -> bytes:
    """A PDF as newer programs write it: its annotation is an object in a compressed stream."""
    shown = "BT /F 11 Tf 72 770 Td (one) Tj ET"
    packed = zlib.compress(f"6 0 {annotation}".encode())
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
            b"/Annots [6 0 R] /Resources << /Font << /F 5 0 R >> >> >>"
        ),
        f"<< /Length {len(shown)} >>\nstream\n{shown}\nendstream".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"",
        b"<< /Type /ObjStm /N 1 /First 4 /Filter /FlateDecode /Length %d >>\nstream\n%b\nendstream"
        % (len(packed), packed),
    ]
    file = b"%PDF-1.5\n"
    table = b"\0" * 5
    for number, value in enumerate(objects, 1):
        table += struct.pack(">BHH", 1, len(file), 0) if value else struct.pack(">BHH", 2, 7, 0)
        file += b"%d 0 obj\n%b\nendobj\n" % (number, value) if value else b""
    table += struct.pack(">BHH", 1, len(file), 0)
    return file + (
        b"8 0 obj\n<< /Type /XRef /Size 9 /W [1 2 2] /Root 1 0 R /Length %d >>\nstream\n%b\n"
        b"endstream\nendobj\nstartxref\n%d\n%%%%EOF\n" % (len(table), table, len(file))
    )


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_notes_in_packed_objects_are_found(extractor: str) -> None:
    """Notes in compressed objects are found, also among many links."""
    note = "<< /Type /Annot /Subtype /Text /Rect [0 0 9 9] /Contents (a remark) >>"
    link = "<< /Type /Annot /Subtype /Link /Rect [0 0 9 9] /Contents (a link) >>"

    assert extract(pack(note), ExtractOptions(extractor)).pages == ("one\n\na remark",)
    assert extract(pack(link), ExtractOptions(extractor)).pages == ("one",)


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_notes_without_number_or_end_cost_nothing(extractor: str) -> None:
    """A page with a hundred thousand notes is read like any other."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf("one")))
    many = [writer.add_annotation(0, Text(rect=BOX, text=f"note {n}")) for n in range(3)]
    huge = writer._add_object(Text(rect=BOX, text="x" * 3_000_000))
    references = [note.indirect_reference for note in many]
    listed = ArrayObject([*references, huge, NumberObject(7), *references * 30_000])
    writer.pages[0][NameObject("/Annots")] = listed

    (page,) = extract(to_bytes(writer), ExtractOptions(extractor)).pages

    assert page == "one\n\nnote 0\n\nnote 1\n\nnote 2"


def xfa(said: str, page: str = "Please wait...\nIf this message is not replaced,") -> bytes:
    """A dynamic form: its page is for viewers that do not know it."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf(page)))
    data = StreamObject()
    data.set_data(
        "<xfa:datasets xmlns:xfa='http://www.xfa.org/schema/xfa-data/1.0/'><xfa:data><form>"
        f"{said}</form></xfa:data></xfa:datasets>".encode()
    )
    parts = ArrayObject([TextStringObject("datasets"), writer._add_object(data)])
    writer.root_object[NameObject("/AcroForm")] = DictionaryObject({NameObject("/XFA"): parts})
    return to_bytes(writer)


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_a_form_for_adobes_programs_is_read_from_its_data(extractor: str) -> None:
    """What was filled in is found, though no other viewer shows the form."""
    data = "<Name>Ada &amp; Co</Name><Address><City>London</City><Zip/></Address>"

    assert extract(xfa(data), ExtractOptions(extractor)).pages == ("Name: Ada & Co\nCity: London",)


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_a_form_for_adobes_programs_alone_says_so(extractor: str) -> None:
    """I am told why nothing of it is found, and what to do."""
    with pytest.raises(DocumentError, match=r"XFA form.*print it to a PDF") as caught:
        extract(xfa("<Name/>"), ExtractOptions(extractor))
    assert caught.value.code is Code.NO_TEXT


def test_a_letter_that_says_please_wait_is_a_letter() -> None:
    """Only a form has its page replaced."""
    assert extract(pdf("Please wait for me"), ExtractOptions()).pages == ("Please wait for me",)
    assert "Please see" in extract(xfa("<a>b</a>", "Please see below"), ExtractOptions()).pages[0]


def unknown_stream() -> StreamObject:
    """A stream that no library can unpack."""
    stream = StreamObject()
    stream[NameObject("/Filter")] = NameObject("/NoSuchFilter")
    stream.set_data(b"anything")
    return stream


def test_extras_that_fail_cost_no_page() -> None:
    """If reading a form fails, the text of the page is still read."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(form()))
    root = writer.root_object
    for page in writer.pages:
        for note in page.annotations or ():
            field = note.get_object()
            field[NameObject("/FT")] = NameObject("/Tx")
            field[NameObject("/V")] = writer._add_object(unknown_stream())
    files = DictionaryObject({NameObject("/EmbeddedFiles"): NumberObject(7)})
    root[NameObject("/Names")] = files

    assert extract(to_bytes(writer), ExtractOptions()).pages[1] == "For the office"
