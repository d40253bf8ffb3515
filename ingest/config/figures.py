"""Open the chat model that describes figures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ingest.azure.token_cache import TokenCache
from ingest.azure.token_hosts import COGNITIVE_SERVICES_SCOPE
from ingest.config.connections import Connections, warn_about_key
from ingest.config.embedding import embedder_locations, is_model_local, is_self_hosted
from ingest.config.settings import Settings
from ingest.embed.deployments import Endpoint, create_rate_limiter
from ingest.errors import ConfigError
from ingest.runtime.budget import Budget
from ingest.runtime.timing import Stopwatch

if TYPE_CHECKING:
    from ingest.embed.openai_chat import ChatModel


def describes_figures(settings: Settings) -> bool:
    """Return whether a model is to describe figures."""
    return settings.figures == "describe"


def figures_endpoint(settings: Settings) -> Endpoint:
    """Return the deployment that describes figures. Raises ConfigError if none is set."""
    urls = () if is_model_local(settings) else embedder_locations(settings)
    url = settings.figures_endpoint or next(iter((*settings.openai_endpoint, *urls)), "")
    if not url:
        raise ConfigError(
            "INGEST_FIGURES=describe needs a chat model that sees images: set "
            "AZURE_OPENAI_FIGURES_ENDPOINT and AZURE_OPENAI_FIGURES_DEPLOYMENT"
        )
    name = settings.figures_deployment or settings.figures_model
    if not name:
        raise ConfigError(
            f"{url}: no chat deployment is given: set AZURE_OPENAI_FIGURES_DEPLOYMENT to one of a "
            "model that sees images"
        )
    model = settings.figures_model or name
    return Endpoint(url, name, model, 0, settings.openai_api_version, math.inf, math.inf)


def figures_key(settings: Settings, connections: Connections) -> str | TokenCache:
    """Return the API key of the endpoint, "" for a self-hosted service, else a source of tokens.

    A key for embedding goes only to the resource that it is for. Raises ConfigError for an
    endpoint that may not receive a token.
    """
    url = figures_endpoint(settings).url
    if settings.figures_key:
        return settings.figures_key
    if settings.openai_key and url in embedder_locations(settings):
        return settings.openai_key
    if is_self_hosted(url, settings.trusted_hosts):
        return ""
    return connections.token_for(url, COGNITIVE_SERVICES_SCOPE)


def open_figure_chat(
    settings: Settings, connections: Connections, times: Stopwatch, budget: Budget
) -> ChatModel:
    """Connect to the chat model. Sends no request. Raises ConfigError if a setting is missing."""
    from ingest.embed.openai_chat import ChatModel

    endpoint = figures_endpoint(settings)
    if settings.figures_key:
        warn_about_key("AZURE_OPENAI_FIGURES_KEY")
    rate_limiter = create_rate_limiter([endpoint], connections.retry_policy.clock)
    key = figures_key(settings, connections)
    return ChatModel(endpoint, key, connections.retry_policy, rate_limiter, budget, times)
