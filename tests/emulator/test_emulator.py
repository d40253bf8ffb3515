"""The emulator, driven by the real SDKs over TLS: nothing of them is patched."""

from __future__ import annotations

import json
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from azure.core import MatchConditions
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    IncompleteReadError,
    ResourceModifiedError,
    ResourceNotFoundError,
    ServiceResponseError,
)
from azure.identity import (
    DefaultAzureCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
    get_bearer_token_provider,
)
from azure.search.documents import RequestEntityTooLargeError, SearchClient
from azure.search.documents.indexes import SearchIndexClient
from azure.search.documents.indexes.models import (
    AzureOpenAIVectorizer,
    AzureOpenAIVectorizerParameters,
    HnswAlgorithmConfiguration,
    SearchableField,
    SearchAlias,
    SearchField,
    SearchFieldDataType,
    SearchIndex,
    SimpleField,
    VectorSearch,
    VectorSearchProfile,
)
from azure.search.documents.models import VectorizableTextQuery, VectorizedQuery

from tests.conftest import ROOT, environment
from tests.emulator.emulator import Azure, emulator
from tests.emulator.faults import (
    FITTING,
    Fault,
    broken,
    empty,
    lost,
    refused,
    reset,
    results_503,
    slow,
    too_many,
    truncated,
    unauthorized,
)
from tests.emulator.identity import (
    DATA_CONTRIBUTOR,
    DATA_READER,
    OPENAI_USER,
    SERVICE_CONTRIBUTOR,
)
from tests.emulator.openai import Deployment
from tests.emulator.vectors import hashed
from tests.processes import running

SCOPE = "https://cognitiveservices.azure.com/.default"
WRITE = "docs/search.index"
DIMENSIONS = 8


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Azure]:
    """All services, without lags and short pages, and this process's environment set for them."""
    with emulator(model=Deployment(dimensions=64), dimensions=DIMENSIONS, lag=0) as running:
        running.search.short_pages = 0
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


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
def legacy(azure: Azure, credential: ManagedIdentityCredential) -> Iterator[openai.AzureOpenAI]:
    """Azure OpenAI client of one deployment's URL."""
    with openai.AzureOpenAI(
        azure_endpoint=azure.openai_endpoint,
        api_version="2024-10-21",
        azure_ad_token_provider=get_bearer_token_provider(credential, SCOPE),
        max_retries=0,
    ) as made:
        yield made


@pytest.fixture
def indexes(azure: Azure, credential: ManagedIdentityCredential) -> Iterator[SearchIndexClient]:
    """Client that creates indexes."""
    with SearchIndexClient(azure.search_endpoint, credential) as made:
        yield made


@pytest.fixture
def documents(
    azure: Azure, credential: ManagedIdentityCredential, indexes: SearchIndexClient
) -> Iterator[SearchClient]:
    """Client of an empty index `chunks`, without its own retries."""
    indexes.create_index(definition())
    with SearchClient(azure.search_endpoint, "chunks", credential, retry_total=0) as made:
        yield made


def definition(name: str = "chunks", *more: SearchField) -> SearchIndex:
    """An index of chunks, as one would write it with the SDK."""
    vector = SearchField(
        name="embedding",
        type="Collection(Edm.Single)",
        searchable=True,
        retrievable=False,
        stored=False,
        vector_search_dimensions=DIMENSIONS,
        vector_search_profile_name="p",
    )
    parameters = AzureOpenAIVectorizerParameters(
        resource_url="https://x.openai.azure.com",
        deployment_name="embeddings",
        model_name="text-embedding-3-large",
    )
    return SearchIndex(
        name=name,
        fields=[
            SimpleField(name="id", type="Edm.String", key=True, filterable=True, sortable=True),
            SearchableField(name="content", type="Edm.String"),
            SimpleField(name="source", type="Edm.String", filterable=True, facetable=True),
            SimpleField(name="page", type="Edm.Int32", filterable=True, sortable=True),
            SimpleField(name="headings", type="Collection(Edm.String)", filterable=True),
            SimpleField(name="changed", type="Edm.DateTimeOffset", filterable=True, sortable=True),
            vector,
            *more,
        ],
        vector_search=VectorSearch(
            algorithms=[HnswAlgorithmConfiguration(name="h")],
            profiles=[
                VectorSearchProfile(name="p", algorithm_configuration_name="h", vectorizer_name="v")
            ],
            vectorizers=[AzureOpenAIVectorizer(vectorizer_name="v", parameters=parameters)],
        ),
    )


def chunk(number: int, content: str = "", **more: Any) -> dict[str, Any]:
    """One document."""
    content = content or f"text {number}"
    return {
        "id": f"c{number:05}",
        "content": content,
        "source": f"{'ab'[number % 2]}.pdf",
        "page": number,
        "embedding": hashed([content], DIMENSIONS)[0].tolist(),
        **more,
    }


