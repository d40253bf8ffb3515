"""Endpoints as the portals of Azure show them: with a path, a deployment and an API version.

Only an address whose host is Azure's is shortened; the path of a gateway may be needed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from ingest.azure.token_hosts import COGNITIVE_SERVICES_SCOPE, SEARCH_SCOPE, is_token_host
from ingest.errors import ConfigError

log = logging.getLogger(__name__)

DEPLOYMENT_PATH = re.compile(r"/openai/deployments/([^/]+)")

# The settings that may name a service, and the audience of its hosts.
ENDPOINT_SETTINGS = {
    "openai_endpoint": COGNITIVE_SERVICES_SCOPE,
    "embedder": COGNITIVE_SERVICES_SCOPE,
    "ocr": COGNITIVE_SERVICES_SCOPE,
    "figures_endpoint": COGNITIVE_SERVICES_SCOPE,
    "search_endpoint": SEARCH_SCOPE,
    "index": SEARCH_SCOPE,
}
EMBEDDING_SETTINGS = ("openai_endpoint", "embedder")


def shorten_endpoints(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of settings, with the endpoints of Azure cut to scheme and host.

    The deployment and the API version that a URL names become those settings, where they are not
    set. Raises ConfigError if they contradict.
    """
    made = dict(values)
    for name, scope in ENDPOINT_SETTINGS.items():
        value = values.get(name) or ()
        urls = value if isinstance(value, tuple) else (value,)
        shortened = tuple(shorten_endpoint(url, scope) for url in urls)
        if shortened == urls:
            continue
        made[name] = shortened if isinstance(value, tuple) else shortened[0]
        if name in EMBEDDING_SETTINGS:
            made |= named_deployment(urls, values)
        if name == "figures_endpoint" and (match := DEPLOYMENT_PATH.match(urlsplit(urls[0]).path)):
            made.setdefault("figures_deployment", unquote(match[1]))
    return made


def shorten_endpoint(url: str, scope: str) -> str:
    """Return scheme and host of a service's URL; any other text unchanged."""
    if not is_token_host(url, scope):
        return url
    parts = urlsplit(url)
    if parts.path in {"", "/"} and not parts.query:
        return url
    short = f"{parts.scheme}://{parts.netloc}"
    log.info("using the endpoint %s of %s", short, url)
    return short


def named_deployment(urls: tuple[str, ...], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the deployments and the API version that URLs name, as settings."""
    found = [DEPLOYMENT_PATH.match(urlsplit(url).path) for url in urls]
    deployments = tuple(unquote(match[1]) for match in found if match)
    if not deployments:
        return {}
    made: dict[str, Any] = {}
    given = values.get("openai_deployment")
    if not given and len(deployments) == len(urls):
        made["openai_deployment"] = deployments
    elif given and not set(deployments) <= set(given):
        raise ConfigError(
            f"AZURE_OPENAI_ENDPOINT names the deployment {', '.join(deployments)}, and "
            f"AZURE_OPENAI_EMBEDDING_DEPLOYMENT {', '.join(given)}: correct one of them"
        )
    queries = [parse_qs(urlsplit(url).query).get("api-version", [""])[0] for url in urls]
    versions = {query for query in queries if query}
    if len(versions) > 1 and not values.get("openai_api_version"):
        raise ConfigError(
            f"AZURE_OPENAI_ENDPOINT names the API versions {', '.join(sorted(versions))}: set "
            "AZURE_OPENAI_API_VERSION to one of them"
        )
    if versions and not values.get("openai_api_version"):
        made["openai_api_version"] = versions.pop()
    return made
