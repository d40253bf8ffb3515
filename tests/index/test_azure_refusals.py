"""Refusals of a search service that waiting does not mend, and those that it does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ingest.config.connections import create_connections
from ingest.config.embedding import embedder_key, embedding_endpoints
from ingest.config.index import index_definition, open_azure_index
from ingest.config.settings import Settings, build_settings
from ingest.embed.openai_probe import probe_deployment
from ingest.errors import ConfigError, IngestError, RoleError, ServiceError
from ingest.index.azure.create import ensure_index
from ingest.index.azure.index import AzureIndex
from tests.conftest import DIMENSIONS
from tests.embed.rate_limit.simulation import Slept
from tests.emulator import faults
from tests.emulator.emulator import Azure
from tests.emulator.identity import DATA_CONTRIBUTOR, DATA_READER
from tests.emulator.server import Request, Response, Service, answer, failure

CHUNKS = [{"id": f"c{n}", "kind": "chunk", "content": f"text {n}"} for n in range(3)]


@contextmanager
def index(azure: Azure) -> Iterator[AzureIndex]:
    """The index of a client for which time passes by sleeping; it may not exist yet."""
    settings, slept = client(azure), Slept()
    connections = create_connections(settings, clock=slept.clock, sleep=slept.sleep)
    with closing(open_azure_index(settings, connections, may_be_absent=True)) as made:
        yield made


def client(azure: Azure) -> Settings:
    return build_settings(azure.environment, {})


@pytest.fixture
def made(azure: Azure) -> Iterator[AzureIndex]:
    """An index that exists."""
    with index(azure) as found:
        ensure_index(found, index_definition(client(azure), DIMENSIONS))
        yield found


def write(made: AzureIndex, documents: list[dict[str, Any]] = CHUNKS) -> None:
    assert made.documents.write("upload", documents) == []


def test_one_index_too_many_is_said_at_once(azure: Azure) -> None:
    """The tier allows no more indexes: I read the service's words at once."""
    azure.search.max_indexes = 0
    with index(azure) as absent, pytest.raises(ConfigError) as caught:
        ensure_index(absent, index_definition(client(azure), DIMENSIONS))
    assert "Index quota of 0 has been exceeded for this service" in str(caught.value)
    assert "delete an index that nobody needs, or choose a higher tier" in str(caught.value)
    assert azure.search.statuses[429] == 1


@pytest.mark.parametrize("most", [0, 2])
def test_a_full_index_is_said_at_once(azure: Azure, made: AzureIndex, most: int) -> None:
    """No document fits, or not all of them: too many documents is not too many requests."""
    azure.search.max_documents = most
    with pytest.raises(ConfigError, match=r"429: .*quota.*delete documents.*a higher tier"):
        write(made)
    assert len(azure.search.batches) <= 1


def test_a_full_service_lacks_no_role(azure: Azure, made: AzureIndex) -> None:
    """A 403 for the storage quota is not mistaken for one of who I am."""
    azure.search.is_full = True
    with pytest.raises(
        ConfigError, match=r"Storage quota has been exceeded.*a higher tier"
    ) as caught:
        write(made)
    assert not isinstance(caught.value, RoleError)
    azure.search.is_full = False
    write(made)


@pytest.mark.parametrize(
    "fault",
    [faults.too_many(), faults.too_many(seconds=1), *map(faults.fail_with, (500, 520, 599))],
)
def test_what_waiting_mends_is_waited_out(
    azure: Azure, made: AzureIndex, fault: faults.Fault
) -> None:
    """Too many requests, or an error of a server or of a proxy: the next attempt works."""
    planned = azure.faults.add(fault, "search", nth={1, 2})
    write(made)
    assert planned.seen > 2, "both faults were met, and another request answered"
    ensure_index(made, index_definition(client(azure), DIMENSIONS))


@pytest.mark.parametrize(
    "refusal",
    [
        failure(403, "", "Forbidden"),
        Response(403, b"Forbidden"),
        Response(403, b"<html><head><title>x</title></head><body>Forbidden <b>here</b></body>"),
        answer(403, {"message": "Public network access is disabled."}),
    ],
)
def test_a_firewall_is_no_missing_role(azure: Azure, made: AzureIndex, refusal: Response) -> None:
    """The body says nothing of a role, so I am sent to the network settings, with a request id."""
    refused = Response(refusal.status, refusal.body, {**refusal.headers, "request-id": "abc-1"})
    azure.faults.add(faults.answer_with("closed", refused), "search")
    with pytest.raises(ConfigError, match="check its firewall and its public network") as caught:
        write(made)
    assert not isinstance(caught.value, RoleError)
    assert "request id abc-1" in str(caught.value)
    assert re.search(r"\(403: (Public|\(?Forbidden( here)?\b)", str(caught.value))


def test_a_proxy_that_refuses_even_a_lease_is_no_bug(azure: Azure, made: AzureIndex) -> None:
    """413 for a request of a hundred bytes, a redirect, a refusal: one line each, not for ever."""
    azure.faults.add(faults.answer_with("413", Response(413)), "search", nth=1)
    azure.faults.add(
        faults.answer_with("302", Response(302, b"", {"Location": "x"})), "search", nth=2
    )
    azure.faults.add(faults.refuse(403, every=1), "search", nth=3)
    with pytest.raises(ServiceError, match="too large"):
        made.documents.write_statuses("merge", [{"id": "lease-1"}])
    with pytest.raises(ConfigError, match="redirects to another address"):
        made.documents.write_statuses("merge", [{"id": "lease-1"}])
    with pytest.raises(ServiceError, match=r"lease-1, which .*run again later"):
        made.documents.write_statuses("merge", [{"id": "lease-1"}])


