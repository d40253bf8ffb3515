"""Runs of the real pipeline that are killed, paused and doubled, in a time that takes none.

A document is a few words, one chunk each. An index is the real one: SQLite, or the service's on the
emulator without its sockets, with reads that lag.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from azure.core.credentials import AzureKeyCredential

from ingest.config.profile import find_profile
from ingest.embed import Embedder
from ingest.errors import BusyError, DocumentError, IngestError
from ingest.index.azure.client import DocumentClient
from ingest.index.azure.connection import SEARCH_API_VERSION
from ingest.index.azure.definition import SearchIndex, build_definition, build_records_definition
from ingest.index.azure.foreign import RECORDS_SUFFIX, bind_target
from ingest.index.azure.foreign_target import ForeignTarget
from ingest.index.azure.index import AzureIndex
from ingest.index.azure.mapping import FieldMapping
from ingest.index.azure.owner import local_host
from ingest.index.azure.serialize import request_body
from ingest.index.sqlite.index import SqliteIndex
from ingest.models import (
    Chunk,
    Code,
    IndexEntry,
    PreparedDocument,
    Recipe,
    Record,
    Refusal,
    Source,
    StoredChunk,
    Vectors,
)
from ingest.pipeline.context import Reader, Run, Services
from ingest.pipeline.root import ingest_root
from ingest.runtime.concurrency import InlineExecutor
from ingest.runtime.retry import RetryPolicy
from tests.conftest import DIMENSIONS, MODEL, vector
from tests.emulator.clock import Clock
from tests.emulator.identity import Identity
from tests.emulator.search import Search
from tests.emulator.server import Json, Request

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ingest.index import Index
    from ingest.pipeline.diff import Stale
    from ingest.sources import Root

RECIPE = Recipe("words", 8, 0.0, MODEL, DIMENSIONS)
ROOT, INDEX = "/docs", "chunks"
LEASE_SECONDS = 92.0  # longer than a lease lasts without renewal
ANOTHER_MACHINE = "elsewhere@boot/1:1"
DEAD_PROCESS = 2**22 + 1  # no system gives out such an id


class Crash(BaseException):
    """The process dies here."""


@dataclass
class VirtualClock(Clock):
    """Time that only passes when somebody waits."""

    ahead: float = 1_800_000_000.0

    def now(self) -> float:
        return self.ahead

    def advance(self, seconds: float) -> None:
        self.ahead += seconds


@dataclass
class Process:
    """One run's process: `after` is called after each of its requests, one at a time."""

    after: Callable[[int], None] = lambda _: None
    requests: int = 0
    is_dead: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)

    def step(self, work: Callable[[], Any]) -> Any:
        """Do one request, unless the process has died."""
        with self.lock:
            if self.is_dead:
                raise Crash
            result = work()
            self.requests += 1
            try:
                self.after(self.requests)
            except Crash:
                self.is_dead = True
                raise
            return result


class Direct(DocumentClient):
    """Documents of an index on the emulator, without sockets."""

    def __init__(
        self, search: Search, clock: VirtualClock, process: Process, name: str = INDEX
    ) -> None:
        self.endpoint, self.name = "https://search", name
        self.api_key = self.key = search.key
        self.service, self.clock, self.process = search, clock, process
        self.retry_policy = RetryPolicy(sleep=clock.advance, clock=clock.now)
        self.may_be_absent = False
        self.credential = AzureKeyCredential("key")
        self.threads = InlineExecutor()  # type: ignore[assignment]
        self.fence = lambda: None
        self.clock_offset = 0.0

    def ask(self, method: str, path: str, body: bytes = b"") -> Any:
        query = {"api-version": SEARCH_API_VERSION}
        request = Request(method, path, query, {"api-key": self.api_key}, body)
        response = self.process.step(lambda: self.service.serve(request))
        assert response.status < 300 or response.status == 404, response
        return json.loads(response.body) if response.body else None

    def get(self, key: str, _max_failures: float = 0) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.ask("GET", f"/indexes('{self.name}')/docs('{key}')")
        return found

    def search_page(self, **query: Any) -> list[dict[str, Any]]:
        names = {"search_text": "search", "order_by": "orderby"}
        body = {names.get(name, name): value for name, value in query.items()}
        lists = {k: ",".join(v) for k, v in body.items() if isinstance(v, list)}
        path = f"/indexes('{self.name}')/docs/search.post.search"
        found: list[dict[str, Any]] = self.ask("POST", path, json.dumps(body | lists).encode())[
            "value"
        ]
        return found

    def count(self, kind: str) -> int:
        return len(self.search_page(search_text="*", filter=f"kind eq '{kind}'", top=1000))

    def count_all(self) -> int:
        return len(self.search_page(search_text="*", top=1000))

    def send_until_answered(self, *arguments: Any, **options: Any) -> None:
        # Between the fence and its request no process is paused for long.
        with self.process.lock:
            super().send_until_answered(*arguments, **options)

    def send_batch(self, action: str, documents: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        path = f"/indexes('{self.name}')/docs/search.index"
        results: list[dict[str, Any]] = self.ask("POST", path, request_body(action, documents))[
            "value"
        ]
        return results

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.now(), UTC)

    def close(self) -> None:
        """Nothing is open."""


