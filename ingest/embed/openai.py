"""Embeddings from Azure OpenAI, or from any service with an OpenAI-compatible API.

Each request waits for a permit of the rate limiter, takes a bearer token from the token cache, and
is retried by `ingest.runtime.retry`; the SDK's own retries are off.
"""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

import httpx2
import numpy as np
import openai
import orjson

from ingest.azure.token_cache import TokenCache
from ingest.embed import PartialEmbedding
from ingest.embed.deployments import Endpoint
from ingest.embed.openai_errors import SplitRequired, classify_openai_error, create_context
from ingest.embed.rate_limit.limiter import Gate
from ingest.embed.rate_limit.quota import count_quota_tokens
from ingest.errors import ConfigError
from ingest.runtime.request_ids import REQUEST_ID_HEADER, LoggedRequest
from ingest.runtime.retry import LOGGED_WAIT_SECONDS, RetryableError, RetryPolicy, call_with_retry
from ingest.runtime.timing import CHARGED_TOKENS, EMBEDDING_SERVICE, THROTTLED_REQUESTS, Stopwatch

if TYPE_CHECKING:
    from ingest.models import Vectors

log = logging.getLogger(__name__)

DIMENSIONS_MODEL_PREFIX = "text-embedding-3-"  # models with the parameter `dimensions`

PROBE_TEXT = "probe"  # one token, to test whether the service refuses any request
FIRST_SERVER_ERROR_STATUS = 500  # from here on, the request may have been processed and billed

REQUEST_TIMEOUT_SECONDS = 120.0  # the largest request takes a loaded service half of it


@dataclass(frozen=True, slots=True)
class Deployments:
    """The deployments of one model, and all that a request to one of them needs."""

    endpoints: Sequence[Endpoint]
    clients: Sequence[openai.OpenAI]
    gate: Gate
    key: str | TokenCache
    retry_policy: RetryPolicy
    times: Stopwatch
    before_resend: Callable[[Sequence[str]], None]  # as in RequestLimits


def embed_texts(texts: Sequence[str], deployments: Deployments) -> Vectors:
    """Embed texts, one row each, in as few requests as the service accepts.

    Raises PartialEmbedding if the service refuses some of the texts.
    """
    embed = partial(embed_with_retry, deployments=deployments)
    try:
        return embed(texts)
    except SplitRequired as error:
        if not error.by_quota:
            deployments.before_resend([PROBE_TEXT])
            check_service(embed)
        return embed_halves(texts, embed, error)


def create_client(endpoint: Endpoint, key: str | TokenCache) -> openai.OpenAI:
    """Create the SDK's client, for a versioned Azure API or for the v1 API."""
    url = endpoint.url.rstrip("/")
    if endpoint.api_version:
        secret = {"azure_ad_token_provider": key} if callable(key) else {"api_key": key}
        return openai.AzureOpenAI(
            azure_endpoint=url,
            api_version=endpoint.api_version,
            max_retries=0,
            timeout=REQUEST_TIMEOUT_SECONDS,
            **secret,
        )
    base = url if url.endswith("/v1") else f"{url}/openai/v1"
    return openai.OpenAI(base_url=base, api_key=key, max_retries=0, timeout=REQUEST_TIMEOUT_SECONDS)


def check_service(embed: Callable[[Sequence[str]], Vectors]) -> None:
    """Raise ConfigError if the service refuses any request, so that the texts are not blamed."""
    try:
        embed([PROBE_TEXT])
    except SplitRequired as error:
        raise ConfigError(f"{error}: check deployment, model and dimensions") from error


def embed_halves(
    texts: Sequence[str], embed: Callable[[Sequence[str]], Vectors], error: SplitRequired
) -> Vectors:
    """Embed texts that were refused together with `error`, by halving them recursively.

    Raises PartialEmbedding if the service refuses some of the texts on their own.
    """
    if len(texts) == 1:
        if error.by_quota:
            raise ConfigError(str(error)) from error
        raise PartialEmbedding(np.empty((0, 0), np.float32), {0: str(error)}) from error
    parts: list[Vectors] = []
    reasons: dict[int, str] = {}
    middle = len(texts) // 2
    for offset, half in ((0, texts[:middle]), (middle, texts[middle:])):
        try:
            try:
                parts.append(embed(half))
            except SplitRequired as again:
                parts.append(embed_halves(half, embed, again))
        except PartialEmbedding as some:
            parts.append(some.vectors)
            reasons |= {offset + position: reason for position, reason in some.reasons.items()}
    vectors = np.concatenate([part for part in parts if len(part)] or parts[:1])
    if reasons:
        raise PartialEmbedding(vectors, reasons)
    return vectors