def keys(found: Any) -> list[str]:
    return [hit["id"] for hit in found]


def embed(client: openai.OpenAI, inputs: Any, **more: Any) -> Any:
    return client.embeddings.create(model="embeddings", input=inputs, dimensions=8, **more)


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
    assert packed.tolist() == plain.tolist() == hashed(["a"], 8)[0].tolist()
    assert np.isclose(np.linalg.norm(packed), 1)


def test_tokens_can_be_sent_in_place_of_text(client: openai.OpenAI) -> None:
    """All four forms of input are understood."""
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
    assert all(np.allclose(d.embedding, hashed([texts[d.index]], 8)[0]) for d in data)


def test_what_was_embedded_twice_is_known(azure: Azure, client: openai.OpenAI) -> None:
    """I see which texts I would have paid for twice."""
    embed(client, ["a", "b"])
    embed(client, ["b", "c"])
    assert azure.openai.repeated == {"b": 2}
    assert sum(r.tokens for r in azure.openai.requests) == 4


@pytest.mark.parametrize(
    ("inputs", "said"),
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
    azure: Azure, client: openai.OpenAI, inputs: Any, said: str
) -> None:
    """One text too long costs the whole request."""
    with pytest.raises(openai.BadRequestError, match=said.replace("$.", r"\$\.")):
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


def test_keys_work_only_where_they_are_allowed(azure: Azure) -> None:
    """A resource without local authentication refuses every key."""
    with (
        openai.OpenAI(
            base_url=f"{azure.openai_endpoint}/openai/v1", api_key=azure.openai.key
        ) as new,
        openai.AzureOpenAI(
            azure_endpoint=azure.openai_endpoint,
            api_version="2024-10-21",
            api_key=azure.openai.key,
        ) as old,
    ):
        for made in (new, old):
            azure.openai.local_auth = False
            with pytest.raises(openai.PermissionDeniedError) as caught:
                embed(made, "a")
            assert caught.value.code == "AuthenticationTypeDisabled"
            azure.openai.local_auth = True
            embed(made, "a")


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


def test_an_index_comes_back_as_it_was_made(indexes: SearchIndexClient) -> None:
    """What the service filled in can be sent back to it unchanged."""
    made = indexes.create_index(definition())
    found = indexes.get_index("chunks")
    assert found.as_dict() == made.as_dict()
    assert [f.name for f in found.fields][:2] == ["id", "content"]
    assert list(indexes.list_index_names()) == ["chunks"]
    again = indexes.create_or_update_index(found)
    assert again.e_tag == found.e_tag


def test_an_index_cannot_be_made_twice(indexes: SearchIndexClient) -> None:
    """The second one is told so, by a 400."""
    indexes.create_index(definition())
    with pytest.raises(HttpResponseError) as caught:
        indexes.create_index(definition())
    assert caught.value.status_code == 400
    assert caught.value.error is not None
    assert caught.value.error.code == "ResourceNameAlreadyInUse"


def test_a_raw_field_is_everything_at_once(indexes: SearchIndexClient) -> None:
    """A string field without attributes is filterable: a trap that the service sets too."""
    raw = SearchField(name="note", type=SearchFieldDataType.String)
    made = indexes.create_index(definition("chunks", raw))
    field = next(f for f in made.fields if f.name == "note")
    assert (field.searchable, field.filterable, field.sortable, field.facetable) == (True,) * 4


def test_fields_can_be_added_but_not_changed(
    documents: SearchClient, indexes: SearchIndexClient
) -> None:
    """My index can grow without being built again, but its fields are what they are."""
    documents.upload_documents([chunk(1)])
    indexes.create_or_update_index(definition("chunks", SimpleField(name="new", type="Edm.Int32")))
    assert documents.get_document("c00001")["new"] is None

    index = definition("chunks", SimpleField(name="new", type="Edm.String"))
    for changed, said in ((index, "cannot be changed"), (definition(), "cannot be deleted")):
        with pytest.raises(HttpResponseError, match=said) as caught:
            indexes.create_or_update_index(changed)
        assert caught.value.status_code == 400


def test_a_new_field_takes_its_time(
    azure: Azure, documents: SearchClient, indexes: SearchIndexClient
) -> None:
    """Just after a field was added, documents that have it can still be refused."""
    azure.search.delays.schema = 5
    indexes.create_or_update_index(definition("chunks", SimpleField(name="new", type="Edm.Int32")))
    with pytest.raises(HttpResponseError, match="The property 'new' does not exist"):
        documents.upload_documents([chunk(1, new=1)])
    azure.clock.advance(6)
    documents.upload_documents([chunk(1, new=1)])


