"""Embeddings from Azure OpenAI, or from any service with an OpenAI-compatible API.

Each request waits for a permit of the rate limiter, takes a bearer token from the token cache, and
is retried by `ingest.runtime.retry`; the SDK's own retries are off.
"""

from __future__ import annotations

import base64
import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx2
import numpy as np
import openai
import orjson

from ingest.azure.token_cache import TokenCache
from ingest.embed.account import Account, Bill
from ingest.embed.deployments import Endpoint
from ingest.embed.openai_errors import (
    SplitCause,
    SplitRequired,
    classify_openai_error,
    create_context,
)
from ingest.embed.rate_limit.limiter import Gate
from ingest.embed.rate_limit.quota import count_quota_tokens
from ingest.models import Vectors
from ingest.runtime.rate_limit import Permit
from ingest.runtime.request_ids import REQUEST_ID_HEADER, LoggedRequest
from ingest.runtime.retry import (
    LOGGED_WAIT_SECONDS,
    RepeatedFailureError,
    RetryableError,
    RetryPolicy,
    call_with_retry,
)
from ingest.runtime.timing import CHARGED_TOKENS, EMBEDDING_SERVICE, THROTTLED_REQUESTS, Stopwatch

log = logging.getLogger(__name__)

DIMENSIONS_MODEL_PREFIX = "text-embedding-3-"  # models with the parameter `dimensions`

TIMEOUT_STATUSES = (408, 504)  # the request may have been processed and billed

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
    account: Account


def create_client(endpoint: Endpoint, key: str | TokenCache) -> openai.OpenAI:
    """Create the SDK's client, for a versioned Azure API or for the v1 API; no key if it is ""."""
    url = endpoint.url.rstrip("/")
    # Redirects are not followed: texts and keys go to the host that the settings name.
    http_client = openai.DefaultHttpxClient(
        follow_redirects=False, event_hooks={} if key else {"request": [remove_credentials]}
    )
    options: dict[str, Any] = {
        "max_retries": 0,
        "timeout": REQUEST_TIMEOUT_SECONDS,
        "http_client": http_client,
    }
    key = key or "none"  # else the SDK would read OPENAI_API_KEY
    if endpoint.api_version:
        secret = {"azure_ad_token_provider": key} if callable(key) else {"api_key": key}
        options |= {"azure_endpoint": url, "api_version": endpoint.api_version}
        return openai.AzureOpenAI(**options, **secret)
    base = url if url.endswith("/v1") else f"{url}/openai/v1"
    return openai.OpenAI(base_url=base, api_key=key, **options)


def remove_credentials(request: httpx2.Request) -> None:
    """Remove the placeholder key that the SDK sends to a service without one."""
    for name in ("authorization", "api-key"):
        request.headers.pop(name, None)


def embed_with_retry(
    texts: Sequence[str], deployments: Deployments, max_failures: float = math.inf
) -> list[Vectors]:
    """Embed texts in one request, retried on any of the deployments.

    Raises SplitRequired if the service refuses the request, or after `max_failures` failures that
    one of the texts may have caused.
    """
    tokens = count_quota_tokens(sum(map(len, texts)))
    billable = sum(deployments.account.count_tokens(texts))
    renewals: list[str] = []

    def attempt() -> list[Vectors]:
        deployments.retry_policy.raise_if_cancelled()
        permit = deployments.gate.acquire(tokens)
        try:
            with deployments.account.reserve(billable) as bill:
                headers, answer = send_billed(texts, deployments, permit, billable, bill)
        except Exception as error:
            endpoint = deployments.endpoints[permit.deployment_index]
            request = create_context(str(endpoint), deployments.key, renewals)
            verdict = classify_openai_error(error, request)
            report_failure(error, verdict, permit, deployments)
            if not isinstance(verdict, RetryableError) and verdict is error:
                raise
            raise verdict from error
        deployments.times.count(CHARGED_TOKENS, tokens)
        deployments.gate.rate_limiter.report_success(permit, headers)
        return parse_vectors(answer, len(texts))

    try:
        return call_with_retry(
            attempt, lambda error: error, deployments.retry_policy, max_failures=max_failures
        )
    except RepeatedFailureError as error:
        raise SplitRequired(str(error), SplitCause.FAILURE) from error


