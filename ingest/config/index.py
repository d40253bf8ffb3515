"""Open the index: a folder with an SQLite database, or an index on Azure AI Search."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from ingest.azure.token_hosts import SEARCH_SCOPE
from ingest.config.connections import Connections, warn_about_key
from ingest.config.embedding import create_account, embedder_key, embedding_endpoints
from ingest.config.location import Location
from ingest.config.profile import load_profile
from ingest.config.settings import Settings
from ingest.embed import Embedder
from ingest.embed.deployments import MODEL_DIMENSIONS, Endpoint
from ingest.errors import ConfigError
from ingest.index import Index, IndexTotals
from ingest.index.azure.mapping import bind_own_profile
from ingest.index.generations import Generations
from ingest.runtime.budget import Budget
from ingest.runtime.concurrency import InlineExecutor

if TYPE_CHECKING:
    from ingest.index.azure.definition import SearchIndex, Vectorizer
    from ingest.index.azure.foreign import Wanted
    from ingest.index.azure.index import AzureIndex

log = logging.getLogger(__name__)

# Requests to a search service at once. Most save one record each, and wait for the reply.
MAX_CONCURRENT_WRITES = 32

NO_VECTORIZER = (
    "%s gets no vectorizer, since the search service cannot call the model %s: an application "
    "embeds each question itself"
)

IndexOpener: TypeAlias = Callable[[Settings, Embedder, Connections, bool], Index]


def index_location(settings: Settings) -> Location:
    """Return the location of the index: a folder, or a search endpoint."""
    return Location.parse(settings.index or settings.search_endpoint or ".ingest")


def index_name(settings: Settings) -> str:
    """Return the index's name for messages."""
    location = index_location(settings)
    return str(location) if location.is_local else f"{settings.search_index} on {location}"


def open_index(
    settings: Settings,
    model: Embedder,
    connections: Connections,
    *,
    create: bool = False,
    any_model: bool = False,
) -> Index:
    """Open the index. Without `create`, one that does not exist yet is opened as an empty one.

    `any_model`: even if another model filled it, for a caller that embeds nothing.
    """
    if any_model:
        model = replace(model, model="")
    location = index_location(settings)
    if location.scheme not in INDEX_OPENERS:
        raise ConfigError(
            f"index {location}: no index has the scheme {location.scheme}://; "
            "expected a folder, or https://..."
        )
    return INDEX_OPENERS[location.scheme](settings, model, connections, create)


def check_searchable(index: Index, model: Embedder | None, settings: Settings) -> IndexTotals:
    """Return the totals of an index. Raises ConfigError if it is empty, or of another model.

    A folder refuses to be opened with another model; a service would answer with anything.
    `model`: embeds the questions; None if words alone are searched for.
    """
    totals, name = index.totals(), index_name(settings)
    if not totals.chunks:
        raise ConfigError(f"the index {name} is empty or does not exist: ingest run fills it")
    stored = index.vector_space() if model else None
    if model and stored and stored[0] and stored != (model.model, model.dimensions):
        raise ConfigError(
            f"the index {name} holds vectors of {stored[0]} ({stored[1]} dimensions), not of "
            f"{model.model} ({model.dimensions}): set that model, or search with --mode text"
        )
    return totals


def open_sqlite_index(
    settings: Settings,
    model: Embedder,
    _connections: Connections,
    create: bool,  # noqa: FBT001 - as in INDEX_OPENERS
) -> Index:
    """Open the index in a folder."""
    from ingest.index.sqlite.index import SqliteIndex

    if load_profile(settings).is_foreign:
        raise ConfigError(
            f"INGEST_PROFILE={settings.profile} describes an index on Azure AI Search, and "
            f"{index_location(settings)} is a folder: set AZURE_SEARCH_ENDPOINT"
        )
    folder = Path(index_location(settings).path)
    index = SqliteIndex(folder, model.model, model.dimensions, create=create)
    index.hybrid_weight = settings.hybrid_weight
    return index