def test_who_changed_an_index_first_wins(indexes: SearchIndexClient) -> None:
    """An update of what someone else has updated is refused."""
    old = indexes.create_index(definition())
    more = SimpleField(name="new", type="Edm.Int32")
    indexes.create_or_update_index(definition("chunks", more))
    with pytest.raises(ResourceModifiedError):
        indexes.create_or_update_index(old, match_condition=MatchConditions.IfNotModified)


def test_an_alias_stands_for_its_index(
    azure: Azure, documents: SearchClient, indexes: SearchIndexClient, credential: Any
) -> None:
    """A client can speak to an index by its alias, and an index with an alias cannot be dropped."""
    indexes.create_alias(SearchAlias(name="current", indexes=["chunks"]))
    with SearchClient(azure.search_endpoint, "current", credential) as aliased:
        aliased.upload_documents([chunk(1)])
    assert documents.get_document_count() == 1
    with pytest.raises(HttpResponseError, match="alias"):
        indexes.delete_index("chunks")
    indexes.delete_alias("current")
    indexes.delete_index("chunks")
    with pytest.raises(ResourceNotFoundError):
        indexes.get_index("chunks")


def test_an_alias_that_is_moved_stands_for_both_for_a_while(
    azure: Azure, indexes: SearchIndexClient, credential: Any
) -> None:
    """Until all of the service knows, a request meets the one or the other, and both must stay."""
    azure.search.delays.alias = 10.0
    for name in ("one", "two"):
        indexes.create_index(definition(name))
    with SearchClient(azure.search_endpoint, "one", credential) as client:
        client.upload_documents([chunk(1)])
    azure.search.settle()
    indexes.create_or_update_alias(SearchAlias(name="current", indexes=["one"]))
    azure.clock.advance(10)
    indexes.create_or_update_alias(SearchAlias(name="current", indexes=["two"]))
    with SearchClient(azure.search_endpoint, "current", credential) as client:
        assert {client.get_document_count() for _ in range(30)} == {0, 1}
        with pytest.raises(HttpResponseError, match="alias"):
            indexes.delete_index("one")
        azure.clock.advance(10)
        assert {client.get_document_count() for _ in range(30)} == {0}
    indexes.delete_index("one")
    with pytest.raises(HttpResponseError, match="already exists"):
        indexes.create_index(definition("current"))


def test_an_index_that_makes_no_sense_is_refused(indexes: SearchIndexClient) -> None:
    """Mistakes in a definition are found when it is sent."""
    broken_ones = [
        definition("Chunks"),
        definition("chunks", SimpleField(name="2nd", type="Edm.String")),
        definition("chunks", SimpleField(name="id", type="Edm.String")),
        definition("chunks", SimpleField(name="other", type="Edm.String", key=True)),
        definition("chunks", SearchField(name="v", type="Collection(Edm.Single)")),
    ]
    for made in broken_ones:
        with pytest.raises(HttpResponseError) as caught:
            indexes.create_index(made)
        assert caught.value.status_code == 400
    for name, value in (("modelName", "emb"), ("resourceUri", "https://x.azure.com/openai/v1")):
        body = definition().as_dict()
        body["vectorSearch"]["vectorizers"][0]["azureOpenAIParameters"][name] = value
        with pytest.raises(HttpResponseError, match=name) as caught:
            indexes.create_index(SearchIndex(body))
        assert caught.value.status_code == 400


def test_documents_are_written_and_read(azure: Azure, documents: SearchClient) -> None:
    """What I upload can be looked up, changed, counted and removed."""
    created = documents.upload_documents([chunk(1), chunk(2, headings=["A", "B"])])
    assert [(r.key, r.succeeded, r.status_code) for r in created] == [
        ("c00001", True, 201),
        ("c00002", True, 201),
    ]
    assert documents.get_document("c00002")["headings"] == ["A", "B"]
    assert documents.get_document("c00001")["headings"] == []
    (updated,) = documents.merge_documents([{"id": "c00001", "page": 7}])
    assert updated.status_code == 200
    assert documents.get_document("c00001", selected_fields=["page", "source"]) == {
        "page": 7,
        "source": "b.pdf",
    }
    assert documents.get_document_count() == 2
    gone = documents.delete_documents([{"id": "c00001"}, {"id": "missing"}])
    assert [(r.succeeded, r.status_code) for r in gone] == [(True, 200)] * 2
    assert sorted(azure.search.dump("chunks")) == ["c00002"]
    with pytest.raises(ResourceNotFoundError):
        documents.get_document("c00001")


