"""Spending of runs: it is in the index, matches what they report, and stays within the limit.

The pipeline, the client, the SDK and the local index are the real ones; the service is the
emulator's, without sockets. Time passes only by waiting, and a night is one run with a deadline.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random, seed
from typing import TYPE_CHECKING

import httpx2
import openai
import pytest

from ingest.chunk.tokens import count_tokens
from ingest.embed import openai as client_module
from ingest.embed.account import Account
from ingest.embed.deployments import Endpoint, RequestLimits, create_rate_limiter, remote_embedder
from ingest.embed.validation import PROBE_TEXT
from ingest.errors import IngestError
from ingest.index.sqlite.index import SqliteIndex
from ingest.models import Chunk, PreparedDocument, Recipe
from ingest.pipeline.context import Reader, Run, Services
from ingest.pipeline.root import ingest_root
from ingest.runtime.budget import Budget
from ingest.runtime.cancellation import Cancellation
from ingest.runtime.concurrency import InlineExecutor
from ingest.runtime.retry import RetryPolicy
from ingest.runtime.timing import Stopwatch
from tests.conftest import DIMENSIONS
from tests.emulator.faults import FITTING, Fault, drop, fail_with, reset_connection
from tests.emulator.identity import Identity
from tests.emulator.openai import Deployment, OpenAI
from tests.emulator.server import Request
from tests.pipeline.worlds import VirtualClock, Words, digest

if TYPE_CHECKING:
    from ingest.pipeline.diff import Stale
    from ingest.sources import Root

MODEL = "text-embedding-3-small"
RECIPE = Recipe("words", 512, 0.0, MODEL, DIMENSIONS)


@dataclass
class Night:
    """A run with a deadline, and what it says that it spent."""

    budget: Budget
    received: set[str] = field(default_factory=set)  # texts whose answer arrived
    error: IngestError | None = None
    is_late: bool = False  # a request was sent so late that its answer might be lost


@dataclass
class Archive:
    """Documents, an index that lasts, a service with a quota, and the nights between them."""

    folder: Path
    files: dict[str, str]  # a text a line, each of which is a chunk
    tpm: int
    latency: float = 0.5
    says_quota: bool = True
    fault: Callable[[], Fault | None] = lambda: None  # that the next request meets
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
            night.is_late |= stop.is_closing()
            sleep(self.latency)
            url, headers = request.url, {name.lower(): v for name, v in request.headers.items()}
            asked = Request("POST", url.path, dict(url.params), headers, request.content)
            fault = self.fault()
            answer = fault.act(asked, self.service.serve) if fault else self.service.serve(asked)
            if answer.cut:
                raise httpx2.ReadError("the connection broke")
            if answer.status == 200 and not fault:
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
        Chunk(digest(name, line), line, tokens, n, n, n + 1, 1, 1, (), ())
        for n, (line, tokens) in enumerate(zip(lines, count_tokens(lines), strict=True))
    ]
    return PreparedDocument(fingerprint, 1, 0, name, tuple(chunks))


def write_texts(random: Random) -> dict[str, str]:
    """One to five documents of one to twelve chunks."""
    longest = random.choice((5, 40, 150))
    texts = iter(range(10**6))

    def line() -> str:
        return " ".join(f"w{next(texts)}" for _ in range(random.randint(1, longest)))

    return {
        f"{n}.pdf": "\n".join(line() for _ in range(random.randint(1, 12)))
        for n in range(random.randint(1, 5))
    }


def lines(files: dict[str, str]) -> list[str]:
    return [line for text in files.values() for line in text.split("\n")]


def open_archive(folder: Path, number: int) -> tuple[Archive, float, float, Random]:
    """An archive, the deadline of its nights in seconds, their limit in tokens, and chance."""
    seed(number)  # of the waits between attempts
    random = Random(number)
    files = write_texts(random)
    largest = max(count_tokens(lines(files)))
    archive = Archive(
        folder,
        files,
        tpm=random.choice((2, 8, 40, 400)) * largest,
        latency=random.choice((0.05, 0.5, 2.0)),
        says_quota=random.random() < 0.5,
    )
    limit = random.choice((math.inf, math.inf, 4 * largest, 20 * largest))
    return archive, random.choice((8.0, 25.0, 90.0)), limit, random


def fault_sometimes(
    random: Random, share: float, kinds: Sequence[Fault]
) -> Callable[[], Fault | None]:
    """A fault for a share of the requests."""
    return lambda: random.choice(kinds) if kinds and random.random() < share else None


def spoil(kind: str, odd: str, text: str) -> str:
    """Replace the vector of one odd text."""
    return kind if text == odd else ""


def test_each_run_that_pays_makes_progress(tmp_path: Path) -> None:
    """Whatever a run paid for is in the index, so that some run is the last one."""
    for number in range(60):
        archive, deadline, limit, random = open_archive(tmp_path / str(number), number)
        if random.random() < 0.3:
            archive.fault = fault_sometimes(random, 0.1, [drop()])
        wanted, lost_tokens, night = {*lines(archive.files)}, 0, None
        while night is None or night.budget.stop.is_requested():
            before = archive.billed()
            night = archive.night(deadline, limit)
            assert (night.error, night.is_late) == (None, False), number
            lost_tokens += night.budget.lost_tokens
            texts = archive.indexed()
            is_paid = archive.billed() > before or night.budget.lost_tokens > 0
            assert is_paid or texts == wanted, number
            assert night.received - {PROBE_TEXT} <= texts, number
        assert texts == wanted, number
        needed = sum(count_tokens(sorted(texts))) + archive.service.texts[PROBE_TEXT]
        assert archive.billed() <= needed + lost_tokens, number


def test_a_run_spends_what_it_says_and_what_it_may(tmp_path: Path) -> None:
    """Halved, refused, failed, lost, stopped: the service's own count is that of the run.

    Answers that were lost may have been billed or not, and are counted.
    """
    for number in range(60):
        archive, deadline, limit, random = open_archive(tmp_path / str(number), number)
        texts = lines(archive.files)
        if random.random() < 0.3:
            archive.service.tokens = max(count_tokens(texts)) - 1  # 400 for the longest
        kind, odd = random.choice(("", "500", "zeros", "null")), random.choice(texts)
        archive.service.spoilt = partial(spoil, kind, odd)
        kinds = random.choice(
            ([], FITTING["embeddings"], [fail_with(503), fail_with(502), reset_connection()])
        )
        archive.fault = fault_sometimes(random, 0.4, kinds)
        for _ in range(2):
            before = archive.billed()
            budget = archive.night(deadline, limit).budget
            billed = archive.billed() - before
            assert budget.tokens - budget.lost_tokens <= billed <= budget.tokens <= limit, number
            assert budget.open_tokens == 0, number