def test_a_403_without_a_word_names_both(azure: Azure, made: AzureIndex) -> None:
    """A missing role for documents is an empty 403, which a firewall might send as well."""
    azure.identity.default.withdraw(DATA_CONTRIBUTOR)
    azure.identity.default.withdraw(DATA_READER)
    with pytest.raises(RoleError, match=r"lacks the role .*\(or a firewall denies access"):
        write(made)


def test_a_closed_service_is_no_missing_role_either_way(azure: Azure, made: AzureIndex) -> None:
    """The firewall's bare "Forbidden", of the search service and of Azure OpenAI."""
    azure.search.is_closed = True
    with pytest.raises(ConfigError, match="firewall") as caught:
        write(made)
    assert not isinstance(caught.value, RoleError)

    azure.faults.add(faults.answer_with("closed", failure(403, "", "Forbidden")), "openai")
    settings = client(azure)
    connections = create_connections(settings)
    with pytest.raises(ConfigError, match="firewall") as caught:
        probe_deployment(
            embedding_endpoints(settings)[0],
            embedder_key(settings, connections),
            connections.retry_policy,
        )
    assert not isinstance(caught.value, RoleError)


def on_text(text: str, fault: faults.Fault) -> faults.Fault:
    """A fault of the requests whose body has a text."""

    def act(request: Request, service: Service) -> Response:
        return fault.act(request, service) if text.encode() in request.body else service(request)

    return faults.Fault(f"{fault.name} for {text}", act)


SPOILT = {
    "409": faults.refuse(409, keys={"c1"}),
    "503": faults.refuse(503, keys={"c1"}),
    "whole 500": on_text("text 1", faults.fail_with(500)),
    "whole 503": on_text("text 1", faults.fail_with(503)),
    "whole 403": on_text(
        "text 1", faults.answer_with("403", Response(403, b"Blocked by the gateway"))
    ),
    "whole 400": on_text("text 1", faults.answer_with("400", failure(400, "", "Bad text."))),
    "whole 409": on_text("text 1", faults.answer_with("409", failure(409, "", "Conflict."))),
    "reset": on_text("text 1", faults.reset_connection()),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_document_that_the_index_never_takes_is_refused_and_no_other(
    azure: Azure, made: AzureIndex, kind: str
) -> None:
    """One document must not end every run, however the service fails on it."""
    azure.faults.add(SPOILT[kind], "search", "POST", "docs/search.index")
    (refusal,) = made.documents.write("upload", CHUNKS)
    assert (refusal.id, "and not on others" in refusal.reason) == ("c1", True)
    azure.search.settle()
    assert [made.documents.get(f"c{n}") is None for n in range(3)] == [False, True, False]


@pytest.mark.parametrize("status", [409, 503])
def test_an_outage_for_all_documents_refuses_none(
    azure: Azure, made: AzureIndex, status: int
) -> None:
    """It is the service that fails: the run ends, and the next one goes on."""
    azure.faults.add(faults.refuse(status, every=1), "search", "POST", "docs/search.index")
    with pytest.raises(ServiceError, match="run again later"):
        made.documents.write("upload", CHUNKS)


@pytest.mark.parametrize(
    ("response", "error", "words"),
    [
        (Response(403, b"Blocked by the gateway"), ConfigError, "denies access"),
        (failure(400, "", "Bad field."), ServiceError, "Bad field"),
        (Response(500), ServiceError, "run again later"),
    ],
)
def test_an_outage_for_all_texts_refuses_none(
    azure: Azure, made: AzureIndex, response: Response, error: type[IngestError], words: str
) -> None:
    """An index that takes records, and no text at all, is no fault of my documents."""
    fault = on_text('"content":"', faults.answer_with("denied", response))
    azure.faults.add(fault, "search", "POST", "docs/search.index")
    write(made, [{"id": "s1", "kind": "source"}])
    with pytest.raises(error, match=words):
        made.documents.write("upload", CHUNKS)


def test_vectors_of_another_size_are_no_fault_of_their_documents(made: AzureIndex) -> None:
    """Of an index that was made again for another model: one error, and not one per document."""
    vectors = {"embedding": np.ones(DIMENSIONS + 1, np.float32)}
    with pytest.raises(ServiceError, match=f"expects a length of '{DIMENSIONS}'"):
        made.documents.write("upload", [chunk | vectors for chunk in CHUNKS])


@pytest.mark.parametrize("sent", ["", "yesterday", "Sun, 29 Nov 2026 25:61:00 GMT"])
def test_a_date_that_cannot_be_read_spoils_no_answer(
    azure: Azure, made: AzureIndex, sent: str
) -> None:
    """A proxy writes its own date into each response; what was written is still written."""

    def act(request: Request, service: Service) -> Response:
        response = service(request)
        return replace(response, headers={**response.headers, "Date": sent})

    azure.faults.add(faults.Fault("date", act), "search")
    write(made)
    azure.search.settle()
    assert made.documents.get("c1")