def test_an_upload_replaces_and_a_merge_keeps(azure: Azure, documents: SearchClient) -> None:
    """But a vector that is not stored is lost by a merge that does not send it again."""
    documents.upload_documents([chunk(1), chunk(2)])
    documents.upload_documents([{"id": "c00001", "page": 5}])
    documents.merge_or_upload_documents([{"id": "c00002", "page": 5}])
    dump = azure.search.dump("chunks")
    assert dump["c00001"]["content"] is None
    assert dump["c00002"]["content"] == "text 2"
    assert dump["c00002"]["embedding"] is None


def test_a_document_is_refused_within_a_success(documents: SearchClient) -> None:
    """A batch can succeed while some of its documents did not."""
    (result,) = documents.merge_documents([{"id": "missing", "page": 1}])
    assert (result.succeeded, result.status_code) == (False, 404)
    long = "é" * 16_384  # 32,768 bytes
    good, bad = documents.upload_documents([chunk(1, long), chunk(2, source=long)])
    assert (good.status_code, bad.status_code) == (201, 400)
    assert "too large to process" in str(bad.error_message)
    (fits,) = documents.upload_documents([chunk(2, source="é" * 16_383)])
    assert fits.status_code == 201


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"id": "a b"}, "Keys can only contain letters"),
        ({"id": "_a"}, "leading underscore"),
        ({"id": ""}, "missing or empty"),
        ({"id": "a", "unknown": 1}, "The property 'unknown' does not exist"),
        ({"id": "a", "embedding": [0.5] * 9}, "expects a length of '8'"),
        ({"id": "a", "page": "one"}, "Cannot convert"),
        ({"id": "a", "changed": "2024-01-01T00:00:00"}, "Cannot convert"),
    ],
)
def test_a_batch_that_makes_no_sense_is_refused_whole(
    azure: Azure, documents: SearchClient, wrong: dict[str, Any], said: str
) -> None:
    """One bad document costs the batch, and nothing of it is written."""
    with pytest.raises(HttpResponseError, match=said) as caught:
        documents.upload_documents([chunk(1), wrong])
    assert caught.value.status_code == 400
    assert azure.search.dump("chunks") == {}


def test_an_empty_batch_is_refused(documents: SearchClient) -> None:
    """Sending nothing is an error."""
    with pytest.raises(HttpResponseError, match="No indexing actions found"):
        documents.upload_documents([])


def test_a_batch_that_is_too_large_is_split_by_the_sdk(
    azure: Azure, documents: SearchClient
) -> None:
    """More than 1000 actions or 16 MB are a 413, upon which the SDK halves what it sends."""
    assert len(documents.upload_documents([chunk(n) for n in range(1001)])) == 1001
    assert [len(batch.actions) for batch in azure.search.batches] == [500, 501]
    azure.search.bytes = 1000
    with pytest.raises(RequestEntityTooLargeError):
        documents.upload_documents([chunk(1, "x" * 2000)])


def test_no_more_documents_fit_than_the_quota_allows(azure: Azure, documents: SearchClient) -> None:
    """A full index refuses the rest, and to wait does not help."""
    azure.search.max_documents = 2
    results = documents.upload_documents([chunk(n) for n in range(3)])
    assert [r.status_code for r in results] == [201, 201, 429]
    with pytest.raises(HttpResponseError) as caught:
        documents.upload_documents([chunk(9)])
    assert caught.value.status_code == 429


def test_what_is_written_is_not_seen_at_once(azure: Azure, documents: SearchClient) -> None:
    """Searches, counts and deletes lag behind; here, a look-up by key does not."""
    azure.search.delays.search, azure.search.delays.count = 3, 60
    documents.upload_documents([chunk(1), chunk(2)])
    assert keys(documents.search("*")) == []
    assert documents.get_document("c00001")["page"] == 1
    azure.clock.advance(4)
    assert sorted(keys(documents.search("*"))) == ["c00001", "c00002"]
    assert documents.get_document_count() == 0
    documents.delete_documents([{"id": "c00001"}])
    assert len(keys(documents.search("*"))) == 2
    azure.search.settle()
    assert keys(documents.search("*")) == ["c00002"]
    assert documents.get_document_count() == 1


def test_a_read_may_go_back_in_time(azure: Azure, documents: SearchClient) -> None:
    """Two replicas show a write after times of their own; its answer alone is right at once."""
    azure.search.delays.search = azure.search.delays.lookup = 9
    created = documents.merge_or_upload_documents([{"id": "c00001"}])
    again = documents.merge_or_upload_documents([{"id": "c00001"}])
    assert [r.status_code for r in (*created, *again)] == [201, 200]
    (absent,) = documents.merge_documents([{"id": "c00002"}])
    assert absent.status_code == 404

    def seen() -> set[bool]:
        return {keys(documents.search("*")) == ["c00001"] for _ in range(40)}

    assert seen() == {False}
    azure.clock.advance(4)
    assert seen() == {False, True}
    azure.clock.advance(9)
    assert seen() == {True}


