"""Vectors from Azure OpenAI, or from any service that speaks its protocol.

The SDK's own retries are off: the policy is retry.py's. A token is asked for before every request,
because the cache is what the client is given as its key, and a turn, because the quota is shared
by all requests.
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

DIMENSIONS_MODEL_PREFIX = "text-embedding-3-"  # these models take the parameter `dimensions`

PROBE_TEXT = "probe"  # one token, to see whether it is the texts that are refused
FIRST_SERVER_ERROR_STATUS = (
    500  # and what is above: a status that does not say whether the work was done
)

REQUEST_SECONDS = 120.0  # the largest request takes a loaded service half of it


@dataclass(frozen=True, slots=True)
class Deployments:
    """The deployments of one model, side by side."""

    endpoints: Sequence[Endpoint]
    clients: Sequence[openai.OpenAI]
    gate: Gate
    key: str | TokenCache
    retry_policy: RetryPolicy
    times: Stopwatch
    before_resend: Callable[[Sequence[str]], None]  # see Requests


def embed_texts(texts: Sequence[str], deployments: Deployments) -> Vectors:
    """A row for each text, in as few requests as the service takes. Raises TextsRefused."""
    ask = partial(embed_with_retry, deployments=deployments)
    try:
        return ask(texts)
    except SplitRequired as error:
        if not error.by_quota:
            deployments.before_resend([PROBE_TEXT])
            check_service(ask)
        return embed_halves(texts, ask, error)


def create_client(endpoint: Endpoint, key: str | TokenCache) -> openai.OpenAI:
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


def check_service(ask: Callable[[Sequence[str]], Vectors]) -> None:
    """Raises ConfigError if the service refuses whatever it is asked: then it is not the texts."""
    try:
        ask([PROBE_TEXT])
    except SplitRequired as error:
        raise ConfigError(f"{error}: check deployment, model and dimensions") from error


def embed_halves(
    texts: Sequence[str], ask: Callable[[Sequence[str]], Vectors], error: SplitRequired
) -> Vectors:
    """A row for each text, asked for in ever smaller parts, since `error` came of them together.

    Raises TextsRefused if there are texts that the service will not take alone.
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
                parts.append(ask(half))
            except SplitRequired as again:
                parts.append(embed_halves(half, ask, again))
        except PartialEmbedding as some:
            parts.append(some.vectors)
            reasons |= {offset + place: reason for place, reason in some.reasons.items()}
    vectors = np.concatenate([part for part in parts if len(part)] or parts[:1])
    if reasons:
        raise PartialEmbedding(vectors, reasons)
    return vectors


def embed_with_retry(texts: Sequence[str], deployments: Deployments) -> Vectors:
    """The answer to one request, however often it has to be made, and to whom. Raises Smaller."""
    tokens = count_quota_tokens(sum(map(len, texts)))
    line = deployments.gate.rate_limiter
    renewals: list[str] = []
    doubts: list[Exception] = []  # attempts that may have been paid for

    def attempt() -> Vectors:
        if doubts:
            deployments.before_resend(texts)
            doubts.clear()
        turn = deployments.gate.acquire(tokens)
        try:
            headers, body = send_logged(texts, deployments, turn.deployment_index)
        except Exception as error:
            endpoint = deployments.endpoints[turn.deployment_index]
            request = create_context(str(endpoint), deployments.key, renewals)
            verdict = classify_openai_error(error, request)
            if (
                not isinstance(error, openai.APIStatusError)
                or error.status_code >= FIRST_SERVER_ERROR_STATUS
            ):
                doubts.append(error)
            if isinstance(verdict, RetryableError) and isinstance(error, openai.RateLimitError):
                deployments.times.count(THROTTLED_REQUESTS)
                wait = line.report_throttled(turn, error.response.headers)
                if wait > LOGGED_WAIT_SECONDS:
                    log.warning(
                        "waiting %.0f s: %s", wait, verdict, extra={"seconds": round(wait, 1)}
                    )
            else:
                line.report_failure(turn, avoid=isinstance(verdict, RetryableError))
                if isinstance(verdict, RetryableError) and len(deployments.endpoints) > 1:
                    log.warning("%s; another deployment is asked", verdict)
            if verdict is error:
                raise
            raise verdict from error
        deployments.times.count(CHARGED_TOKENS, tokens)
        line.report_success(turn, headers)
        try:
            return parse_vectors(body, len(texts))
        except RetryableError as error:
            doubts.append(error)
            raise

    return call_with_retry(attempt, lambda error: error, deployments.retry_policy)


def send_logged(
    texts: Sequence[str], deployments: Deployments, deployment_index: int
) -> tuple[Mapping[str, str], bytes]:
    """The same as `sent`, timed and told of."""
    endpoint, exchanges = (
        deployments.endpoints[deployment_index],
        deployments.retry_policy.request_log,
    )
    status, began = 0, time.monotonic()
    try:
        with deployments.times.measure(
            EMBEDDING_SERVICE, url=endpoint.url, deployment=endpoint.deployment
        ):
            answer = send_request(
                texts, endpoint, deployments.clients[deployment_index], exchanges.new_id()
            )
    except openai.APIStatusError as error:
        status = error.status_code
        raise
    else:
        status = HTTPStatus.OK
        return answer
    finally:
        exchanges.on_response(LoggedRequest("POST", endpoint.url, status, time.monotonic() - began))


def send_request(
    texts: Sequence[str], endpoint: Endpoint, calls: openai.OpenAI, name: str
) -> tuple[Mapping[str, str], bytes]:
    """The headers and the body of the answer to one request. Raises what the SDK raises.

    Not by `embeddings.create`, which looks into every text and every number on the way.
    """
    body: dict[str, object] = {
        "model": endpoint.deployment,
        "input": list(texts),
        "encoding_format": "base64",
    }
    if endpoint.model.startswith(DIMENSIONS_MODEL_PREFIX):
        body["dimensions"] = endpoint.dimensions
    answer = calls.post(
        "/embeddings",
        cast_to=httpx2.Response,
        body=body,
        options={"headers": {REQUEST_ID_HEADER: name}},
    )
    return answer.headers, answer.content


def parse_vectors(body: bytes, count: int) -> Vectors:
    """The vectors in the order of the texts, whatever the order of the answer.

    Raises Again if the answer is not whole.
    """
    try:
        data = orjson.loads(body)["data"]
        found = {int(item["index"]): item["embedding"] for item in data}
        if sorted(found) != list(range(count)) or len(data) != count:
            raise RetryableError(f"the embedding service answered {len(data)} of {count} texts")
        return np.stack([decode_vector(found[place]) for place in range(count)])
    except (ValueError, TypeError, KeyError) as error:
        raise RetryableError("the embedding service gave an answer that cannot be read") from error


def decode_vector(embedding: list[float] | str) -> Vectors:
    """One vector, as base64 of little-endian float32 or, from other services, as numbers."""
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), "<f4")
    return np.array(embedding, np.float32)
