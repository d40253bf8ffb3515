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
from ingest.embed.rate_limit.deployment import Pace
from ingest.embed.rate_limit.limiter import Line, Paces, Turns
from ingest.embed.rate_limit.quota import Share
from ingest.runtime.retry import Patience
from ingest.runtime.timing import Times

if TYPE_CHECKING:
    from ingest.embed.openai import Deployments
    from ingest.models import Vectors

# What the models give where nobody asks for fewer.
DIMENSIONS = {
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
class Requests:
    """How much to ask at a time, and who must agree to more than was to be asked."""

    inputs: int = 2048  # the service's limits: texts and tokens of one request
    tokens: int = 300_000
    at_once: int = 16
    # told of texts before they are sent once more, as the answer was lost; may raise StoppedError
    beyond: Callable[[Sequence[str]], None] = lambda _: None


def paces(endpoints: Sequence[Endpoint], clock: Callable[[], float] = time.monotonic) -> Paces:
    """The line before these deployments, of which nothing is known yet but what is set."""
    return Paces([Pace(Share(each.tpm), Share(each.rpm)) for each in endpoints], clock)


def remote(  # noqa: PLR0913 - what asks, whom, how, and who sees to it
    endpoints: Sequence[Endpoint],
    requests: Requests,
    key: str | TokenCache,
    patience: Patience,
    times: Times,
    *,
    line: Line,
) -> Embedder:
    """The model. Nothing is asked of it yet."""
    turns = Turns(line, patience, times)
    closers: list[Callable[[], None]] = []
    lock = threading.Lock()

    @cache
    def deployments() -> Deployments:
        from ingest.embed.openai import Deployments, client

        clients = [client(each, key) for each in endpoints]
        closers.extend(each.close for each in clients)
        return Deployments(endpoints, clients, turns, key, patience, times, requests.beyond)

    def opened() -> Deployments:
        with lock:  # one thread opens them
            return deployments()

    def embed(texts: Sequence[str]) -> Vectors:
        from ingest.embed.openai import embedded

        return embedded(texts, opened())

    def close() -> None:
        for closer in closers:
            closer()

    return Embedder(
        embed,
        endpoints[0].model,
        endpoints[0].dimensions,
        requests.inputs,
        lambda: min(requests.tokens, line.known().room),
        requests.at_once,
        lambda: line.known().tokens,
        opened,
        close,
        lambda: line.known().requests,
    )
