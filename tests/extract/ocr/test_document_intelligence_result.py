"""Parser of a page's OCR result: text, tables, confidence."""

from __future__ import annotations

from typing import Any

import pytest

from ingest.extract.ocr.document_intelligence_result import parse_result


def result(content: str, *words: tuple[str, float], tables: Any = ()) -> dict[str, Any]:
    made = [{"content": text, "confidence": confidence} for text, confidence in words]
    return {"content": content, "pages": [{"pageNumber": 1, "words": made}], "tables": tables}


def table(content: str, block: str, *rows: tuple[str, ...]) -> dict[str, Any]:
    cells = [
        {"rowIndex": r, "columnIndex": c, "content": text}
        for r, row in enumerate(rows)
        for c, text in enumerate(row)
    ]
    span = {"offset": content.index(block), "length": len(block)}
    size = {"rowCount": len(rows), "columnCount": len(rows[0])}
    return {**size, "cells": cells, "spans": [span]}


def test_confidence_is_weighted_by_the_length_of_words() -> None:
    """A long word that was misread weighs more than a short one."""
    found = parse_result(result("a hippopotamus", ("a", 1.0), ("hippopotamus", 0.5)))
    assert found.confidence == pytest.approx((1 + 12 * 0.5) / 13)


def test_a_page_without_words_was_not_misread() -> None:
    """An empty page is not listed as doubtful."""
    found = parse_result(result(""))
    assert (found.text, found.confidence) == ("", 1.0)


def test_tables_stand_where_they_were_as_markdown() -> None:
    """Two of them, after characters that other programs count as two."""
    content = "𝒢𝒢 before\nA B\n1 2\nbetween\nC\n3\nafter"
    one = table(content, "A B\n1 2", ("A", "B"), ("1", "2|3"))
    two = table(content, "C\n3", ("C",), ("3\nx",))
    assert parse_result(result(content, tables=[one, two])).text == (
        "𝒢𝒢 before\n\n| A | B |\n| --- | --- |\n| 1 | 2\\|3 |\n\nbetween\n\n"
        "| C |\n| --- |\n| 3 x |\n\nafter"
    )


def test_a_table_in_several_places_stays_text() -> None:
    """Nothing is lost where it cannot be said what to replace."""
    content = "A 1 and B 2"
    odd = table(content, "A 1", ("A", "1"))
    odd["spans"].append({"offset": 8, "length": 3})
    assert parse_result(result(content, tables=[odd])).text == content


def test_boxes_of_a_form_are_signs() -> None:
    """Ticked or not can be read."""
    assert parse_result(result("yes :selected: no :unselected:")).text == "yes ☒ no ☐"


@pytest.mark.parametrize(
    "wrong", [{}, {"content": "x"}, {"content": "x", "pages": [{"words": [1]}]}]
)
def test_what_is_no_answer_raises(wrong: dict[str, Any]) -> None:
    """An answer that cannot be read is asked for again."""
    with pytest.raises((KeyError, TypeError, ValueError)):
        parse_result(wrong)
