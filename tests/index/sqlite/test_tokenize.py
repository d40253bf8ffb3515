"""Words as the index sees them, in any script."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingest.index.sqlite.tokenize import highlight, match_query, query_terms, segment


def test_unspaced_scripts_come_in_pairs() -> None:
    """Two characters of Japanese are found inside a sentence without spaces."""
    assert query_terms("東京都の lathe") == ["東京", "京都", "都の", "lathe"]
    assert match_query(["東京", "lathe"]) == '"東 京" OR "lathe"'
    assert segment("東京abc").split() == ["東", "京", "abc"]


def test_a_question_cannot_break_the_query() -> None:
    """Quotes, operators and brackets are just characters I typed."""
    assert query_terms('"a" OR (b* NEAR c) -d ^e:') == ["a", "OR", "b", "NEAR", "c", "d", "e"]


@given(st.text(), st.lists(st.text(min_size=1), max_size=5))
def test_marking_changes_nothing_but_adds_marks(text: str, words: list[str]) -> None:
    """The passage I am shown is the passage in the document."""
    assert highlight(text, words, "\x01", "\x02").replace("\x01", "").replace(
        "\x02", ""
    ) == text.replace("\x01", "").replace("\x02", "")


def test_marks_ignore_case_and_accents() -> None:
    """I type resume and see Résumé marked."""
    assert highlight("Résumé, 東京都", ["resume", "京都"], "[", "]") == "[Résumé], 東[京都]"
