"""Vectors from Azure OpenAI, or from any service that speaks its protocol.

The SDK's own retries are off: the policy is retry.py's. A token is asked for before every request,
because the cache is what the client is given as its key.
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import numpy as np
import openai

from ingest.auth.token_cache import TokenCache
from ingest.embed import Embedder, TextsRefused
from ingest.errors import ConfigError, ServiceError
from ingest.retry import PASSING, Again, Patience, floor_of, patiently
from ingest.roles import OPENAI_USER, missing_role, rejected

if TYPE_CHECKING:
    from ingest.model import Vectors

log = logging.getLogger(__name__)

# What the models give where nobody asks for fewer.
DIMENSIONS = {
    "text-embedding-3-large": 3072,
    "text-embedding-3-small": 1536,
    "text-embedding-ada-002": 1536,
}
SHORTENS = "text-embedding-3-"  # these models take the parameter `dimensions`

# A quota's window is a minute. A service that says to come back much later means: never like this.
LONGEST_QUOTA_WAIT = 300.0

REFUSED = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)

# Codes of errors, which do not change as their texts do.
DENIED = "PermissionDenied"  # a missing role, with 401 or 403
BLOCKED = "403"  # a firewall's, with 403
KEYS_OFF = "AuthenticationTypeDisabled"
STRANGER = "tenant"  # in the code of a 400 for a token of another tenant

REQUEST_SECONDS = 120.0  # the largest request takes a loaded service half of it


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and what to ask, and how much at a time."""

    url: str  # of the resource, or of the API where it ends in /v1
    deployment: str
    model: str
    dimensions: int
    api_version: str = ""  # "" is the v1 API
    inputs: int = 2048  # the service's limits: texts and tokens of one request
    tokens: int = 300_000
    at_once: int = 8


def openai_embedder(endpoint: Endpoint, key: str | TokenCache, patience: Patience) -> Embedder:
    """The model behind an endpoint. Nothing is asked of it yet."""
    calls = client(endpoint, key)

    def ask(texts: Sequence[str]) -> Vectors:
        return asked(texts, calls, endpoint, key, patience)

    def embed(texts: Sequence[str]) -> Vectors:
        try:
            return ask(texts)
        except Smaller as error:
            if not error.quota:
                probe(ask)
            return halved(texts, ask, error)

    return Embedder(
        embed,
        endpoint.model,
        endpoint.dimensions,
        endpoint.inputs,
        endpoint.tokens,
        endpoint.at_once,
        calls.close,
    )


def client(endpoint: Endpoint, key: str | TokenCache) -> openai.OpenAI:
    """The SDK's client for either form of URL."""
    url = endpoint.url.rstrip("/")
    if endpoint.api_version:
        secret = {"azure_ad_token_provider": key} if callable(key) else {"api_key": key}
        return openai.AzureOpenAI(
            azure_endpoint=url,
            api_version=endpoint.api_version,
            max_retries=0,
            timeout=REQUEST_SECONDS,
            **secret,
        )
    base = url if url.endswith("/v1") else f"{url}/openai/v1"
    return openai.OpenAI(base_url=base, api_key=key, max_retries=0, timeout=REQUEST_SECONDS)


class Smaller(Exception):
    """The request can only succeed in parts; `reason` is what to say if it has none."""

    def __init__(self, reason: str, *, quota: bool) -> None:
        super().__init__(reason)
        self.quota = quota


def probe(ask: Callable[[Sequence[str]], Vectors]) -> None:
    """Raises ConfigError if the service refuses whatever it is asked: then it is not the texts."""
    try:
        ask(["probe"])
    except Smaller as error:
        raise ConfigError(f"{error}: check deployment, model and dimensions") from error


def halved(
    texts: Sequence[str], ask: Callable[[Sequence[str]], Vectors], error: Smaller
) -> Vectors:
    """A row for each text, asked for in ever smaller parts, since `error` came of them together.

    Raises TextsRefused if there are texts that the service will not take alone.
    """
    if len(texts) == 1:
        if error.quota:
            raise ConfigError(str(error)) from error
        raise TextsRefused(np.empty((0, 0), np.float32), {0: str(error)}) from error
    parts: list[Vectors] = []
    reasons: dict[int, str] = {}
    middle = len(texts) // 2
    for offset, half in ((0, texts[:middle]), (middle, texts[middle:])):
        try:
            try:
                parts.append(ask(half))
            except Smaller as again:
                parts.append(halved(half, ask, again))
        except TextsRefused as some:
            parts.append(some.vectors)
            reasons |= {offset + place: reason for place, reason in some.reasons.items()}
    vectors = np.concatenate([part for part in parts if len(part)] or parts[:1])
    if reasons:
        raise TextsRefused(vectors, reasons)
    return vectors


def asked(
    texts: Sequence[str],
    calls: openai.OpenAI,
    endpoint: Endpoint,
    key: str | TokenCache,
    patience: Patience,
) -> Vectors:
    """The answer to one request, however often it has to be made. Raises Smaller."""
    shortened = endpoint.model.startswith(SHORTENS)
    renewals: list[str] = []

    def request() -> Vectors:
        answer = calls.embeddings.create(
            model=endpoint.deployment,
            input=list(texts),
            encoding_format="base64",
            dimensions=endpoint.dimensions if shortened else openai.omit,
        )
        return rows(answer, len(texts))

    def judge(error: Exception) -> Exception:
        return judged(error, endpoint, key, renewals)

    return patiently(request, judge, patience)