def test_roles_for_documents_and_for_indexes_are_apart(
    azure: Azure, documents: SearchClient, indexes: SearchIndexClient
) -> None:
    """Who may write documents may not change the index, nor the other way round."""
    app = azure.identity.default
    app.withdraw(SERVICE_CONTRIBUTOR)
    documents.upload_documents([chunk(1)])
    with pytest.raises(HttpResponseError, match="Authorization failed") as caught:
        indexes.get_index("chunks")
    assert caught.value.status_code == 403

    app.withdraw(DATA_CONTRIBUTOR)
    assert documents.get_document_count() == 1
    with pytest.raises(HttpResponseError, match="invalid status 'Forbidden'") as caught:
        documents.upload_documents([chunk(1)])
    assert caught.value.response is not None
    assert caught.value.response.text() == ""

    app.withdraw(DATA_READER)
    with pytest.raises(HttpResponseError, match="Forbidden"):
        documents.get_document_count()


def test_a_second_identity_has_roles_of_its_own(azure: Azure, documents: SearchClient) -> None:
    """The one that sets up and the one that runs can be told apart."""
    reader = azure.identity.principal("reader")
    reader.grant(DATA_READER)
    with (
        ManagedIdentityCredential(client_id=reader.client_id) as credential,
        SearchClient(azure.search_endpoint, "chunks", credential) as made,
    ):
        assert made.get_document_count() == 0
        with pytest.raises(HttpResponseError):
            made.upload_documents([chunk(1)])


def test_a_key_works_only_where_it_is_allowed(azure: Azure, documents: SearchClient) -> None:
    """Search without local authentication refuses every key."""
    key = AzureKeyCredential(azure.search.key)
    with SearchClient(azure.search_endpoint, "chunks", key) as made:
        with pytest.raises(HttpResponseError):
            made.get_document_count()
        azure.search.local_auth = True
        assert made.get_document_count() == 0


FILTERS = [
    ("page eq 1", {1}),
    ("page ne 1", {0, 2, 3, 4, 5}),
    ("page gt 1 and page le 3", {2, 3}),
    ("page lt 1 or page ge 5", {0, 5}),
    ("not (page lt 3)", {3, 4, 5}),
    ("not (page lt 3) and source eq 'a.pdf'", {4}),
    ("page eq 1 or page eq 2 and source eq 'b.pdf'", {1}),
    ("(page eq 1 or page eq 2) and source eq 'a.pdf'", {2}),
    ("source eq 'it''s'", {5}),
    ("source ne null", {0, 1, 2, 3, 4, 5}),
    ("changed eq null", {0, 1, 2, 4, 5}),
    ("changed gt 2024-01-01T00:00:00Z", {3}),
    ("changed lt 2024-01-01T00:00:00Z", set()),
    ("search.in(id, 'c00001,c00002', ',')", {1, 2}),
    ("search.in(id, 'c00001, c00002')", {1, 2}),
    ("headings/any(h: h eq 'A')", {3, 4}),
    ("headings/any()", {3, 4}),
    ("headings/all(h: h ne 'B')", {0, 1, 2, 4, 5}),
    ("headings/any(h: search.in(h, 'B,C', ','))", {3}),
    ("id gt 'c00003'", {4, 5}),
    ("id ge 'c00001' and id lt 'c00003' and page ne 2", {1}),
    ("1 eq page", {1}),
    ("'c00004' lt id", {5}),
]


@pytest.fixture
def six(documents: SearchClient) -> SearchClient:
    """An index of six documents."""
    documents.upload_documents(
        [
            chunk(0, "the quick brown fox"),
            chunk(1, "a slow brown dog"),
            chunk(2, "nothing of the kind"),
            chunk(3, headings=["A", "B"], changed="2024-06-01T12:00:00+02:00"),
            chunk(4, headings=["A"]),
            chunk(5, source="it's"),
        ]
    )
    return documents


def test_filters_mean_what_they_say(six: SearchClient) -> None:
    """Every form of filter finds the documents it describes."""
    for text, expected in FILTERS:
        found = keys(six.search("*", filter=text))
        assert sorted(found) == [f"c{n:05}" for n in sorted(expected)], text


