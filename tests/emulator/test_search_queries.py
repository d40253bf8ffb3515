"""Queries of the emulated search service: filters, order, pages, words and vectors."""

from __future__ import annotations

import numpy as np
import pytest
from azure.core.exceptions import HttpResponseError
from azure.search.documents import SearchClient
from azure.search.documents.models import VectorizableTextQuery, VectorizedQuery

from tests.emulator.emulator import Azure
from tests.emulator.helpers import DIMENSIONS, chunk, keys
from tests.emulator.vectors import hash_texts

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


def test_filters_mean_what_they_say(six_documents: SearchClient) -> None:
    """Every form of filter finds the documents it describes."""
    for text, expected in FILTERS:
        found = keys(six_documents.search("*", filter=text))
        assert sorted(found) == [f"c{n:05}" for n in sorted(expected)], text


def test_a_document_is_found_by_what_it_says_now(documents: SearchClient) -> None:
    """Not by what it said before it was changed or removed."""
    documents.upload_documents([chunk(n, "fox" if n == 0 else "") for n in range(5)])
    before = keys(documents.search("*", filter="source eq 'a.pdf'", order_by=["id"]))
    assert before == ["c00000", "c00002", "c00004"]
    assert keys(documents.search("fox")) == ["c00000"]
    documents.merge_documents([{"id": "c00000", "source": "z.pdf", "content": "dog"}])
    documents.delete_documents([{"id": "c00002"}])
    assert keys(documents.search("*", filter="source eq 'a.pdf'")) == ["c00004"]
    assert keys(documents.search("*", filter="source eq 'z.pdf'")) == ["c00000"]
    assert keys(documents.search("fox")) == []
    assert "c00002" not in keys(documents.search("*", order_by=["id"]))


@pytest.mark.parametrize(
    ("text", "message"),
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
def test_a_filter_that_cannot_be_meant_is_refused(
    six_documents: SearchClient, text: str, message: str
) -> None:
    """A mistake is an error, not an empty result."""
    with pytest.raises(HttpResponseError, match=message) as caught:
        list(six_documents.search("*", filter=text))
    assert caught.value.status_code == 400


def test_results_come_in_the_order_asked_for(six_documents: SearchClient) -> None:
    """By several fields, up or down, null first."""
    assert keys(six_documents.search("*", order_by=["id desc"], top=2)) == ["c00005", "c00004"]
    assert keys(six_documents.search("*", order_by=["changed desc", "page asc"], top=2)) == [
        "c00003",
        "c00000",
    ]
    with pytest.raises(HttpResponseError, match="'source' is not a sortable field"):
        list(six_documents.search("*", order_by=["source"]))


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


def test_only_selected_fields_are_answered(six_documents: SearchClient) -> None:
    """And never a vector that is not retrievable."""
    (hit,) = six_documents.search("*", filter="page eq 4", select=["id", "headings"])
    assert {k: v for k, v in hit.items() if k[0] != "@"} == {"id": "c00004", "headings": ["A"]}
    (hit,) = six_documents.search("*", filter="page eq 4")
    assert "embedding" not in hit
    assert hit["@search.score"] == 1.0
    with pytest.raises(HttpResponseError, match="nothing"):
        list(six_documents.search("*", select=["nothing"]))


def test_words_are_found(six_documents: SearchClient) -> None:
    """What says it more, in fewer words, comes first."""
    assert keys(six_documents.search("fox")) == ["c00000"]
    assert set(keys(six_documents.search("brown fox"))) == {"c00000", "c00001"}
    assert keys(six_documents.search("brown fox"))[0] == "c00000"
    assert keys(six_documents.search("brown fox", search_mode="all")) == ["c00000"]
    assert keys(six_documents.search("brown", filter="page eq 1")) == ["c00001"]


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


def test_signs_in_a_query_are_operators(six_documents: SearchClient) -> None:
    """Who sends a question as it is typed gets what the service's parser reads into it."""
    found = {text: set(keys(six_documents.search(text, filter="page lt 3"))) for text, _ in SYNTAX}
    assert found == {text: {f"c{n:05}" for n in expected} for text, expected in SYNTAX}


def test_neighbours_are_found(six_documents: SearchClient) -> None:
    """By exact cosine, which the score shows; filters apply before."""
    vector = hash_texts(["a slow brown dog"], DIMENSIONS)[0].tolist()
    query = VectorizedQuery(vector=vector, k_nearest_neighbors=2, fields="embedding")
    first, second = six_documents.search(vector_queries=[query])
    assert first["id"] == "c00001"
    assert np.isclose(first["@search.score"], 1.0)
    assert 1 / 3 <= second["@search.score"] < 1
    filtered = keys(six_documents.search(vector_queries=[query], filter="page ne 1"))
    assert len(filtered) == 2
    assert "c00001" not in filtered


def test_text_is_made_a_vector_by_the_index(six_documents: SearchClient) -> None:
    """A question can be sent as text where the index has a vectorizer."""
    query = VectorizableTextQuery(text="a slow brown dog", fields="embedding")
    assert keys(six_documents.search(vector_queries=[query]))[0] == "c00001"


def test_words_and_neighbours_are_fused_by_rank(six_documents: SearchClient) -> None:
    """What both find comes first, with the scores that the service documents."""
    query = VectorizableTextQuery(
        text="a slow brown dog", fields="embedding", k_nearest_neighbors=3
    )
    hits = list(six_documents.search("slow dog", vector_queries=[query]))
    assert hits[0]["id"] == "c00001"
    assert np.isclose(hits[0]["@search.score"], 2 / 60)
    assert len(hits) == 3
