"""Open the embedding model: the local one, or one or several deployments of a service."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from ingest.azure.token_cache import TokenCache
from ingest.azure.token_hosts import COGNITIVE_SERVICES_SCOPE, check_token_host, is_token_host
from ingest.config.capacity import count_cores
from ingest.config.connections import Connections, warn_about_key
from ingest.config.location import Location
from ingest.config.settings import Settings
from ingest.embed import Embedder
from ingest.embed.account import Account
from ingest.embed.deployments import (
    MODEL_DIMENSIONS,
    Endpoint,
    RequestLimits,
    create_rate_limiter,
    remote_embedder,
)
from ingest.embed.journal import VectorJournal, open_journal
from ingest.embed.rate_limit.limiter import EmbeddingRateLimiter
from ingest.errors import ConfigError
from ingest.runtime.budget import Budget
from ingest.runtime.timing import Stopwatch

T = TypeVar("T")

ENGLISH_EMBEDDER, MULTILINGUAL_EMBEDDER = "local", "local:multilingual"


def create_embedder(
    settings: Settings,
    connections: Connections,
    times: Stopwatch | None = None,
    budget: Budget | None = None,
    rate_limiter: EmbeddingRateLimiter | None = None,
) -> Embedder:
    """Create the embedding model that the settings name. Sends no request.

    Each request is paid from the budget. A rate limiter may be given that is shared with other
    processes. Raises ConfigError if a setting is missing.
    """
    endpoints = embedding_endpoints(settings)
    if not endpoints:
        if settings.embedder == MULTILINGUAL_EMBEDDER:
            from ingest.embed.multilingual import multilingual_embedder

            return multilingual_embedder()
        from ingest.embed.minilm import local_embedder

        return local_embedder(count_cores())
    if settings.openai_key:
        warn_about_key("AZURE_OPENAI_KEY")
    limits = RequestLimits(
        settings.embed_inputs,
        settings.embed_tokens,
        settings.embed_at_once,
        create_account(budget or Budget()),
    )
    return remote_embedder(
        endpoints,
        limits,
        embedder_key(settings, connections),
        connections.retry_policy,
        times or Stopwatch(),
        rate_limiter=rate_limiter or create_rate_limiter(endpoints, connections.retry_policy.clock),
    )


def open_vector_journal(
    settings: Settings, model: Embedder, index: str, *, is_worker: bool
) -> VectorJournal | None:
    """Open the journal of an index for vectors that a service bills; None without one."""
    folder = journal_folder(settings)
    if folder is None or not embedding_endpoints(settings):
        return None
    name = f"{index} {settings.search_index}"
    return open_journal(folder, name, model.model, model.dimensions, is_worker=is_worker)


def journal_folder(settings: Settings) -> Path | None:
    """Return the folder of journals; None if they are off, or the home folder is not known."""
    try:
        return None if settings.journal == "off" else Path(settings.journal).expanduser()
    except RuntimeError:  # a container may run as a user without an entry
        return None


def embedder_locations(settings: Settings) -> tuple[str, ...]:
    """Return where chunks are embedded: the name of a local model, or the URLs of services."""
    if settings.embedder:
        return (settings.embedder,)
    return settings.openai_endpoint or (ENGLISH_EMBEDDER,)


def is_model_local(settings: Settings) -> bool:
    """Return True if no service embeds."""
    return embedder_locations(settings)[0] in (ENGLISH_EMBEDDER, MULTILINGUAL_EMBEDDER)


def suggest_multilingual(languages: Mapping[str, int], settings: Settings) -> str:
    """Name the multilingual model if most documents are not in English; else "".

    `languages` counts documents by ISO 639-1 code, "" for an unknown one. A model is fixed for an
    index before most of it is read, and its gain differs (docs/decisions/embedding.md), so the
    choice is left to the user.
    """
    known = sum(number for code, number in languages.items() if code)
    foreign = known - languages.get("en", 0)
    if embedder_locations(settings) != (ENGLISH_EMBEDDER,) or foreign * 2 <= known:
        return ""
    return (
        f"{foreign:,} of {known:,} documents are not in English, but the local model is: "
        f"compare it with --embedder {MULTILINGUAL_EMBEDDER} by ingest eval (ingest rebuild fills "
        "an index next to this one)"
    )


def embedding_endpoints(settings: Settings) -> list[Endpoint]:
    """Return the deployments of the configured model; none if it is the local one.

    Raises ConfigError if the settings are incomplete or contradict each other.
    """
    urls = embedder_locations(settings)
    if is_model_local(settings):
        return []
    for url in urls:
        if Location.parse(url).scheme not in {"https", "http"}:
            raise ConfigError(
                f"embedder {url}: expected local, local:multilingual, or an endpoint: https://..."
            )
    names = one_per_endpoint(
        settings.openai_deployment or (settings.openai_model,),
        urls,
        "AZURE_OPENAI_EMBEDDING_DEPLOYMENT",
    )
    if len(set(zip(urls, names, strict=True))) < len(urls):
        raise ConfigError("AZURE_OPENAI_ENDPOINT names one deployment twice: leave one out")
    model, dimensions = find_model(settings, urls, names)
    is_known = (
        bool(settings.openai_model)
        or model in MODEL_DIMENSIONS
        or is_self_hosted(settings.embedder, settings.trusted_hosts)
    )
    return [
        Endpoint(url, name, model, dimensions, settings.openai_api_version, tpm, rpm, is_known)
        for url, name, tpm, rpm in zip(
            urls,
            names,
            one_per_endpoint(settings.openai_tpm or (math.inf,), urls, "AZURE_OPENAI_TPM"),
            one_per_endpoint(settings.openai_rpm or (math.inf,), urls, "AZURE_OPENAI_RPM"),
            strict=True,
        )
    ]


def find_model(settings: Settings, urls: Sequence[str], names: Sequence[str]) -> tuple[str, int]:
    """Return the name of the model of the deployments, and its dimensions. Raises ConfigError."""
    model = settings.openai_model or names[0]
    if not model:
        raise ConfigError(
            f"{urls[0]}: no embedding deployment is given: set AZURE_OPENAI_EMBEDDING_DEPLOYMENT"
        )
    if not settings.openai_model and len(set(names)) > 1:
        raise ConfigError(
            f"the model of the deployments {', '.join(names)} is unknown: set "
            "AZURE_OPENAI_EMBEDDING_MODEL"
        )
    dimensions = settings.openai_dimensions or MODEL_DIMENSIONS.get(model)
    if not dimensions:
        raise ConfigError(
            f"the dimensions of {model}'s vectors are unknown: set "
            "AZURE_OPENAI_EMBEDDING_DIMENSIONS, or AZURE_OPENAI_EMBEDDING_MODEL to a known model"
        )
    return model, dimensions


def one_per_endpoint(values: Sequence[T], urls: Sequence[str], name: str) -> Sequence[T]:
    """Return one value for each endpoint; a single value is for all of them.

    Raises ConfigError for any other number of values.
    """
    if len(values) == 1:
        return list(values) * len(urls)
    if len(values) != len(urls):
        raise ConfigError(
            f"{name} has {len(values)} values for {len(urls)} endpoints: give one, or one for each"
        )
    return values


def embedder_key(settings: Settings, connections: Connections) -> str | TokenCache:
    """Return the API key if one is set, "" for a self-hosted service, else a source of tokens.

    Raises ConfigError for an endpoint that may not receive a token.
    """
    if settings.openai_key or is_self_hosted(settings.embedder, settings.trusted_hosts):
        return settings.openai_key
    first, *others = embedder_locations(settings)
    for url in others:
        check_token_host(url, COGNITIVE_SERVICES_SCOPE, connections.trusted_hosts)
    return connections.token_for(first, COGNITIVE_SERVICES_SCOPE)


def is_self_hosted(embedder: str, trusted_hosts: Sequence[str]) -> bool:
    """Return whether an embedder is a self-hosted service, which gets no token.

    It is one called over http, or one whose URL ends in /v1 on a host that may not receive a token.
    """
    is_own = embedder.startswith("http://") or embedder.rstrip("/").endswith("/v1")
    return is_own and not is_token_host(embedder, COGNITIVE_SERVICES_SCOPE, trusted_hosts)


def create_account(budget: Budget) -> Account:
    """Return the account of requests that are paid from a budget, billed as OpenAI counts."""

    def count(texts: Sequence[str]) -> Sequence[int]:
        from ingest.chunk.tokens import count_tokens

        return count_tokens(texts)

    return Account(budget, count)
