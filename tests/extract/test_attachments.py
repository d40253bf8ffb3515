"""PDFs inside PDFs."""

from __future__ import annotations

import io
import unicodedata
from dataclasses import replace

import pypdf
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypdf.generic import (
    ArrayObject,
    DictionaryObject,
    FloatObject,
    NameObject,
    StreamObject,
    TextStringObject,
)

from ingest.errors import DocumentError
from ingest.extract.attachments import (
    MAX_NAME_CHARS,
    extract_attachment,
    find_embedded_files,
    name_attachments,
)
from ingest.extract.document import ExtractOptions, extract, ignore_progress
from ingest.models import Code, Recipe, Source
from ingest.pipeline.reader.prepare import Task, prepare
from tests.pdfs import pdf, to_bytes

EXTRACTORS = ["pdfium", "pypdf"]


def portfolio(*members: tuple[str, bytes], cover: str = "a cover", password: str = "") -> bytes:
    """A PDF with files inside it."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf(cover)))
    for name, data in members:
        writer.add_attachment(name, data)
    if password:
        writer.encrypt(password, algorithm="AES-256")
    return to_bytes(writer)


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_pdfs_inside_are_listed_and_given(extractor: str) -> None:
    """Each PDF in a portfolio can be had by the name it is listed with; other files are not."""
    first, second = pdf("the first"), pdf("the second")
    data = portfolio(("a.pdf", first), ("b.txt", b"text"), ("c", second), ("no.pdf", b"PK\x03\x04"))

    names = extract(data, ExtractOptions(extractor)).details.attachments

    assert names == ("a.pdf", "c")
    assert extract_attachment(data, ExtractOptions(extractor), "a.pdf") == first
    assert extract_attachment(data, ExtractOptions(extractor), "c") == second


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_a_locked_portfolio_is_opened_with_its_password(extractor: str) -> None:
    """One password opens the cover and what is behind it."""
    inner = pdf("inside")
    data = portfolio(("a.pdf", inner), password="secret")
    options = ExtractOptions(extractor, ("wrong", "secret"))

    assert extract(data, options).details.attachments == ("a.pdf",)
    assert extract_attachment(data, options, "a.pdf") == inner
    with pytest.raises(DocumentError, match="needs a password"):
        extract_attachment(data, ExtractOptions(extractor), "a.pdf")


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_a_file_pinned_to_a_page_is_one_too(extractor: str) -> None:
    """A PDF behind a paper clip is not overlooked, nor one in a tree with branches."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf("one", "two")))
    pinned = DictionaryObject(
        {
            NameObject("/Subtype"): NameObject("/FileAttachment"),
            NameObject("/Rect"): ArrayObject(map(FloatObject, (10, 10, 20, 20))),
            NameObject("/FS"): specification(writer, "invoice.pdf", pdf("pinned")),
        }
    )
    writer.pages[1][NameObject("/Annots")] = ArrayObject([writer._add_object(pinned)])
    leaf = DictionaryObject()
    branch = writer._add_object(leaf)
    listed = [TextStringObject("k"), specification(writer, "invoice.pdf", pdf("listed"))]
    leaf[NameObject("/Names")] = ArrayObject(listed)
    leaf[NameObject("/Kids")] = ArrayObject([branch])  # a tree that loops
    tree = DictionaryObject({NameObject("/Kids"): ArrayObject([branch])})
    root = DictionaryObject({NameObject("/Kids"): ArrayObject([writer._add_object(tree)])})
    names = DictionaryObject({NameObject("/EmbeddedFiles"): root})
    writer.root_object[NameObject("/Names")] = names
    data = to_bytes(writer)

    assert extract(data, ExtractOptions(extractor)).details.attachments == (
        "invoice.pdf",
        "invoice (2).pdf",
    )
    assert extract_attachment(data, ExtractOptions(), "invoice (2).pdf") == pdf("pinned")


def specification(writer: pypdf.PdfWriter, name: str, data: bytes) -> DictionaryObject:
    stream = StreamObject()
    stream.set_data(data)
    files = DictionaryObject({NameObject("/F"): writer._add_object(stream)})
    return DictionaryObject(
        {NameObject("/UF"): TextStringObject(name), NameObject("/EF"): files},
    )