class Folder(SqliteIndex):
    """A local index whose process takes a step with each call that writes or reads."""

    process: Process

    def upload(self, entries: Sequence[IndexEntry]) -> list[Refusal]:
        up = super().upload
        refused: list[Refusal] = self.process.step(lambda: up(entries))
        return refused

    def delete(self, ids: Collection[str]) -> list[Refusal]:
        down = super().delete
        refused: list[Refusal] = self.process.step(lambda: down(ids))
        return refused

    def save(self, record: Record) -> Future[None]:
        put = super().save
        saved: Future[None] = self.process.step(lambda: put(record))
        return saved

    def forget(self, record: Record, *, keeps_pages: bool = False) -> None:
        drop = super().forget
        self.process.step(lambda: drop(record, keeps_pages=keeps_pages))

    def existing_ids(self, ids: Collection[str]) -> set[str]:
        ask = super().existing_ids
        found: set[str] = self.process.step(lambda: ask(ids))
        return found


@dataclass
class Words:
    """A root whose documents are words."""

    files: dict[str, str]
    name: str = ROOT

    def covers(self, _: str) -> bool:
        return True

    def list(self) -> Iterator[Source]:
        for name, text in sorted(self.files.items()):
            yield Source(ROOT, name, f"{ROOT}/{name}", len(text), digest(text))

    def find(self, name: str) -> Source:
        return next(source for source in self.list() if source.name == name)

    def open(self, source: Source) -> AbstractContextManager[BinaryIO]:
        raise NotImplementedError


def digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40]


def read(root: Root, stale: Stale) -> PreparedDocument | None:
    """Chunks of a document; None if it has not changed."""
    assert isinstance(root, Words)
    name = stale.source.name
    if name not in root.files:
        raise DocumentError("it is gone", Code.VANISHED)
    text = root.files[name]
    fingerprint = f"{RECIPE.digest}{digest(text)}"
    if fingerprint == stale.known_fingerprint:
        return None
    chunks, seen = [], Counter[str]()
    for place, word in enumerate(text.split()):
        seen[word] += 1
        id_ = digest(ROOT, name, word, str(seen[word]))
        chunks.append(Chunk(id_, word, 1, place, place, place + 1, 1, 1, (), ()))
    return PreparedDocument(fingerprint, 1, 0, name, tuple(chunks))