def test_a_document_is_found_by_what_it_says_now(six: SearchClient) -> None:
    """Not by what it said before it was changed or removed."""
    at_first = keys(six.search("*", filter="source eq 'a.pdf'", order_by=["id"]))
    assert at_first == ["c00000", "c00002", "c00004"]
    six.merge_documents([{"id": "c00000", "source": "z.pdf"}])
    six.delete_documents([{"id": "c00002"}])
    assert keys(six.search("*", filter="source eq 'a.pdf'")) == ["c00004"]
    assert keys(six.search("*", filter="source eq 'z.pdf'")) == ["c00000"]
    assert "c00002" not in keys(six.search("*", order_by=["id"]))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nothing eq 1", "Could not find a property named 'nothing'"),
        ("content eq 'x'", "'content' is not a filterable field"),
        ("page eq 'x'", "incompatible types"),
        ("page eq", "Syntax error"),
        ("page eq 1 and", "Syntax error"),
        ("page eq 1)", "Syntax error"),
        ("page = 1", "Syntax error"),
        ("not page eq 1", "incompatible type"),
        ("headings eq 'A'", "incompatible types"),
    ],
)
def test_a_filter_that_cannot_be_meant_is_refused(six: SearchClient, text: str, said: str) -> None:
    """A mistake is an error, not an empty result."""
    with pytest.raises(HttpResponseError, match=said) as caught:
        list(six.search("*", filter=text))
    assert caught.value.status_code == 400


def test_results_come_in_the_order_asked_for(six: SearchClient) -> None:
    """By several fields, up or down, null first."""
    assert keys(six.search("*", order_by=["id desc"], top=2)) == ["c00005", "c00004"]
    assert keys(six.search("*", order_by=["changed desc", "page asc"], top=2)) == [
        "c00003",
        "c00000",
    ]
    with pytest.raises(HttpResponseError, match="'source' is not a sortable field"):
        list(six.search("*", order_by=["source"]))


def test_results_without_an_order_come_in_none(documents: SearchClient) -> None:
    """Who relies on the order of upload, or of keys, notices it here."""
    documents.upload_documents([chunk(n) for n in range(20)])
    found = keys(documents.search("*"))
    assert found != sorted(found)
    assert found == keys(documents.search("*"))


def test_a_long_result_comes_in_pages(azure: Azure, documents: SearchClient) -> None:
    """The SDK fetches page after page of fifty, and a top of more comes by the thousand."""
    documents.upload_documents([chunk(n) for n in range(600)])
    documents.upload_documents([chunk(n) for n in range(600, 1200)])
    expected = [f"c{n:05}" for n in range(1200)]
    assert keys(documents.search("*", order_by=["id"])) == expected
    assert azure.count("search", path="search.post.search") == 24
    assert keys(documents.search("*", order_by=["id"], top=1100)) == expected[:1100]
    assert azure.count("search", path="search.post.search") == 26
    assert keys(documents.search("*", order_by=["id"], top=10, skip=5)) == expected[5:15]
    counted = documents.search("*", filter="page lt 100", include_total_count=True, top=1)
    assert counted.get_count() in {97, 103}  # an approximation, as documented
    with pytest.raises(HttpResponseError, match="Value must be between 0 and 100000"):
        list(documents.search("*", skip=100_001))


def test_all_documents_can_be_read_in_the_order_of_their_keys(documents: SearchClient) -> None:
    """To list an index of any size, ask for what comes after the last key."""
    documents.upload_documents([chunk(n) for n in range(250)])
    found: list[str] = []
    while batch := keys(
        documents.search(
            "*", filter=f"id gt '{found[-1] if found else ''}'", order_by=["id"], top=100
        )
    ):
        found += batch
    assert found == [f"c{n:05}" for n in range(250)]


def test_only_selected_fields_are_answered(six: SearchClient) -> None:
    """And never a vector that is not retrievable."""
    (hit,) = six.search("*", filter="page eq 4", select=["id", "headings"])
    assert {k: v for k, v in hit.items() if k[0] != "@"} == {"id": "c00004", "headings": ["A"]}
    (hit,) = six.search("*", filter="page eq 4")
    assert "embedding" not in hit
    assert hit["@search.score"] == 1.0
    with pytest.raises(HttpResponseError, match="nothing"):
        list(six.search("*", select=["nothing"]))


def test_words_are_found(six: SearchClient) -> None:
    """What says it more, in fewer words, comes first."""
    assert keys(six.search("fox")) == ["c00000"]
    assert set(keys(six.search("brown fox"))) == {"c00000", "c00001"}
    assert keys(six.search("brown fox"))[0] == "c00000"
    assert keys(six.search("brown fox", search_mode="all")) == ["c00000"]
    assert keys(six.search("brown", filter="page eq 1")) == ["c00001"]
    six.upload_documents([chunk(0, "now without")])
    assert keys(six.search("fox")) == []


