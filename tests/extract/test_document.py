"""From bytes to pages, whatever the bytes."""

from __future__ import annotations

import io
from pathlib import Path

import pypdf
import pytest

from ingest import models
from ingest.errors import DocumentError
from ingest.extract.annotations import NO_ANNOTATIONS, PageAnnotations
from ingest.extract.document import EXTRACTORS, ExtractOptions, extract, ignore_progress
from ingest.extract.engines.chain import EngineChain
from ingest.extract.engines.pdfium_lines import DrawnLines
from ingest.extract.garbled import garbled_share
from ingest.extract.pdf import extract_page_text
from ingest.extract.sandbox.pool import OnPage
from ingest.models import (
    DOCUMENT_SUFFIXES,
    ColourImage,
    Document,
    Figure,
    GreyImage,
    Heading,
    Outcome,
    PageShares,
    Recipe,
    Source,
    Unread,
)
from ingest.pipeline.reader.prepare import Task, prepare
from ingest.sources.folder import Folder
from tests.conftest import ROOT
from tests.pdfs import pdf, prose, to_bytes

DATA = ROOT / "data"


def encrypt(user: str) -> bytes:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf("a secret text")))
    writer.encrypt(user, "owner", algorithm="AES-256")
    return to_bytes(writer)


@pytest.mark.parametrize("extractor", ["auto", "pdfium", "pypdf"])
def test_every_engine_reads_text_and_structure(extractor: str) -> None:
    """Title, headings, labels and text are equal, whichever engine reads them."""
    outline = [(1, "Tools", 1), (2, "Mills", 2)]
    data = pdf("All about tools", "More about mills", "", title="Handbook", outline=outline)

    document = extract(data, ExtractOptions(extractor))

    assert document.pages == ("All about tools", "More about mills", "")
    assert document.title == "Handbook"
    assert document.headings == (Heading(1, "Tools", 1), Heading(2, "Mills", 2))


@pytest.mark.parametrize("extractor", ["auto", "pypdf"])
def test_the_handbook_is_read_whole(extractor: str) -> None:
    """Forty-three pages with labels, three levels of headings, and no running header."""
    document = extract((DATA / "handbook.pdf").read_bytes(), ExtractOptions(extractor))

    assert len(document.pages) == len(document.labels) == 43
    assert document.labels[:6] == ("i", "ii", "iii", "iv", "v", "1")
    assert {heading.level for heading in document.headings} == {1, 2, 3}
    body = document.pages[6:]
    assert sum("The Larkfield Handbook" in page for page in body) <= 1
    assert all(page == page.strip() != "" for page in body)


def test_a_blank_page_is_read_once() -> None:
    """Blank pages are not read again by the slow engine, unless the file is damaged."""
    data = pdf("some words", "")
    chain = EngineChain(data, ExtractOptions())
    assert len(list(chain.for_page(1))) == 1
    assert len(list(chain.for_page(0))) == 2  # as its text may be garbage

    damaged = EngineChain(pdf("some words", "X").replace(b"(X)", b"(X\\"), ExtractOptions())
    assert damaged.first().text(1) == ""
    assert len(list(damaged.for_page(1))) == 2


def test_an_empty_user_password_is_no_obstacle() -> None:
    """A PDF that viewers open without asking is read without asking."""
    assert extract(encrypt(""), ExtractOptions()).pages == ("a secret text",)


@pytest.mark.parametrize("extractor", ["auto", "pdfium", "pypdf"])
def test_a_password_is_asked_for(extractor: str) -> None:
    """A locked PDF is skipped with a reason."""
    with pytest.raises(DocumentError, match="needs a password") as caught:
        extract(encrypt("secret"), ExtractOptions(extractor))
    assert caught.value.outcome is Outcome.SKIPPED


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "an empty file"),
        (b"\0" * 5000, "an empty file"),
        (b"<html>404 not found</html>", "not a PDF"),
    ],
)
def test_what_is_no_pdf_is_skipped(data: bytes, reason: str) -> None:
    """An error page saved as .pdf is named for what it is."""
    with pytest.raises(DocumentError, match=reason) as caught:
        extract(data, ExtractOptions())
    assert caught.value.outcome is Outcome.SKIPPED


@pytest.mark.parametrize("extractor", ["auto", "pdfium", "pypdf"])
def test_a_damaged_file_says_so(extractor: str) -> None:
    """A download that broke off is a failure with a remedy, in one line."""
    with pytest.raises(DocumentError, match="damaged; get a new copy") as caught:
        extract((ROOT / "tests/data/broken/truncated.pdf").read_bytes(), ExtractOptions(extractor))
    assert caught.value.outcome is Outcome.FAILED
    assert "\n" not in str(caught.value)


