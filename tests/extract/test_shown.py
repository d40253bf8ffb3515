"""Text that a viewer shows besides the pages' content, and pages that the page count leaves out."""

from __future__ import annotations

import io

import pypdf
import pytest
from pypdf.constants import UserAccessPermissions
from pypdf.generic import DictionaryObject, NameObject, NumberObject

from ingest.extract.document import ExtractOptions, extract
from tests.pdfs import draw_text, objects_pdf, stream, to_bytes

FONT = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"


def annotate(annotation: str, appearance: str = "", *, catalog: str = "") -> bytes:
    """A page with one annotation (6), its appearance (7), and a layer (8)."""
    return objects_pdf(
        f"<< /Type /Catalog /Pages 2 0 R {catalog} >>",
        "<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
        FONT,
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 5 0 R "
        "/Resources << /Font << /F1 3 0 R >> >> /Annots [6 0 R] >>",
        stream(draw_text("The contract.", 700)),
        f"<< /Type /Annot /Rect [100 100 400 160] {annotation} >>",
        stream(
            appearance,
            "/Type /XObject /Subtype /Form /BBox [0 0 300 60] "
            "/Resources << /Font << /F1 3 0 R >> >>",
        ),
        "<< /Type /OCG /Name (Stamps) >>",
    )


SIGNED = "BT /F1 9 Tf 2 40 Td (Digitally signed by Jane Doe) Tj 0 -12 Td (on 12 May 2026) Tj ET"


@pytest.mark.parametrize(
    ("annotation", "catalog"),
    [
        pytest.param(
            "/Subtype /Widget /FT /Sig /T (Signature) /AP << /N 7 0 R >> /F 4",
            "/AcroForm << /Fields [6 0 R] /SigFlags 3 >>",
            id="a signature",
        ),
        pytest.param("/Subtype /Stamp /AP << /N 7 0 R >> /F 4", "", id="a stamp"),
        pytest.param("/Subtype /FreeText /AP << /N 7 0 R >> /F 4", "", id="a text box"),
        pytest.param("/Subtype /Watermark /AP << /N 7 0 R >> /F 4", "", id="a watermark"),
        pytest.param("/Subtype /Stamp /AS /On /AP << /N << /On 7 0 R >> >> /F 4", "", id="a state"),
        pytest.param("/Subtype /Widget /FT /Tx /AP << /N 7 0 R >>", "", id="a field without value"),
    ],
)
def test_the_text_of_an_appearance_is_found(annotation: str, catalog: str) -> None:
    """Who signed, and what a stamp says, is on the page for everybody to see."""
    document = extract(annotate(annotation, SIGNED, catalog=catalog), ExtractOptions())

    assert document.pages[0].splitlines() == [
        "The contract.", "", "Digitally signed by Jane Doe", "on 12 May 2026",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "annotation",
    [
        pytest.param("/Subtype /Stamp /AP << /N 7 0 R >> /F 2", id="hidden"),
        pytest.param("/Subtype /Stamp /AP << /N 7 0 R >> /F 32", id="only printed"),
        pytest.param("/Subtype /Widget /FT /Btn /AP << /N 7 0 R >>", id="a button"),
        pytest.param("/Subtype /Link /AP << /N 7 0 R >>", id="a link"),
    ],
)
def test_an_appearance_that_no_viewer_shows_is_left_out(annotation: str) -> None:
    """What is hidden stays hidden; a button is no text."""
    document = extract(annotate(annotation, SIGNED), ExtractOptions())

    assert document.pages == ("The contract.",)


