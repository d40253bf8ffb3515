"""Locations of containers and blobs: their URLs, as people copy them from the portal."""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from ingest.azure.token_hosts import STORAGE_SCOPE, is_token_host
from ingest.errors import ConfigError
from ingest.models import is_document_name

URL_SAFE_CHARACTERS = "/~"  # not percent-encoded in a blob's URL
SHAREPOINT_DOMAINS = (".sharepoint.com", ".sharepoint.us", ".sharepoint.cn", "onedrive.live.com")
CONTAINER_URL_FORMAT = "https://ACCOUNT.blob.core.windows.net/CONTAINER[/FOLDER]"


@dataclass(frozen=True, slots=True)
class ContainerLocation:
    """A container, or one folder in it."""

    container: str  # its URL
    folder: str = ""  # ends with a "/" unless empty

    @property
    def url(self) -> str:
        return f"{self.container}/{quote(self.folder, safe=URL_SAFE_CHARACTERS)}".rstrip("/")


def parse_container_urls(urls: Iterable[str]) -> list[ContainerLocation]:
    """Parse URLs, without duplicates. Raises ConfigError for one that lies inside another."""
    found = list(dict.fromkeys(map(parse_container_url, urls)))
    for inner, outer in itertools.permutations(found, 2):
        if inner.url.startswith(outer.url + "/"):
            raise ConfigError(
                f"{inner.url} lies inside {outer.url}, so its documents would be indexed twice: "
                "name the outer one only"
            )
    return found


def parse_container_url(url: str) -> ContainerLocation:
    """Parse a container's URL. Raises ConfigError, whose text omits any secret in the URL."""
    try:
        parts = urlsplit(url)
        signed = "sig=" in unquote(parts.path)
    except ValueError:  # its text may hold the secret
        raise ConfigError(
            f"a root looks like a URL but is not valid; expected {CONTAINER_URL_FORMAT}"
        ) from None
    host = parts.netloc.rpartition("@")[2].lower().removesuffix(":443")
    host = host.replace(".dfs.", ".blob.", 1)
    shown = f"{parts.scheme}://{host}{'' if signed else parts.path}"
    if reason := describe_web_address((parts.hostname or "").lower(), parts.path):
        raise ConfigError(f"{shown}: {reason}")
    if parts.scheme != "https":
        raise ConfigError(
            f"{shown}: no root has the scheme {parts.scheme}://; expected a folder, a glob, or "
            f"{CONTAINER_URL_FORMAT}"
        )
    if parts.query or parts.fragment or signed or "@" in parts.netloc:
        raise ConfigError(
            f"{shown}: no key and no SAS is needed: leave out what is not {CONTAINER_URL_FORMAT}, "
            "and write %23 for # and %3F for ? in a name"
        )
    names = unquote(parts.path).strip("/").split("/")
    account = f"/{names.pop(0)}" if is_host_without_name(parts.hostname or "") else ""
    container, folder = "".join(names[:1]), "/".join(names[1:])
    if not host or not container:
        raise ConfigError(f"{shown}: names no container: expected {CONTAINER_URL_FORMAT}")
    if is_document_name(folder):
        raise ConfigError(f"{shown}: name the folder a blob is in, not the blob")
    return ContainerLocation(f"https://{host}{account}/{quote(container)}", folder and folder + "/")


def describe_web_address(host: str, path: str) -> str:
    """Describe an address that is not a container, with the remedy; "" if it may be one."""
    if any(host.endswith(domain) for domain in SHAREPOINT_DOMAINS):
        return (
            "SharePoint and OneDrive cannot be read: sync the library to a folder (OneDrive app) "
            "and name that folder, or copy its files to a blob container"
        )
    is_storage = is_token_host(f"https://{host}", STORAGE_SCOPE) or is_host_without_name(host)
    if not is_storage and is_document_name(unquote(path)):
        return (
            "a document on the web is not a root: download it and name the file, or, if this is a "
            "blob container, name the folder it is in"
        )
    return ""


def is_host_without_name(host: str) -> bool:
    """Return whether a host is an IP address or localhost: the account is then in the path."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return True


def blob_url(root: str, name: str) -> str:
    """Return the URL of a blob in a root."""
    return f"{root}/{quote(name, safe=URL_SAFE_CHARACTERS)}"
