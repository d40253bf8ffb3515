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
from ingest.embed import TextsRefused
from ingest.embed.deployments import Endpoint
from ingest.embed.openai_errors import Smaller, judged
from ingest.embed.rate_limit.limiter import Turns
from ingest.embed.rate_limit.quota import counted
from ingest.errors import ConfigError
from ingest.runtime.request_ids import REQUEST_ID, Exchange
from ingest.runtime.retry import WORTH_SAYING, Again, Patience, patiently
from ingest.runtime.timing import CHARGED, REFUSED, SERVICE, Times

if TYPE_CHECKING:
    from ingest.models import Vectors

log = logging.getLogger(__name__)

SHORTENS = "text-embedding-3-"  # these models take the parameter `dimensions`

PROBE = "probe"  # one token, to see whether it is the texts that are refused
FAULTS = 500  # and what is above: a status that does not say whether the work was done

REQUEST_SECONDS = 120.0  # the largest request takes a loaded service half of it


@dataclass(frozen=True, slots=True)
class Deployments:
    """The deployments of one model, side by side."""

    endpoints: Sequence[Endpoint]
    clients: Sequence[openai.OpenAI]
    turns: Turns
    key: str | TokenCache
    patience: Patience
    times: Times
    beyond: Callable[[Sequence[str]], None]  # see Requests


def embedded(texts: Sequence[str], to: Deployments) -> Vectors:
    """A row for each text, in as few requests as the service takes. Raises TextsRefused."""
    ask = partial(asked, to=to)
    try:
        return ask(texts)
    except Smaller as error:
        if not error.quota:
            to.beyond([PROBE])
            probe(ask)
        return halved(texts, ask, error)


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


def probe(ask: Callable[[Sequence[str]], Vectors]) -> None:
    """Raises ConfigError if the service refuses whatever it is asked: then it is not the texts."""
    try:
        ask([PROBE])
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


def asked(texts: Sequence[str], to: Deployments) -> Vectors:
    """The answer to one request, however often it has to be made, and to whom. Raises Smaller."""
    tokens = counted(sum(map(len, texts)))
    line = to.turns.line
    renewals: list[str] = []
    doubts: list[Exception] = []  # attempts that may have been paid for

    def request() -> Vectors:
        if doubts:
            to.beyond(texts)
            doubts.clear()
        turn = to.turns.take(tokens)
        try:
            headers, body = noted(texts, to, turn.place)
        except Exception as error:
            verdict = judged(error, str(to.endpoints[turn.place]), to.key, renewals)
            if not isinstance(error, openai.APIStatusError) or error.status_code >= FAULTS:
                doubts.append(error)
            if isinstance(verdict, Again) and isinstance(error, openai.RateLimitError):
                to.times.count(REFUSED)
                wait = line.refused(turn, error.response.headers)
                if wait > WORTH_SAYING:
                    log.warning(
                        "waiting %.0f s: %s", wait, verdict, extra={"seconds": round(wait, 1)}
                    )
            else:
                line.failed(turn, ailing=isinstance(verdict, Again))
                if isinstance(verdict, Again) and len(to.endpoints) > 1:
                    log.warning("%s; another deployment is asked", verdict)
            if verdict is error:
                raise
            raise verdict from error
        to.times.count(CHARGED, tokens)
        line.answered(turn, headers)
        try:
            return rows(body, len(texts))
        except Again as error:
            doubts.append(error)
            raise

    return patiently(request, lambda error: error, to.patience)


def noted(texts: Sequence[str], to: Deployments, place: int) -> tuple[Mapping[str, str], bytes]:
    """The same as `sent`, timed and told of."""
    endpoint, exchanges = to.endpoints[place], to.patience.exchanges
    status, began = 0, time.monotonic()
    try:
        with to.times.of(SERVICE, url=endpoint.url, deployment=endpoint.deployment):
            answer = sent(texts, endpoint, to.clients[place], exchanges.named())
    except openai.APIStatusError as error:
        status = error.status_code
        raise
    else:
        status = HTTPStatus.OK
        return answer
    finally:
        exchanges.told(Exchange("POST", endpoint.url, status, time.monotonic() - began))


def sent(
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
    if endpoint.model.startswith(SHORTENS):
        body["dimensions"] = endpoint.dimensions
    answer = calls.post(
        "/embeddings",
        cast_to=httpx2.Response,
        body=body,
        options={"headers": {REQUEST_ID: name}},
    )
    return answer.headers, answer.content


def rows(body: bytes, count: int) -> Vectors:
    """The vectors in the order of the texts, whatever the order of the answer.

    Raises Again if the answer is not whole.
    """
    try:
        data = orjson.loads(body)["data"]
        found = {int(item["index"]): item["embedding"] for item in data}
        if sorted(found) != list(range(count)) or len(data) != count:
            raise Again(f"the embedding service answered {len(data)} of {count} texts")
        return np.stack([decoded(found[place]) for place in range(count)])
    except (ValueError, TypeError, KeyError) as error:
        raise Again("the embedding service gave an answer that cannot be read") from error


def decoded(embedding: list[float] | str) -> Vectors:
    """One vector, as base64 of little-endian float32 or, from other services, as numbers."""
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), "<f4")
    return np.array(embedding, np.float32)
