"""Clients of the real SDKs, which speak to the emulator over TLS: nothing of them is patched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import openai
import pytest
from azure.identity import ManagedIdentityCredential, get_bearer_token_provider
from azure.search.documents import SearchClient
from azure.search.documents.indexes import SearchIndexClient

from tests.emulator.emulator import Azure, run_emulator
from tests.emulator.helpers import DIMENSIONS, chunk, definition
from tests.emulator.openai import Deployment


@contextmanager
def start_azure() -> Iterator[Azure]:
    """Start all services, without lags and short pages, and set this process's environment."""
    with (
        run_emulator(model=Deployment(dimensions=64), dimensions=DIMENSIONS, lag=0) as made,
        pytest.MonkeyPatch.context() as patch,
    ):
        made.search.short_pages = 0
        for name, value in made.environment.items():
            patch.setenv(name, value)
        yield made


@pytest.fixture
def azure() -> Iterator[Azure]:
    with start_azure() as made:
        yield made


@pytest.fixture
def credential(azure: Azure) -> Iterator[ManagedIdentityCredential]:
    with ManagedIdentityCredential() as made:
        yield made


@pytest.fixture
def client(azure: Azure, credential: ManagedIdentityCredential) -> Iterator[openai.OpenAI]:
    """OpenAI client of the v1 API, without its own retries."""
    provider = get_bearer_token_provider(credential, "https://ai.azure.com/.default")
    base = f"{azure.openai_endpoint}/openai/v1/"
    with openai.OpenAI(base_url=base, api_key=provider, max_retries=0) as made:
        yield made


@pytest.fixture
def indexes(azure: Azure, credential: ManagedIdentityCredential) -> Iterator[SearchIndexClient]:
    """Client that creates indexes."""
    with SearchIndexClient(azure.search_endpoint, credential) as made:
        yield made


@pytest.fixture
def documents(azure: Azure, indexes: SearchIndexClient) -> Iterator[SearchClient]:
    """Client of an empty index `chunks`, without its own retries."""
    with open_documents(azure, indexes) as made:
        yield made


@contextmanager
def open_documents(azure: Azure, indexes: SearchIndexClient) -> Iterator[SearchClient]:
    """Create the index `chunks`, and a client of its documents."""
    indexes.create_index(definition())
    with (
        ManagedIdentityCredential() as credential,
        SearchClient(azure.search_endpoint, "chunks", credential, retry_total=0) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def six_documents() -> Iterator[SearchClient]:
    """Client of an index of six documents, which the tests of a module only read."""
    with (
        start_azure() as azure,
        ManagedIdentityCredential() as credential,
        SearchIndexClient(azure.search_endpoint, credential) as indexes,
        open_documents(azure, indexes) as made,
    ):
        made.upload_documents(
            [
                chunk(0, "the quick brown fox"),
                chunk(1, "a slow brown dog"),
                chunk(2, "nothing of the kind"),
                chunk(3, headings=["A", "B"], changed="2024-06-01T12:00:00+02:00"),
                chunk(4, headings=["A"]),
                chunk(5, source="it's"),
            ]
        )
        yield made
