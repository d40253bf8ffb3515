"""Pages from a service that is paid by the page, and a memory of it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import pytest

from ingest.errors import DocumentError, ServiceError
from ingest.extract.ocr import PageRejected, ResultLost, SubmittedPage
from ingest.extract.ocr.page_cache import CachedOcr, ScannedPages
from ingest.models import CachedPage, OcrResult
from ingest.runtime.timing import RECOGNISING_PAGES, Stopwatch
from tests.processes import PATIENCE


@dataclass
class Shelf:
    """A memory, and what was written to it in which order."""

    pages: dict[str, CachedPage] = field(default_factory=dict)
    written: list[CachedPage] = field(default_factory=list)

    def cached_page(self, key: str) -> CachedPage | None:
        return self.pages.get(key)

    def cache_page(self, page: CachedPage) -> None:
        self.pages[page.key] = page
        self.written.append(page)


@dataclass
class Reader:
    """A service that reads what it is given, once it may."""

    taken: list[bytes] = field(default_factory=list)
    gone: int = 0  # answers that never come
    may: threading.Event = field(default_factory=threading.Event)
    fails: Exception | None = None

    def submit(self, picture: bytes) -> SubmittedPage:
        if picture == b"bad":
            raise PageRejected("it is bad")
        time.sleep(0.02)  # on its way, and nobody knows of it yet
        self.taken.append(picture)
        return SubmittedPage(picture.decode(), 0.0)

    def wait_for_result(self, submitted: SubmittedPage) -> OcrResult:
        self.may.wait(PATIENCE)
        if self.fails:
            raise self.fails
        if self.gone:
            self.gone -= 1
            raise ResultLost("forgotten")
        return OcrResult(f"text of {submitted.operation}", 0.9)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def reader() -> Reader:
    made = Reader()
    made.may.set()
    return made


def scans(source: str, *pages: str, drawn: str = "", file: str = "") -> ScannedPages:
    def draw(page: int) -> bytes:
        if pages[page - 1] == "hidden":
            raise DocumentError("cannot be drawn")
        return (drawn or pages[page - 1]).encode()

    return ScannedPages("/docs", source, dict(enumerate(pages, 1)), draw, file=file)


def test_what_was_taken_is_kept_before_its_answer_is_waited_for(
    shelf: Shelf, reader: Reader
) -> None:
    """A run may die in between: the next one only has to ask."""
    pages = CachedOcr(shelf, reader, "read", Stopwatch())
    found = pages.recognise(scans("a.pdf", "one"))
    pages.close()

    assert found.texts == {1: OcrResult("text of one", 0.9)}
    operation, answer = shelf.written
    assert (operation.operation, operation.recognised) == ("one", None)
    assert answer.recognised == found.texts[1]
    assert (answer.root, answer.source) == ("/docs", "a.pdf")


def test_an_answer_that_was_not_waited_for_is_asked_for_by_the_next_run(
    shelf: Shelf, reader: Reader
) -> None:
    """Without sending the page again."""
    reader.fails = ServiceError("the service is down")
    pages = CachedOcr(shelf, reader, "read", Stopwatch())
    with pytest.raises(ServiceError):
        pages.recognise(scans("a.pdf", "one"))
    pages.close()

    reader.fails = None
    pages = CachedOcr(shelf, reader, "read", Stopwatch())
    assert pages.recognise(scans("a.pdf", "one")).texts
    pages.close()
    assert reader.taken == [b"one"]


def test_documents_that_have_the_same_page_at_the_same_time_wait_for_one_answer(
    shelf: Shelf, reader: Reader
) -> None:
    """Eight readers of the same page: one is paid for."""
    reader.may.clear()
    times = Stopwatch()
    pages = CachedOcr(shelf, reader, "read", times)
    found: list[str] = []

    def read(source: str) -> None:
        found.append(pages.recognise(scans(source, "same", "same")).texts[2].text)

    threads = [threading.Thread(target=read, args=(f"{n}.pdf",)) for n in range(8)]
    for thread in threads:
        thread.start()
    threading.Timer(0.3, reader.may.set).start()
    for thread in threads:
        thread.join(10)
    pages.close()

    assert found == ["text of same"] * 8
    assert reader.taken == [b"same"]
    assert times.wall_seconds(RECOGNISING_PAGES) >= 0.2


def test_another_model_reads_the_page_anew(shelf: Shelf, reader: Reader) -> None:
    """What one model made of a page is not what the other would."""
    for name in ("read", "layout", "read"):
        pages = CachedOcr(shelf, reader, name, Stopwatch())
        pages.recognise(scans("a.pdf", "one"))
        pages.close()
    assert reader.taken == [b"one", b"one"]


def test_one_page_that_cannot_be_read_costs_itself(shelf: Shelf, reader: Reader) -> None:
    """Refused by the service, or impossible to draw."""
    pages = CachedOcr(shelf, reader, "read", Stopwatch())
    found = pages.recognise(scans("a.pdf", "one", "bad", "hidden", "two"))
    pages.close()
    assert set(found.texts) == {1, 4}
    assert found.refused == (2, 3)


def test_answers_that_never_come_are_given_up(shelf: Shelf, reader: Reader) -> None:
    """After three pages paid for, and with the service's words; two failures are survived."""
    reader.gone = 2
    pages = CachedOcr(shelf, reader, "read", Stopwatch())
    assert set(pages.recognise(scans("a.pdf", "one")).texts) == {1}
    assert len(reader.taken) == 3

    reader.gone = 99
    assert pages.recognise(scans("a.pdf", "two")).refused == (1,)
    assert len(reader.taken) == 6
    pages.close()


