"""No document takes more than its share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ingest.errors import DocumentError
from ingest.extract.document import ExtractOptions, extract
from ingest.extract.limits import (
    MAX_DOCUMENT_CHARS,
    MAX_HEADING_CHARS,
    MAX_HEADINGS,
    MAX_HEADINGS_PER_PAGE,
    MAX_LABEL_CHARS,
    MAX_OUTLINE_LEVELS,
    MAX_PAGES,
    clean_line,
    limit_headings,
    limit_text,
)
from ingest.extract.metadata import MAX_ENTRY_CHARS as TITLE
from ingest.models import Code, Heading
from tests.hostile.writing import SHOWN, file, page, pdf, stream, text

ENTRY = b"<< /Title %b /Parent 10 0 R /Dest [3 0 R /Fit] /Next %d 0 R >>"


def tree(kids: bytes, count: int) -> dict[int, bytes]:
    return {2: b"<< /Type /Pages /Kids [%b] /Count %d >>" % (kids, count)}


def outline_pdf(*titles: bytes) -> bytes:
    """A document whose outline has these titles, as they stand in the file."""
    made = {11 + n: ENTRY % (title, 12 + n) for n, title in enumerate(titles)}
    return pdf({10: b"<< /First 11 0 R >>", **made}, b"/Outlines 10 0 R")


def test_a_million_pages_that_are_one_are_too_large() -> None:
    """A file that claims a million pages is refused at once, with a remedy."""
    data = pdf(tree(b"3 0 R " * 1_000_000, 1_000_000))
    with pytest.raises(DocumentError, match=rf"1,000,000 pages.*{MAX_PAGES:,}.*split it") as caught:
        extract(data, ExtractOptions())
    assert caught.value.code is Code.TOO_LARGE


def test_a_page_tree_that_exaggerates_is_counted() -> None:
    """A file of a kilobyte that claims a million pages is read for the one that it has."""
    assert extract(pdf(tree(b"3 0 R", 1_000_000)), ExtractOptions()).pages == (SHOWN,)


def test_text_without_end_is_too_large() -> None:
    """A file of a megabyte that says gigabytes stops being read long before memory is short."""
    asked = 0

    def pages() -> Iterator[str]:
        nonlocal asked
        while True:
            asked += 1
            yield "x" * 1_000_000

    with pytest.raises(DocumentError, match="longer than 50 million characters") as caught:
        list(limit_text(pages()))
    assert caught.value.code is Code.TOO_LARGE
    assert asked == MAX_DOCUMENT_CHARS // 1_000_000 + 1
    assert list(limit_text(["x" * MAX_DOCUMENT_CHARS])) == ["x" * MAX_DOCUMENT_CHARS]


def test_a_page_that_no_engine_can_read_is_named() -> None:
    """Three pages of which one is broken are two pages of text, and the third is listed."""
    kids = tree(b"3 0 R 99 0 R 3 0 R", 3)
    document = extract(pdf(kids), ExtractOptions())
    assert document.pages == (SHOWN, "", SHOWN)
    assert document.details.missing == (2,)


def test_a_document_of_which_no_page_can_be_read_is_damaged() -> None:
    """It is not told to want OCR."""
    with pytest.raises(DocumentError, match="no page of it can be read") as caught:
        extract(pdf(tree(b"99 0 R", 1)), ExtractOptions())
    assert caught.value.code is Code.DAMAGED


@pytest.mark.parametrize("root", [b"", b"/Root 42 ", b"/Root 10 0 R ", b"/Root 3 0 R "])
def test_a_document_without_a_catalog_is_damaged(root: bytes) -> None:
    """It has crashed nothing, so it does not say so."""
    objects = {3: page(), 4: stream(text()), 10: b"10 0 R"}
    with pytest.raises(DocumentError, match="damaged") as caught:
        extract(file(objects, root), ExtractOptions())
    assert caught.value.code is Code.DAMAGED


def test_a_title_that_is_no_unicode_does_not_take_the_others_with_it() -> None:
    """One broken heading of an outline does not lose the others."""
    document = extract(outline_pdf(b"(First)", b"<FEFFD80000410000>", b"(Last)"), ExtractOptions())
    assert [heading.title for heading in document.headings] == ["First", "A", "Last"]


def test_titles_and_labels_are_short_lines() -> None:
    """A megabyte for a title is not in every chunk of the document."""
    long = b"(" + b"word \\000\\001" * 100_000 + b")"
    labels = b"<< /Nums [0 << /P %b >>] >>" % long
    objects = {10: b"<< /First 11 0 R >>", 11: ENTRY % (long, 99), 12: labels}
    about = {13: b"<< /Title %b >>" % long}
    data = pdf({**objects, **about}, b"/Outlines 10 0 R /PageLabels 12 0 R", b"/Info 13 0 R")
    document = extract(data, ExtractOptions())
    (heading,) = document.headings
    assert document.title == ("word " * TITLE)[:TITLE].rstrip()
    assert heading.title == ("word " * MAX_HEADING_CHARS)[:MAX_HEADING_CHARS].rstrip()
    assert document.labels == (("word " * MAX_LABEL_CHARS)[:MAX_LABEL_CHARS].rstrip(),)


def test_headings_are_neither_too_many_nor_too_deep() -> None:
    """An outline of a hundred thousand entries is no table of contents."""
    wide = extract(outline_pdf(*[b"(Entry)"] * (MAX_HEADINGS + 5)), ExtractOptions()).headings
    assert len(wide) == MAX_HEADINGS_PER_PAGE
    deep = list(limit_headings(Heading(n, "Entry", n) for n in range(1, 1000)))
    assert [heading.level for heading in deep] == list(range(1, MAX_OUTLINE_LEVELS + 1))
    assert not list(limit_headings([Heading(1, "\0 \n", 1)]))


def test_a_line_is_cut_before_it_is_cleaned() -> None:
    """A title of a gigabyte is cut before it is cleaned."""
    assert clean_line("a\nb\tc" + " " * 10_000_000, 100) == "a b c"
    assert clean_line("x" * 10_000_000, 100) == "x" * 100


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("two\nlines\r\n", "two lines"),
        ("\x1b[2J\x07bell", "[2J bell"),
        ("half \ud800 a character", "half a character"),
        ("long " * 1000, ("long " * 60)[:297] + "..."),
    ],
)
def test_a_reason_is_one_line_whatever_it_quotes(said: str, shown: str) -> None:
    """A library's message about a hostile file has no control characters."""
    assert str(DocumentError(said)) == shown
