"""Questions in scripts that the English local model has not learnt."""

from __future__ import annotations

import pytest

from ingest.commands.search.scripts import uses_vector
from ingest.embed.minilm import local_embedder
from ingest.models import Mode

LOCAL = local_embedder(1).model


@pytest.mark.parametrize(
    "question", ["البطارية أين أضعها؟", "旋盤の使い方", "Как выключить станок LT-7?"]
)
def test_a_question_that_the_local_model_cannot_read_is_searched_by_words(question: str) -> None:
    """A model that knows English only ranks Japanese pages at random."""
    assert not uses_vector(Mode.HYBRID, question, LOCAL)
    assert uses_vector(Mode.HYBRID, question, "local:multilingual-e5-small-q4")
    assert uses_vector(Mode.VECTOR, question, LOCAL)


@pytest.mark.parametrize(
    "question", ["Wo ist das Öl?", "ＬＴ－７ manual", "2024?", "The Ω in the menu"]
)
def test_a_question_in_latin_letters_is_searched_by_meaning_too(question: str) -> None:
    """Whatever its accents or width, and with a few other letters."""
    assert uses_vector(Mode.HYBRID, question, LOCAL)
    assert not uses_vector(Mode.TEXT, question, LOCAL)
