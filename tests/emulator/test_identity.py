"""Tokens, as the SDKs of Entra ID request them from the emulator."""

from __future__ import annotations

import time
from typing import Any

import openai
import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.identity import (
    DefaultAzureCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
    get_bearer_token_provider,
)
from azure.search.documents import SearchClient

from tests.emulator.emulator import Azure
from tests.emulator.helpers import SCOPE, chunk, embed


def test_a_token_is_asked_for_once(azure: Azure, client: openai.OpenAI) -> None:
    """My run does not ask for a token before each request."""
    for _ in range(3):
        embed(client, ["a"])
    assert azure.identity.requests == 1
    assert azure.identity.audiences == ["https://ai.azure.com"]


def test_the_default_credential_finds_the_managed_identity(azure: Azure) -> None:
    """What I run in a container needs no other code than on my laptop."""
    with DefaultAzureCredential(require_envvar=True) as found:
        token = found.get_token("https://search.azure.com/.default")
    assert token.expires_on > time.time() + 310


def test_a_virtual_machine_gets_tokens_too(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine without an identity endpoint, the metadata service is asked."""
    monkeypatch.delenv("IDENTITY_ENDPOINT")
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", azure.identity_endpoint)
    with ManagedIdentityCredential() as made:
        assert made.get_token(SCOPE).token in azure.identity.issued


def test_a_workload_gets_tokens_too(azure: Azure, tmp_path: Any) -> None:
    """In Kubernetes, a federated token is exchanged for one of Entra's."""
    (tmp_path / "token").write_text("federated")
    with WorkloadIdentityCredential(
        tenant_id="11111111-2222-3333-4444-555555555555",
        client_id=azure.identity.default.client_id,
        token_file_path=str(tmp_path / "token"),
        authority=azure.authority,
    ) as made:
        assert made.get_token(SCOPE).token in azure.identity.issued


def test_an_identity_that_does_not_exist_gets_no_token(azure: Azure) -> None:
    """A mistyped client id is an error that says so."""
    with (
        ManagedIdentityCredential(client_id="nobody") as made,
        pytest.raises(ClientAuthenticationError, match="No User Assigned Identity"),
    ):
        made.get_token(SCOPE)


def test_a_token_ends_by_the_emulators_clock(azure: Azure, client: openai.OpenAI) -> None:
    """A token can expire in the middle of a run although the SDK holds it to be good."""
    azure.identity.valid = 600
    embed(client, ["a"])
    azure.clock.advance(601)
    with pytest.raises(openai.AuthenticationError) as caught:
        embed(client, ["a"])
    assert caught.value.status_code == 401
    assert caught.value.code is None


def test_a_revoked_token_is_refused_everywhere(azure: Azure, documents: SearchClient) -> None:
    """Once my access is withdrawn, search refuses me too."""
    documents.upload_documents([chunk(1)])
    azure.identity.revoke_all()
    with pytest.raises(HttpResponseError) as caught:
        documents.get_document_count()
    assert caught.value.status_code == 401


def test_a_token_for_another_service_is_refused(
    azure: Azure, credential: ManagedIdentityCredential
) -> None:
    """The audience must be right."""
    other = get_bearer_token_provider(credential, "https://storage.azure.com/.default")
    with (
        openai.OpenAI(base_url=f"{azure.openai_endpoint}/openai/v1", api_key=other) as made,
        pytest.raises(openai.AuthenticationError, match="audience is incorrect"),
    ):
        embed(made, ["a"])
