"""Azure clouds: sign-in hosts and token audiences.

A scope of the public cloud stands for its service in all code; `Cloud.scope` translates it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ingest.azure.token_hosts import COGNITIVE_SERVICES_SCOPE, MONITOR_SCOPE, SEARCH_SCOPE

HOST = re.compile(r"https://([^/?#:,;\s]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Cloud:
    """One cloud, by the name that `az cloud list` and Bicep's environment() give it."""

    name: str
    authority: str  # host of the sign-in
    domains: tuple[str, ...]  # in which its services have their names
    scopes: Mapping[str, str] = field(default_factory=dict)  # by that of the public cloud

    def scope(self, scope: str) -> str:
        """Translate a scope of the public cloud to the scope in this cloud."""
        return self.scopes.get(scope, scope)


PUBLIC = Cloud(
    "AzureCloud",
    "login.microsoftonline.com",
    ("azure.com", "windows.net", "azure.net", "microsoft.com", "visualstudio.com"),
)
# Storage has one audience in all clouds.
US_GOVERNMENT = Cloud(
    "AzureUSGovernment",
    "login.microsoftonline.us",
    ("azure.us", "usgovcloudapi.net", "microsoft.us", "applicationinsights.us"),
    {
        COGNITIVE_SERVICES_SCOPE: "https://cognitiveservices.azure.us/.default",
        SEARCH_SCOPE: "https://search.azure.us/.default",
        MONITOR_SCOPE: "https://monitor.azure.us//.default",
    },
)
CHINA = Cloud(
    "AzureChinaCloud",
    "login.chinacloudapi.cn",
    ("azure.cn", "chinacloudapi.cn"),
    {
        COGNITIVE_SERVICES_SCOPE: "https://cognitiveservices.azure.cn/.default",
        SEARCH_SCOPE: "https://search.azure.cn/.default",
        MONITOR_SCOPE: "https://monitor.azure.cn//.default",
    },
)
CLOUDS = (PUBLIC, US_GOVERNMENT, CHINA)
SHORT_NAMES = {"public": PUBLIC, "usgovernment": US_GOVERNMENT, "china": CHINA}


def parse_cloud(text: str) -> str:
    """Parse a cloud's short or full name; returns the full one. Raises ValueError."""
    names = SHORT_NAMES | {cloud.name.lower(): cloud for cloud in CLOUDS}
    if text.lower() not in names:
        raise ValueError(", ".join((*SHORT_NAMES, "or a name of az cloud list")))
    return names[text.lower()].name


def cloud_of(text: str) -> Cloud | None:
    """Return the cloud of the first URL in a text; None for a custom host, or no URL."""
    found = HOST.search(text)
    host = found[1].lower() if found else ""
    for cloud in CLOUDS:
        if any(host == domain or host.endswith(f".{domain}") for domain in cloud.domains):
            return cloud
    return None


def find_cloud(name: str, urls: Iterable[str]) -> Cloud:
    """Return the cloud of that name, or else of the first URL that belongs to one."""
    named = next((cloud for cloud in CLOUDS if cloud.name == name), None)
    return named or next((cloud for url in urls if (cloud := cloud_of(url))), PUBLIC)
