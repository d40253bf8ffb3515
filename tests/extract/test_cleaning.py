"""Text as a person would have typed it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.extract.cleaning import clean, unwrap_unspaced_lines


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        pytest.param("a\0b\x07c", "abc", id="control characters"),
        pytest.param("lone \ud800 half", "lone  half", id="half a surrogate pair"),
        pytest.param("one\r\ntwo\rthree\ffour", "one\ntwo\nthree\nfour", id="line ends"),
        pytest.param("eﬃcient ﬂow ﬁnds", "efficient flow finds", id="ligatures"),
        pytest.param("ﻣﺮﺣﺒﺎ", "مرحبا", id="arabic letters by position"),
        pytest.param("⼆⽉", "二月", id="radicals as characters"),
        pytest.param("instru\ufffements", "instruments", id="a hyphen as PDFium marks it"),
        pytest.param("instru\x02\r\nments", "instruments", id="as it used to mark it"),
        pytest.param("instru-\nments", "instruments", id="a word over two lines"),
        pytest.param("Müller-\nLüdenscheidt", "Müller-Lüdenscheidt", id="a double name over two"),
        pytest.param("instru- \t\nments", "instruments", id="with stray space behind its hyphen"),
        pytest.param("instru-\u200b\nments", "instruments", id="with something invisible there"),
        pytest.param(
            "cafe\u0301-\nte\u0301ria", "cafétéria", id="a word over two lines with accents"
        ),
        pytest.param("1990-\n1999", "1990-1999", id="a range of numbers"),
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


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        pytest.param("Method . . . . . . 5\nRest. . . . 12", "Method 5\nRest 12", id="spaced"),
        pytest.param("Method ........ 5\nEnd", "Method 5\nEnd", id="close together"),
        pytest.param("A long title.... xii\nEnd", "A long title xii\nEnd", id="four and a number"),
        pytest.param("第一章……………… 5\nEnd", "第一章 5\nEnd", id="of three dots each"),
        pytest.param("概要・・・・・・ 5\nEnd", "概要 5\nEnd", id="in Japanese"),
        pytest.param("Name: ............", "Name:", id="to write on"),
        pytest.param("Name: ____________ Date: ______", "Name: Date:", id="a blank"),
        pytest.param("pad('_____')\n", "pad('_____')", id="underscores of a program"),
        pytest.param("Method ------------- 5\nEnd", "Method 5\nEnd", id="dashes"),
        pytest.param("a ----- b\n------\n5", "a ----- b\n------\n5", id="dashes to nowhere"),
        pytest.param("above\n.................\nbelow", "above\nbelow", id="a rule"),
        pytest.param("| Nails ..... | 5 |", "| Nails | 5 |", id="in a table"),
        pytest.param("well... and so on.... Then", "well... and so on.... Then", id="ellipses"),
        pytest.param("a . . . b, 他说……走", "a . . . b, 他说……走", id="ellipses of other kinds"),
        pytest.param("cd ../../.. and 1..5", "cd ../../.. and 1..5", id="paths and ranges"),
    ],
)
def test_dots_that_lead_to_a_page_number_are_left_out(raw: str, wanted: str) -> None:
    """A table of contents is titles and numbers; an ellipsis stays."""
    assert clean(raw) == wanted


def test_lines_of_thai_are_one_text() -> None:
    """A line ends between any two words; a list of names stays a list, and a title a title."""
    first, second = "นักเรียนทุกคนต้องนำบัตรมาแสดง", "ก่อนเข้าห้องสมุด"

    assert unwrap_unspaced_lines(f"{first}\n{second}") == first + second
    form = "会議室利用申込書\n利用日：２０２５年１０月３日、時間：１３：００"
    assert unwrap_unspaced_lines(form) == form
    assert unwrap_unspaced_lines("時間割表\n時限 月 火") == "時間割表\n時限 月 火"
    assert unwrap_unspaced_lines("英語版への\n翻訳") == "英語版への翻訳"
    assert unwrap_unspaced_lines("สมชาย\nสมหญิง\nมานะ") == "สมชาย\nสมหญิง\nมานะ"