def open_search_index(
    settings: Settings,
    model: Embedder,
    connections: Connections,
    create: bool,  # noqa: FBT001 - as in INDEX_OPENERS
) -> Index:
    """Open the index on a search service, and create or update its definition if asked to."""
    index = open_azure_index(settings, connections, may_be_absent=not create)
    index.filled_by = (model.model, model.dimensions) if model.model else None
    if create and model.model:
        wanted = index_definition(settings, model.dimensions)
        prepare_azure_index(settings, model, connections, index, wanted)
    return index


def prepare_azure_index(
    settings: Settings,
    model: Embedder,
    connections: Connections,
    index: AzureIndex,
    wanted: SearchIndex,
) -> None:
    """Create an index on a search service, or update its definition. Raises ConfigError."""
    if not index.target.is_foreign:
        from ingest.index.azure.create import ensure_index

        ensure_index(index, wanted, partial(find_vectorizer, settings, model, connections))
        return
    from ingest.index.azure.foreign import ensure_foreign_index
    from ingest.index.azure.foreign_target import ForeignTarget
    from ingest.index.azure.probe import compare_vectors

    filling = wanted_foreign(settings, model, connections)
    ensure_foreign_index(index, replace(filling, definition=wanted))
    if isinstance(index.target, ForeignTarget) and index.target.read_mark() is None:
        # Before the first run, nothing records which model another tool has filled it with.
        compare_vectors(index.target, model.model, model.embed)


def wanted_foreign(settings: Settings, model: Embedder, connections: Connections) -> Wanted:
    """Return the wanted definition of an application's index."""
    from ingest.index.azure.foreign import Wanted

    return Wanted(
        load_profile(settings),
        index_definition(settings, model.dimensions),
        partial(model_name, settings, model, connections),
        partial(find_vectorizer, settings, model, connections),
        settings.add_fields,
    )


def model_name(settings: Settings, model: Embedder, connections: Connections) -> str:
    """Return the name of the model; asks the deployment if its name is not one."""
    if model.model in MODEL_DIMENSIONS:
        return model.model
    deployment = identify_deployment(settings, connections)
    vectorizer = vectorizer_for(deployment) if deployment else None
    return vectorizer.model if vectorizer else model.model


# Scheme: opener of an index at such a location.
INDEX_OPENERS: Mapping[str, IndexOpener] = {"": open_sqlite_index, "https": open_search_index}


def open_azure_index(
    settings: Settings, connections: Connections, *, may_be_absent: bool
) -> AzureIndex:
    """Connect to the index on a search service, and warn if an API key is used."""
    if settings.search_key:
        warn_about_key("AZURE_SEARCH_KEY")
    return connect_azure_index(settings, connections, may_be_absent=may_be_absent)


def connect_azure_index(
    settings: Settings, connections: Connections, *, may_be_absent: bool
) -> AzureIndex:
    """Connect to the index on a search service; with a foreign profile, read its definition."""
    from ingest.index.azure.client import DocumentClient
    from ingest.index.azure.index import AzureIndex
    from ingest.index.azure.target import OwnTarget

    endpoint, name = str(index_location(settings)), settings.search_index
    key = settings.search_key or connections.token_for(endpoint, SEARCH_SCOPE)
    profile = load_profile(settings)

    def connect(name: str) -> DocumentClient:
        return DocumentClient(
            endpoint,
            name,
            key,
            connections.retry_policy,
            may_be_absent=may_be_absent,
            elevated=profile.permissions.elevated,
        )

    if profile.is_foreign:
        from ingest.index.azure.foreign import open_foreign_index

        index = open_foreign_index(name, profile, connect)
    else:
        documents = connect(name)
        index = AzureIndex(documents, target=OwnTarget(documents, bind_own_profile(profile)))
    index.hybrid_weight = settings.hybrid_weight
    return index