def rows(answer: object, count: int) -> Vectors:
    """The vectors in the order of the texts, whatever the order of the answer.

    Raises Again if the answer is not whole.
    """
    if not isinstance(answer, openai.types.CreateEmbeddingResponse):
        # Of a success with an empty body the SDK makes a string.
        raise Again("the embedding service gave an answer that cannot be read")
    found = {item.index: item.embedding for item in answer.data}
    if sorted(found) != list(range(count)) or len(answer.data) != count:
        raise Again(f"the embedding service answered {len(answer.data)} of {count} texts")
    try:
        return np.stack([decoded(found[place]) for place in range(count)])
    except (binascii.Error, ValueError) as error:
        raise Again(f"the embedding service answered what is no vector ({error})") from error


def decoded(embedding: list[float] | str) -> Vectors:
    """One vector, as base64 of little-endian float32 or, from other services, as numbers."""
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), "<f4")
    return np.array(embedding, np.float32)


def judged(
    error: Exception, endpoint: Endpoint, key: str | TokenCache, renewals: list[str]
) -> Exception:
    """What to make of what the SDK raised: Again, Smaller, or the error for whoever must act."""
    where = f"{endpoint.url} (deployment {endpoint.deployment})"
    if isinstance(error, (ConfigError, ServiceError)):
        return error
    if isinstance(error, openai.APIStatusError):
        return by_status(error, where, key, renewals)
    if isinstance(error, openai.APITimeoutError):
        return Again(f"{where} did not answer in time")
    if isinstance(error, openai.APIConnectionError):
        reason = error.__cause__ or error
        if "CERTIFICATE_VERIFY_FAILED" in str(reason):
            return ConfigError(f"{where}: its certificate is not trusted here: set SSL_CERT_FILE")
        if not reachable(reason):
            return ConfigError(f"{where} cannot be reached ({reason}): check the endpoint")
        return Again(f"the connection to {where} broke ({reason})")
    if isinstance(error, (openai.APIResponseValidationError, openai.APIError, ValueError)):
        # A body that is empty, cut short, or no JSON: a success that cannot be read is none.
        return Again(f"{where} gave an answer that cannot be read")
    return error


def by_status(
    error: openai.APIStatusError, where: str, key: str | TokenCache, renewals: list[str]
) -> Exception:
    """The same, by the status of the answer; texts of services change, statuses do not."""
    status, code = error.status_code, error.code
    floor = floor_of(error.response.headers)
    if code == "insufficient_quota":
        return ConfigError(f"{where} has no quota left at all: raise it or pay for it")
    if status == HTTPStatus.TOO_MANY_REQUESTS and floor > LONGEST_QUOTA_WAIT:
        return Smaller(f"{where} takes no request this large: raise its quota", quota=True)
    if status in PASSING:
        what = (
            "the quota"
            if status == HTTPStatus.TOO_MANY_REQUESTS
            else f"an error of the service ({status})"
        )
        return Again(f"{what} of {where}", floor)
    if verdict := denied(error, where, key, renewals):
        return verdict
    if status == HTTPStatus.NOT_FOUND:
        return ConfigError(f"{where} does not exist: check the endpoint and the deployment's name")
    if status in REFUSED:
        return Smaller(f"the embedding service refused it ({said(error)})", quota=False)
    return ConfigError(f"{where} refused the request ({status}, {said(error)})")


def denied(
    error: openai.APIStatusError, where: str, key: str | TokenCache, renewals: list[str]
) -> Exception | None:
    """What to make of a refusal that is about who asks, or from where; None if it is not."""
    status, code = error.status_code, str(error.code or "")
    if (status, code) == (HTTPStatus.FORBIDDEN, BLOCKED):
        return ConfigError(
            f"{where} takes no requests from this network ({said(error)}): go through its "
            "private endpoint, or allow this address in its network settings"
        )
    if code == KEYS_OFF:
        return ConfigError(f"{where} takes no keys: unset AZURE_OPENAI_KEY to sign in without one")
    foreign = status == HTTPStatus.BAD_REQUEST and STRANGER in code.lower()
    if status not in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) and not foreign:
        return None
    if not isinstance(key, TokenCache):
        return ConfigError(f"{where} does not accept the key: check AZURE_OPENAI_KEY, or unset it")
    if status == HTTPStatus.FORBIDDEN or code == DENIED:
        return missing_role(key, OPENAI_USER, where)
    if not foreign and key.retried(error.request.headers, renewals):
        return Again(f"{where} did not accept the token")
    return rejected(key, where)


def said(error: openai.APIStatusError) -> str:
    """The service's own words, short."""
    text = str(error.message).removeprefix(f"Error code: {error.status_code} - ")
    return text.splitlines()[0][:200]


def reachable(reason: BaseException) -> bool:
    """Whether a failed connection may work in a moment: a name that does not resolve will not."""
    text = str(reason).lower()
    return not any(sign in text for sign in ("name or service not known", "nodename nor servname"))
