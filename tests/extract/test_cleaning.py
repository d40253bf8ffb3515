"""Text as a person would have typed it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.extract.cleaning import clean, remove_running_lines
from ingest.models import Heading


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        pytest.param("a\0b\x07c", "abc", id="control characters"),
        pytest.param("lone \ud800 half", "lone  half", id="half a surrogate pair"),
        pytest.param("one\r\ntwo\rthree\ffour", "one\ntwo\nthree\nfour", id="line ends"),
        pytest.param("eﬃcient ﬂow ﬁnds", "efficient flow finds", id="ligatures"),
        pytest.param("ﻣﺮﺣﺒﺎ", "مرحبا", id="arabic letters by position"),
        pytest.param("instru\ufffements", "instruments", id="a hyphen as PDFium marks it"),
        pytest.param("instru\x02\r\nments", "instruments", id="as it used to mark it"),
        pytest.param("instru-\nments", "instruments", id="a word over two lines"),
        pytest.param("Müller-\nLüdenscheidt", "Müller-Lüdenscheidt", id="a double name over two"),
        pytest.param("instru- \t\nments", "instruments", id="with stray space behind its hyphen"),
        pytest.param("instru-\u200b\nments", "instruments", id="with something invisible there"),
        pytest.param(
            "cafe\u0301-\nte\u0301ria", "cafétéria", id="a word over two lines with accents"
        ),
        pytest.param("1990-\n1999", "1990-\n1999", id="a range of numbers"),
        pytest.param("co\xadop and hy\xad\nphen", "coop and hyphen", id="soft hyphens"),
        pytest.param("a\xa0b\u2009c", "a b c", id="spaces of other widths"),
        pytest.param("e\u0301", "é", id="a letter and its accent"),
        pytest.param("  end  \nnext \t\n", "end\nnext", id="stray space"),
        pytest.param("می\u200cخواهم 👩\u200d🔧", "می\u200cخواهم 👩\u200d🔧", id="joiners stay"),
        pytest.param("\u202bעברית\u202c\ufeff", "עברית", id="marks of direction go"),
    ],
)
def test_what_is_cleaned(raw: str, wanted: str) -> None:
    """I can search for the words as I would type them."""
    assert clean(raw) == wanted


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param("a" + " \t" * 200_000 + "b \nc", id="space without end"),
        pytest.param("e" + "\u0323\u0301" * 200_000, id="a letter with 400,000 accents"),
    ],
)
def test_the_worst_pages_are_cleaned_too(raw: str) -> None:
    """Whatever a page holds, it does not take for ever, and nothing of it is lost."""
    started = time.process_time()

    text = clean(raw)

    assert time.process_time() - started < 5  # a guard against quadratic time, not a benchmark
    assert len(text.replace("\u034f", "")) == len(raw) - 1  # the space; two that are one


@given(st.text())
def test_any_text_becomes_storable(raw: str) -> None:
    """No document can hold a character that an index refuses; cleaning twice changes nothing."""
    text = clean(raw)

    text.encode("utf-8")
    assert not {"\0", "\r", "\ufffe"} & set(text)
    assert clean(text) == text


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
    pages = remove_running_lines(book())

    assert pages[0] == book()[0]  # what they say is said once
    assert list(pages[1:]) == [body(n) for n in range(1, 12)]


def test_left_and_right_pages_may_differ() -> None:
    """A book has its title on the left and its author on the right."""
    pages = [("Left" if n % 2 else "Right") + f"\n{body(n)}" for n in range(12)]

    assert list(remove_running_lines(pages))[2:] == [body(n) for n in range(2, 12)]


def test_a_header_may_name_the_chapter() -> None:
    """A running header that repeats the heading above it goes, the heading itself stays."""
    headings = [Heading(1, "One", 1), Heading(1, "Two", 7)]
    starts = {0: "One\n", 6: "Two\n"}
    pages = [
        f"{starts.get(n, '')}{body(n)}\nHandbook · {'One' if n < 6 else 'Two'}" for n in range(12)
    ]

    cleaned = remove_running_lines(pages, headings)

    assert cleaned[0] == pages[0]
    assert list(cleaned[1:]) == [starts.get(n, "") + body(n) for n in range(1, 12)]


def test_the_first_row_of_a_long_table_is_no_header() -> None:
    """Numbers that neither stay nor count with the pages are content."""
    pages = [f"Invoice {n * n * 37 % 101} {n * 911 % 77}\n{body(n)}" for n in range(12)]

    assert remove_running_lines(pages) == tuple(pages)


def test_a_few_pages_keep_everything() -> None:
    """In a leaflet, a line that stands twice is content."""
    assert remove_running_lines(book(3)) == tuple(book(3))
