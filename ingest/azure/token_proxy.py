"""Tokens of this machine's login for a container that cannot see it, by App Service's protocol.

To the container it is a managed identity. Nothing but a token leaves, only for the audiences below,
and only to who shows the secret; whatever else is asked is refused before anybody is asked for it.
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

from ingest.azure.credential import SharedCredential
from ingest.azure.token_cache import Identity, TokenCache
from ingest.errors import ConfigError, IngestError

# What this program speaks to: Azure OpenAI by both its names, AI Search, and Storage.
AUDIENCES = (
    "https://cognitiveservices.azure.com",
    "https://ai.azure.com",
    "https://search.azure.com",
    "https://storage.azure.com",
)
ENDPOINT_PATH = "/msi/token"
MSI_API_VERSION = "2019-08-01"

MAX_REQUEST_BYTES = 16 * 1024  # of a request's line and headers; the SDKs send a twentieth of it
CLIENT_TIMEOUT_SECONDS = 10.0  # seconds for a client to finish its request


@dataclass(frozen=True, slots=True)
class ProxiedRequest:
    """One request and what became of it; never the token itself."""

    peer: str
    status: int
    audience: str = ""
    expires: float = 0.0  # of the token, in seconds since the epoch
    reason: str = ""  # why it was refused


class TokenRefusedError(Exception):
    """The request ends here, with this status and these words."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class TokenProxy(ThreadingHTTPServer):
    """The endpoint, listening from the moment it is made; it serves once `serve_forever` runs.

    `port` 0 is any free one; `name` is what its clients call this machine. Raises ConfigError for
    an address that others could reach, or that this machine does not have.
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
        self.tokens = {a: TokenCache(credential, f"{a}/.default") for a in AUDIENCES}
        self.on_request = on_request
        self.secret = secrets.token_urlsafe(32)
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
        # A page in a browser reaches this address under a name of its own choice, and no other.
        self.allowed_hosts = {self.host, f"{bracket_ipv6(str(address))}:{self.server_port}"}

    @property
    def environment(self) -> dict[str, str]:
        """What a client process needs; the second one is a secret."""
        return {
            "IDENTITY_ENDPOINT": f"http://{self.host}{ENDPOINT_PATH}",
            "IDENTITY_HEADER": self.secret,
        }

    def identity(self) -> Identity:
        """Whose tokens there are. Raises ConfigError if nobody is signed in."""
        tokens = self.tokens[AUDIENCES[0]]
        tokens.current_token()
        return tokens.identity()

    def answer_request(self, request: BaseHTTPRequestHandler) -> dict[str, Any]:
        """The answer to a request that may have one. Raises Refused."""
        if request.headers.get_all("Host") not in [[host] for host in self.allowed_hosts]:
            raise TokenRefusedError(400, "the Host header names another machine than this one")
        shown = request.headers.get("X-IDENTITY-HEADER", "")
        if not hmac.compare_digest(shown.encode(), self.secret.encode()):
            raise TokenRefusedError(
                401, "the secret is wrong: take IDENTITY_HEADER from the token-proxy that runs now"
            )
        if (
            request.headers.get("Content-Length", "0") != "0"
            or "Transfer-Encoding" in request.headers
        ):
            raise TokenRefusedError(413, "a request for a token has no body")
        url = urlsplit(request.path)
        if url.netloc or url.path != ENDPOINT_PATH:
            raise TokenRefusedError(404, f"there is nothing here but {ENDPOINT_PATH}")
        query = dict(parse_qsl(url.query))
        if query.get("api-version") != MSI_API_VERSION:
            raise TokenRefusedError(400, f"api-version must be {MSI_API_VERSION}")
        return self.issue_token(query.get("resource", "").removesuffix("/.default").rstrip("/"))

    def issue_token(self, audience: str) -> dict[str, Any]:
        """A token for an audience, as App Service gives it. Raises Refused."""
        tokens = self.tokens.get(audience)
        if tokens is None:
            raise TokenRefusedError(
                400,
                f"no tokens for {audience[:100]!r} here, only for {', '.join(AUDIENCES)}",
            )
        try:
            held = tokens.current_token()
        except IngestError as error:
            # The advice first: what shows this to people may cut it.
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
        """A client that breaks off in the middle is no news."""


class BoundedReader(BufferedReader):
    """Reads the lines of one request, and no more of them than a request may have."""

    remaining_bytes = MAX_REQUEST_BYTES

    def readline(self, size: int | None = -1, /) -> bytes:
        """The next line. Raises LineTooLong if those before it were too many."""
        if self.remaining_bytes < 0:
            raise LineTooLong("request")
        line = super().readline(-1 if size is None else size)
        self.remaining_bytes -= len(line)
        return line


class TokenRequestHandler(BaseHTTPRequestHandler):
    """One connection, which is one request."""

    timeout = CLIENT_TIMEOUT_SECONDS
    server: TokenProxy

    def setup(self) -> None:
        """Bound what is read."""
        super().setup()
        self.rfile = BoundedReader(cast("Any", self.rfile).detach())

    def do_GET(self) -> None:
        """Answer with a token, or with why not."""
        try:
            answer = self.server.answer_request(self)
        except TokenRefusedError as refused:
            self.refuse(refused.status, str(refused))
            return
        told = {"audience": answer["resource"], "expires": float(answer["expires_on"])}
        self.server.on_request(ProxiedRequest(self.client_address[0], HTTPStatus.OK, **told))
        self.write(HTTPStatus.OK, answer)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What http.server itself refuses: what is too large, malformed, or no GET."""
        del explain
        if code == HTTPStatus.NOT_IMPLEMENTED:
            self.refuse(HTTPStatus.METHOD_NOT_ALLOWED, "a token is asked for with GET")
        else:
            self.refuse(code, message or HTTPStatus(code).phrase)

    def refuse(self, status: int, reason: str) -> None:
        """Say why there is no token, to the client and to who watches."""
        self.server.on_request(ProxiedRequest(self.client_address[0], status, reason=reason))
        self.write(status, {"statusCode": status, "message": reason})

    def write(self, status: int, value: Mapping[str, Any]) -> None:
        """Header and body in one write: two would wait for each other's acknowledgement."""
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
        """Say nothing: `tell` has said it, without what a stranger wrote."""


def parse_bind_address(bind: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address to listen on. Raises ConfigError if strangers could reach it."""
    try:
        address = ipaddress.ip_address(bind)
    except ValueError:
        raise ConfigError(f"--bind {bind}: expected an IP address, such as 127.0.0.1") from None
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_unspecified or address.is_multicast or not address.is_private:
        what = "every address of this machine" if address.is_unspecified else "a public address"
        raise ConfigError(
            f"--bind {bind} is {what}, and whoever reaches it may ask for tokens of your login: "
            "use 127.0.0.1, or the address of the container bridge (ip address show docker0)"
        )
    return address


def bracket_ipv6(name: str) -> str:
    """A name or address as it stands in a URL."""
    return f"[{name}]" if ":" in name else name
