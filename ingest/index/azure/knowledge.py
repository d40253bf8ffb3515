"""Knowledge source and knowledge base over an index, for agents (agentic retrieval)."""

from __future__ import annotations

from azure.search.documents.indexes import models as azure

from ingest.azure.roles import SEARCH_SERVICE_CONTRIBUTOR
from ingest.errors import ConfigError
from ingest.index.azure.definition import SearchIndex
from ingest.index.azure.index import AzureIndex
from ingest.index.azure.profile import Profile

# Values that a citation needs, if the index has a field for them.
CITED_VALUES = (
    *("url", "storageUrl", "sourcepage", "sourcefile", "title", "page_start"),
    *("figure_kind", "figure_label", "figure_model"),  # of generated text
)


def create_knowledge(index: AzureIndex, profile: Profile, name: str) -> str:
    """Create a knowledge source and a knowledge base, or update them; returns their name.

    `name`: "" for the name of the index. Raises ConfigError if the index cannot be a source.
    """
    documents = index.target.documents
    found = documents.fetch_definition()
    if found is None:
        raise ConfigError(f"{documents.name} does not exist: run ingest run to create it")
    source = build_source(found, profile, name or found.name)
    base = azure.KnowledgeBase(
        name=source.name,
        knowledge_sources=[azure.KnowledgeSourceReference(name=source.name)],
    )
    documents.call_with_retry(
        lambda: documents.indexes.create_or_update_knowledge_source(source),
        SEARCH_SERVICE_CONTRIBUTOR,
    )
    documents.call_with_retry(
        lambda: documents.indexes.create_or_update_knowledge_base(base), SEARCH_SERVICE_CONTRIBUTOR
    )
    return source.name


def build_source(
    found: SearchIndex, profile: Profile, name: str
) -> azure.SearchIndexKnowledgeSource:
    """Build the knowledge source of an index. Raises ConfigError."""
    semantic = found.semantic_search
    names = [each.name for each in (semantic.configurations or [])] if semantic else []
    wanted = profile.semantic.name
    if semantic and wanted not in names:
        wanted = semantic.default_configuration_name or next(iter(names), "")
    if wanted not in names:
        raise ConfigError(
            f"{found.name} has no semantic configuration, which a knowledge source needs: add one, "
            "or create the index again (ingest rebuild)"
        )
    readable = {field.name for field in found.fields if field.retrievable is not False}
    cited = (profile.field_of(value) for value in CITED_VALUES)
    parameters = azure.SearchIndexKnowledgeSourceParameters(
        search_index_name=found.name,
        source_data_fields=[
            azure.SearchIndexFieldReference(name=field) for field in cited if field in readable
        ],
        semantic_configuration_name=wanted,
    )
    return azure.SearchIndexKnowledgeSource(name=name, search_index_parameters=parameters)
