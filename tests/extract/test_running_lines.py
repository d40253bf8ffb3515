"""Running headers and footers go, and nothing that people search for."""

from __future__ import annotations

import pytest

from ingest.extract.document import ExtractOptions, extract
from ingest.extract.running_lines import remove_running_lines
from ingest.models import Heading
from tests.pdfs import pdf

WORDS = ["lathe", "mill", "saw", "drill", "file", "vice", "anvil", "tongs", "chisel", "plane"]
WORDS += ["rasp", "clamp"]


def body(number: int) -> str:
    """Eight lines on a page, no two alike."""
    return "\n".join(
        f"{a} before {WORDS[number]} and {b}" for a, b in zip(WORDS, WORDS[4:], strict=False)
    )


def book(count: int = 12) -> list[str]:
    return [f"The Handbook\n{body(n)}\nPage {n + 1} of {count}" for n in range(count)]


def test_running_headers_and_footers_are_left_out() -> None:
    """The line on top of every page is not in every answer."""
    pages = remove_running_lines(book())[0]

    assert pages[0] == book()[0]  # what they say is said once
    assert list(pages[1:]) == [body(n) for n in range(1, 12)]


def test_left_and_right_pages_may_differ() -> None:
    """A book has its title on the left and its author on the right."""
    pages = [("Left" if n % 2 else "Right") + f"\n{body(n)}" for n in range(12)]

    assert list(remove_running_lines(pages)[0])[2:] == [body(n) for n in range(2, 12)]


def test_a_header_may_name_the_chapter() -> None:
    """A running header that repeats the heading above it goes, the heading itself stays."""
    headings = [Heading(1, "One", 1), Heading(1, "Two", 7)]
    starts = {0: "One\n", 6: "Two\n"}
    pages = [
        f"{starts.get(n, '')}{body(n)}\nHandbook · {'One' if n < 6 else 'Two'}" for n in range(12)
    ]

    cleaned = remove_running_lines(pages, headings)[0]

    assert cleaned[0] == pages[0]
    assert list(cleaned[1:]) == [starts.get(n, "") + body(n) for n in range(1, 12)]


def test_the_first_row_of_a_long_table_is_no_header() -> None:
    """Numbers that neither stay nor count with the pages are content."""
    pages = [f"Invoice {n * n * 37 % 101} {n * 911 % 77}\n{body(n)}" for n in range(12)]

    assert remove_running_lines(pages)[0] == tuple(pages)


def test_a_few_pages_keep_everything() -> None:
    """In a leaflet, a line that occurs twice is content."""
    assert remove_running_lines(book(3))[0] == tuple(book(3))


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("Invoice no. {year}-{serial}", id="invoices"),
        pytest.param("Ticket {serial}", id="tickets"),
        pytest.param("Week {page}", id="weeks, which count as the pages do"),
        pytest.param("Certificate of attendance no. {page}", id="certificates"),
        pytest.param("{serial}", id="a number by itself, far from that of the page"),
        pytest.param("{page}. Woche", id="an ordinal number"),
        pytest.param("Payslip {page}/2024", id="payslips"),
        pytest.param("Page {page} | Order {serial}", id="next to the number of the page"),
    ],
)
def test_a_number_that_counts_with_the_pages_is_content(line: str) -> None:
    """Numbers of invoices that count with the pages are kept."""
    numbers = [line.format(year=2024, serial=4100 + n, page=n + 1) for n in range(12)]
    pages = [f"{number}\nExample Ltd\n{body(n)}" for n, number in enumerate(numbers)]

    cleaned = remove_running_lines(pages)[0]

    assert [page.split("\n")[0] for page in cleaned] == numbers
    assert sum("Example Ltd" in page for page in cleaned) == 1


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("{page}", id="alone"),
        pytest.param("- {page} -", id="between dashes"),
        pytest.param("Page {page}", id="with a word"),
        pytest.param("p. {later}", id="of a reprint, with a word"),
        pytest.param("Seite {page} von 12", id="of all, in German"),
        pytest.param("{page}/12", id="of all"),
        pytest.param("第 {page} 页", id="in Chinese"),
        pytest.param("Annual report 2024 | {page}", id="next to a title"),
        pytest.param("The Handbook · {page}", id="behind a dot"),
        pytest.param("The Blue Handbook {page}", id="behind the title of the cover"),
        pytest.param("{offset}", id="after unnumbered front matter"),
    ],
)
def test_the_number_of_the_page_goes(line: str) -> None:
    """A page number is in no answer, whatever stands next to it."""
    pages = [
        f"{body(n)}\n{line.format(page=n + 1, later=n + 815, offset=n - 1)}" for n in range(1, 12)
    ]

    cleaned = remove_running_lines(["The Blue Handbook\nby A. Writer", *pages])[0]

    assert list(cleaned[2:]) == [body(n) for n in range(2, 12)]


def test_left_and_right_pages_have_their_number_at_the_outer_edge() -> None:
    """A number that changes sides is that of the page, and its neighbour a title."""
    pages = [f"{n + 1} Works" if n % 2 else f"Works {n + 1}" for n in range(12)]

    cleaned = remove_running_lines([f"{line}\n{body(n)}" for n, line in enumerate(pages)])[0]

    assert list(cleaned[2:]) == [body(n) for n in range(2, 12)]


def test_the_label_of_a_page_is_its_number() -> None:
    """Front matter is numbered in Roman, an annex by letter and number; viewers show them too."""
    labels = ["i", "ii", "iii", "iv", *map(str, range(1, 6)), "A-1", "A-2", "A-3"]
    pages = [f"{body(n)}\n{label}" for n, label in enumerate(labels)]

    cleaned = remove_running_lines(pages, labels=labels)[0]

    assert list(cleaned[1:]) == [body(n) for n in range(1, 12)]


def test_a_line_that_deviates_is_content() -> None:
    """One customer among many is not lost for being the exception."""
    numbers = [77, 77, 77, 77, 77, 77, 77, 78, 77, 77, 77, 77]
    pages = [f"Customer {number}\n{body(n)}" for n, number in enumerate(numbers)]

    assert "Customer 78" in "\n".join(remove_running_lines(pages)[0])


def test_a_line_that_is_the_heading_stays() -> None:
    """An outline that names each invoice does not make its number a running header."""
    headings = [Heading(1, f"No. {4100 + n}", n + 1) for n in range(12)]
    pages = [f"Invoice No. {4100 + n}\n{body(n)}" for n in range(12)]

    assert remove_running_lines(pages, headings)[0] == tuple(pages)


def test_what_is_left_out_is_counted() -> None:
    """The details of a source count the running lines that were left out."""
    document = extract(pdf(*book()), ExtractOptions())

    assert document.details.running == 22
    assert sum(len(r.headers) + len(r.footers) for r in document.running) == 22
    assert extract(pdf(*book(3)), ExtractOptions()).details.running == 0
