"""Words as the index sees them, in any script."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingest.index.sqlite.tokenize import highlight, index_words, match_query, query_terms, segment


def test_unspaced_scripts_come_in_pairs() -> None:
    """Two characters of Japanese are found inside a sentence without spaces."""
    assert query_terms("東京都の lathe") == ["東京", "京都", "都の", "lathe"]
    assert match_query(["東京", "lathe"]) == '"東 京" OR "lathe"'
    assert segment("東京abc").split() == ["東", "京", "abc"]


def test_a_question_cannot_break_the_query() -> None:
    """Quotes, operators and brackets are just characters I typed."""
    assert query_terms('"a" OR (b* NEAR c) -d ^e:') == ["a", "or", "b", "near", "c", "d", "e"]


@given(st.text(), st.lists(st.text(min_size=1), max_size=5))
def test_marking_changes_nothing_but_adds_marks(text: str, words: list[str]) -> None:
    """The passage I am shown is the passage in the document."""
    assert highlight(text, words, "\x01", "\x02").replace("\x01", "").replace(
        "\x02", ""
    ) == text.replace("\x01", "").replace("\x02", "")


def test_marks_ignore_case_and_accents() -> None:
    """I type resume and see Résumé marked."""
    assert highlight("Résumé, 東京都", ["resume", "京都"], "[", "]") == "[Résumé], 東[京都]"


def test_marks_ignore_hyphens_and_the_width_of_letters() -> None:
    """I typed COVID19, and see COVID-19; a plain name, and see it as it is printed."""
    assert highlight("of COVID-19, of COVID", ["covid19"], "[", "]") == "of [COVID-19], of COVID"
    assert highlight("of COVID-19", ["covid", "19", "covid19"], "[", "]") == "of [COVID-19]"
    assert highlight("Part ＡＢ１", ["ab1"], "[", "]") == "Part [ＡＢ１]"
    words = query_terms("LG-7 4,000")
    assert (
        highlight("LG-7-L, 7.4, 4,000 €, v4,0", words, "[", "]") == "[LG-7]-L, 7.4, [4,000] €, v4,0"
    )


def test_words_are_indexed_in_their_plainest_form() -> None:
    """Mathematical letters, footnote marks and ligatures do not hide a word."""
    assert index_words("𝐄𝐧𝐞𝐫𝐠𝐲 of months¹ in m² ﬁnds Straße").split() == (
        ["energy", "of", "months", "1", "in", "m", "2", "finds", "strasse"]
    )
    assert index_words("COVID-19-Test").split("\n")[1].split() == [
        "covid19test",
        "covid19",
        "19test",
    ]
    assert query_terms("Straße m² COVID-19") == (
        ["strasse", "m", "2", "covid-19", "covid", "covid19"]
    )
    assert query_terms("v3.11.2 XJ-9 2020-21") == (
        ["v3.11.2", "xj-9", "2020", "21", "xj9", "202021"]
    )


def test_an_arabic_word_is_found_with_its_article_and_endings() -> None:
    """Whether I ask for batteries, the battery, or its batteries; with vowel signs or without."""
    for written in ("البطاريات", "بطارية", "وبطارياته", "بَطَّارِيَّة", "بطـارية"):
        assert index_words(written).split() == ["بطار"], written
    for written in ("نهارًا", "نهاراً", "نهارا", "النهار"):
        assert index_words(written).split() == ["نهار"], written
    assert index_words("إلى الآبار").split() == ["ال", "ابار"]
    assert index_words("و وال في").split() == ["و", "وال", "في"]
    assert highlight("تُحفظ البطاريات هنا", query_terms("بطارية"), "<", ">") == (
        "تُحفظ <البطاريات> هنا"
    )
