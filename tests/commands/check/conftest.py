"""An index that was filled by a run, on each back end, and what checks and mends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from ingest.azure.credential import SEARCH, Login, credential
from ingest.azure.token_cache import TokenCache
from ingest.commands.check.check import Underway, check
from ingest.commands.check.finding import Finding
from ingest.commands.check.repair import forgotten, repaired
from ingest.commands.check.scope import Scope
from ingest.errors import ConfigError
from ingest.index import Index
from ingest.index.azure.client import Documents
from ingest.index.azure.create import ensure
from ingest.index.azure.definition import definition
from ingest.index.azure.index import AzureIndex
from ingest.models import Event, Record, Settled, Stored
from ingest.pipeline.context import Run
from ingest.runtime.retry import Patience
from ingest.sources import Root
from ingest.sources.folder import roots
from tests.conftest import DIMENSIONS, Bench
from tests.emulator.emulator import Azure
from tests.pdfs import prose, write


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

    def scope(self, *names: Path | str, alone: bool = False, **more: bool) -> Scope:
        return Scope(
            self.bench.services(),
            self.run,
            Patience(sleep=self.time.sleep, clock=lambda: self.time.now),
            roots(map(str, names)),
            opened,
            alone,
            **more,
        )

    def check(self, *names: Path | str, **more: bool) -> list[Finding]:
        """The findings of a check."""
        return [e for e in check(self.scope(*names, **more)) if isinstance(e, Finding)]

    def passed(self) -> list[Underway]:
        """What a check passed over."""
        return [e for e in check(self.scope()) if isinstance(e, Underway)]

    def repair(self, *names: Path | str, **more: bool) -> list[Event]:
        """What a repair settled."""
        return list(repaired(self.scope(*names, **more)))

    def forget(self, root: str) -> list[Settled]:
        return list(forgotten(self.scope(), root))

    def record(self, name: str) -> Record:
        record = self.index.record(self.root, name)
        assert record is not None
        return record

    def chunks(self, name: str) -> list[Stored]:
        found = self.index.stored(self.root, name)
        return sorted(found, key=lambda chunk: chunk.ordinal)


def opened(name: str) -> Root:
    (root,) = roots([name])
    if root.name != name:
        raise ConfigError(f"{name} is {root.name} now")
    return root


def kinds(findings: list[Finding]) -> list[str]:
    return sorted(str(finding.kind) for finding in findings)


@pytest.fixture(params=["local", "azure"])
def shelf(request: pytest.FixtureRequest, local: Shelf) -> Shelf:
    """Three documents of several chunks each, indexed; all else of a test is on top of that."""
    return local if request.param == "local" else request.getfixturevalue("remote")


@pytest.fixture
def local(bench: Bench) -> Shelf:
    return filled(Shelf(bench, Time()))


@pytest.fixture
def remote(azure: Azure, bench: Bench) -> Iterator[Shelf]:
    token = TokenCache(Login(lambda: credential("", "", hosted=True)), SEARCH)
    documents = Documents(azure.search_endpoint, "check", token, Patience(), may_be_absent=False)
    index = AzureIndex(documents)
    ensure(index, definition("check", DIMENSIONS, "standard.lucene", None))
    yield filled(Shelf(replace(bench, index=index), Time(azure)))
    index.close()


def filled(shelf: Shelf) -> Shelf:
    for name in ("a", "b", "c"):
        write(shelf.bench.folder / f"{name}.pdf", prose(name, 12))
    shelf.bench.run()
    assert all(len(shelf.chunks(f"{name}.pdf")) >= 3 for name in "abc")
    shelf.bench.embeds.texts.clear()
    shelf.bench.read.clear()
    return shelf
