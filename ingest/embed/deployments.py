"""An embedding model behind one or several deployments.

The OpenAI SDK is imported by the first request: importing it takes longer than a whole run that
finds nothing to do.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ingest.azure.token_cache import TokenCache
from ingest.embed import Embedder
from ingest.embed.account import Account
from ingest.embed.parts import EmbeddedPart, PartwiseEmbedder, collect_parts
from ingest.embed.rate_limit.deployment import DeploymentLimiter
from ingest.embed.rate_limit.limiter import EmbeddingRateLimiter, Gate, LocalRateLimiter
from ingest.embed.rate_limit.others import OtherClients
from ingest.embed.rate_limit.quota import LearntLimit
from ingest.runtime.retry import RetryPolicy
from ingest.runtime.timing import RETRY_PAUSE, Stopwatch

if TYPE_CHECKING:
    from ingest.embed.openai import Deployments

# Dimensions of each model's vectors, unless a request asks for fewer.
MODEL_DIMENSIONS = {
    "text-embedding-3-large": 3072,
    "text-embedding-3-small": 1536,
    "text-embedding-ada-002": 1536,
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A deployment of an embedding model."""

    url: str  # of the resource, or of its API if it ends in /v1
    deployment: str
    model: str
    dimensions: int
    api_version: str = ""  # "": the v1 API
    tpm: float = math.inf  # quotas, if configured: tokens and requests per minute
    rpm: float = math.inf
    is_model_known: bool = True  # False: `model` is the deployment's name, and may be any model

    def __str__(self) -> str:
        return f"{self.url} (deployment {self.deployment})"


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Limits of requests, and the account that they are billed to."""

    inputs: int = 2048  # texts and tokens per request: the service's limits
    tokens: int = 300_000
    at_once: int = 16  # concurrent requests
    account: Account = field(default_factory=Account)


def create_rate_limiter(
    endpoints: Sequence[Endpoint],
    clock: Callable[[], float] = time.monotonic,
    *,
    is_shared: bool = False,
) -> LocalRateLimiter:
    """Create a rate limiter that knows only the configured quotas of the deployments.

    With `is_shared`, no quota is spent at once, as others may have begun to use it before.
    """
    seen_until = math.inf if is_shared else -math.inf
    return LocalRateLimiter(
        [
            DeploymentLimiter(
                LearntLimit(each.tpm),
                LearntLimit(each.rpm),
                others=OtherClients(seen_until),
            )
            for each in endpoints
        ],
        clock,
    )


class LazyDeployments:
    """Deployments that the first request connects to."""

    def __init__(self, connect: Callable[[], Deployments]) -> None:
        self.connect = connect
        self.lock = threading.Lock()
        self.connected: Deployments | None = None

    def get(self) -> Deployments:
        """Return the deployments; one thread connects to them, and the others wait."""
        with self.lock:
            self.connected = self.connected or self.connect()
            return self.connected

    def close(self) -> None:
        """Close the clients, if there are any."""
        for client in self.connected.clients if self.connected else ():
            client.close()


def remote_embedder(  # noqa: PLR0913 - all that a request depends on
    endpoints: Sequence[Endpoint],
    requests: RequestLimits,
    key: str | TokenCache,
    retry_policy: RetryPolicy,
    times: Stopwatch,
    *,
    rate_limiter: EmbeddingRateLimiter,
) -> Embedder:
    """Create the embedder. No request is sent yet."""
    account, is_cancelled, sleep = requests.account, retry_policy.is_cancelled, retry_policy.sleep

    def pause(seconds: float) -> None:
        with times.measure(RETRY_PAUSE):
            sleep(seconds)

    waiting = replace(
        retry_policy, is_cancelled=lambda: is_cancelled() or account.budget.is_closed()
    )
    gate, retrying = Gate(rate_limiter, waiting, times), replace(waiting, sleep=pause)

    def connect() -> Deployments:
        from ingest.embed.openai import Deployments, create_client
        from ingest.embed.openai_probe import identify_models

        identified = identify_models(endpoints, key, retrying, account)
        clients = [create_client(each, key) for each in identified]
        return Deployments(identified, clients, gate, key, retrying, times, account)

    def embed_parts(texts: Sequence[str]) -> Iterator[EmbeddedPart]:
        from ingest.embed import openai_bisect

        return openai_bisect.embed_parts(texts, deployments.get())

    deployments = LazyDeployments(connect)
    return PartwiseEmbedder(
        lambda texts: collect_parts(embed_parts(texts)),
        endpoints[0].model,
        endpoints[0].dimensions,
        requests.inputs,
        lambda: min(requests.tokens, rate_limiter.get_quota().request_tokens),
        requests.at_once,
        lambda: rate_limiter.get_quota().tokens_per_minute,
        deployments.get,
        deployments.close,
        lambda: rate_limiter.get_quota().requests_per_minute,
        embed_parts=embed_parts,
    )
