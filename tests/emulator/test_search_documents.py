"""Writes to the emulated search service: results, refusals, delays."""

from __future__ import annotations

from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.search.documents import RequestEntityTooLargeError, SearchClient

from tests.emulator.emulator import Azure
from tests.emulator.helpers import chunk, keys


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
    ("wrong", "message"),
    [
        ({"id": "a b"}, "Keys can only contain letters"),
        ({"id": "_a"}, "leading underscore"),
        ({"id": ""}, "missing or empty"),
        ({"id": "a", "unknown": 1}, "The property 'unknown' does not exist"),
        ({"id": "a", "embedding": [0.5] * 9}, "expects a length of '8'"),
        ({"id": "a", "page": "one"}, "Cannot convert"),
        ({"id": "a", "headings": None}, "Cannot convert"),
        ({"id": "a", "changed": "2024-01-01T00:00:00"}, "Cannot convert"),
    ],
)
def test_a_batch_that_makes_no_sense_is_refused_whole(
    azure: Azure, documents: SearchClient, wrong: dict[str, Any], message: str
) -> None:
    """One bad document costs the batch, and nothing of it is written."""
    with pytest.raises(HttpResponseError, match=message) as caught:
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
    azure.search.delays.search, azure.search.delays.count = 3_000, 60_000
    documents.upload_documents([chunk(1), chunk(2)])
    assert keys(documents.search("*")) == []
    assert documents.get_document("c00001")["page"] == 1
    azure.clock.advance(4_000)
    assert sorted(keys(documents.search("*"))) == ["c00001", "c00002"]
    assert documents.get_document_count() == 0
    documents.delete_documents([{"id": "c00001"}])
    assert len(keys(documents.search("*"))) == 2
    azure.search.settle()
    assert keys(documents.search("*")) == ["c00002"]
    assert documents.get_document_count() == 1


def test_a_read_may_go_back_in_time(azure: Azure, documents: SearchClient) -> None:
    """Two replicas show a write after times of their own; its answer alone is right at once."""
    azure.search.delays.search = azure.search.delays.lookup = 9_000
    created = documents.merge_or_upload_documents([{"id": "c00001"}])
    again = documents.merge_or_upload_documents([{"id": "c00001"}])
    assert [r.status_code for r in (*created, *again)] == [201, 200]
    (absent,) = documents.merge_documents([{"id": "c00002"}])
    assert absent.status_code == 404

    def seen() -> set[bool]:
        return {keys(documents.search("*")) == ["c00001"] for _ in range(40)}

    assert seen() == {False}
    azure.clock.advance(4_000)
    assert seen() == {False, True}
    azure.clock.advance(9_000)
    assert seen() == {True}
