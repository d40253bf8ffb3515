"""Embeddings, as OpenAI's SDK requests them from the emulator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import openai
import pytest
from azure.identity import ManagedIdentityCredential, get_bearer_token_provider

from tests.emulator.emulator import Azure
from tests.emulator.helpers import SCOPE, embed
from tests.emulator.identity import OPENAI_USER
from tests.emulator.vectors import hash_texts


@pytest.fixture
def legacy(azure: Azure, credential: ManagedIdentityCredential) -> Iterator[openai.AzureOpenAI]:
    """Azure OpenAI client of one deployment's URL."""
    with openai.AzureOpenAI(
        azure_endpoint=azure.openai_endpoint,
        api_version="2024-10-21",
        azure_ad_token_provider=get_bearer_token_provider(credential, SCOPE),
        max_retries=0,
    ) as made:
        yield made


def test_both_urls_give_the_same_vectors(
    client: openai.OpenAI, legacy: openai.AzureOpenAI, azure: Azure
) -> None:
    """It does not matter which of the two APIs my tool speaks."""
    new, old = embed(client, ["a", "b"]), embed(legacy, ["a", "b"])
    assert [d.embedding for d in new.data] == [d.embedding for d in old.data]
    assert [r.route for r in azure.openai.requests] == ["v1", "deployments"]
    assert new.usage.prompt_tokens == new.usage.total_tokens == 2


def test_base64_and_floats_are_the_same_numbers(client: openai.OpenAI) -> None:
    """The wire format does not change a vector."""
    packed = np.array(embed(client, "a").data[0].embedding, np.float32)
    plain = np.array(embed(client, "a", encoding_format="float").data[0].embedding, np.float32)
    assert packed.tolist() == plain.tolist() == hash_texts(["a"], 8)[0].tolist()
    assert np.isclose(np.linalg.norm(packed), 1)


def test_tokens_can_be_sent_in_place_of_text(client: openai.OpenAI) -> None:
    """All four forms of input are understood: LangChain sends tokens."""
    assert len(embed(client, [1, 2, 3]).data) == 1
    assert len(embed(client, [[1, 2], [3]]).data) == 2
    assert embed(client, [[1, 2], [3]]).usage.total_tokens == 3


def test_embeddings_can_come_in_any_order(azure: Azure, client: openai.OpenAI) -> None:
    """A client that does not look at the index mixes up its vectors; here that is noticed."""
    azure.openai.out_of_order = True
    texts = [str(n) for n in range(50)]
    data = embed(client, texts).data
    assert [d.index for d in data] != list(range(50))
    assert sorted(d.index for d in data) == list(range(50))
    assert all(np.allclose(d.embedding, hash_texts([texts[d.index]], 8)[0]) for d in data)


def test_what_was_embedded_twice_is_known(azure: Azure, client: openai.OpenAI) -> None:
    """I see which texts I would have paid for twice."""
    embed(client, ["a", "b"])
    embed(client, ["b", "c"])
    assert azure.openai.repeated == {"b": 2}
    assert sum(r.tokens for r in azure.openai.requests) == 4


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (["x"] * 2049, "'$.input' is invalid"),
        (["x", ""], "'$.input' is invalid"),
        ([], "'$.input' is invalid"),
        (["x", " x" * 8193], r"Invalid 'input\[1\]': maximum input length is 8192 tokens."),
        (" x" * 8193, "Invalid 'input': maximum context length is 8192 tokens."),
        ([" x" * 8000] * 38, "Requested 304000 tokens, max 300000 tokens per request"),
    ],
)
def test_a_request_beyond_a_limit_is_refused_whole(
    azure: Azure, client: openai.OpenAI, inputs: Any, message: str
) -> None:
    """One text too long costs the whole request."""
    with pytest.raises(openai.BadRequestError, match=message.replace("$.", r"\$\.")):
        embed(client, inputs)
    assert azure.openai.requests == []


def test_the_largest_request_is_accepted(client: openai.OpenAI) -> None:
    """The limits themselves are allowed."""
    assert len(embed(client, ["x"] * 2048).data) == 2048
    assert embed(client, [" x" * 8192]).usage.total_tokens == 8192


def test_more_dimensions_than_the_model_has_are_refused(client: openai.OpenAI) -> None:
    """A mistyped setting is an error."""
    with pytest.raises(openai.BadRequestError, match="dimensions"):
        client.embeddings.create(model="embeddings", input="a", dimensions=65)


def test_an_unknown_deployment_is_said_to_be_unknown(
    client: openai.OpenAI, legacy: openai.AzureOpenAI
) -> None:
    """A mistyped deployment has a code of its own."""
    for made in (client, legacy):
        with pytest.raises(openai.NotFoundError) as caught:
            made.embeddings.create(model="nothing", input="a")
        assert caught.value.code == "DeploymentNotFound"


def test_a_missing_role_is_a_401(azure: Azure, client: openai.OpenAI) -> None:
    """As on Azure, lacking permission looks like lacking a login, but for the code."""
    azure.identity.default.withdraw(OPENAI_USER)
    with pytest.raises(
        openai.AuthenticationError, match="lacks the required data action"
    ) as caught:
        embed(client, "a")
    assert caught.value.code == "PermissionDenied"

    azure.identity.default.grant(OPENAI_USER, at=azure.clock.now() + 300)
    with pytest.raises(openai.AuthenticationError, match="does not have access to API"):
        embed(client, "a")
    azure.clock.advance(301)
    embed(client, "a")


def test_too_many_requests_are_told_when_to_come_back(azure: Azure, client: openai.OpenAI) -> None:
    """A rate limit says how long to wait, and waiting that long helps."""
    azure.openai.rpm, azure.openai.rpm_window = 120, 1
    answers = client.embeddings.with_raw_response.create(model="embeddings", input="a")
    assert answers.headers["x-ratelimit-remaining-requests"] == "1"
    embed(client, "a")
    with pytest.raises(openai.RateLimitError, match="call rate limit") as caught:
        embed(client, "a")
    assert caught.value.response.headers["retry-after"] == "1"
    azure.clock.advance(int(caught.value.response.headers["retry-after-ms"]) / 1000)
    embed(client, "a")


def test_too_many_tokens_are_told_when_to_come_back(azure: Azure, client: openai.OpenAI) -> None:
    """The quota of tokens counts characters, and what can never fit may come back tomorrow."""
    azure.openai.tpm = 100
    embed(client, "x" * 300)
    with pytest.raises(openai.RateLimitError, match="token rate limit") as caught:
        embed(client, "x" * 300)
    assert 0 < int(caught.value.response.headers["retry-after"]) <= 60
    azure.clock.advance(60)
    with pytest.raises(openai.RateLimitError, match="retry after 86400 seconds"):
        embed(client, "x" * 401)
    azure.openai.retry_headers = ()
    with pytest.raises(openai.RateLimitError) as caught:
        embed(client, "x" * 401)
    assert "retry-after" not in caught.value.response.headers