def embed_with_retry(texts: Sequence[str], deployments: Deployments) -> Vectors:
    """Embed texts in one request, retried on any of the deployments. Raises SplitRequired."""
    tokens = count_quota_tokens(sum(map(len, texts)))
    rate_limiter = deployments.gate.rate_limiter
    renewals: list[str] = []
    lost_responses: list[Exception] = []  # of attempts that may have been billed

    def attempt() -> Vectors:
        if lost_responses:
            deployments.before_resend(texts)
            lost_responses.clear()
        permit = deployments.gate.acquire(tokens)
        try:
            headers, body = send_logged(texts, deployments, permit.deployment_index)
        except Exception as error:
            endpoint = deployments.endpoints[permit.deployment_index]
            request = create_context(str(endpoint), deployments.key, renewals)
            verdict = classify_openai_error(error, request)
            if (
                not isinstance(error, openai.APIStatusError)
                or error.status_code >= FIRST_SERVER_ERROR_STATUS
            ):
                lost_responses.append(error)
            if isinstance(verdict, RetryableError) and isinstance(error, openai.RateLimitError):
                deployments.times.count(THROTTLED_REQUESTS)
                wait = rate_limiter.report_throttled(permit, error.response.headers)
                if wait > LOGGED_WAIT_SECONDS:
                    log.warning(
                        "waiting %.0f s: %s", wait, verdict, extra={"seconds": round(wait, 1)}
                    )
            else:
                rate_limiter.report_failure(permit, avoid=isinstance(verdict, RetryableError))
                if isinstance(verdict, RetryableError) and len(deployments.endpoints) > 1:
                    log.warning("%s; trying another deployment", verdict)
            if verdict is error:
                raise
            raise verdict from error
        deployments.times.count(CHARGED_TOKENS, tokens)
        rate_limiter.report_success(permit, headers)
        try:
            return parse_vectors(body, len(texts))
        except RetryableError as error:
            lost_responses.append(error)
            raise

    return call_with_retry(attempt, lambda error: error, deployments.retry_policy)


def send_logged(
    texts: Sequence[str], deployments: Deployments, deployment_index: int
) -> tuple[Mapping[str, str], bytes]:
    """Send a request, measure it and report it to the request log."""
    endpoint = deployments.endpoints[deployment_index]
    request_log = deployments.retry_policy.request_log
    status, started = 0, time.monotonic()
    try:
        with deployments.times.measure(
            EMBEDDING_SERVICE, url=endpoint.url, deployment=endpoint.deployment
        ):
            response = send_request(
                texts, endpoint, deployments.clients[deployment_index], request_log.new_id()
            )
    except openai.APIStatusError as error:
        status = error.status_code
        raise
    else:
        status = HTTPStatus.OK
        return response
    finally:
        seconds = time.monotonic() - started
        request_log.on_response(LoggedRequest("POST", endpoint.url, status, seconds))


def send_request(
    texts: Sequence[str], endpoint: Endpoint, client: openai.OpenAI, request_id: str
) -> tuple[Mapping[str, str], bytes]:
    """Send a request; return the headers and body of its response. Raises what the SDK raises.

    The SDK's `embeddings.create` is not used: it inspects every text and every number.
    """
    body: dict[str, object] = {
        "model": endpoint.deployment,
        "input": list(texts),
        "encoding_format": "base64",
    }
    if endpoint.model.startswith(DIMENSIONS_MODEL_PREFIX):
        body["dimensions"] = endpoint.dimensions
    response = client.post(
        "/embeddings",
        cast_to=httpx2.Response,
        body=body,
        options={"headers": {REQUEST_ID_HEADER: request_id}},
    )
    return response.headers, response.content


def parse_vectors(body: bytes, count: int) -> Vectors:
    """Parse a response into rows in the order of the texts, whatever the order of its items.

    Raises RetryableError if the response is incomplete or malformed.
    """
    try:
        data = orjson.loads(body)["data"]
        found = {int(item["index"]): item["embedding"] for item in data}
        if sorted(found) != list(range(count)) or len(data) != count:
            raise RetryableError(
                f"the embedding service returned {len(data)} vectors for {count} texts"
            )
        return np.stack([decode_vector(found[index]) for index in range(count)])
    except (ValueError, TypeError, KeyError) as error:
        raise RetryableError("the embedding service returned a malformed response") from error


def decode_vector(embedding: list[float] | str) -> Vectors:
    """Decode a vector: base64 of little-endian float32 or, from some services, JSON numbers."""
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), "<f4")
    return np.array(embedding, np.float32)
