"""A token is sent only over https, and only to hosts of its audience."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.azure.token_hosts import (
    COGNITIVE_SERVICES_SCOPE,
    MONITOR_SCOPE,
    SEARCH_SCOPE,
    STORAGE_SCOPE,
    is_token_host,
)
from ingest.config.connections import create_connections
from ingest.config.embedding import embedder_key
from ingest.config.index import connect_azure_index
from ingest.config.reader import open_document_intelligence
from ingest.config.settings import Settings, build_settings
from ingest.config.sources import open_event_queue, open_roots
from ingest.embed.deployments import Endpoint
from ingest.embed.openai import create_client, send_request
from ingest.embed.openai_errors import classify_openai_error, create_context
from ingest.errors import ConfigError, IngestError
from ingest.runtime.telemetry.exporters import monitor_endpoint
from tests.conftest import Command
from tests.emulator.emulator import Azure
from tests.emulator.faults import answer_with
from tests.emulator.server import Request, Response, answer, serve
from tests.pdfs import write

ELSEWHERE = "https://login.search.windows.com"


@pytest.mark.parametrize(
    ("url", "scope"),
    [
        ("https://name.openai.azure.com/openai/v1", COGNITIVE_SERVICES_SCOPE),
        ("https://name.cognitiveservices.azure.us", COGNITIVE_SERVICES_SCOPE),
        ("https://NAME.Search.Windows.net:443/", SEARCH_SCOPE),
        ("https://name.privatelink.search.windows.net", SEARCH_SCOPE),
        ("https://name.blob.core.chinacloudapi.cn/c", STORAGE_SCOPE),
        ("https://name.z12.blob.storage.azure.net/c", STORAGE_SCOPE),
        ("https://name.dfs.core.windows.net/c", STORAGE_SCOPE),
        ("https://eu-5.in.applicationinsights.azure.com/", MONITOR_SCOPE),
    ],
)
def test_azure_s_own_hosts_get_tokens(url: str, scope: str) -> None:
    """No setting is needed for a service of Azure, in any cloud or behind a private endpoint."""
    assert is_token_host(url, scope)


@pytest.mark.parametrize(
    "url",
    [
        "http://name.search.windows.net",
        "https://name.search.windows.com",
        "https://search.windows.net.evil.example",
        "https://evilsearch.windows.net",
        "https://name.search.windows.net@evil.example",
        "https://evil.example\\@name.search.windows.net",
        "https://evil.example#.search.windows.net",
        "https://evil.example?.search.windows.net",
        "https://evil.example/.search.windows.net",
        "https://evil.example\t.search.windows.net",
        "https://name.blob.core.windows.net",  # another audience
        "https://127.0.0.1:9443",
    ],
)
def test_nobody_else_gets_a_token(url: str) -> None:
    """Misspelt hosts, tricks in URLs and other audiences are refused."""
    assert not is_token_host(url, SEARCH_SCOPE)
    assert not is_token_host(url, SEARCH_SCOPE, ["gateway.contoso.com", ".corp.example"])


def test_a_host_of_mine_can_be_trusted() -> None:
    """A gateway of the company gets tokens once it is named, over https only."""
    trusted = build_settings({"INGEST_TRUSTED_HOSTS": "gw.contoso.com, .corp.example"}, {})
    hosts = trusted.trusted_hosts
    assert is_token_host("https://gw.contoso.com:8443/x", SEARCH_SCOPE, hosts)
    assert is_token_host("https://a.corp.example", SEARCH_SCOPE, hosts)
    assert not is_token_host("https://x.gw.contoso.com", SEARCH_SCOPE, hosts)
    assert not is_token_host("http://gw.contoso.com", SEARCH_SCOPE, hosts)
    with pytest.raises(ConfigError, match="INGEST_TRUSTED_HOSTS=https://x: expected hosts"):
        build_settings({"INGEST_TRUSTED_HOSTS": "https://x"}, {})


def open_service(settings: Settings, service: str) -> None:
    """Open one service, as a run does."""
    connections = create_connections(settings)
    if service == "openai":
        embedder_key(settings, connections)
    elif service == "search":
        connect_azure_index(settings, connections, may_be_absent=True)
    elif service == "ocr":
        open_document_intelligence(settings, connections)
    elif service == "queue":
        with open_event_queue([], settings, connections):
            pass
    elif service == "blob":
        with open_roots([f"{ELSEWHERE}/account/container"], settings, connections):
            pass
    else:
        environment = {"APPLICATIONINSIGHTS_CONNECTION_STRING": f"IngestionEndpoint={ELSEWHERE}"}
        connections.token_for(monitor_endpoint(environment), MONITOR_SCOPE)


@pytest.mark.parametrize("service", ["openai", "search", "ocr", "queue", "blob", "monitor"])
def test_every_service_asks_before_it_takes_a_token(service: str) -> None:
    """A misspelt endpoint ends the command before a token is sent to it."""
    settings = build_settings(
        {
            "AZURE_OPENAI_ENDPOINT": ELSEWHERE,
            "AZURE_SEARCH_ENDPOINT": ELSEWHERE,
            "INGEST_OCR": ELSEWHERE,
            "INGEST_EVENT_QUEUE": f"{ELSEWHERE}/queue",
        },
        {},
    )
    with pytest.raises(ConfigError, match=r"gets no token: check the spelling, or.*TRUSTED_HOSTS"):
        open_service(settings, service)


def test_the_host_of_access_control_lists_is_asked_about_too() -> None:
    """It is derived from the host of the blobs, and must be trusted like that one."""
    settings = build_settings(
        {"INGEST_TRUSTED_HOSTS": "files.blob.example", "INGEST_PERMISSIONS": "acl"}, {}
    )
    connections = create_connections(settings)
    refused = pytest.raises(
        ConfigError, match=r"https://files\.dfs\.example/docs is not an address"
    )
    with refused, open_roots(["https://files.blob.example/docs"], settings, connections):
        pass
    with open_roots(["https://name.blob.core.windows.net/docs"], settings, connections):
        pass


def test_a_storage_token_stays_here(command: Command, azure: Azure) -> None:
    """`ingest plan` of a container on a host that I did not trust sends it nothing."""
    variables = azure.environment | {"INGEST_TRUSTED_HOSTS": "", "INGEST_EMBEDDER": "local"}
    del variables["AZURE_SEARCH_ENDPOINT"], variables["AZURE_SEARCH_INDEX"]
    done = command("plan", f"{azure.blob_endpoint}/docs", **variables)
    assert done.returncode == 2
    assert "INGEST_TRUSTED_HOSTS" in done.stderr
    assert (azure.count("blob"), azure.identity.requests) == (0, 0)


@pytest.mark.parametrize("path", ["", "/v1", "/v1/"])
def test_a_service_of_mine_gets_no_token(
    command: Command, tmp_path: Path, azure: Azure, path: str
) -> None:
    """A model server over http receives texts, but neither a token nor a placeholder key."""
    write(tmp_path / "docs/a.pdf", "some text")
    seen: list[Request] = []

    def refuse(request: Request) -> Response:
        seen.append(request)
        azure_ad = {"authorization", "api-key"} & set(map(str.lower, request.headers))
        assert not azure_ad
        return answer(400, {"error": {"message": "enough"}})

    with serve(refuse) as server:
        variables = azure.environment | {"INGEST_EMBEDDER": f"{server.address}{path}"}
        done = command("run", "docs", "--index", "here", **variables)
    assert seen, done.stderr
    assert azure.identity.requests == 0


def test_a_redirect_is_never_followed(azure: Azure) -> None:
    """A response that redirects, to any scheme, does not get my texts sent elsewhere."""
    seen: list[Request] = []

    def steal(request: Request) -> Response:
        seen.append(request)
        return answer(200, {})

    with serve(steal) as thief:
        moved = Response(307, b"", {"Location": f"{thief.address}/v1/embeddings"})
        azure.faults.add(answer_with("moved", moved), "openai", "POST")
        azure.faults.add(answer_with("moved", moved), "search")
        settings = build_settings(azure.environment, {})
        endpoint = Endpoint(azure.openai_endpoint, "embeddings", "m", 8)
        client = create_client(endpoint, "key")
        with client, pytest.raises(Exception, match="307") as caught:
            send_request(["secret text"], endpoint, client, "id")
        context = create_context(azure.openai_endpoint, "key", [])
        shown = classify_openai_error(caught.value, context)
        assert isinstance(shown, ConfigError)
        assert "never followed" in str(shown)
        index = connect_azure_index(settings, create_connections(settings), may_be_absent=False)
        with pytest.raises(IngestError, match="redirects to another address"):
            index.documents.get("x")
        index.close()
    assert seen == []
