"""Definition of an index on Azure AI Search: build, compare, extend.

Differences that a service cannot change in place are reported, never forced.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from azure.search.documents.indexes import models as azure
from azure.search.documents.indexes.models import SearchIndex

from ingest.index.schema import (
    CHUNK_FIELDS,
    NAMES_FIELD,
    RECORD_FIELDS,
    TEXT_HASH_FIELD,
    VECTOR_FIELD,
    Field,
)

VECTOR_PROFILE_NAME, HNSW_ALGORITHM_NAME, COMPRESSION_NAME, VECTORIZER_NAME = (
    "vectors",
    "hnsw",
    "scalar",
    "openai",
)
SEMANTIC_CONFIGURATION_NAME = "default"

# The analyzer of new indexes: standard.lucene, to which it adds compounds written as one word, so
# that COVID-19 and COVID19 find each other, and full-width letters as plain ones.
COMPOUND_ANALYZER_NAME, COMPOUND_FILTER_NAME = "standard-compounds", "compounds"
COMPOUND_PART = r"[\p{L}\p{M}\p{N}]+"
COMPOUND_HYPHEN = r"[-\u2010\u2011]\n?"
COMPOUND_PATTERN = (
    f"({COMPOUND_PART}){COMPOUND_HYPHEN}({COMPOUND_PART})"
    f"(?:{COMPOUND_HYPHEN}({COMPOUND_PART}))?(?:{COMPOUND_HYPHEN}({COMPOUND_PART}))?"
)
COMPOUND_REPLACEMENT = "$0 $1$2$3$4"


@dataclass(frozen=True, slots=True)
class Vectorizer:
    """Azure OpenAI deployment that the service itself embeds text queries with."""

    url: str
    deployment: str
    model: str


def build_definition(
    name: str,
    dimensions: int,
    analyzer: str,
    vectorizer: Vectorizer | None,
    additional: Sequence[Field] = (),
) -> SearchIndex:
    """Build the definition: fields, additional fields, vector search and semantic ranking."""
    ours = (*CHUNK_FIELDS, NAMES_FIELD, *RECORD_FIELDS, TEXT_HASH_FIELD)
    return SearchIndex(
        name=name,
        fields=[
            *build_search_fields((*ours, *additional), analyzer),
            build_vector_field(dimensions),
        ],
        analyzers=[build_compound_analyzer()] if analyzer == COMPOUND_ANALYZER_NAME else None,
        char_filters=[build_compound_filter()] if analyzer == COMPOUND_ANALYZER_NAME else None,
        vector_search=build_vector_search(vectorizer),
        semantic_search=build_semantic_search(),
    )


def build_search_fields(fields: Iterable[Field], analyzer: str) -> Iterator[azure.SearchField]:
    """Build fields with every attribute set: the service turns on those left out."""
    for field in fields:
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


def build_compound_analyzer() -> azure.CustomAnalyzer:
    """Build the analyzer that finds both spellings of a compound."""
    return azure.CustomAnalyzer(
        name=COMPOUND_ANALYZER_NAME,
        tokenizer_name="standard_v2",
        token_filters=["lowercase", "cjk_width"],
        char_filters=[COMPOUND_FILTER_NAME],
    )


def build_compound_filter() -> azure.PatternReplaceCharFilter:
    """Build the filter that adds to each compound, of up to four words, its spelling as one."""
    return azure.PatternReplaceCharFilter(
        name=COMPOUND_FILTER_NAME, pattern=COMPOUND_PATTERN, replacement=COMPOUND_REPLACEMENT
    )


def build_vector_field(dimensions: int) -> azure.SearchField:
    """Build the vector field.

    Stored, because a merge drops a vector that is not; retrievable, so that a text that the index
    has already need not be embedded again.
    """
    return azure.SearchField(
        name=VECTOR_FIELD,
        type="Collection(Edm.Single)",
        searchable=True,
        filterable=False,
        sortable=False,
        facetable=False,
        retrievable=True,
        stored=True,
        vector_search_dimensions=dimensions,
        vector_search_profile_name=VECTOR_PROFILE_NAME,
    )


def build_vector_search(vectorizer: Vectorizer | None) -> azure.VectorSearch:
    """Configure HNSW by cosine over int8 copies, rescored with the originals."""
    return azure.VectorSearch(
        algorithms=[
            azure.HnswAlgorithmConfiguration(
                name=HNSW_ALGORITHM_NAME, parameters=azure.HnswParameters(metric="cosine")
            )
        ],
        compressions=[
            azure.ScalarQuantizationCompression(
                compression_name=COMPRESSION_NAME,
                rescoring_options=azure.RescoringOptions(
                    enable_rescoring=True,
                    default_oversampling=4,
                    rescore_storage_method="preserveOriginals",
                ),
            )
        ],
        vectorizers=[
            azure.AzureOpenAIVectorizer(
                vectorizer_name=VECTORIZER_NAME,
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
                name=VECTOR_PROFILE_NAME,
                algorithm_configuration_name=HNSW_ALGORITHM_NAME,
                compression_name=COMPRESSION_NAME,
                vectorizer_name=VECTORIZER_NAME if vectorizer else None,
            )
        ],
    )


def build_semantic_search() -> azure.SemanticSearch:
    """Configure the semantic ranker, for the applications that use it."""
    return azure.SemanticSearch(
        default_configuration_name=SEMANTIC_CONFIGURATION_NAME,
        configurations=[
            azure.SemanticConfiguration(
                name=SEMANTIC_CONFIGURATION_NAME,
                prioritized_fields=azure.SemanticPrioritizedFields(
                    title_field=azure.SemanticField(field_name="title"),
                    content_fields=[azure.SemanticField(field_name="content")],
                    keywords_fields=[azure.SemanticField(field_name="headings")],
                ),
            )
        ],
    )


def missing_fields(found: SearchIndex, wanted: SearchIndex) -> list[azure.SearchField]:
    """Return the fields that an index lacks; adding them changes no other.

    A text field gets the analyzer that the index has for the others: it may lack the wanted one.
    """
    existing = {field.name: field.analyzer_name for field in found.fields}
    missing = [field for field in wanted.fields if field.name not in existing]
    for field in missing:
        if field.analyzer_name:
            field.analyzer_name = existing.get("content") or field.analyzer_name
    return missing


def find_incompatibilities(found: SearchIndex, wanted: SearchIndex) -> Iterator[str]:
    """Describe each difference that cannot be changed in place.

    Additional attributes are not a difference: another application may use them.
    """
    existing = {field.name: field for field in found.fields}
    for field in wanted.fields:
        other = existing.get(field.name)
        if other is None:
            continue
        if other.type != field.type:
            yield f"{field.name} is {other.type}, not {field.type}"
        for attribute in ("key", "searchable", "filterable", "sortable"):
            if getattr(field, attribute) and not getattr(other, attribute):
                yield f"{field.name} is not {attribute}"
        size = field.vector_search_dimensions
        if size and other.vector_search_dimensions != size:
            yield f"{field.name} has {other.vector_search_dimensions} dimensions, not {size}"
        if size and other.stored is False:
            yield f"{field.name} is not stored, so moving a chunk would lose its vector"
    old, new = vectorizer_model(found), vectorizer_model(wanted)
    if old and new and old != new:
        yield f"it holds vectors of {old}, not {new}"


def vectorizer_model(index: SearchIndex) -> str:
    """Return the model that the service embeds text queries with; "" if it embeds none."""
    search = index.vector_search
    ours = (
        v for v in (search and search.vectorizers) or () if v.vectorizer_name == VECTORIZER_NAME
    )
    parameters = getattr(next(ours, None), "parameters", None)
    name = parameters.model_name if parameters else None
    return str(getattr(name, "value", name) or "")  # the SDK has an enumeration of some


def find_changed_analyzers(found: SearchIndex, wanted: SearchIndex) -> list[str]:
    """Return the fields with another analyzer than wanted, which no service can change."""
    existing = {field.name: field.analyzer_name for field in found.fields}
    return [
        field.name
        for field in wanted.fields
        if existing.get(field.name, field.analyzer_name) != field.analyzer_name
    ]


__all__ = [
    "Field",
    "SearchIndex",
    "Vectorizer",
    "build_definition",
    "find_changed_analyzers",
    "find_incompatibilities",
    "missing_fields",
]
