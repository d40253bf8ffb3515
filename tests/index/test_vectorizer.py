"""The vectorizer of a new index, for deployments whatever they are called and have."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from ingest.config.connections import create_connections
from ingest.config.embedding import embedder_key
from ingest.config.factory import open_services
from ingest.config.settings import build_settings
from ingest.embed.account import Account
from ingest.embed.deployments import Endpoint
from ingest.embed.openai_probe import identify_models
from ingest.errors import ConfigError
from ingest.models import Mode
from ingest.pipeline.context import Run
from ingest.pipeline.root import ingest_root
from ingest.runtime.cancellation import Cancellation
from ingest.sources.folder import parse_folder_roots
from tests.conftest import DIMENSIONS, outcomes_by_source
from tests.emulator.emulator import Azure
from tests.emulator.openai import Deployment
from tests.pdfs import prose, write

INDEX = "chunks"


def run(azure: Azure, folder: Path, **more: str) -> dict[str, str]:
    """One run of a client that names no model; what became of each source."""
    environment = azure.environment | {"INGEST_WORKERS": "1"} | more
    del environment["AZURE_OPENAI_EMBEDDING_MODEL"]
    chosen, stop = build_settings(environment, {}), Cancellation()
    (root,) = parse_folder_roots([str(folder)])
    with open_services(
        chosen, stop, write=True, connections=create_connections(chosen, stop)
    ) as services:
        events = list(ingest_root(root, services, Run("r", max_deletes=9, stop=stop)))
        question = services.embedder.embed(["lathes"])[0]
        assert services.index.search("", question, Mode.VECTOR, 1) is not None
    return outcomes_by_source(events)


def vectorizers(azure: Azure) -> list[Any]:
    found = azure.search.indexes[INDEX].definition["vectorSearch"].get("vectorizers")
    return [each["azureOpenAIParameters"] for each in found or []]


def test_a_deployment_with_a_name_of_its_own(azure: Azure, folder: Path) -> None:
    """I called it `emb` and set the dimensions: the index says which model it is, and runs work."""
    write(folder / "a.pdf", prose("lathes"))
    azure.openai.deployments["emb"] = Deployment("text-embedding-3-large")

    assert run(azure, folder, AZURE_OPENAI_EMBEDDING_DEPLOYMENT="emb") == {"a.pdf": "new"}

    (parameters,) = vectorizers(azure)
    assert parameters["modelName"] == "text-embedding-3-large"
    assert parameters["deploymentId"] == "emb"
    assert parameters["resourceUri"] == azure.openai_endpoint


def test_a_model_that_takes_no_dimensions(azure: Azure, folder: Path) -> None:
    """Of the model before those it is not asked for a number of dimensions, whatever its name."""
    write(folder / "a.pdf", prose("lathes"))
    azure.openai.deployments["emb"] = Deployment("text-embedding-ada-002", DIMENSIONS)

    assert run(azure, folder, AZURE_OPENAI_EMBEDDING_DEPLOYMENT="emb") == {"a.pdf": "new"}

    assert [each["modelName"] for each in vectorizers(azure)] == ["text-embedding-ada-002"]


def test_a_model_that_the_search_service_cannot_call(
    azure: Azure, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The index works without a vectorizer, and I am told what that means."""
    write(folder / "a.pdf", prose("lathes"))
    azure.openai.deployments["emb"] = Deployment("cohere-embed-v4", DIMENSIONS)

    with caplog.at_level(logging.WARNING):
        assert run(azure, folder, AZURE_OPENAI_EMBEDDING_DEPLOYMENT="emb") == {"a.pdf": "new"}

    assert vectorizers(azure) == []
    assert "chunks gets no vectorizer" in caplog.text
    assert "cannot call the model cohere-embed-v4" in caplog.text


def test_two_models_under_one_name(azure: Azure) -> None:
    """Two resources whose `emb` is not the same model do not fill one index."""
    azure.openai.deployments["emb"] = Deployment("text-embedding-3-large")
    azure.openai.deployments["emb2"] = Deployment("text-embedding-3-small")
    chosen = build_settings(azure.environment, {})
    connections = create_connections(chosen)
    both = [
        Endpoint(azure.openai_endpoint, name, "emb", DIMENSIONS, is_model_known=False)
        for name in ("emb", "emb2")
    ]
    with pytest.raises(ConfigError, match="text-embedding-3-large, text-embedding-3-small"):
        identify_models(
            both, embedder_key(chosen, connections), connections.retry_policy, Account()
        )