@dataclass
class World:
    """Files, an index, and the runs between them."""

    folder: Path | None = None  # of a local index; None: on a service
    lag: float = 0.0
    replicas: int = 1
    profile: str = ""  # of the definition of another application's index
    definition: Json | None = None
    files: dict[str, str] = field(default_factory=dict)
    removed: dict[str, str] = field(default_factory=dict)  # files that may come back
    clock: VirtualClock = field(default_factory=VirtualClock)
    paid: Counter[str] = field(default_factory=Counter)  # texts that were embedded
    errors: list[IngestError] = field(default_factory=list)  # that ended runs
    numbers: Iterator[int] = field(default_factory=itertools.count)  # of processes

    def __post_init__(self) -> None:
        self.service = Search(Identity(self.clock), self.clock)
        self.service.local_auth = True
        self.service.replicas = self.replicas
        self.service.delays.search = self.service.delays.lookup = self.lag
        if self.definition:
            self.create(self.definition | {"name": INDEX})
            self.create(build_records_definition(INDEX + RECORDS_SUFFIX).as_dict())
        else:
            self.create(build_definition(INDEX, DIMENSIONS, "standard.lucene", None).as_dict())

    def create(self, definition: Json) -> None:
        """Create an index."""
        request = Request(
            "PUT",
            f"/indexes('{definition['name']}')",
            {"api-version": SEARCH_API_VERSION},
            {"api-key": self.service.key},
            json.dumps(definition).encode(),
        )
        assert self.service.serve(request).status < 300

    def connect(self, process: Process) -> AzureIndex:
        """The index on the service."""
        space = (MODEL, DIMENSIONS)
        if not self.definition:
            return AzureIndex(Direct(self.service, self.clock, process), space)
        documents, records = (
            Direct(self.service, self.clock, process, name)
            for name in (INDEX, INDEX + RECORDS_SUFFIX)
        )
        target = ForeignTarget(documents, FieldMapping(()), records)
        made = self.service.indexes[INDEX]
        definition = SearchIndex({**made.definition, "@odata.etag": made.etag})
        bind_target(target, find_profile(self.profile), definition)
        return AzureIndex(records, space, target)

    def open(self, process: Process, owner: str) -> Index:
        """The index, as a process opens it."""
        if self.folder:
            index = Folder(self.folder, MODEL, DIMENSIONS, create=True)
            index.process = process
            return index
        made = self.connect(process)
        made.texts.is_supported = True  # its definition is new
        made.lease.owner = f"{owner}:{next(self.numbers)}"
        made.lease.check_lock = process.lock  # type: ignore[assignment] # so that none waits for two
        made.lease.clocks = lambda: (self.clock.now(), self.clock.now())
        return made

    def run(
        self, after: Callable[[int], None] = lambda _: None, owner: str = ANOTHER_MACHINE
    ) -> int | None:
        """One run; its exit code, None if it died. `after` is called after each request."""
        process = Process(after)
        index = self.open(process, owner)
        services = self.services(index, process)
        run = Run(f"run {next(self.numbers)}", max_deletes=99)
        try:
            index.hold("", run.stop.fail)
            for _ in ingest_root(Words(self.files), services, run):
                pass
            run.stop.raise_fault()
        except Crash:
            return None
        except IngestError as error:
            self.errors.append(error)
            return error.exit_code
        finally:
            process.after = lambda _: None
            services.reader.threads.shutdown()
            services.embed_threads.shutdown()
            self.close(index, is_dead=process.is_dead)
        return 0

    def close(self, index: Index, *, is_dead: bool) -> None:
        """Close the index, or leave it as a dead process does."""
        if not is_dead:
            index.close()
        elif isinstance(index, AzureIndex):
            index.lease.stop_renewing()
            index.record_store.close()
        elif isinstance(index, SqliteIndex):
            index.db.close()
            index.lock.release()

    def clock_time(self) -> datetime:
        """The time by the service's clock."""
        return datetime.fromtimestamp(self.clock.now(), UTC)

    def settle(self) -> None:
        """Let every write be seen."""
        self.clock.advance(3600)
        self.service.settle()

    def stored(self) -> tuple[dict[str, Record], dict[str, StoredChunk]]:
        """Records by source, and chunks by id, as they are."""
        self.settle()
        index = self.open(Process(), ANOTHER_MACHINE)
        whole = [index.record(*record.key) for record in index.records()]
        chunks = {chunk.id: chunk for chunk in index.chunks()}
        self.close(index, is_dead=True)
        return {record.source: record for record in whole if record}, chunks

    def orphans(self) -> set[str]:
        """Chunks that no record names."""
        records, chunks = self.stored()
        return chunks.keys() - {id_ for r in records.values() for id_ in (*r.committed, *r.pending)}

    def check(self) -> None:
        """The invariant, once nothing is under way: the index is what the files say."""
        records, chunks = self.stored()
        named = [id_ for record in records.values() for id_ in record.committed]
        assert len(named) == len(set(named))
        assert set(named) == chunks.keys()
        assert not any(record.pending for record in records.values())
        words: dict[str, list[str]] = {name: [] for name in self.files}
        for chunk in sorted(chunks.values(), key=lambda chunk: chunk.ordinal):
            words[chunk.source].append(chunk.text)
        assert words == {name: text.split() for name, text in self.files.items()}
        assert records.keys() == self.files.keys()
        if self.definition:
            found = self.service.indexes[INDEX].latest
            assert {id_: d["content"] for id_, d in found.items()} == {
                id_: chunk.text for id_, chunk in chunks.items()
            }

    def services(self, index: Index, process: Process) -> Services:
        """All that a run needs."""

        def embed(texts: Sequence[str]) -> Vectors:
            self.paid.update(texts)
            made: Vectors = process.step(lambda: np.stack([vector(text) for text in texts]))
            return made

        model = Embedder(embed, MODEL, DIMENSIONS, 4, lambda: 100_000, 1)
        return Services(
            index,
            model,
            RECIPE,
            Reader(read, ThreadPoolExecutor(1)),
            ThreadPoolExecutor(1),
            InlineExecutor(),
            1,
        )