SYNTAX = [
    ("fox -dog", {0, 2}),  # by the default mode: or without dog
    ("-brown", {2}),
    ("--brown", {0, 1}),
    ("fox - brown", {0, 1}),
    ("slow-fox", {0, 1}),
    ("+brown +slow", {1}),
    ("brown+fox", {0}),
    ("fox | dog", {0, 1}),
    ("nothing | (brown + dog)", {1, 2}),
    ("nothing | (brown + dog", {1}),
    ('"brown fox"', {0}),
    ('"fox brown"', set()),
    ('brown "fox', {0, 1}),
    ("bro*", {0, 1}),
    ("bro*n", set()),
    (r"\-brown", {0, 1}),
    (r"bro\*", set()),
    (r"\(brown\|", {0, 1}),
]


def test_signs_in_a_query_are_operators(six: SearchClient) -> None:
    """Who sends a question as it is typed gets what the service's parser reads into it."""
    found = {text: set(keys(six.search(text, filter="page lt 3"))) for text, _ in SYNTAX}
    assert found == {text: {f"c{n:05}" for n in expected} for text, expected in SYNTAX}


def test_neighbours_are_found(six: SearchClient) -> None:
    """By exact cosine, which the score shows; filters apply before."""
    vector = hashed(["a slow brown dog"], DIMENSIONS)[0].tolist()
    query = VectorizedQuery(vector=vector, k_nearest_neighbors=2, fields="embedding")
    first, second = six.search(vector_queries=[query])
    assert first["id"] == "c00001"
    assert np.isclose(first["@search.score"], 1.0)
    assert 1 / 3 <= second["@search.score"] < 1
    filtered = keys(six.search(vector_queries=[query], filter="page ne 1"))
    assert len(filtered) == 2
    assert "c00001" not in filtered
    after = six.search(vector_queries=[query], filter="page ne 1", vector_filter_mode="postFilter")
    assert len(keys(after)) == 1


def test_text_is_made_a_vector_by_the_index(six: SearchClient) -> None:
    """A question can be sent as text where the index has a vectorizer."""
    query = VectorizableTextQuery(text="a slow brown dog", fields="embedding")
    assert keys(six.search(vector_queries=[query]))[0] == "c00001"


def test_words_and_neighbours_are_fused_by_rank(six: SearchClient) -> None:
    """What both find comes first, with the scores that the service documents."""
    query = VectorizableTextQuery(
        text="a slow brown dog", fields="embedding", k_nearest_neighbors=3
    )
    hits = list(six.search("slow dog", vector_queries=[query]))
    assert hits[0]["id"] == "c00001"
    assert np.isclose(hits[0]["@search.score"], 2 / 60)
    assert len(hits) == 3


def test_values_are_counted(six: SearchClient) -> None:
    """Facets say how many documents each source has."""
    found = six.search("*", facets=["source,count:0"], top=0).get_facets()
    assert found is not None
    assert {f["value"]: f["count"] for f in found["source"]} == {"a.pdf": 3, "b.pdf": 2, "it's": 1}


def test_a_planned_fault_strikes_when_it_is_due(azure: Azure, documents: SearchClient) -> None:
    """I can make exactly the third upload fail."""
    azure.faults.add(broken(503), "search", "POST", WRITE, nth=3)
    statuses = []
    for number in range(4):
        try:
            documents.upload_documents([chunk(number)])
            statuses.append(200)
        except HttpResponseError as error:
            statuses.append(error.status_code or 0)
    assert statuses == [200, 200, 503, 200]
    assert len(azure.faults.happened) == 1
    assert sorted(azure.search.dump("chunks")) == ["c00000", "c00001", "c00003"]


