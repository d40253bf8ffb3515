"""A model behind one or several endpoints.

The SDK that asks them is imported by the first request: that takes longer than all of a run that
finds nothing to do.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from ingest.azure.token_cache import TokenCache
from ingest.embed import Embedder
from ingest.embed.rate_limit.deployment import DeploymentLimiter
from ingest.embed.rate_limit.limiter import Gate, LocalRateLimiter, RateLimiter
from ingest.embed.rate_limit.quota import LearntLimit
from ingest.runtime.retry import RetryPolicy
from ingest.runtime.timing import Stopwatch

if TYPE_CHECKING:
    from ingest.embed.openai import Deployments
    from ingest.models import Vectors

# What the models give where nobody asks for fewer.
MODEL_DIMENSIONS = {
    "text-embedding-3-large": 3072,
    "text-embedding-3-small": 1536,
    "text-embedding-ada-002": 1536,
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and what to ask."""

    url: str  # of the resource, or of the API where it ends in /v1
    deployment: str
    model: str
    dimensions: int
    api_version: str = ""  # "" is the v1 API
    tpm: float = math.inf  # most tokens and requests a minute, where that is known
    rpm: float = math.inf

    def __str__(self) -> str:
        return f"{self.url} (deployment {self.deployment})"


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """How much to ask at a time, and who must agree to more than was to be asked."""

    inputs: int = 2048  # the service's limits: texts and tokens of one request
    tokens: int = 300_000
    at_once: int = 16
    # told of texts before they are sent once more, as the answer was lost; may raise StoppedError
    before_resend: Callable[[Sequence[str]], None] = lambda _: None


def create_rate_limiter(
    endpoints: Sequence[Endpoint], clock: Callable[[], float] = time.monotonic
) -> LocalRateLimiter:
    """The line before these deployments, of which nothing is known yet but what is set."""
    return LocalRateLimiter(
        [DeploymentLimiter(LearntLimit(each.tpm), LearntLimit(each.rpm)) for each in endpoints],
        clock,
    )


def remote_embedder(  # noqa: PLR0913 - what asks, whom, how, and who sees to it
    endpoints: Sequence[Endpoint],
    requests: RequestLimits,
    key: str | TokenCache,
    retry_policy: RetryPolicy,
    times: Stopwatch,
    *,
    rate_limiter: RateLimiter,
) -> Embedder:
    """The model. Nothing is asked of it yet."""
    turns = Gate(rate_limiter, retry_policy, times)
    closers: list[Callable[[], None]] = []
    lock = threading.Lock()

    @cache
    def connect_deployments() -> Deployments:
        from ingest.embed.openai import Deployments, create_client

        clients = [create_client(each, key) for each in endpoints]
        closers.extend(each.close for each in clients)
        return Deployments(
            endpoints, clients, turns, key, retry_policy, times, requests.before_resend
        )

    def open_deployments() -> Deployments:
        with lock:  # one thread opens them
            return connect_deployments()

    def embed(texts: Sequence[str]) -> Vectors:
        from ingest.embed.openai import embed_texts

        return embed_texts(texts, open_deployments())

    def close() -> None:
        for closer in closers:
            closer()

    return Embedder(
        embed,
        endpoints[0].model,
        endpoints[0].dimensions,
        requests.inputs,
        lambda: min(requests.tokens, rate_limiter.get_quota().request_tokens),
        requests.at_once,
        lambda: rate_limiter.get_quota().tokens_per_minute,
        open_deployments,
        close,
        lambda: rate_limiter.get_quota().requests_per_minute,
    )