def test_a_page_found_in_another_document_stays_when_the_first_one_goes(
    shelf: Shelf, reader: Reader
) -> None:
    """It belongs to the document that had it last."""
    pages = CachedOcr(shelf, reader, "read", Stopwatch())
    pages.recognise(scans("a.pdf", "one"))
    pages.recognise(scans("b.pdf", "one"))
    pages.close()
    assert shelf.written[-1].source == "b.pdf"
    assert reader.taken == [b"one"]


@pytest.mark.parametrize("order", ["am", "ma", "amam"])
def test_a_claimed_hash_gives_no_text_of_another_document(
    shelf: Shelf, reader: Reader, order: str
) -> None:
    """A reader that was taken over says that its page is yours, before you or after you."""
    pages = CachedOcr(shelf, reader, "read", Stopwatch())
    documents = {
        "m": scans("mine.pdf", "one", file="my bytes"),
        "a": scans("attacker.pdf", "one", drawn="evil", file="its bytes"),
    }
    for who in order:
        text = pages.recognise(documents[who]).texts[1].text
        assert text == {"m": "text of one", "a": "text of evil"}[who]
    assert sorted(reader.taken) == [b"evil", b"one"]

    # Nor does it cost my other documents anything.
    for page in (scans("copy.pdf", "one", file="my bytes"), scans("other.pdf", "one", file="more")):
        assert pages.recognise(page).texts[1].text == "text of one"
    assert len(reader.taken) == 2
    pages.close()


def test_a_claimed_hash_gives_no_text_while_the_other_document_is_read(
    shelf: Shelf, reader: Reader
) -> None:
    """Neither document gets the answer that the other one waits for."""
    reader.may.clear()
    pages = CachedOcr(shelf, reader, "read", Stopwatch())
    calls = [
        pages.start_call(1, scans("mine.pdf", "one")),
        pages.start_call(1, scans("attacker.pdf", "one", drawn="evil")),
    ]
    reader.may.set()
    texts = [call.result(PATIENCE) for call in calls]
    assert texts == [OcrResult("text of one", 0.9), OcrResult("text of evil", 0.9)]
    pages.close()


def test_the_same_document_pays_nothing_when_its_pages_look_different(
    shelf: Shelf, reader: Reader
) -> None:
    """A new version of the renderer, an edit of another page, a rename and a copy."""
    pages = CachedOcr(shelf, reader, "read", Stopwatch())
    for page in (
        scans("a.pdf", "one", file="bytes"),
        scans("a.pdf", "one", file="edited", drawn="sharper"),
        scans("renamed.pdf", "one", file="edited", drawn="darker"),
    ):
        assert pages.recognise(page).texts[1].text == "text of one"
    pages.close()
    assert reader.taken == [b"one"]


def test_without_a_service_pages_are_only_counted(shelf: Shelf, reader: Reader) -> None:
    """A plan finds what was paid for, counts the rest once, and writes nothing."""
    pages = CachedOcr(shelf, reader, "read", Stopwatch())
    pages.recognise(scans("a.pdf", "one"))
    pages.close()
    written = list(shelf.written)

    plan = CachedOcr(shelf, None, "read", Stopwatch())
    found = plan.recognise(scans("b.pdf", "one", "two", "two", "three"))
    plan.close()

    assert set(found.texts) == {1}
    assert found.refused == ()
    assert len(plan.unsent) == 2
    assert shelf.written == written
