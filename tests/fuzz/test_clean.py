"""Cleaning drops what it is documented to drop and nothing else, from any text."""

from __future__ import annotations

import re
import time
import unicodedata
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.extract.cleaning import clean
from ingest.extract.garbled import garbled_share
from ingest.extract.running_lines import MIN_RUNNING_LINE_PAGES, remove_running_lines
from ingest.models import Heading
from tests.fuzz.texts import TRAPS, raw, structured

pytestmark = pytest.mark.timeout(7200)  # of the long profile

# Controls, invisible characters, halves of pairs; hyphens, which are counted apart; dots, which may
# be leaders.
DROPPED = re.compile(
    "[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\xad\u034f\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff"
    "\ufffe\uffff\ud800-\udfff\u2010.\u00b7\u2024-\u2026\u22ef\u30fb\uff0e-]|\\s"
)


def count_shown(text: str) -> Counter[str]:
    """The characters of a text that must not get lost, each in its plainest form."""
    plain = unicodedata.normalize("NFKD", DROPPED.sub("", text))
    return Counter(DROPPED.sub("", plain))


@given(raw)
def test_nothing_is_dropped_but_what_cannot_be_seen(text: str) -> None:
    """Every letter, digit and sign of my page is there, however it was stored."""
    assert count_shown(clean(text)) == count_shown(text)


@given(raw)
def test_a_hyphen_is_dropped_only_where_a_line_ends(text: str) -> None:
    """A compound stays a compound; only as many hyphens go as there are broken lines."""
    left = len(re.findall("[-\u2010]", clean(text)))

    assert left <= len(re.findall("[-\u2010\xad\ufffe\x02]", text))
    assert len(re.findall("[-\u2010]", text)) - left <= len(re.findall("[\n\r\f]", text))


@given(raw | structured)
def test_cleaning_twice_changes_nothing(text: str) -> None:
    """What is clean can be stored, and stays as it is."""
    once = clean(text)

    once.encode("utf-8")
    assert clean(once) == once
    assert once == once.strip()
    assert not re.search(r"[ \t]\n|[\0\r\ufffe]", once)


@given(raw)
def test_quality_is_a_share(text: str) -> None:
    """Any page can be judged."""
    assert 0 <= garbled_share(text) <= 1


lines = st.sampled_from(
    ["Handbook", "Page 1", "Page 2", "3", "IV", "Chapter 1 · 17", "", "٣", "1 2 3", "a|b", *TRAPS]
)
pages = st.lists(st.lists(lines, max_size=9).map("\n".join).map(clean), max_size=12)
titles = st.lists(
    st.builds(Heading, st.integers(-1, 4), lines.map(clean), st.integers(-1, 14)), max_size=6
)


@given(pages, titles)
def test_running_lines_are_said_once(book: list[str], headings: list[Heading]) -> None:
    """Of a line that repeats on my pages, one is left; what stands once is never touched."""
    left, _ = remove_running_lines(book, headings)

    assert len(left) == len(book)
    if len(book) < MIN_RUNNING_LINE_PAGES:
        assert list(left) == book
    counts = Counter(line for page in book for line in page.split("\n"))
    lines = {line for page in left for line in page.split("\n")}
    for line, times in counts.items():
        if line.strip() and times == 1 and not re.search(r"\d", line) and not headings:
            assert line.strip() in {each.strip() for each in lines}


@pytest.mark.parametrize(
    "text",
    [
        *(pytest.param(trap * 100_000, id=f"{trap!a} for ever") for trap in TRAPS if len(trap) < 3),
        pytest.param(" " * 100_000 + "x \n", id="an endless space"),
        pytest.param("\t " * 100_000 + "x \n", id="tabs and spaces"),
        pytest.param("-\n" * 100_000 + "a", id="hyphens and lines"),
        pytest.param("\xad\n" * 100_000 + "a", id="soft hyphens and lines"),
        pytest.param("e" + "\u0301\u0323" * 70_000, id="accents in no order"),
        pytest.param("\u202b\u202c" * 100_000, id="marks of direction"),
        pytest.param(".  " * 100_000 + "\n. . ", id="leader dots"),
        pytest.param("a.....\n" * 30_000, id="many leaders"),
        pytest.param("1 a " * 30_000, id="numbers that count with the pages"),
        pytest.param("/g1" * 100_000, id="glyph names"),
        pytest.param("ﷺ" * 30_000, id="a ligature of 18 letters"),
        pytest.param("abcdefghij" * 30_000, id="an endless word"),
    ],
)
def test_a_long_text_of_anything_is_clean_in_time(text: str) -> None:
    """No page holds up a run, whatever is on it."""
    started = time.process_time()

    once = clean(text)
    garbled_share(text)
    remove_running_lines([once] * 4)
    remove_running_lines([once.replace("1", str(page)) for page in range(4)])

    assert time.process_time() - started < 10  # a guard against quadratic time, not a benchmark
