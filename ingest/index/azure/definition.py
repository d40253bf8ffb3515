"""The definition of an index on Azure AI Search: made from the fields, compared, completed.

Nothing here deletes or rebuilds anything: what a service cannot change is reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from azure.search.documents.indexes import models as azure
from azure.search.documents.indexes.models import SearchIndex

from ingest.index.schema import FIELDS, RECORD_FIELDS, VECTOR_FIELD, Field

PROFILE, HNSW, COMPRESSION, VECTORIZER = "vectors", "hnsw", "scalar", "openai"
SEMANTIC = "default"


@dataclass(frozen=True, slots=True)
class Vectorizer:
    """What the service embeds queries with, as itself: a deployment of Azure OpenAI."""

    url: str
    deployment: str
    model: str


def definition(
    name: str,
    dimensions: int,
    analyzer: str,
    vectorizer: Vectorizer | None,
    more: Sequence[Field] = (),
) -> SearchIndex:
    """The whole index as `ingest` wants it, with more fields than its own."""
    ours = (*FIELDS, *RECORD_FIELDS)
    return SearchIndex(
        name=name,
        fields=[*fields((*ours, *more), analyzer), vector_field(dimensions)],
        vector_search=vector_search(vectorizer),
        semantic_search=semantic_search(),
    )


def fields(wanted: Iterable[Field], analyzer: str) -> Iterator[azure.SearchField]:
    """Every field with all its attributes: what is left out, the service turns on."""
    for field in wanted:
        yield azure.SearchField(
            name=field.name,
            type=field.type,
            key=field.name == "id",
            searchable=field.searchable,
            filterable=field.filterable,
            sortable=field.sortable,
            facetable=field.facetable,
            retrievable=True,
            analyzer_name=analyzer if field.searchable else None,
        )


def vector_field(dimensions: int) -> azure.SearchField:
    """The vectors. Stored, because a merge drops a vector that is not."""
    return azure.SearchField(
        name=VECTOR_FIELD,
        type="Collection(Edm.Single)",
        searchable=True,
        filterable=False,
        sortable=False,
        facetable=False,
        retrievable=False,
        stored=True,
        vector_search_dimensions=dimensions,
        vector_search_profile_name=PROFILE,
    )


def vector_search(vectorizer: Vectorizer | None) -> azure.VectorSearch:
    """HNSW by cosine over int8 copies, rescored with the originals."""
    return azure.VectorSearch(
        algorithms=[
            azure.HnswAlgorithmConfiguration(
                name=HNSW, parameters=azure.HnswParameters(metric="cosine")
            )
        ],
        compressions=[
            azure.ScalarQuantizationCompression(
                compression_name=COMPRESSION,
                rescoring_options=azure.RescoringOptions(
                    enable_rescoring=True,
                    default_oversampling=4,
                    rescore_storage_method="preserveOriginals",
                ),
            )
        ],
        vectorizers=[
            azure.AzureOpenAIVectorizer(
                vectorizer_name=VECTORIZER,
                parameters=azure.AzureOpenAIVectorizerParameters(
                    resource_url=vectorizer.url,
                    deployment_name=vectorizer.deployment,
                    model_name=vectorizer.model,
                ),
            )
        ]
        if vectorizer
        else None,
        profiles=[
            azure.VectorSearchProfile(
                name=PROFILE,
                algorithm_configuration_name=HNSW,
                compression_name=COMPRESSION,
                vectorizer_name=VECTORIZER if vectorizer else None,
            )
        ],
    )


def semantic_search() -> azure.SemanticSearch:
    """What the semantic ranker reads, for the applications that ask for it."""
    return azure.SemanticSearch(
        default_configuration_name=SEMANTIC,
        configurations=[
            azure.SemanticConfiguration(
                name=SEMANTIC,
                prioritized_fields=azure.SemanticPrioritizedFields(
                    title_field=azure.SemanticField(field_name="title"),
                    content_fields=[azure.SemanticField(field_name="content")],
                    keywords_fields=[azure.SemanticField(field_name="headings")],
                ),
            )
        ],
    )


def missing(found: SearchIndex, wanted: SearchIndex) -> list[azure.SearchField]:
    """The fields that can be added without touching the others."""
    names = {field.name for field in found.fields}
    return [field for field in wanted.fields if field.name not in names]


def differences(found: SearchIndex, wanted: SearchIndex) -> Iterator[str]:
    """What stands in the way and cannot be changed in place, in words.

    More than we need is no difference: another application may want it.
    """
    there = {field.name: field for field in found.fields}
    for field in wanted.fields:
        other = there.get(field.name)
        if other is None:
            continue
        if other.type != field.type:
            yield f"{field.name} is {other.type}, not {field.type}"
        needed = ("key", "searchable", "filterable", "sortable")
        for need in needed:
            if getattr(field, need) and not getattr(other, need):
                yield f"{field.name} is not {need}"
        size = field.vector_search_dimensions
        if size and other.vector_search_dimensions != size:
            yield f"{field.name} has {other.vector_search_dimensions} dimensions, not {size}"
        if size and other.stored is False:
            yield f"{field.name} is not stored, so moving a chunk would lose its vector"
    old, new = embeds_with(found), embeds_with(wanted)
    if old and new and old != new:
        yield f"it holds vectors of {old}, not {new}"


def embeds_with(index: SearchIndex) -> str:
    """The model by which the service embeds a question that is text; "" where it embeds none."""
    search = index.vector_search
    ours = (v for v in (search and search.vectorizers) or () if v.vectorizer_name == VECTORIZER)
    parameters = getattr(next(ours, None), "parameters", None)
    name = parameters.model_name if parameters else None
    return str(getattr(name, "value", name) or "")  # the SDK knows some by an enumeration


def reanalyzed(found: SearchIndex, wanted: SearchIndex) -> list[str]:
    """The fields that have another analyzer than they should, which they keep for ever."""
    there = {field.name: field.analyzer_name for field in found.fields}
    return [
        field.name
        for field in wanted.fields
        if there.get(field.name, field.analyzer_name) != field.analyzer_name
    ]


__all__ = [
    "Field",
    "SearchIndex",
    "Vectorizer",
    "definition",
    "differences",
    "missing",
    "reanalyzed",
]
