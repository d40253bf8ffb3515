"""An index that was filled by a run, on each back end, and what checks and mends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from ingest.azure.token_hosts import SEARCH_SCOPE
from ingest.commands.check.check import InProgress, check_index
from ingest.commands.check.finding import CheckFinding
from ingest.commands.check.repair import forget_root, repair_index
from ingest.commands.check.scope import CheckContext
from ingest.errors import ConfigError
from ingest.index import Index
from ingest.index.azure.client import DocumentClient
from ingest.index.azure.create import ensure_index
from ingest.index.azure.definition import build_definition
from ingest.index.azure.index import AzureIndex
from ingest.models import Record, RunEvent, SourceResult, StoredChunk
from ingest.pipeline.context import Run
from ingest.runtime.retry import RetryPolicy
from ingest.sources import Root
from ingest.sources.folder import parse_folder_roots
from tests.conftest import DIMENSIONS, Bench
from tests.emulator.emulator import Azure
from tests.pdfs import prose, write
from tests.runs import managed_token


@dataclass
class Time:
    """Time in which waiting takes none. A service's clock goes along."""

    azure: Azure | None = None
    now: float = 0.0
    meanwhile: Callable[[], object] = lambda: None  # what others do then

    def sleep(self, seconds: float) -> None:
        self.meanwhile()
        self.now += seconds
        if self.azure:
            self.azure.clock.advance(seconds)


@dataclass
class Shelf:
    """A folder and its index."""

    bench: Bench
    time: Time
    run: Run = field(default_factory=lambda: Run("repair"))

    @property
    def index(self) -> Index:
        return self.bench.index

    @property
    def root(self) -> str:
        return str(self.bench.folder)

    def scope(self, *names: Path | str, alone: bool = False, **more: bool) -> CheckContext:
        return CheckContext(
            self.bench.services(),
            self.run,
            RetryPolicy(sleep=self.time.sleep, clock=lambda: self.time.now),
            parse_folder_roots(map(str, names)),
            open_root,
            alone,
            **more,
        )

    def check(self, *names: Path | str, **more: bool) -> list[CheckFinding]:
        """The findings of a check."""
        return [e for e in check_index(self.scope(*names, **more)) if isinstance(e, CheckFinding)]

    def passed(self) -> list[InProgress]:
        """Sources that a check skipped."""
        return [e for e in check_index(self.scope()) if isinstance(e, InProgress)]

    def repair(self, *names: Path | str, **more: bool) -> list[RunEvent]:
        """Results of a repair."""
        return list(repair_index(self.scope(*names, **more)))

    def forget(self, root: str) -> list[SourceResult]:
        return list(forget_root(self.scope(), root))

    def record(self, name: str) -> Record:
        record = self.index.record(self.root, name)
        assert record is not None
        return record

    def chunks(self, name: str) -> list[StoredChunk]:
        found = self.index.chunks(self.root, name)
        return sorted(found, key=lambda chunk: chunk.ordinal)


def open_root(name: str) -> Root:
    (root,) = parse_folder_roots([name])
    if root.name != name:
        raise ConfigError(f"{name} is {root.name} now")
    return root


def sorted_kinds(findings: list[CheckFinding]) -> list[str]:
    return sorted(str(finding.kind) for finding in findings)


@pytest.fixture(params=["local", "azure"])
def shelf(request: pytest.FixtureRequest, local: Shelf) -> Shelf:
    """Three documents of several chunks each, indexed; all else of a test is on top of that."""
    return local if request.param == "local" else request.getfixturevalue("remote")


@pytest.fixture
def local(bench: Bench) -> Shelf:
    return fill_shelf(Shelf(bench, Time()))


@pytest.fixture
def remote(azure: Azure, bench: Bench) -> Iterator[Shelf]:
    token = managed_token(SEARCH_SCOPE)
    azure.search.delays.search = azure.search.delays.lookup = 0  # but where a test says so
    time = Time(azure)
    policy = RetryPolicy(sleep=time.sleep, clock=lambda: time.now)
    documents = DocumentClient(azure.search_endpoint, "check", token, policy, may_be_absent=False)
    index = AzureIndex(documents)
    ensure_index(index, build_definition("check", DIMENSIONS, "standard.lucene", None))
    yield fill_shelf(Shelf(replace(bench, index=index), time))
    index.close()


def fill_shelf(shelf: Shelf) -> Shelf:
    for name in ("a", "b", "c"):
        write(shelf.bench.folder / f"{name}.pdf", prose(name, 12))
    shelf.bench.run()
    assert all(len(shelf.chunks(f"{name}.pdf")) >= 3 for name in "abc")
    shelf.bench.embeds.texts.clear()
    shelf.bench.read.clear()
    return shelf