@pytest.mark.parametrize(("off", "is_found"), [("[8 0 R]", False), ("[]", True)])
@pytest.mark.parametrize(
    "shown",
    [
        pytest.param("/OC 8 0 R /AP << /N 7 0 R >>", id="a layer"),
        pytest.param("/OC 8 0 R /AS /On /AP << /N << /On 7 0 R >> >>", id="a state"),
        pytest.param("/OC << /Type /OCMD /OCGs [8 0 R] >> /AP << /N 7 0 R >>", id="a membership"),
    ],
)
def test_an_annotation_in_a_layer_is_found_if_the_layer_is_on(
    shown: str, off: str, is_found: bool
) -> None:
    """A remark whose layer is switched off is seen by nobody."""
    catalog = f"/OCProperties << /OCGs [8 0 R] /D << /OFF {off} >> >>"
    box = f"/Subtype /FreeText /F 4 /Contents (Digitally signed by Jane Doe) {shown}"

    text = extract(annotate(box, SIGNED, catalog=catalog), ExtractOptions()).pages[0]

    assert text.startswith("The contract.")
    assert text.count("Jane Doe") == is_found


def test_a_text_box_in_a_layer_without_an_appearance_is_found() -> None:
    """Viewers draw such a box by themselves."""
    catalog = "/OCProperties << /OCGs [8 0 R] /D << /OFF [] >> >>"
    box = "/Subtype /FreeText /F 4 /OC 8 0 R /Contents (Signed by Jane Doe)"

    assert "Jane Doe" in extract(annotate(box, catalog=catalog), ExtractOptions()).pages[0]


def test_a_text_box_is_found_once() -> None:
    """A text box is indexed once, although entry and appearance both have its text."""
    box = "/Subtype /FreeText /Contents (Digitally signed by Jane Doe on 12 May 2026)"

    document = extract(annotate(f"{box} /AP << /N 7 0 R >>", SIGNED), ExtractOptions())

    assert document.pages[0].count("Jane Doe") == 1


def test_fields_without_a_form_are_read() -> None:
    """Some programs drop the form of a document and leave its filled fields on the pages."""
    field = "/Subtype /Widget /FT /Tx /T (name) /TU (Full name) /V (Ada Lovelace)"

    document = extract(annotate(field), ExtractOptions())

    assert "Full name: Ada Lovelace" in document.pages[0]


PAGES = ("Rent is due.", "Pets need consent.", "The boiler.", "Keys go back.", "The garden.")


def tree(root_count: int, *, nested: bool) -> bytes:
    """Five pages, with a page tree that claims another number."""
    kids = "[3 0 R 4 0 R 5 0 R 6 0 R 7 0 R]"
    middle = f"<< /Type /Pages /Parent 2 0 R /Kids {kids} /Count 2 >>"
    pages = (
        f"<< /Type /Page /Parent {14 if nested else 2} 0 R /MediaBox [0 0 612 792] "
        f"/Contents {number + 5} 0 R /Resources << /Font << /F1 13 0 R >> >> >>"
        for number in range(3, 8)
    )
    return objects_pdf(
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids {'[14 0 R]' if nested else kids} /Count {root_count} >>",
        *pages,
        *(stream(draw_text(text, 700)) for text in PAGES),
        FONT,
        middle,
    )


@pytest.mark.parametrize("nested", [False, True], ids=["flat", "nested"])
@pytest.mark.parametrize("count", [1, 3, 5])
def test_no_page_is_lost_to_a_low_count(count: int, nested: bool) -> None:
    """Every page that can be reached is read, whatever number the file claims."""
    document = extract(tree(count, nested=nested), ExtractOptions())

    assert document.pages == PAGES


def test_a_low_count_in_an_encrypted_file_loses_no_page() -> None:
    """Its permissions are still told."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(tree(5, nested=False)))
    pages = writer.root_object["/Pages"].get_object()
    assert isinstance(pages, DictionaryObject)
    pages[NameObject("/Count")] = NumberObject(2)
    writer.encrypt("", "owner", permissions_flag=UserAccessPermissions(0), algorithm="AES-256")

    document = extract(to_bytes(writer), ExtractOptions())

    assert len(document.pages) == 5
    assert "print" in document.details.forbids


def test_pages_of_an_earlier_revision_are_not_read() -> None:
    """A page that was deleted is still in the file, and not in the document."""
    writer = pypdf.PdfWriter(io.BytesIO(tree(5, nested=False)), incremental=True)
    writer.remove_page(1)

    document = extract(to_bytes(writer), ExtractOptions())

    assert document.pages == (PAGES[0], *PAGES[2:])
