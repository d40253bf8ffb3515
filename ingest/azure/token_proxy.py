"""Token proxy: serve tokens of this machine's login to a container that has no login.

It speaks App Service's managed-identity protocol, so the container sees a managed identity. It
serves tokens only, only for the audiences below, and only to clients that send the secret; any
other request is refused before a credential is used.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.client import LineTooLong
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedReader
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from ingest.azure.clouds import CLOUDS, Cloud
from ingest.azure.credential import SharedCredential
from ingest.azure.token_cache import Identity, TokenCache
from ingest.azure.token_hosts import COGNITIVE_SERVICES_SCOPE, SEARCH_SCOPE, STORAGE_SCOPE
from ingest.errors import ConfigError, IngestError
from ingest.redaction import hold_secret

SCOPE_SUFFIX = "/.default"
# The services that this program uses, in each cloud: Azure OpenAI, AI Search and Storage; and the
# second audience of Azure OpenAI in the public cloud.
AUDIENCES = tuple(
    dict.fromkeys(
        [
            *(
                cloud.scope(scope).removesuffix(SCOPE_SUFFIX)
                for scope in (COGNITIVE_SERVICES_SCOPE, SEARCH_SCOPE, STORAGE_SCOPE)
                for cloud in CLOUDS
            ),
            "https://ai.azure.com",
        ]
    )
)
ENDPOINT_PATH = "/msi/token"
MSI_API_VERSION = "2019-08-01"

MAX_REQUEST_BYTES = 16 * 1024  # request line and headers; the SDKs send a twentieth of it
CLIENT_TIMEOUT_SECONDS = 10.0  # for a client to finish sending its request


@dataclass(frozen=True, slots=True)
class ProxiedRequest:
    """One request and its result, for the log; never the token itself."""

    peer: str
    status: int
    audience: str = ""
    expires: float = 0.0  # expiry of the token, in seconds since the epoch
    reason: str = ""  # of a refusal


class TokenRefusedError(Exception):
    """The request is refused with this status and message."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class TokenProxy(ThreadingHTTPServer):
    """HTTP server. It listens as soon as it is created; `serve_forever` answers requests.

    Args:
        credential: the credential that obtains the tokens.
        bind: IP address to listen on.
        port: port to listen on; 0 for any free one.
        name: host name or address by which clients reach this machine.
        on_request: callback per request, from any thread.

    Raises:
        ConfigError: other machines could reach the address, or it is not one of this machine's.
    """

    daemon_threads = True

    def __init__(
        self,
        credential: SharedCredential,
        bind: str,
        port: int,
        name: str,
        on_request: Callable[[ProxiedRequest], None],
    ) -> None:
        self.tokens = {a: TokenCache(credential, f"{a}{SCOPE_SUFFIX}") for a in AUDIENCES}
        self.on_request = on_request
        self.secret = secrets.token_urlsafe(32)
        hold_secret(self.secret)
        address = parse_bind_address(bind)
        self.address_family = socket.AF_INET6 if address.version == 6 else socket.AF_INET  # noqa: PLR2004
        try:
            super().__init__((str(address), port), TokenRequestHandler)
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {address}, port {port}: {error.strerror}; choose another --bind "
                "or --port"
            ) from error
        self.host = f"{bracket_ipv6(name)}:{self.server_port}"
        # Against DNS rebinding: a web page reaches this address under a host name of its own.
        self.allowed_hosts = {self.host, f"{bracket_ipv6(str(address))}:{self.server_port}"}

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables for a client process; IDENTITY_HEADER is a secret."""
        return {
            "IDENTITY_ENDPOINT": f"http://{self.host}{ENDPOINT_PATH}",
            "IDENTITY_HEADER": self.secret,
        }

    def identity(self, cloud: Cloud) -> Identity:
        """Return the identity whose tokens are served. Raises ConfigError if none is signed in."""
        tokens = self.tokens[cloud.scope(COGNITIVE_SERVICES_SCOPE).removesuffix(SCOPE_SUFFIX)]
        tokens.current_token()
        return tokens.identity()

    def answer_request(self, request: BaseHTTPRequestHandler) -> dict[str, Any]:
        """Return the response to an authorized request. Raises TokenRefusedError for others."""
        if request.headers.get_all("Host") not in [[host] for host in self.allowed_hosts]:
            raise TokenRefusedError(400, "the Host header does not name this machine")
        shown = request.headers.get("X-IDENTITY-HEADER", "")
        if not hmac.compare_digest(shown.encode(), self.secret.encode()):
            raise TokenRefusedError(
                401, "the secret is wrong: take IDENTITY_HEADER from the token proxy that runs now"
            )
        if (
            request.headers.get("Content-Length", "0") != "0"
            or "Transfer-Encoding" in request.headers
        ):
            raise TokenRefusedError(413, "a token request has no body")
        url = urlsplit(request.path)
        if url.netloc or url.path != ENDPOINT_PATH:
            raise TokenRefusedError(404, f"the only path here is {ENDPOINT_PATH}")
        query = dict(parse_qsl(url.query))
        if query.get("api-version") != MSI_API_VERSION:
            raise TokenRefusedError(400, f"api-version must be {MSI_API_VERSION}")
        return self.issue_token(query.get("resource", "").removesuffix("/.default").rstrip("/"))

    def issue_token(self, audience: str) -> dict[str, Any]:
        """Return a token for an audience, in App Service's format. Raises TokenRefusedError."""
        tokens = self.tokens.get(audience)
        if tokens is None:
            raise TokenRefusedError(
                400,
                f"no tokens for {audience[:100]!r} here, only for {', '.join(AUDIENCES)}",
            )
        try:
            held = tokens.current_token()
        except IngestError as error:
            # The remedy comes first, because clients may cut the message when they show it.
            raise TokenRefusedError(
                403, f"sign in again where ingest token-proxy runs: {error}"
            ) from error
        return {
            "access_token": held.token,
            "expires_on": str(int(held.expires_at)),
            "resource": audience,
            "token_type": "Bearer",
        }

    def handle_error(self, *_: Any) -> None:
        """Ignore a client that closes its connection early."""


