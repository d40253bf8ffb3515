"""Lines of a chunk's text that are shown as paragraphs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.commands.search.paragraphs import join_wrapped_lines
from ingest.commands.search.passages import Passages

PROSE = """\
5.2 When you are ill
Let your team know before nine on the first day, by phone or by
message, and say when you expect to be back. You need not say
what you have.
A certificate from a doctor is needed on the fourth day of an
illness.
• safety shoes in all halls
• glasses at the lathes"""

FORM = """\
Invoice 2026-0417
Customer: K-88213
Date: 17.04.2026
1 Pump housing PG-41, steel 4 318.50 1,274.00
2 Seals 12 9.80 117.60
Payable within thirty days. Within ten days we grant two per cent
discount."""

PROGRAM = """\
Take each node out of service:
$ drain --all node-1 || exit 7
$ start node-1
The code is seven where that fails, and all nodes are as before."""

SLIDE = "What went wrong\nThe supplier was late\nTwo recalls of a sensor\nRoadmap"

JAPANESE = "第1章 総則\nこの規則は、従業員の労働条件および服務規律を定めるものである。\n六か月 十日"


def test_a_paragraph_is_one_line_and_a_heading_another() -> None:
    """I read sentences, not the lines of the page, and see where a section or an item begins."""
    heading, paragraph, *others = join_wrapped_lines(PROSE).split("\n")
    assert heading == "5.2 When you are ill"
    assert paragraph.startswith("Let your team know before nine on the first day, by phone or by m")
    assert paragraph.endswith("when you expect to be back. You need not say what you have.")
    assert others == [
        "A certificate from a doctor is needed on the fourth day of an illness.",
        "• safety shoes in all halls",
        "• glasses at the lathes",
    ]


def test_a_heading_or_an_item_is_a_line_after_a_full_one_too() -> None:
    """The last line of a paragraph may end where the page does; the outline knows the heading."""
    full = f"illness, and in {'all other ' * 4}cases.\n"
    for bullet in "•", "–", "2.":
        items = PROSE.replace("illness.\n", full).replace("•", bullet)
        assert join_wrapped_lines(items).split("\n")[-2].startswith(bullet)
    text = PROSE.replace("illness.\n", f"{full}Lone work\n")
    assert "cases. Lone work" in join_wrapped_lines(text)
    sections = {"section_offsets": [text.index("Lone")], "sections": ["Lone work"]}
    shown = Passages.of({"content": text, "page_start": 1, **sections}).text
    assert "cases.\nLone work\n" in shown
    assert len(shown) == len(text)


def test_the_lines_of_a_form_stay_apart() -> None:
    """Each position of an invoice is a line, as it is on the page; the sentence below is one."""
    *form, sentence = join_wrapped_lines(FORM).split("\n")
    assert form == FORM.split("\n")[:-2]
    assert sentence.endswith("two per cent discount.")


@pytest.mark.parametrize(
    "text", [PROGRAM, SLIDE, JAPANESE, "| a | b |\n| c | d |", "", "one", "\n\n"]
)
def test_programs_and_rows_keep_their_lines(text: str) -> None:
    """A program on one line could not be read, let alone run."""
    assert join_wrapped_lines(text) == text


@settings(max_examples=30)
@given(st.text(alphabet="aA1. |\n•ä池", max_size=80))
def test_no_character_moves(text: str) -> None:
    """Offsets of pages and sentences are those of the text itself."""
    joined = join_wrapped_lines(text)
    assert joined.replace("\n", " ") == text.replace("\n", " ")
