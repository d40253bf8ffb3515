"""An index of chunks and its documents, as one would write them with the SDKs."""

from __future__ import annotations

from typing import Any

import openai
from azure.search.documents.indexes.models import (
    AzureOpenAIVectorizer,
    AzureOpenAIVectorizerParameters,
    HnswAlgorithmConfiguration,
    SearchableField,
    SearchField,
    SearchIndex,
    SimpleField,
    VectorSearch,
    VectorSearchProfile,
)

from tests.emulator.vectors import hash_texts

SCOPE = "https://cognitiveservices.azure.com/.default"
WRITE = "docs/search.index"
DIMENSIONS = 8


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
        "embedding": hash_texts([content], DIMENSIONS)[0].tolist(),
        **more,
    }


def keys(hits: Any) -> list[str]:
    """The keys of search results."""
    return [hit["id"] for hit in hits]


def embed(client: openai.OpenAI, inputs: Any, **more: Any) -> Any:
    """The answer to a request for vectors of DIMENSIONS numbers."""
    return client.embeddings.create(model="embeddings", input=inputs, dimensions=DIMENSIONS, **more)
