"""Hosts that may receive a token of each audience.

`check_token_host` alone decides, for every service. A URL may come from a typing error or from a
stranger's settings, and any recipient of a token can use it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ingest.errors import ConfigError

# Scope of the token for each audience.
COGNITIVE_SERVICES_SCOPE = "https://cognitiveservices.azure.com/.default"
SEARCH_SCOPE = "https://search.azure.com/.default"
STORAGE_SCOPE = "https://storage.azure.com/.default"
MONITOR_SCOPE = "https://monitor.azure.com//.default"  # two slashes: its audience ends in one

# Domains of the public cloud, Azure Government and Azure China, in which only Microsoft gives
# names. Those of private endpoints (NAME.privatelink.search.windows.net) lie below them.
AUDIENCE_DOMAINS = {
    COGNITIVE_SERVICES_SCOPE: (
        *("openai.azure.com", "cognitiveservices.azure.com", "services.ai.azure.com"),
        *("api.cognitive.microsoft.com", "openai.azure.us", "cognitiveservices.azure.us"),
        *("services.ai.azure.us", "api.cognitive.microsoft.us", "openai.azure.cn"),
        *("cognitiveservices.azure.cn", "api.cognitive.azure.cn"),
    ),
    SEARCH_SCOPE: ("search.windows.net", "search.azure.us", "search.azure.cn"),
    STORAGE_SCOPE: (
        *("blob.core.windows.net", "queue.core.windows.net"),
        *("blob.storage.azure.net", "queue.storage.azure.net"),  # accounts with a DNS zone
        *("blob.core.usgovcloudapi.net", "queue.core.usgovcloudapi.net"),
        *("blob.core.chinacloudapi.cn", "queue.core.chinacloudapi.cn"),
        # access control lists
        *("dfs.core.windows.net", "dfs.storage.azure.net"),
        *("dfs.core.usgovcloudapi.net", "dfs.core.chinacloudapi.cn"),
    ),
    MONITOR_SCOPE: (
        *("applicationinsights.azure.com", "dc.services.visualstudio.com"),
        *("applicationinsights.azure.us", "applicationinsights.us"),
        *("applicationinsights.azure.cn",),
    ),
}

# Nothing that two parsers could take for different hosts: no user, no backslash, no space.
AUTHORITY = re.compile(r"(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?")


def check_token_host(url: str, scope: str, trusted_hosts: Sequence[str]) -> None:
    """Raise ConfigError unless a token of this scope may be sent to the URL.

    `trusted_hosts` are those of INGEST_TRUSTED_HOSTS.
    """
    if is_token_host(url, scope, trusted_hosts):
        return
    if not url.lower().startswith("https://"):
        raise ConfigError(f"{url}: a token is sent over https only: use https, or set a key")
    raise ConfigError(
        f"{url} is not an address of this Azure service, so it gets no token: check the spelling, "
        "or add its host to INGEST_TRUSTED_HOSTS if it is yours"
    )


def is_token_host(url: str, scope: str, trusted_hosts: Sequence[str] = ()) -> bool:
    """Return whether a token of this scope may be sent to the URL."""
    host = https_host(url)
    return bool(host) and (
        any(host.endswith(f".{domain}") or host == domain for domain in AUDIENCE_DOMAINS[scope])
        or any(matches_trusted(host, trusted) for trusted in trusted_hosts)
    )


def https_host(url: str) -> str:
    """Return the host of an https URL in lower case; "" if it has none or is ambiguous."""
    scheme, _, rest = url.lower().partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    match = AUTHORITY.fullmatch(authority)
    return match["host"] if scheme == "https" and match else ""


def matches_trusted(host: str, trusted: str) -> bool:
    """Return whether a host is a trusted one, or below a trusted domain that begins with a dot."""
    return host == trusted or (trusted.startswith(".") and host.endswith(trusted))


def parse_trusted_host(text: str) -> str:
    """Parse a host, or a domain with all hosts below it. Raises ValueError for anything else."""
    host = text.lower()
    if not AUTHORITY.fullmatch(host) or ("]" not in host and ":" in host):
        raise ValueError(
            "hosts such as gateway.contoso.com, or .contoso.com for all of its subdomains"
        )
    return host
