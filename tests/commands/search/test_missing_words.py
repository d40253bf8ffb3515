"""Words of a question that stand nowhere."""

from __future__ import annotations

import pytest

from ingest.commands.search.search import find_missing_words

WORDS = {"lathe", "oil", "xj-900", "4,000"}


@pytest.mark.parametrize(
    ("question", "missing"),
    [
        ("xyzzy", ("xyzzy",)),
        ("What is Xyzzy?", ("Xyzzy",)),
        ("Xyzzy frobnicator", ("Xyzzy", "frobnicator")),
        ("lathe xyzzy", ()),
        ("How do I oil the XJ-901 and the XJ-900?", ("XJ-901",)),
        ("Does the lathe use 5,000 litres or 4,000 of oil?", ("5,000",)),
        ("Which grease do people recommend for frobnicators?", ()),
        ("Are there 3 sorts of grease for it?", ()),
        ("???", ()),
    ],
)
def test_a_search_says_which_words_stand_nowhere(question: str, missing: tuple[str, ...]) -> None:
    """A search names the words of a short question, and codes, that stand in no document."""

    def is_found(text: str) -> bool:
        return not WORDS.isdisjoint(text.casefold().split())

    assert find_missing_words(question, is_found) == missing
