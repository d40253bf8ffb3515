"""Clouds of Azure: where to sign in, and whose token each service gets."""

from __future__ import annotations

import json

import pytest

from ingest.azure.clouds import CLOUDS, cloud_of
from ingest.azure.credential import create_credential
from ingest.azure.token_hosts import (
    COGNITIVE_SERVICES_SCOPE,
    MONITOR_SCOPE,
    SEARCH_SCOPE,
    STORAGE_SCOPE,
    is_token_host,
)
from ingest.commands.doctor.env_names import find_contradictions
from ingest.config.connections import create_connections
from ingest.config.settings import build_settings
from ingest.errors import ConfigError
from tests.conftest import ROOT

ENDPOINTS = {
    "AzureCloud": ("https://s.search.windows.net", "https://o.openai.azure.com"),
    "AzureUSGovernment": ("https://s.search.azure.us", "https://o.openai.azure.us"),
    "AzureChinaCloud": ("https://s.search.azure.cn", "https://o.openai.azure.cn"),
}
AUDIENCES = {
    "AzureCloud": ("search.azure.com", "cognitiveservices.azure.com", "monitor.azure.com/"),
    "AzureUSGovernment": ("search.azure.us", "cognitiveservices.azure.us", "monitor.azure.us/"),
    "AzureChinaCloud": ("search.azure.cn", "cognitiveservices.azure.cn", "monitor.azure.cn/"),
}


def variables(cloud: str) -> dict[str, str]:
    search, openai = ENDPOINTS[cloud]
    return {"AZURE_SEARCH_ENDPOINT": search, "AZURE_OPENAI_ENDPOINT": openai}


@pytest.mark.parametrize("cloud", ENDPOINTS)
@pytest.mark.parametrize("is_named", [True, False])
def test_a_token_is_for_the_services_of_its_cloud(cloud: str, is_named: bool) -> None:
    """AZURE_CLOUD, or else an endpoint, decides the audience; storage has one in all clouds."""
    named = {"AZURE_CLOUD": cloud} if is_named else {}
    connections = create_connections(build_settings(variables(cloud) | named, {}))
    search, openai = ENDPOINTS[cloud]
    scopes = [
        connections.token_for(search, SEARCH_SCOPE).scope,
        connections.token_for(openai, COGNITIVE_SERVICES_SCOPE).scope,
        connections.cloud.scope(MONITOR_SCOPE),
    ]
    assert scopes == [f"https://{audience}/.default" for audience in AUDIENCES[cloud]]
    assert connections.cloud.scope(STORAGE_SCOPE) == STORAGE_SCOPE


@pytest.mark.parametrize(
    ("text", "cloud"),
    [("usgovernment", "AzureUSGovernment"), ("China", "AzureChinaCloud"), ("public", "AzureCloud")],
)
def test_a_cloud_behind_a_gateway_is_named(text: str, cloud: str) -> None:
    """The host name of a gateway does not show its cloud, so AZURE_CLOUD does."""
    given = {"AZURE_SEARCH_ENDPOINT": "https://search.contoso.com", "AZURE_CLOUD": text}
    assert create_connections(build_settings(given, {})).cloud.name == cloud


def test_a_cloud_that_is_none() -> None:
    """An unknown value of AZURE_CLOUD is an error that lists the valid ones."""
    with pytest.raises(ConfigError, match="AZURE_CLOUD=germany: expected public, usgovernment, ch"):
        build_settings({"AZURE_CLOUD": "germany"}, {})


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, []),
        ({"AZURE_CLOUD": "china"}, ["AZURE_SEARCH_ENDPOINT is", "AZURE_OPENAI_ENDPOINT is"]),
        (
            {"AZURE_OPENAI_ENDPOINT": "https://o.openai.azure.com"},
            ["AZURE_OPENAI_ENDPOINT is a service of AzureCloud, and AZURE_SEARCH_ENDPOINT names"],
        ),
        ({"INGEST_ROOT": "docs=https://a.blob.core.windows.net/c"}, ["INGEST_ROOT is a service"]),
        (
            {"AZURE_AUTHORITY_HOST": "https://login.microsoftonline.com/"},
            ["AZURE_AUTHORITY_HOST is that of AzureCloud, and AZURE_SEARCH_ENDPOINT names AzureUS"],
        ),
    ],
)
def test_the_doctor_names_what_is_in_another_cloud(more: dict[str, str], said: list[str]) -> None:
    """An endpoint of another cloud is reported with the variable to correct."""
    found = list(find_contradictions(variables("AzureUSGovernment") | more))
    assert len(found) == len(said)
    assert all(text.startswith(start) for text, start in zip(found, said, strict=True))


def test_bicep_deploys_to_the_same_hosts() -> None:
    """Each suffix belongs to its cloud, and may receive a token."""
    suffixes = json.loads((ROOT / "infra/clouds.json").read_text())
    assert suffixes.keys() == {cloud.name for cloud in CLOUDS}
    for name, found in suffixes.items():
        for service, suffix in found.items():
            url = f"https://x.{suffix}"
            cloud = cloud_of(url)
            assert cloud
            assert cloud.name == name
            scope = SEARCH_SCOPE if service == "search" else COGNITIVE_SERVICES_SCOPE
            assert is_token_host(url, scope)


@pytest.mark.parametrize("host", ["", "login.microsoftonline.com"])
def test_a_service_principal_signs_in_to_its_cloud(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AZURE_AUTHORITY_HOST comes first; without it, the cloud decides where to sign in."""
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", host)
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    made = create_credential("", "", hosted=True, authority="login.microsoftonline.us")
    (principal,) = made.credentials  # type: ignore[attr-defined]
    assert principal._credential._authority == f"https://{host or 'login.microsoftonline.us'}"
