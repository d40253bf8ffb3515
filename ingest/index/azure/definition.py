"""Definition of an index on Azure AI Search: build, compare, extend.

Differences that a service cannot change in place are reported, never forced.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from azure.search.documents.indexes import models as azure
from azure.search.documents.indexes.models import SearchIndex

from ingest.index.azure.profile import (
    DEFAULT_PROFILE,
    EncryptionKey,
    Profile,
    SemanticOptions,
    VectorOptions,
)
from ingest.index.azure.serialize import OWN_VALUES_NAME
from ingest.index.schema import (
    CHUNK_FIELDS,
    COMPLEX_COLLECTION,
    IMAGE_FIELDS,
    NAMES_FIELD,
    RECORD_FIELDS,
    TEXT_HASH_FIELD,
    VECTOR_FIELD,
    Field,
)

HNSW_ALGORITHM_NAME, VECTORIZER_NAME = "hnsw", "openai"

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
    profile: Profile = DEFAULT_PROFILE,
) -> SearchIndex:
    """Build the definition of a new index: fields, vector search and semantic ranking."""
    analyzer = profile.analyzer or analyzer
    more = () if profile.is_foreign else RECORD_FIELDS
    vector = profile.field_of(VECTOR_FIELD)
    own = [rule.field for rule in profile.rules if rule.field.name != vector]
    has_compounds = analyzer == COMPOUND_ANALYZER_NAME
    # Adds to each compound, of up to four words, its spelling as one.
    compound_filter = azure.PatternReplaceCharFilter(
        name=COMPOUND_FILTER_NAME, pattern=COMPOUND_PATTERN, replacement=COMPOUND_REPLACEMENT
    )
    return SearchIndex(
        name=name,
        fields=[
            *build_search_fields((*own, *more), profile.field_of("id"), analyzer),
            build_vector_field(vector, dimensions, profile.vectors),
        ],
        analyzers=[build_compound_analyzer()] if has_compounds else None,
        char_filters=[compound_filter] if has_compounds else None,
        vector_search=build_vector_search(vectorizer, profile.vectors),
        semantic_search=build_semantic_search(profile.semantic),
        encryption_key=build_encryption_key(profile.encryption),
    )


def build_records_definition(name: str, encryption: EncryptionKey | None = None) -> SearchIndex:
    """Build the definition of an index of records alone, with copies of chunks to read by id."""
    ours = (*CHUNK_FIELDS, NAMES_FIELD, *RECORD_FIELDS, TEXT_HASH_FIELD)
    fields = [replace(field, searchable=False) for field in ours]
    fields += [Field(VECTOR_FIELD), Field(OWN_VALUES_NAME)]
    return SearchIndex(
        name=name,
        fields=list(build_search_fields(fields, "id", "")),
        encryption_key=build_encryption_key(encryption),
    )


def build_search_fields(
    fields: Iterable[Field], key: str, analyzer: str
) -> Iterator[azure.SearchField]:
    """Build fields with every attribute set: the service turns on those left out."""
    for field in fields:
        if field.type == COMPLEX_COLLECTION:
            parts = list(build_search_fields(IMAGE_FIELDS, "", analyzer))
            yield azure.SearchField(name=field.name, type=field.type, fields=parts)
            continue
        yield azure.SearchField(
            name=field.name,
            type=field.type,
            key=field.name == key,
            searchable=field.searchable,
            filterable=field.filterable,
            sortable=field.sortable,
            facetable=field.facetable,
            retrievable=True,
            analyzer_name=analyzer if field.searchable else None,
        )


def build_encryption_key(key: EncryptionKey | None) -> azure.SearchResourceEncryptionKey | None:
    """Build the customer-managed key of an index; the service reads it with its own identity."""
    if key is None:
        return None
    return azure.SearchResourceEncryptionKey(
        key_name=key.key, key_version=key.version or None, vault_uri=key.vault
    )


def build_compound_analyzer() -> azure.CustomAnalyzer:
    """Build the analyzer that finds both spellings of a compound."""
    return azure.CustomAnalyzer(
        name=COMPOUND_ANALYZER_NAME,
        tokenizer_name="standard_v2",
        token_filters=["lowercase", "cjk_width"],
        char_filters=[COMPOUND_FILTER_NAME],
    )


def build_vector_field(name: str, dimensions: int, options: VectorOptions) -> azure.SearchField:
    """Build the vector field.

    By default stored, because a merge drops a vector that is not; and retrievable, so that a text
    that the index has already need not be embedded again.
    """
    return azure.SearchField(
        name=name,
        type="Collection(Edm.Single)",
        searchable=True,
        filterable=False,
        sortable=False,
        facetable=False,
        retrievable=options.retrievable,
        stored=options.stored,
        vector_search_dimensions=dimensions,
        vector_search_profile_name=options.profile,
    )


def build_vector_search(
    vectorizer: Vectorizer | None, options: VectorOptions = DEFAULT_PROFILE.vectors
) -> azure.VectorSearch:
    """Configure HNSW by cosine over compressed copies, rescored with the originals."""
    compression = build_compression(options)
    return azure.VectorSearch(
        algorithms=[
            azure.HnswAlgorithmConfiguration(
                name=HNSW_ALGORITHM_NAME, parameters=azure.HnswParameters(metric="cosine")
            )
        ],
        compressions=[compression] if compression else None,
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
                name=options.profile,
                algorithm_configuration_name=HNSW_ALGORITHM_NAME,
                compression_name=compression.compression_name if compression else None,
                vectorizer_name=VECTORIZER_NAME if vectorizer else None,
            )
        ],
    )


def build_compression(options: VectorOptions) -> azure.VectorSearchCompression | None:
    """Build the compression: int8 or one bit for each dimension, or for the first ones only."""
    if options.compression == "none":
        return None
    build = (
        azure.BinaryQuantizationCompression
        if options.compression == "binary"
        else azure.ScalarQuantizationCompression
    )
    return build(
        compression_name=options.compression,
        truncation_dimension=options.truncate,
        rescoring_options=azure.RescoringOptions(
            enable_rescoring=True,
            default_oversampling=options.oversampling,
            rescore_storage_method="preserveOriginals",
        ),
    )


def build_semantic_search(options: SemanticOptions) -> azure.SemanticSearch | None:
    """Configure the semantic ranker, for the applications that use it; None without fields."""
    if not (options.title or options.content or options.keywords):
        return None
    to_field = azure.SemanticField
    return azure.SemanticSearch(
        default_configuration_name=options.name,
        configurations=[
            azure.SemanticConfiguration(
                name=options.name,
                prioritized_fields=azure.SemanticPrioritizedFields(
                    title_field=to_field(field_name=options.title) if options.title else None,
                    content_fields=[to_field(field_name=name) for name in options.content],
                    keywords_fields=[to_field(field_name=name) for name in options.keywords],
                ),
            )
        ],
    )


def existing_fields(found: SearchIndex) -> dict[str, Field]:
    """Return the fields of an index by name."""
    return {
        f.name: Field(
            f.name,
            str(getattr(f.type, "value", f.type)),  # the SDK has an enumeration of some
            searchable=bool(f.searchable),
            filterable=bool(f.filterable),
            sortable=bool(f.sortable),
            facetable=bool(f.facetable),
        )
        for f in found.fields
    }


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
        if size and other.stored is False and field.stored is not False:
            yield f"{field.name} is not stored, so moving a chunk would lose its vector"
    old, new = vectorizer_model(found), vectorizer_model(wanted)
    if old and new and old != new:
        yield f"it holds vectors of {old}, not {new}"


def vectorizer_model(index: SearchIndex, vector_field: str = VECTOR_FIELD) -> str:
    """Return the model that the service embeds text queries with; "" if it embeds none."""
    search = index.vector_search
    named = {f.name: f.vector_search_profile_name for f in index.fields}.get(vector_field)
    profiles = (search.profiles if search else None) or ()
    vectorizer = next((p.vectorizer_name for p in profiles if p.name == named), None)
    found = (search.vectorizers if search else None) or ()
    ours = (v for v in found if v.vectorizer_name == vectorizer)
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
    "existing_fields",
    "find_changed_analyzers",
    "find_incompatibilities",
    "missing_fields",
]
