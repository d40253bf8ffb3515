"""Indexes and aliases of the emulated search service, and who may change them."""

from __future__ import annotations

from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceModifiedError, ResourceNotFoundError
from azure.identity import ManagedIdentityCredential
from azure.search.documents import SearchClient
from azure.search.documents.indexes import SearchIndexClient
from azure.search.documents.indexes.models import (
    SearchAlias,
    SearchField,
    SearchFieldDataType,
    SearchIndex,
    SimpleField,
)

from tests.emulator.emulator import Azure
from tests.emulator.helpers import chunk, definition
from tests.emulator.identity import DATA_CONTRIBUTOR, DATA_READER, SERVICE_CONTRIBUTOR


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
    for changed, message in ((index, "cannot be changed"), (definition(), "cannot be deleted")):
        with pytest.raises(HttpResponseError, match=message) as caught:
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
    with pytest.raises(HttpResponseError, match="Invalid alias name"):
        indexes.create_alias(SearchAlias(name="Current!", indexes=["chunks"]))
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
