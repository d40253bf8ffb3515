"""What runs pay for: it is in the index, it is what they say, and it stays within the limit.

The pipeline, the client, the SDK and the local index are the real ones; the service is the
emulator's, without sockets. Time passes only by waiting, and a night is one run with a deadline.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import httpx2
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.chunk.tokens import count_tokens
from ingest.embed import openai as client_module
from ingest.embed.account import Account
from ingest.embed.deployments import Endpoint, RequestLimits, create_rate_limiter, remote_embedder
from ingest.errors import DocumentError, IngestError
from ingest.index.sqlite.index import SqliteIndex
from ingest.models import Chunk, PreparedDocument, Recipe, RunProgress
from ingest.pipeline.context import Reader, Run, Services
from ingest.pipeline.stages import ingest_root
from ingest.runtime.budget import Budget
from ingest.runtime.cancellation import Cancellation
from ingest.runtime.concurrency import InlineExecutor
from ingest.runtime.retry import RetryPolicy
from ingest.runtime.timing import Stopwatch
from tests.conftest import DIMENSIONS
from tests.emulator.identity import Identity
from tests.emulator.openai import Deployment, OpenAI
from tests.emulator.server import Request
from tests.pipeline.worlds import VirtualClock, Words, digest

if TYPE_CHECKING:
    from ingest.pipeline.diff import Stale
    from ingest.sources import Root

MODEL = "text-embedding-3-small"
RECIPE = Recipe("words", 512, 0.0, MODEL, DIMENSIONS)
PROBE = "probe"


@dataclass
class Night:
    """A run with a deadline, and what it says that it spent."""

    budget: Budget
    received: set[str] = field(default_factory=set)  # texts whose answer arrived
    error: IngestError | None = None


@dataclass
class Archive:
    """Documents, an index that lasts, a service with a quota, and the nights between them."""

    folder: Path
    files: dict[str, str]  # a text a line, each of which is a chunk
    tpm: int
    latency: float = 0.5
    says_quota: bool = True
    loses: Callable[[], bool] = lambda: False  # the answer of a request
    clock: VirtualClock = field(default_factory=VirtualClock)

    def __post_init__(self) -> None:
        self.service = OpenAI(Identity(self.clock), self.clock)
        self.service.local_auth, self.service.tpm = True, self.tpm
        self.service.deployments[MODEL] = Deployment(MODEL, DIMENSIONS)
        self.service.rate_headers = ("limit", "remaining") if self.says_quota else ()

    def night(self, deadline: float, max_tokens: float) -> Night:
        """One run, which stops in order before its deadline."""
        stop = Cancellation(min(20.0, deadline / 2), clock=self.clock.now)
        ends = self.clock.now() + deadline - stop.grace_seconds
        night = Night(Budget(stop, max_tokens))

        def sleep(seconds: float) -> None:
            self.clock.advance(seconds)
            if self.clock.now() >= ends:
                stop.request()

        def handle(request: httpx2.Request) -> httpx2.Response:
            sleep(self.latency)
            url, headers = request.url, {name.lower(): v for name, v in request.headers.items()}
            asked = Request("POST", url.path, dict(url.params), headers, request.content)
            before = len(self.service.requests)
            answer = self.service.serve(asked)
            if len(self.service.requests) > before:
                if self.loses():
                    raise httpx2.ReadError("the connection broke")
                night.received.update(map(str, self.service.requests[-1].inputs))
            return httpx2.Response(answer.status, headers=answer.headers, content=answer.body)

        def connect(endpoint: Endpoint, key: object) -> openai.OpenAI:
            http = httpx2.Client(transport=httpx2.MockTransport(handle))
            base = f"{endpoint.url}/openai/v1"
            return openai.OpenAI(base_url=base, api_key=str(key), max_retries=0, http_client=http)

        policy = RetryPolicy(900.0, 0.0, stop.is_overdue, sleep=sleep, clock=self.clock.now)
        index = SqliteIndex(self.folder, MODEL, DIMENSIONS, create=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(vars(client_module), "create_client", connect)
            try:
                services = self.services(index, night.budget, policy)
                for event in ingest_root(Words(self.files), services, Run("r", stop=stop)):
                    assert event is not None
                stop.raise_fault()
            except IngestError as error:
                night.error = error
            finally:
                index.close()
        self.clock.advance(24 * 3600.0)
        return night

    def services(self, index: SqliteIndex, budget: Budget, policy: RetryPolicy) -> Services:
        """All that a run needs, in one thread."""
        endpoints = [Endpoint("https://openai", MODEL, MODEL, DIMENSIONS)]
        model = remote_embedder(
            endpoints,
            RequestLimits(account=Account(budget, count_tokens)),
            self.service.key,
            policy,
            Stopwatch(),
            rate_limiter=create_rate_limiter(endpoints, self.clock.now),
        )
        here = InlineExecutor()
        return Services(index, model, RECIPE, Reader(read, here), here, here, 1, budget=budget)

    def billed(self) -> int:
        """The tokens that the service has counted so far."""
        return sum(request.tokens for request in self.service.requests)

    def indexed(self) -> set[str]:
        """The texts in the index."""
        index = SqliteIndex(self.folder, MODEL, DIMENSIONS, create=True)
        try:
            return {chunk.text for chunk in index.chunks()}
        finally:
            index.close()


def read(root: Root, stale: Stale) -> PreparedDocument | None:
    """A document whose lines are its chunks; None if it is as it was."""
    assert isinstance(root, Words)
    name, text = stale.source.name, root.files[stale.source.name]
    fingerprint = f"{RECIPE.digest}{digest(text)}"
    if fingerprint == stale.known_fingerprint:
        return None
    lines = text.split("\n")
    chunks = [
        Chunk(digest(name, line), line, tokens, n, n, n + 1, 1, 1, "", ())
        for n, (line, tokens) in enumerate(zip(lines, count_tokens(lines), strict=True))
    ]
    return PreparedDocument(fingerprint, 1, 0, name, tuple(chunks))


def written(random: Random, documents: int, longest: int) -> dict[str, str]:
    """Documents of one to twelve chunks, of one to `longest` words each."""
    texts = iter(range(10**6))

    def line() -> str:
        return " ".join(f"w{next(texts)}" for _ in range(random.randint(1, longest)))

    return {
        f"{n}.pdf": "\n".join(line() for _ in range(random.randint(1, 12)))
        for n in range(documents)
    }


@settings(max_examples=int(__import__("os").environ.get("N", "100")), deadline=None)
@given(st.integers(0, 2**32))
def test_each_run_that_pays_makes_progress(seed: int) -> None:
    """Whatever the quota, the deadline and the limit: what a run paid for is in the index."""
    random = Random(seed)
    files = written(random, random.randint(1, 5), random.choice((5, 40, 150)))
    largest = max(count_tokens([line for text in files.values() for line in text.split("\n")]))
    limit = random.choice((float("inf"), 4.0 * largest, 20.0 * largest))
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive(
            Path(folder),
            files,
            tpm=random.choice((2, 8, 40, 400)) * largest,
            latency=random.choice((0.05, 0.5, 2.0)),
            says_quota=random.random() < 0.5,
            loses=(lambda: random.random() < 0.1) if random.random() < 0.3 else lambda: False,
        )
        deadline = random.choice((8.0, 25.0, 90.0, 600.0))
        lost = 0
        for _ in range(200):
            before = archive.billed()
            night = archive.night(deadline, limit)
            billed, budget = archive.billed() - before, night.budget
            assert budget.open_tokens == 0
            assert budget.tokens - budget.lost_tokens <= billed <= budget.tokens
            assert budget.tokens <= limit
            texts = archive.indexed()
            assert night.received - {PROBE} <= texts
            lost += budget.lost_tokens
            if night.error is None and not budget.stop.is_requested():
                break
            assert billed, "a night without progress"
        assert texts == {line for text in files.values() for line in text.split("\n")}
        probes = archive.service.texts[PROBE]
        assert archive.billed() <= sum(count_tokens(sorted(texts))) + lost + probes