def test_what_is_gone_or_damaged_says_so() -> None:
    """A file that vanished from its portfolio between two looks is an outcome."""
    data = portfolio(("a.pdf", pdf("inside")))

    with pytest.raises(DocumentError, match="no longer in its document") as caught:
        extract_attachment(data, ExtractOptions(), "b.pdf")
    assert caught.value.code is Code.VANISHED
    with pytest.raises(DocumentError, match="cannot be extracted from its document"):
        extract_attachment(data[:40], ExtractOptions(), "a.pdf")


SOURCE = Source("root", "all.pdf", "all.pdf", 1, "1")
RECIPE = Recipe("auto", 512, 0.12, "none", 384)


def test_portfolios_in_portfolios_are_opened_four_deep() -> None:
    """A file is followed inwards by its names, and not without end."""
    data = pdf("the innermost")
    for _ in range(5):
        data = portfolio(("in.pdf", data))
    task = Task(SOURCE, "", RECIPE, "auto")

    found = []
    for depth in range(5):
        made = prepare(
            replace(task, attachment_path=("in.pdf",) * depth), io.BytesIO(data), ignore_progress
        )
        assert made is not None
        assert [chunk.text for chunk in made.chunks] == ["a cover"]
        found.append(made.details.attachments)
        known = replace(
            task, attachment_path=("in.pdf",) * depth, known_fingerprint=made.fingerprint
        )
        assert prepare(known, io.BytesIO(data), ignore_progress) is None

    assert found == [("in.pdf",)] * 4 + [()]


NASTY = st.text(alphabet=st.sampled_from("a./\\\0\n\u202eé e\u0301\ud800あ"), max_size=9)


@given(st.lists(NASTY | st.just("x" * 300 + ".pdf") | st.text(max_size=400), max_size=12))
def test_names_are_safe_and_each_its_own(raw: list[str]) -> None:
    """No file's name can be a path, fool a terminal, or stand for another file."""
    names = [name for name, _ in name_attachments((text, bytes) for text in raw)]

    assert len(set(names)) == len(raw)
    for name in names:
        assert 0 < len(name) <= MAX_NAME_CHARS
        assert not {"/", "\\"} & set(name)
        assert name == unicodedata.normalize("NFC", name)
        assert not any(unicodedata.category(c).startswith("C") for c in name)
        assert name.strip(". ")


def test_names_stay_what_they_were() -> None:
    """A file keeps its name where it can, and its ending always."""
    raw = ["Plan 2026.pdf", "a/b\\c.pdf", "", "..", "Plan 2026.pdf", "é" * 300 + ".pdf"]
    names = [name for name, _ in name_attachments((text, bytes) for text in raw)]

    assert names[:3] == ["Plan 2026.pdf", "a_b_c.pdf", "attachment 3.pdf"]
    assert names[3:5] == ["attachment 4.pdf", "Plan 2026 (2).pdf"]
    assert names[5] == "é" * 196 + ".pdf"


def test_a_bomb_among_the_files_costs_only_itself() -> None:
    """A file that unpacks to more than anyone has is left out, and the rest is listed."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(portfolio(("z.pdf", pdf("inside")))))
    writer.add_attachment("bomb.pdf", b"%PDF-" + bytes(100_000_000))
    for stream in writer._objects:
        if isinstance(stream, StreamObject) and len(stream._data) > 1_000_000:
            stream._data = stream.flate_encode()._data
            stream[NameObject("/Filter")] = NameObject("/FlateDecode")

    assert extract(to_bytes(writer), ExtractOptions()).details.attachments == ("z.pdf",)


def test_the_list_of_a_portfolio_is_searched_once() -> None:
    """A portfolio is opened once for all of its files, and each of them is the right one."""
    inside = {f"{number}.pdf": pdf(f"page {number}") for number in range(30)}
    data = portfolio(*inside.items())
    find_embedded_files.cache_clear()
    for name, expected in inside.items():
        assert extract_attachment(bytes(bytearray(data)), ExtractOptions(), name) == expected
    assert find_embedded_files.cache_info().misses == 1