def test_a_page_that_is_abandoned_is_missing() -> None:
    """A page that is left out is named, and the others keep their numbers."""
    progress = []

    document = extract(
        pdf("first", "second", "third"),
        ExtractOptions(hanging_pages=frozenset({2, 9})),
        lambda page, pages: progress.append((page, pages)),
    )

    assert document.pages == ("first", "", "third")
    assert document.details.missing == (2,)
    # Before each page, and once all are read.
    assert progress == [(1, 3), (3, 3), (0, 3)]


def test_a_format_is_a_row_in_two_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an ending and an extractor, files of a new format are listed and read."""

    def read_text(data: bytes, _options: ExtractOptions, _on_page: OnPage) -> Document:
        return Document((data.decode(),))

    (tmp_path / "notes.TXT").write_text("only words")
    (listed,) = Folder(tmp_path).list()
    assert isinstance(listed, Unread)

    monkeypatch.setitem(models.DOCUMENT_SUFFIXES, ".txt", "text")
    monkeypatch.setitem(EXTRACTORS, "text", read_text)
    (listed,) = Folder(tmp_path).list()
    assert isinstance(listed, Source)
    task = Task(listed, "", Recipe("auto", 512, 0.0, "model", 8), "auto")
    prepared = prepare(task, io.BytesIO(b"only words"), ignore_progress)

    assert prepared is not None
    assert [chunk.text for chunk in prepared.chunks] == ["only words"]


class Reads:
    """An engine that gives one text, or raises."""

    def __init__(self, text: str | Exception) -> None:
        self.answer = text
        self.password = b""
        self.wants_figures = False

    def __len__(self) -> int:
        return 1

    def text(self, _: int) -> str:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def has_unseen_text(self, _: int) -> bool:
        return False

    def has_hidden_text(self, _: int) -> bool:
        return False

    def shows_text(self, _: int) -> bool:
        return False

    def has_no_text(self, _: int) -> bool:
        return False

    def has_graphics(self, _: int) -> bool:
        return False

    def render_part(self, index: int, box: PageShares) -> ColourImage:
        raise NotImplementedError

    def render(self, index: int) -> GreyImage:
        raise NotImplementedError(index)

    def drawn_lines(self, index: int) -> DrawnLines:
        raise NotImplementedError(index)

    def annotations(self, _: int) -> PageAnnotations:
        return NO_ANNOTATIONS

    def figures(self, _: int) -> tuple[Figure, ...]:
        return ()

    def info(self) -> dict[str, str]:
        return {}

    def denied_permissions(self) -> tuple[str, ...]:
        return ()

    def may_have_form(self) -> bool:
        return False

    def may_have_attachments(self) -> bool:
        return False

    def headings(self) -> list[Heading]:
        return []

    def labels(self) -> list[str]:
        return []


def read_text(*engines: Reads) -> str | None:
    """The text of a page that these engines read."""
    found = extract_page_text(engines, 0)
    return found.text if found else None


@pytest.mark.parametrize(
    "first",
    [
        pytest.param("", id="nothing"),
        pytest.param(AttributeError("x"), id="an error"),
        pytest.param("\ue001\ue002 \ue003" * 20, id="private characters"),
        pytest.param("/g18/g152/g3/g18 " * 20, id="glyph names"),
        pytest.param("wordswithoutanyspaceswhichnobodycouldeverread" * 4, id="no spaces"),
    ],
)
def test_the_second_engine_reads_what_the_first_cannot(first: str | Exception) -> None:
    """Garbage is not indexed where another engine reads the page."""
    assert read_text(Reads(first), Reads("a readable page")) == "a readable page"


def test_the_least_bad_text_is_better_than_none() -> None:
    """Where both engines read badly, the better of the two is kept."""
    worse, better = "\ue001" * 10, "half \ue001\ue001\ue001"
    assert read_text(Reads(worse), Reads(better)) == better
    assert read_text(Reads(""), Reads("")) == ""


@pytest.mark.parametrize(
    "text",
    [
        prose("lathes"),
        "東京都庁舎は新宿区にあります。" * 30,
        "مرحبا بكم في دليل السلامة " * 30,
        "Donaudampfschifffahrtsgesellschaft kauft Schiffe. " * 9,
        "https://example.org/a/very/long/path/that/goes/on " * 9,
        "\ufb01ne line\ufffe\r\nnext",
    ],
)
def test_ordinary_text_is_not_garbage(text: str) -> None:
    """Text in any script passes without being read again."""
    assert garbled_share(text) < 0.1


def test_every_ending_that_is_listed_can_be_read() -> None:
    """A file that a root lists for its ending never lacks an extractor."""
    assert EXTRACTORS.keys() == {*DOCUMENT_SUFFIXES.values()}