def create_generations(
    settings: Settings, model: Embedder, connections: Connections
) -> Generations:
    """Return the generations of the index; a rebuild adds one, with this model."""
    location = index_location(settings)
    if location.is_local:
        from ingest.index.sqlite.generations import SqliteGenerations

        return SqliteGenerations(Path(location.path), model.model, model.dimensions)
    from ingest.index.azure.generations import AzureGenerations

    def with_index_name(name: str) -> Settings:
        return replace(settings, search_index=name)

    def open_generation(name: str) -> AzureIndex:
        return connect_azure_index(with_index_name(name), connections, may_be_absent=False)

    def define(name: str) -> SearchIndex:
        wanted = index_definition(with_index_name(name), model.dimensions)
        current = generations.alias_index.target
        if not current.is_foreign:
            return wanted
        from ingest.index.azure.foreign import define_like

        return define_like(current.documents, wanted, load_profile(settings))

    if settings.search_key:
        warn_about_key("AZURE_SEARCH_KEY")
    generations = AzureGenerations(
        settings.search_index,
        open_generation,
        define,
        (model.model, model.dimensions),
        partial(prepare_azure_index, settings, model, connections),
    )
    return generations


def index_definition(settings: Settings, dimensions: int) -> SearchIndex:
    """Build the definition of an index on a search service."""
    from ingest.index.azure.definition import build_definition

    return build_definition(
        settings.search_index,
        dimensions,
        settings.search_analyzer,
        create_vectorizer(settings),
        load_profile(settings),
    )


def create_vectorizer(settings: Settings) -> Vectorizer | None:
    """Return the vectorizer with which the search service embeds queries; None without one.

    The service can call Azure OpenAI, and no other embedding model of ours. Sends no request, so
    there is none while the deployment's model is unknown: see `find_vectorizer`.
    """
    if settings.embedder or not settings.openai_endpoint:
        return None
    return vectorizer_for(embedding_endpoints(settings)[0])


def identify_deployment(settings: Settings, connections: Connections) -> Endpoint | None:
    """Return the deployment that embeds, with its model; None if Azure OpenAI does not embed.

    Asks the deployment for its model unless it is named after a model.
    """
    if settings.embedder or not settings.openai_endpoint:
        return None
    from ingest.embed.openai_probe import identify_models

    key = embedder_key(settings, connections)
    endpoints, account = embedding_endpoints(settings)[:1], create_account(Budget())
    return identify_models(endpoints, key, connections.retry_policy, account)[0]


def find_vectorizer(
    settings: Settings, model: Embedder, connections: Connections
) -> Vectorizer | None:
    """Return the vectorizer of an index to be created, and log why there is none."""
    deployment = identify_deployment(settings, connections)
    vectorizer = vectorizer_for(deployment) if deployment else None
    if vectorizer is None:
        name = deployment.model if deployment else model.model
        log.warning(NO_VECTORIZER, settings.search_index, name)
    return vectorizer


def vectorizer_for(endpoint: Endpoint) -> Vectorizer | None:
    """Return the vectorizer for a deployment; None if the service does not support its model."""
    from ingest.index.azure.definition import Vectorizer

    if endpoint.model not in MODEL_DIMENSIONS:
        return None
    # The service takes a resource, and refuses the path of an API.
    resource = urlsplit(endpoint.url)
    return Vectorizer(f"{resource.scheme}://{resource.netloc}", endpoint.deployment, endpoint.model)


def create_writers(settings: Settings) -> tuple[Executor, int]:
    """Return an executor for writes to the index, and how many of them may run at once."""
    if index_location(settings).is_service:
        return ThreadPoolExecutor(MAX_CONCURRENT_WRITES, "writer"), MAX_CONCURRENT_WRITES
    return InlineExecutor(), 1  # SQLite's connection belongs to the thread that opened it