def send_billed(
    texts: Sequence[str], deployments: Deployments, permit: Permit, billable: int, bill: Bill
) -> tuple[Mapping[str, str], Any]:
    """Send a request and record its bill; return the headers and the answer.

    The answer is None if it cannot be read.
    """
    try:
        headers, body = send_logged(texts, deployments, permit.deployment_index)
    except Exception as error:
        bill.tokens = bill.lost = billable if is_answer_lost(error) else 0
        raise
    answer = read_json(body)
    bill.tokens = find_billed_tokens(answer) or billable
    bill.lost = billable if answer is None else 0
    return headers, answer


def is_answer_lost(error: Exception) -> bool:
    """Return whether a request that failed may have been processed, and so billed.

    Only timeouts and broken connections leave that open.
    """
    if isinstance(error, openai.APIStatusError):
        return error.status_code in TIMEOUT_STATUSES
    is_unsent = isinstance(error.__cause__, (httpx2.ConnectError, httpx2.ConnectTimeout))
    return isinstance(error, openai.APIConnectionError) and not is_unsent


def report_failure(
    error: Exception, verdict: Exception, permit: Permit, deployments: Deployments
) -> None:
    """Report a failed request to the rate limiter, and log a changed limit."""
    rate_limiter = deployments.gate.rate_limiter
    is_retryable = isinstance(verdict, RetryableError)
    if is_retryable and isinstance(error, openai.RateLimitError):
        deployments.times.count(THROTTLED_REQUESTS)
        wait = rate_limiter.report_throttled(permit, error.response.headers)
        if wait > LOGGED_WAIT_SECONDS:
            log.warning("waiting %.0f s: %s", wait, verdict, extra={"seconds": round(wait, 1)})
    else:
        rate_limiter.report_failure(permit, avoid=is_retryable)
        if is_retryable and len(deployments.endpoints) > 1:
            log.warning("%s; trying another deployment", verdict)


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
    """Send a request; return the headers and body of its response. Raises the SDK's errors.

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


def parse_vectors(answer: Any, count: int) -> list[Vectors]:
    """Return the vectors of an answer in the order of the texts, whatever the order of its items.

    An item that is no vector becomes an empty one. Raises RetryableError if the answer is
    incomplete or malformed.
    """
    try:
        data = answer["data"]
        found = {int(item["index"]): item["embedding"] for item in data}
        if sorted(found) != list(range(count)) or len(data) != count:
            raise RetryableError(
                f"the embedding service returned {len(data)} vectors for {count} texts"
            )
    except (ValueError, TypeError, KeyError) as error:
        raise RetryableError("the embedding service returned a malformed response") from error
    return [decode_embedding(found[index]) for index in range(count)]


def find_billed_tokens(answer: Any) -> int:
    """Return the tokens billed for an answer; 0 if the service does not report them."""
    usage = answer.get("usage") if isinstance(answer, dict) else None
    tokens = usage.get("total_tokens") if isinstance(usage, dict) else None
    return tokens if isinstance(tokens, int) and tokens > 0 else 0


def read_json(body: bytes) -> Any:
    """Read JSON, or JSON with NaN, which some services write; None if it is neither."""
    try:
        return orjson.loads(body)
    except ValueError:
        pass
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def decode_embedding(embedding: list[float] | str | None) -> Vectors:
    """Decode a vector: base64 of little-endian float32 or, from some services, JSON numbers."""
    try:
        if isinstance(embedding, str):
            return np.frombuffer(base64.b64decode(embedding, validate=True), "<f4")
        return np.array([] if embedding is None else embedding, np.float32).reshape(-1)
    except (ValueError, TypeError):
        return np.empty(0, np.float32)
