"""Raw HTTP to one service, without its SDK, which hides headers and the bodies of refusals.

Recorded responses name neither the service, nor an identity, nor an address.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import openai
import orjson
import requests
from requests.adapters import HTTPAdapter

from ingest.azure.client import FIRST_FAILURE_STATUS
from ingest.azure.errors import first_line
from ingest.azure.token_cache import TokenCache
from ingest.errors import ServiceError
from ingest.redaction import redact
from ingest.runtime.retry import (
    TRANSIENT_STATUSES,
    RetryableError,
    RetryPolicy,
    call_with_retry,
    parse_retry_after,
)

MAX_CONNECTIONS = 16
TIMEOUT_SECONDS = 60.0
MAX_KEPT_CHARS = 2000  # of a body

KEPT_HEADERS = re.compile(
    r"x-ratelimit-.*|retry-after.*|policy-id|www-authenticate|content-type|x-ms-region",
    re.IGNORECASE,
)
# Replaced in headers and bodies that are kept, after the names of the service and all credentials.
IDENTIFYING = (
    (re.compile(r"\bingest-live-[\w-]+"), "<index>"),
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE), "<guid>"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b"), "<ip>"),
    (re.compile(r"\b[0-9a-f]{1,4}(?::[0-9a-f]{0,4}){2,7}", re.IGNORECASE), "<ip>"),
    (re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"), "<email>"),
    (
        re.compile(r"(?i)(/(?:subscriptions|resourceGroups|accounts|searchServices)/)[\w.()-]+"),
        r"\1<name>",
    ),
)

Json: TypeAlias = dict[str, Any]
SendRaw: TypeAlias = Callable[[str, str, Mapping[str, str], bytes | None], "Reply"]


@dataclass(frozen=True, slots=True)
class Reply:
    """A response."""

    status: int
    headers: Mapping[str, str]  # by names in lower case
    body: str

    def json(self) -> Json:
        """Parse the body; {} if it is not a JSON object."""
        try:
            parsed = orjson.loads(self.body)
        except ValueError:
            return {}
        return parsed if isinstance(parsed, dict) else {}


@dataclass(frozen=True, slots=True)
class Service:
    """One service: its URL, credential and HTTP client, and the refusals it answered with."""

    name: str
    url: str
    key: str | TokenCache
    retry_policy: RetryPolicy
    send_raw: SendRaw
    refusals: dict[str, Json] = field(default_factory=dict)

    def send(
        self, method: str, path: str, body: object = None, credentials: Json | None = None
    ) -> Reply:
        """Send one request, as this identity unless other `credentials` are given."""
        headers = {"Content-Type": "application/json"}
        headers |= self.credentials() if credentials is None else credentials
        content = None if body is None else orjson.dumps(body)
        return self.send_raw(method, self.url + path, headers, content)

    def call(self, method: str, path: str, body: object = None) -> Reply:
        """Send a request by the retry policy; return the first response that is not transient."""

        def attempt() -> Reply:
            try:
                reply = self.send(method, path, body)
            except ServiceError as error:  # no response
                raise RetryableError(str(error)) from error
            if reply.status in TRANSIENT_STATUSES:
                self.refusals[f"transient {reply.status}"] = self.keep(reply)
                raise RetryableError(
                    f"{self.url} answered {reply.status}", parse_retry_after(reply.headers)
                )
            return reply

        return call_with_retry(attempt, lambda error: error, self.retry_policy)

    def require(self, name: str, method: str, path: str, body: object = None) -> Reply:
        """Send a request that should succeed. Keeps a refusal, and raises ServiceError for it."""
        reply = self.call(method, path, body)
        if reply.status >= FIRST_FAILURE_STATUS:
            self.refusals[name] = self.keep(reply)
            text = f"{name}: {reply.status} {first_line(self.scrub(reply.body))}"
            raise ServiceError(text.strip())
        return reply

    def record_refusal(
        self,
        name: str,
        method: str,
        path: str,
        body: object = None,
        credentials: Json | None = None,
    ) -> Reply:
        """Send a request that the service should refuse, and keep its response."""
        reply = self.send(method, path, body, credentials)
        self.refusals[name] = self.keep(reply)
        return reply

    def credentials(self) -> dict[str, str]:
        """Return the headers that authenticate this identity; none for a service without a key."""
        if isinstance(self.key, TokenCache):
            return {"Authorization": f"Bearer {self.key()}"}
        return {"api-key": self.key} if self.key else {}

    def keep(self, reply: Reply) -> Json:
        """Return status, headers and body of a response without anything that identifies."""
        is_refused = reply.status >= FIRST_FAILURE_STATUS
        return {
            "status": reply.status,
            "headers": self.keep_headers(reply),
            # A success has nothing to tell, and may hold names.
            "body": self.scrub(reply.body)[:MAX_KEPT_CHARS] if is_refused else "",
        }

    def keep_headers(self, reply: Reply) -> dict[str, str]:
        """Return the headers that tell how the service behaves."""
        return {
            name: self.scrub(value)
            for name, value in sorted(reply.headers.items())
            if KEPT_HEADERS.fullmatch(name)
        }

    def scrub(self, text: str) -> str:
        """Return a text without credentials, names, ids and addresses."""
        return scrub(text, self.url)


def scrub(text: str, url: str) -> str:
    """Return a service's text without credentials, its own name, ids and addresses."""
    text = redact(text)
    for pattern, placeholder in IDENTIFYING:
        text = pattern.sub(placeholder, text)
    parts = urlsplit(url)
    label = (parts.hostname or "").partition(".")[0]
    for own in (parts.netloc, parts.hostname or "", "" if label.isdecimal() else label):
        if own:
            text = re.sub(rf"(?<![\w-]){re.escape(own)}(?![\w-])", "<service>", text)
    return text


@contextmanager
def send_with_requests() -> Iterator[SendRaw]:
    """Open connections with the HTTP library of requests to Azure AI Search."""
    session = requests.Session()
    session.auth = lambda request: request  # or else it may add a password of ~/.netrc
    session.mount("https://", HTTPAdapter(pool_maxsize=MAX_CONNECTIONS))

    def send(method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Reply:
        try:
            response = session.request(
                method,
                url,
                headers=dict(headers),
                data=body,
                timeout=TIMEOUT_SECONDS,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise connection_error(url, error) from error
        return to_reply(response)

    with session:
        yield send


@contextmanager
def send_with_openai() -> Iterator[SendRaw]:
    """Open connections with the HTTP library of requests to Azure OpenAI."""
    client = openai.DefaultHttpxClient(follow_redirects=False, timeout=TIMEOUT_SECONDS)

    def send(method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Reply:
        try:
            response = client.request(method, url, headers=dict(headers), content=body)
        except Exception as error:  # the library has no common base class
            raise connection_error(url, error) from error
        return to_reply(response)

    with client:
        yield send


def to_reply(response: Any) -> Reply:
    """Convert a response of either library."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    text = response.content.decode("utf-8-sig", "replace")  # a count begins with a byte order mark
    return Reply(response.status_code, headers, text)


def connection_error(url: str, error: Exception) -> ServiceError:
    """Return the error for a request that got no response."""
    return ServiceError(f"{urlsplit(url).hostname} does not answer ({type(error).__name__})")
