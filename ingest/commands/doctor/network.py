"""Check that an endpoint is reachable, and read its clock. Sends no request of its API.

Each endpoint is fetched with the HTTP library that a run uses for it, because each of these trusts
other certificate files.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TypeAlias
from urllib.parse import urlsplit

import requests
from requests.utils import get_environ_proxies

from ingest.errors import ConfigError

PROBE_TIMEOUT_SECONDS = 10.0  # to connect, and to read the response
# Microsoft Entra ID and the services tolerate five minutes between clocks.
MAX_CLOCK_SKEW_SECONDS = 300.0

FetchHeaders: TypeAlias = Callable[[str], Mapping[str, str]]  # response headers of a URL


@dataclass(frozen=True, slots=True)
class ReachedEndpoint:
    """An endpoint that answered."""

    host: str
    address: str
    secure: bool
    clock_ahead: float | None  # seconds that its clock is ahead of ours; None for no Date header

    def __str__(self) -> str:
        return f"{self.host} at {self.address}" + (", certificate trusted" if self.secure else "")


def fetch_with_requests(url: str) -> Mapping[str, str]:
    """Fetch with the HTTP client of requests to Azure AI Search."""
    return requests.get(url, timeout=PROBE_TIMEOUT_SECONDS, allow_redirects=False).headers


def fetch_with_openai(url: str) -> Mapping[str, str]:
    """Fetch with the HTTP client of requests to an embedding service."""
    import openai

    with openai.DefaultHttpx2Client(
        timeout=PROBE_TIMEOUT_SECONDS, follow_redirects=False
    ) as client:
        return client.get(url).headers


def reach_endpoint(url: str, fetch: FetchHeaders, trust: str) -> ReachedEndpoint:
    """Connect to an endpoint. `trust` is the variable that names trusted certificates.

    Raises ConfigError, which names the step that failed: DNS, TCP, TLS or HTTP.
    """
    host = urlsplit(url).hostname or ""
    proxy = get_environ_proxies(url, no_proxy=None).get(urlsplit(url).scheme)
    address = "the other end of a proxy" if proxy else connect(url)
    before = time.time()
    try:
        headers = fetch(url)
    except Exception as error:
        if "CERTIFICATE_VERIFY_FAILED" in f"{error!r} {error.__cause__!r}":
            raise ConfigError(
                f"the certificate of {host} is not trusted here: set {trust} to the file of "
                "the authority that signed it"
            ) from error
        raise ConfigError(
            f"{host} at {address} does not answer ({type(error).__name__}): check the endpoint, "
            "the firewall and the proxy (HTTPS_PROXY, NO_PROXY)"
        ) from error
    now = (before + time.time()) / 2
    return ReachedEndpoint(host, address, url.startswith("https:"), clock_offset(headers, now))


def connect(url: str) -> str:
    """Connect to an endpoint by TCP; returns its address. Raises ConfigError if that fails."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigError(
            f"{host} has no address (DNS: {error.strerror}): check the endpoint's spelling or, for "
            "a private endpoint, that this network is linked to its private DNS zone"
        ) from error
    address = str(addresses[0][4][0])
    try:
        socket.create_connection((host, port), PROBE_TIMEOUT_SECONDS).close()
    except OSError as error:
        raise unreachable_error(host, address, error.strerror or "no answer") from error
    return address


def unreachable_error(host: str, address: str, reason: str) -> ConfigError:
    """Error for an endpoint that has an address but does not accept connections."""
    if is_private(address):
        return ConfigError(
            f"{host} is a private endpoint ({address}) and cannot be reached from here ({reason}): "
            "run inside its network, or connect to that, by VPN for instance"
        )
    return ConfigError(
        f"{host} ({address}) cannot be reached ({reason}): check the endpoint, the firewall and "
        "the proxy (HTTPS_PROXY)"
    )


def is_private(address: str) -> bool:
    """Return whether an address is in a private network, other than loopback."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    return parsed.is_private and not parsed.is_loopback


def clock_offset(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that a service's clock is ahead of ours, from its Date header; None for no header."""
    named = {name.lower(): value for name, value in headers.items()}
    try:
        return parsedate_to_datetime(named["date"]).timestamp() - now
    except (KeyError, ValueError):
        return None


def check_clock(services: list[ReachedEndpoint]) -> str:
    """Describe the largest clock difference. Raises ConfigError above MAX_CLOCK_SKEW_SECONDS."""
    for service in services:
        if service.clock_ahead is not None and abs(service.clock_ahead) > MAX_CLOCK_SKEW_SECONDS:
            direction = "behind" if service.clock_ahead > 0 else "ahead of"
            raise ConfigError(
                f"this machine's clock is {abs(service.clock_ahead):,.0f} s {direction} that of "
                f"{service.host}, and tokens tolerate {MAX_CLOCK_SKEW_SECONDS:.0f} s: set it "
                "(timedatectl set-ntp true; in WSL, wsl --shutdown)"
            )
    most = max(abs(service.clock_ahead or 0.0) for service in services)
    return f"within {max(1.0, most):.0f} s of the services"