WORDS = [f"w{number}" for number in range(40)]


def edit(world: World, random: Random) -> None:
    """Add, change, remove or bring back one to three documents."""
    for _ in range(random.randint(1, 3)):
        number = random.randint(0, 5)
        name = f"{number}.pdf"  # the first one stays: an empty root is not believed
        if number and name in world.files and random.random() < 0.3:
            world.removed[name] = world.files.pop(name)
        elif name in world.removed and random.random() < 0.5:  # it comes back as it was
            world.files[name] = world.removed.pop(name)
        else:
            world.files[name] = " ".join(random.choices(WORDS, k=random.randint(1, 9)))


def disturb(world: World, random: Random) -> None:
    """One run that is left alone, killed, paused, or met by another one, at any request."""
    kind = random.choice(("left alone", "killed", "killed here", "paused", "met"))
    at = random.randint(1, 40)

    def after(number: int) -> None:
        if number != at or kind == "left alone":
            return
        if kind.startswith("killed"):
            raise Crash
        if kind == "paused":
            world.clock.advance(random.choice((30.0, LEASE_SECONDS, 4 * LEASE_SECONDS)))
            if random.random() < 0.5:
                edit(world, random)
        assert world.run() in (0, BusyError.exit_code), world.errors

    owner = f"{local_host()}:{DEAD_PROCESS}" if kind == "killed here" else ANOTHER_MACHINE
    assert world.run(after, owner) in (0, BusyError.exit_code, None), world.errors


def live(world: World, seed: int) -> None:
    """A life of an index: edits and disturbed runs, then one that is left alone; then a check."""
    random = Random(seed)
    world.files["0.pdf"] = "w0 w1 w2"
    for _ in range(random.randint(2, 4)):
        edit(world, random)
        disturb(world, random)
        world.clock.advance(random.choice((0.0, 0.5, 2.0, 20.0, LEASE_SECONDS, 400.0)))
    world.clock.advance(LEASE_SECONDS + world.lag)
    assert world.run() == 0, world.errors
    world.check()


def race(world: World, seed: int) -> list[int | None]:
    """Exit codes of two concurrent runs whose requests interleave at random."""
    random, condition = Random(seed), threading.Condition()
    alive, turn = {0, 1}, [0]
    codes: list[int | None] = [None, None]

    def pass_on(number: int, *, ended: bool = False) -> None:
        with condition:
            if ended:
                alive.discard(number)
            turn[0] = random.choice(sorted(alive)) if alive else number
            condition.notify_all()
            condition.wait_for(lambda: ended or turn[0] == number or turn[0] not in alive)

    def work(number: int) -> None:
        with condition:
            condition.wait_for(lambda: turn[0] == number or turn[0] not in alive)
        try:
            codes[number] = world.run(lambda _: pass_on(number))
        finally:
            pass_on(number, ended=True)

    threads = [threading.Thread(target=work, args=(number,)) for number in alive]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return codes