@pytest.mark.parametrize(
    ("fault", "error", "written"),
    [
        (broken(503), HttpResponseError, 0),
        (broken(503, body=False), HttpResponseError, 0),
        (broken(408), HttpResponseError, 0),
        (too_many(), HttpResponseError, 0),
        (results_503(), HttpResponseError, 0),
        (unauthorized(), ClientAuthenticationError, 0),
        (reset(), ServiceResponseError, 0),
        (slow(0.01, work=False), ServiceResponseError, 0),
        (lost(), ServiceResponseError, 4),
        (truncated(), IncompleteReadError, 4),
        (empty(), ValueError, 4),  # of json: no error of the SDK's own
        (empty(work=False), ValueError, 0),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else "",
)
def test_a_fault_strikes_before_or_after_the_work(
    azure: Azure, documents: SearchClient, fault: Fault, error: Any, written: int
) -> None:
    """What a client is told need not be what became of its documents."""
    azure.faults.add(fault, "search", "POST", WRITE)
    with pytest.raises(error):
        documents.upload_documents([chunk(n) for n in range(4)])
    assert len(azure.search.dump("chunks")) == written


def test_some_documents_are_refused_for_a_while(azure: Azure, documents: SearchClient) -> None:
    """A busy service takes some documents and not the others."""
    azure.faults.add(refused(503), "search", "POST", WRITE, nth=1)
    results = documents.upload_documents([chunk(n) for n in range(4)])
    assert {r.key: r.status_code for r in results} == {
        "c00000": 503,
        "c00001": 201,
        "c00002": 503,
        "c00003": 201,
    }
    assert sorted(azure.search.dump("chunks")) == ["c00001", "c00003"]
    again = documents.upload_documents([chunk(n) for n in range(4)])
    assert [r.status_code for r in again] == [201, 200, 201, 200]


def test_embeddings_meet_faults_too(azure: Azure, client: openai.OpenAI) -> None:
    """The SDK retries after the milliseconds it is told; a lost answer is paid for twice."""
    azure.faults.add(too_many(ms=20), "openai", nth=1)
    azure.faults.add(lost(), "openai", nth=2)
    patient = client.with_options(max_retries=2)
    assert len(embed(patient, ["a"]).data) == 1
    assert [fault for *_, fault in azure.faults.happened] == ["429", "lost"]
    assert azure.openai.repeated == {"a": 2}


def test_the_token_endpoint_fails_too(azure: Azure) -> None:
    """To get no token is an error of its own."""
    azure.faults.add(broken(400), "identity")
    with (
        ManagedIdentityCredential() as made,
        pytest.raises(ClientAuthenticationError),
    ):
        made.get_token(SCOPE)


def test_random_faults_are_the_same_for_the_same_seed(
    azure: Azure, documents: SearchClient
) -> None:
    """A run that failed can be looked at again; every kind of fault happens sometimes."""

    def names(seed: int) -> list[str]:
        azure.faults.happened.clear()
        azure.faults.randomly(0.5, seed, without={"401"})
        for number in range(20):
            # ValueError is what the SDK makes of an empty body.
            with suppress(HttpResponseError, ServiceResponseError, ValueError):
                documents.upload_documents([chunk(number)])
        return [fault for *_, fault in azure.faults.happened]

    first = names(1)
    assert names(1) == first
    assert names(2) != first
    kinds = {fault.name for fault in FITTING[WRITE]}
    assert len(kinds) > 12
    assert set(first) < kinds
    azure.faults.quiet()
    documents.upload_documents([chunk(1)])


def test_it_leaves_nothing_behind() -> None:
    """Once it has stopped, nobody listens at its ports."""
    with emulator() as azure:
        port = int(azure.search_endpoint.rpartition(":")[2])
    with closing(socket.socket()) as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", port))


def test_many_processes_can_use_it(azure: Azure, documents: SearchClient, tmp_path: Path) -> None:
    """The client is often another process; all it needs is the environment."""
    code = (
        "import os, azure.identity as i, azure.search.documents as d\n"
        "c = i.DefaultAzureCredential(require_envvar=True)\n"
        "s = d.SearchClient(os.environ['AZURE_SEARCH_ENDPOINT'], 'chunks', c)\n"
        "print(s.upload_documents([{'id': os.environ['KEY']}])[0].status_code)"
    )
    env = environment() | azure.environment
    with ExitStack() as stack:
        children = [
            stack.enter_context(
                running(sys.executable, "-c", code, cwd=tmp_path, env=env | {"KEY": name})
            )
            for name in "abc"
        ]
        assert [child.wait() for child in children] == [0] * 3
    assert [child.stdout.text.strip() for child in children] == ["201"] * 3
    assert sorted(azure.search.dump("chunks")) == ["a", "b", "c"]


def test_the_command_prints_what_a_shell_needs() -> None:
    """I can try it by hand."""
    command = ROOT / "scripts" / "azure-emulator", "--vectors", "hash", "--tpm", "1000"
    with running(*command, cwd=ROOT, env=environment()) as child:
        lines = child.stdout.wait_for(r"(?:export .*\n){14}")[0].splitlines()
        settings = dict(line.removeprefix("export ").strip().split("=", 1) for line in lines)
        url = (
            f"{settings['IDENTITY_ENDPOINT']}?api-version=2019-08-01"
            "&resource=https://search.azure.com"
        )
        request = urllib.request.Request(
            url, headers={"X-IDENTITY-HEADER": settings["IDENTITY_HEADER"]}
        )
        with urllib.request.urlopen(request) as response:
            token = json.load(response)
        child.send(signal.SIGTERM)
        assert child.wait() == 0
        assert "1 tokens asked for" in child.stderr.text
    assert token["resource"] == "https://search.azure.com"
    assert set(settings) >= {"AZURE_OPENAI_ENDPOINT", "AZURE_SEARCH_ENDPOINT", "SSL_CERT_FILE"}
