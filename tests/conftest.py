"""Fixtures and helpers that tests share."""

from __future__ import annotations

import gc
import hashlib
import json
import logging
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import settings

from ingest.cli import progress, run_command
from ingest.cli.parser import build_parser
from ingest.embed import Embedder
from ingest.extract.document import ignore_progress
from ingest.index import Index
from ingest.index.sqlite.index import SqliteIndex
from ingest.models import PreparedDocument, Recipe, RunEvent, SourceResult, Vectors
from ingest.pipeline.context import Reader, Run, Services
from ingest.pipeline.diff import Stale
from ingest.pipeline.reader.attachments import prepare_with_attachments
from ingest.pipeline.reader.prepare import Task, prepare
from ingest.pipeline.root import ingest_root
from ingest.runtime.concurrency import InlineExecutor
from ingest.sources import Root
from ingest.sources.folder import parse_folder_roots
from tests.azurite import azurite  # noqa: F401 - a fixture
from tests.browser import chromium, judges  # noqa: F401 - fixtures
from tests.emulator.emulator import Azure, run_emulator
from tests.fork_readers import fork_readers
from tests.fork_server import call_ingest, start_server, stop_server, use_server
from tests.guard import (  # noqa: F401 - hooks
    pytest_configure,
    pytest_exception_interact,
    pytest_runtest_call,
    pytest_runtest_setup,
    pytest_runtest_teardown,
    pytest_timeout_cancel_timer,
    pytest_timeout_set_timer,
    pytest_unconfigure,
)
from tests.needs import pytest_collection_modifyitems, pytest_terminal_summary  # noqa: F401 - hooks
from tests.processes import call

# A generated example may take as long as a busy machine needs.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

vars(progress)["PROGRESS_LOG_SECONDS"] = math.inf  # a busy machine has lines of progress

ROOT = Path(__file__).resolve().parent.parent
DIMENSIONS = 8
MODEL = "hash"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect tests without the garbage collector, which would pass over them again and again.

    What is there after that stays, so that it does not look at it during the tests either.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Share one fork server among the workers of pytest-xdist; called for each of them."""
    heed_interrupts()
    node.workerinput["fork_server"] = start_server()
    node.config.add_cleanup(stop_server)


def heed_interrupts() -> None:
    """Do not let child processes ignore SIGINT, as a job in a shell's background does."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass
class Embeds:
    """A stand-in for a model: the same text always gets the same vector. Remembers its texts."""

    texts: list[str] = field(default_factory=list)

    def __call__(self, texts: Sequence[str]) -> Vectors:
        self.texts += texts
        return np.stack([vector(text) for text in texts])


def vector(text: str) -> Vectors:
    """A unit vector that only depends on the text, shape (DIMENSIONS,)."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    values = np.random.default_rng(seed).standard_normal(DIMENSIONS).astype(np.float32)
    unit: Vectors = values / np.linalg.norm(values)
    return unit


@dataclass
class Bench:
    """The pipeline on a real index, reading in this process, with a stand-in for the model."""

    folder: Path
    index: Index
    embeds: Embeds
    recipe: Recipe
    inputs: int = 4
    read: list[str] = field(default_factory=list)  # the sources that were looked into

    def services(self, index: Index | None = None) -> Services:
        model = Embedder(self.embeds, MODEL, DIMENSIONS, self.inputs, lambda: 100_000, 2)

        def prepared(root: Root, stale: Stale) -> PreparedDocument | None:
            self.read.append(stale.source.name)
            with root.open(stale.source) as file:
                task = Task(stale.source, stale.known_fingerprint, self.recipe, "auto")
                return prepare_with_attachments(
                    task, file, lambda t, f: prepare(t, f, ignore_progress)
                )

        return Services(
            index or self.index,
            model,
            self.recipe,
            Reader(prepared, ThreadPoolExecutor(1)),
            ThreadPoolExecutor(2),
            InlineExecutor(),
            1,
        )

    def run(
        self, run: Run | None = None, index: Index | None = None, root: Root | None = None
    ) -> list[RunEvent]:
        """One run over the whole folder, or over another root; its events."""
        run = run or Run("test", max_deletes=1000)
        (folder,) = parse_folder_roots([str(self.folder)])
        services = self.services(index)
        try:
            return list(ingest_root(root or folder, services, run))
        finally:
            services.index.is_new = False  # as the next process would find it
            services.reader.threads.shutdown()
            services.embed_threads.shutdown()

    def outcomes(self, run: Run | None = None) -> dict[str, str]:
        """One run; what became of each source."""
        return outcomes_by_source(self.run(run))


def outcomes_by_source(events: Sequence[object]) -> dict[str, str]:
    return {e.source: str(e.outcome) for e in events if isinstance(e, SourceResult)}


def drop_times(documents: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The documents of an index on the emulator, without those that tell of runs and leases.

    The one of roots has the time of the last complete run.
    """
    made = {}
    for key, document in documents.items():
        if not key.startswith(("run-", "lease", "roots")):
            made[key] = {k: v for k, v in document.items() if k not in {"settled", "run"}}
            details = json.loads(document.get("details") or "{}")
            details.pop("epoch", None)
            made[key]["details"] = json.dumps(details, separators=(",", ":"), ensure_ascii=False)
    return made


