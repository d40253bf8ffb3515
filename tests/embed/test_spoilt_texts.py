"""Texts that a model cannot embed fail their document, and never the run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from ingest.config.connections import create_connections
from ingest.config.embedding import create_embedder
from ingest.config.settings import build_settings
from ingest.embed import Embedder, PartialEmbedding
from ingest.embed.validation import validate_vectors
from ingest.errors import ConfigError, IngestError, ServiceError
from ingest.models import Vectors
from tests.conftest import DIMENSIONS
from tests.embed.rate_limit.simulation import Slept
from tests.emulator import faults
from tests.emulator.emulator import Azure
from tests.emulator.server import Response

TEXTS = [f"text {n}" for n in range(9)]


@pytest.fixture
def model(azure: Azure) -> Iterator[Embedder]:
    """A client of the emulator, for which time passes by sleeping."""
    with closing(create_client(azure)) as made:
        yield made


def create_client(azure: Azure, **more: str) -> Embedder:
    settings = build_settings(azure.environment | more, {})
    slept = Slept()
    return create_embedder(
        settings, create_connections(settings, clock=slept.clock, sleep=slept.sleep)
    )


def spoil(azure: Azure, kind: str, *texts: str) -> None:
    azure.openai.spoilt = lambda text: kind if text in texts else ""


def refused_texts(call: Callable[[Sequence[str]], Any], texts: Sequence[str]) -> dict[int, str]:
    """The reasons, by place; the other texts have vectors."""
    with pytest.raises(PartialEmbedding) as caught:
        call(texts)
    assert caught.value.vectors.shape == (len(texts) - len(caught.value.reasons), DIMENSIONS)
    return dict(caught.value.reasons)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("500", "fails on it, and not on others .*unsupported value: NaN"),
        ("503", "fails on it, and not on others .*unsupported value: NaN"),
        ("403", "fails on it, and not on others .*unsupported value: NaN"),
        ("451", "fails on it, and not on others .*unsupported value: NaN"),
        ("null", "no vector"),
        ("NaN", "a vector with NaN or infinity"),
        ("zeros", "a vector of zeros"),
        ("short", f"a vector of {DIMENSIONS - 1} dimensions, not {DIMENSIONS}"),
    ],
)
def test_a_text_without_a_usable_vector_is_refused_and_the_others_are_not(
    azure: Azure, model: Embedder, kind: str, reason: str
) -> None:
    """One odd page of one PDF must not end every run over the library."""
    spoil(azure, kind, TEXTS[3], TEXTS[8])
    found = refused_texts(model.embed, TEXTS)
    assert set(found) == {3, 8}
    for each in found.values():
        assert re.search(reason, each)


def test_a_good_vector_beside_a_bad_one_is_not_paid_for_again(
    azure: Azure, model: Embedder
) -> None:
    """The answer had both: only the bad text is asked for again."""
    spoil(azure, "zeros", TEXTS[3])
    refused_texts(model.embed, TEXTS)
    assert set(azure.openai.repeated) <= {TEXTS[3], "probe"}


def test_a_text_that_fails_now_and_then_is_embedded(azure: Azure, model: Embedder) -> None:
    """Two bad answers for it, and then a good one: nothing is refused."""
    answers = iter(["zeros", "null"])
    azure.openai.spoilt = lambda text: next(answers, "") if text == TEXTS[3] else ""
    assert model.embed(TEXTS).shape == (len(TEXTS), DIMENSIONS)


@pytest.mark.parametrize("status", [500, 503])
def test_an_outage_blames_no_text(azure: Azure, model: Embedder, status: int) -> None:
    """The service answers 500 to everything for a while: that is waited out."""
    azure.faults.add(faults.fail_with(status), "openai", nth=range(1, 16))
    assert model.embed(TEXTS).shape == (len(TEXTS), DIMENSIONS)


def test_an_outage_without_end_is_the_services_failure(azure: Azure, model: Embedder) -> None:
    """A lasting outage ends the run with an error, and no text is refused."""
    azure.faults.add(faults.fail_with(500), "openai")
    with pytest.raises(ServiceError, match="run again later"):
        model.embed(TEXTS)


@pytest.mark.parametrize("after", [0, 5])
def test_a_firewall_blames_no_text(azure: Azure, model: Embedder, after: int) -> None:
    """It denies everything, from the start or from the middle of a search for the bad text."""
    spoil(azure, "403", TEXTS[3])
    page = b"<html><title>403</title><body><h1>Closed</h1>by the proxy</body></html>"
    closed = faults.answer_with("closed", Response(403, page))
    azure.faults.add(closed, "openai", nth=range(1 + after, 99))
    with pytest.raises(ConfigError, match=r"denies access \(403: Closed by the proxy\)"):
        model.embed(TEXTS)
    assert azure.count("openai") <= after + 2


@pytest.mark.parametrize("texts", [TEXTS, TEXTS[:1]])
def test_dimensions_that_do_not_fit_the_model_are_a_setting(
    azure: Azure, model: Embedder, texts: Sequence[str]
) -> None:
    """Wrong dimensions are an error of the settings, not of the service."""
    azure.openai.spoilt = lambda _: "short"
    with pytest.raises(IngestError) as caught:
        model.embed(texts)
    assert caught.value.exit_code == 2
    assert f"{DIMENSIONS - 1} dimensions, not {DIMENSIONS}" in str(caught.value)
    assert "AZURE_OPENAI_EMBEDDING_DIMENSIONS" in str(caught.value)
    assert "run again" not in str(caught.value)


def test_the_services_own_words_for_what_does_not_exist_are_shown(azure: Azure) -> None:
    """Ollama says which model to pull; the message keeps it."""
    with (
        closing(create_client(azure, AZURE_OPENAI_EMBEDDING_DEPLOYMENT="missing")) as model,
        pytest.raises(ConfigError, match=r"does not exist.*The API deployment for this resource"),
    ):
        model.embed(TEXTS)


def test_a_function_of_mine_may_fail_on_a_text() -> None:
    """A model in my program has no vector for one text: that text is refused, with its name."""

    def embed(texts: Sequence[str]) -> Vectors:
        return np.array(
            [[0.0 if text == TEXTS[3] else 1.0] * DIMENSIONS for text in texts], np.float32
        )

    mine = validate_vectors(Embedder(embed, "mine", DIMENSIONS))
    assert refused_texts(mine.embed, TEXTS) == {3: "mine returned a vector of zeros"}
    assert refused_texts(mine.embed, [TEXTS[3]]) == {0: "mine returned a vector of zeros"}
