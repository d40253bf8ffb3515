"""Endpoints, copied from wherever a portal shows them."""

from __future__ import annotations

import logging

import pytest

from ingest.config.embedding import embedding_endpoints
from ingest.config.settings import Settings, build_settings
from ingest.errors import ConfigError

LARGE = "text-embedding-3-large"


def client_settings(url: str, **more: str) -> Settings:
    return build_settings({"AZURE_OPENAI_ENDPOINT": url, **more}, {})


@pytest.mark.parametrize(
    "url",
    [
        "https://x.openai.azure.com/openai/v1/",
        "https://x.openai.azure.com/openai/v1/embeddings",
        "https://x.services.ai.azure.com/api/projects/mine",
        "https://x.services.ai.azure.com/models",
        "https://x.cognitiveservices.azure.com/openai/v1?api-version=preview",
    ],
)
def test_an_endpoint_is_scheme_and_host(url: str) -> None:
    """I paste what the portal shows, and requests go to the resource's API."""
    (endpoint,) = embedding_endpoints(client_settings(url, AZURE_OPENAI_EMBEDDING_DEPLOYMENT=LARGE))
    assert endpoint.url == url.partition(".com")[0] + ".com"
    assert (endpoint.deployment, endpoint.api_version) == (LARGE, "")


def test_a_target_uri_names_deployment_and_version(caplog: pytest.LogCaptureFixture) -> None:
    """The address below a deployment says all three; -v tells which endpoint is used."""
    target = "https://x.openai.azure.com/openai/deployments/{}/embeddings?api-version=2023-05-15"
    model = {"AZURE_OPENAI_EMBEDDING_MODEL": LARGE}
    with caplog.at_level(logging.INFO, "ingest"):
        (endpoint,) = embedding_endpoints(client_settings(target.format("my%20emb"), **model))
    assert endpoint.url == "https://x.openai.azure.com"
    assert (endpoint.deployment, endpoint.api_version) == ("my emb", "2023-05-15")
    assert "using the endpoint https://x.openai.azure.com of" in caplog.text

    newer = {"AZURE_OPENAI_API_VERSION": "2024-10-21"}
    (endpoint,) = embedding_endpoints(client_settings(target.format("emb"), **model, **newer))
    assert endpoint.api_version == "2024-10-21"

    two = f"{target.format('a')},{target.format('b').replace('//x', '//y')}"
    named = [each.deployment for each in embedding_endpoints(client_settings(two, **model))]
    assert named == ["a", "b"]
    with pytest.raises(ConfigError, match=r"names the deployment emb, and .* other"):
        client_settings(target.format("emb"), AZURE_OPENAI_EMBEDDING_DEPLOYMENT="other")
    with pytest.raises(ConfigError, match="API versions 2022-12-01, 2023-05-15"):
        client_settings(two.replace("2023-05-15", "2022-12-01", 1))


def test_other_services_and_other_hosts() -> None:
    """The endpoints of Search and OCR are cut alike; the path of a gateway stays."""
    chosen = build_settings(
        {
            "AZURE_SEARCH_ENDPOINT": "https://s.search.windows.net/indexes?api-version=2024-07-01",
            "INGEST_OCR": "https://d.cognitiveservices.azure.com/documentintelligence",
            "INGEST_EMBEDDER": "https://x.openai.azure.com/openai/v1",
            "AZURE_OPENAI_ENDPOINT": "https://gateway.contoso.com/openai/v1",
        },
        {},
    )
    assert chosen.search_endpoint == "https://s.search.windows.net"
    assert chosen.ocr == "https://d.cognitiveservices.azure.com"
    assert chosen.embedder == "https://x.openai.azure.com"
    assert chosen.openai_endpoint == ("https://gateway.contoso.com/openai/v1",)