def results_by_source(events: Sequence[object]) -> dict[str, SourceResult]:
    return {e.source: e for e in events if isinstance(e, SourceResult)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty root."""
    path = tmp_path / "docs"
    path.mkdir()
    return path


@pytest.fixture
def bench(tmp_path: Path, folder: Path) -> Iterator[Bench]:
    index = SqliteIndex(tmp_path / "index", MODEL, DIMENSIONS, create=True)
    yield Bench(folder, index, Embeds(), Recipe("auto", 64, 0.12, MODEL, DIMENSIONS))
    index.close()


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Azure]:
    """Azure on this machine, and this process set up as a client of it."""
    with run_emulator(dimensions=DIMENSIONS) as made:
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        yield made


def make_older(azure: Azure, name: str) -> None:
    """Make an index as an earlier version did: it has no text hashes, and hides its vectors."""
    index = azure.search.indexes[name]
    fields = [f for f in index.definition["fields"] if f["name"] != "text_hash"]
    fields = [f | {"retrievable": f["name"] != "embedding"} for f in fields]
    index.redefine(index.definition | {"fields": fields}, index.etag, 0.0)
    for document in index.latest.values():
        document.pop("text_hash", None)


Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """The real command in a process of its own, started in an empty folder."""
    return partial(run_ingest, tmp_path)


CommandHere = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command_here(capsys: pytest.CaptureFixture[str]) -> Iterator[CommandHere]:
    """The command in this process, which is cheaper; its exit code, output and errors."""
    logger = logging.getLogger("ingest")
    handlers, level = logger.handlers, logger.level

    def run(*arguments: str) -> tuple[int, str, str]:
        code = run_command(build_parser().parse_args(arguments))
        return (code, *capsys.readouterr())

    yield run
    logger.handlers, logger.propagate = handlers, True
    logger.setLevel(level)


@pytest.fixture(scope="session", autouse=True)
def server(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fork server of commands and sandbox processes; without workers, the first call starts it."""
    if workerinput := getattr(request.config, "workerinput", None):
        use_server(*workerinput["fork_server"])
    fork_readers()
    heed_interrupts()
    yield
    stop_server()


def run_ingest(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """The real command, started in a folder, with these variables."""
    if any(
        name.startswith(("PYTHON", "LC_")) for name in more
    ):  # read by the interpreter at its start
        return run_process(sys.executable, "-P", "-m", "ingest", *arguments, cwd=folder, **more)
    return call_ingest(*arguments, cwd=folder, env=environment() | more)


def fill_once(factory: pytest.TempPathFactory, name: str, fill: Callable[[Path], None]) -> Path:
    """A folder that is filled once for all workers, by the first one."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with FileLock(f"{folder}.lock"):
        if not Path(f"{folder}.filled").exists():
            shutil.rmtree(folder, ignore_errors=True)  # left by a worker that failed
            folder.mkdir()
            fill(folder)
            Path(f"{folder}.filled").touch()
    return folder


def run_process(*command: str | Path, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """A command's output and exit code, without the settings of the developer's environment."""
    return call(*command, cwd=cwd, env=environment() | more)


def environment() -> dict[str, str]:
    """Environment of a child process, without the settings of the developer's environment."""
    ours = ("INGEST_", "AZURE_", "OTEL_", "APPLICATIONINSIGHTS_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    # With it, every process would compile the program again.
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return kept | {"PYTHONPATH": str(ROOT)}


def dump(index: Index) -> dict[str, object]:
    """Content of an index, without times and run ids, to compare indexes."""
    assert isinstance(index, SqliteIndex)
    rows = index.db.execute(
        "SELECT c.*, v.embedding, w.content FROM chunks c "
        "LEFT JOIN vectors v USING (number) LEFT JOIN words w ON w.rowid = c.number"
    )
    chunks = {row[1]: row[2:] for row in rows}
    records = {(r.root, r.source): index.record(r.root, r.source) for r in list(index.records())}
    plain = {
        key: (
            r.fingerprint,
            r.size,
            r.modified,
            r.pages,
            r.outcome,
            r.error,
            r.committed,
            r.pending,
        )
        for key, r in records.items()
        if r is not None
    }
    strays = index.db.execute(
        "SELECT (SELECT count(*) FROM vectors), (SELECT count(*) FROM words)"
    ).fetchone()
    return {"chunks": chunks, "records": plain, "strays": strays}