class BoundedReader(BufferedReader):
    """Reader that limits the total bytes of a request's line and headers."""

    remaining_bytes = MAX_REQUEST_BYTES

    def readline(self, size: int | None = -1, /) -> bytes:
        """Read the next line. Raises LineTooLong if the lines before it exceeded the limit."""
        if self.remaining_bytes < 0:
            raise LineTooLong("request")
        line = super().readline(-1 if size is None else size)
        self.remaining_bytes -= len(line)
        return line


class TokenRequestHandler(BaseHTTPRequestHandler):
    """Handler of one connection, which carries one request."""

    timeout = CLIENT_TIMEOUT_SECONDS
    server: TokenProxy

    def setup(self) -> None:
        """Limit the bytes that are read."""
        super().setup()
        self.rfile = BoundedReader(cast("Any", self.rfile).detach())

    def do_GET(self) -> None:
        """Respond with a token, or with the reason for a refusal."""
        try:
            answer = self.server.answer_request(self)
        except TokenRefusedError as refused:
            self.refuse(refused.status, str(refused))
            return
        peer, expires = self.client_address[0], float(answer["expires_on"])
        self.server.on_request(ProxiedRequest(peer, HTTPStatus.OK, answer["resource"], expires))
        self.write(HTTPStatus.OK, answer)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what http.server rejects: requests that are too large, malformed, or not GET."""
        del explain
        if code == HTTPStatus.NOT_IMPLEMENTED:
            self.refuse(HTTPStatus.METHOD_NOT_ALLOWED, "request a token with GET")
        else:
            self.refuse(code, message or HTTPStatus(code).phrase)

    def refuse(self, status: int, reason: str) -> None:
        """Report a refusal to the client and to the callback."""
        self.server.on_request(ProxiedRequest(self.client_address[0], status, reason=reason))
        self.write(status, {"statusCode": status, "message": reason})

    def write(self, status: int, value: Mapping[str, Any]) -> None:
        """Send header and body in one write: two would wait for an acknowledgement in between."""
        body = json.dumps(value).encode()
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
            "Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n"
            "Cache-Control: no-store\r\n"
            "Connection: close\r\n\r\n"
        )
        self.wfile.write(head.encode() + body)

    def log_message(self, *_: Any) -> None:
        """Log nothing: `on_request` has reported it, without text that the client chose."""


def parse_bind_address(bind: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Parse the address to listen on. Raises ConfigError if other machines could reach it."""
    try:
        address = ipaddress.ip_address(bind)
    except ValueError:
        raise ConfigError(f"--bind {bind}: expected an IP address, such as 127.0.0.1") from None
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_unspecified or address.is_multicast or not address.is_private:
        what = "every address of this machine" if address.is_unspecified else "a public address"
        raise ConfigError(
            f"--bind {bind} is {what}; anyone who can reach it could request tokens of your login: "
            "use 127.0.0.1, or the address of the container bridge (ip address show docker0)"
        )
    return address


def bracket_ipv6(name: str) -> str:
    """Return a host for use in a URL: an IPv6 address in brackets."""
    return f"[{name}]" if ":" in name else name
