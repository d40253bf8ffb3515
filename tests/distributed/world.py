"""An Azure, documents in a folder, and runs over them: on this machine, or given to an engine."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from ingest.config.connections import create_connections
from ingest.config.factory import open_services
from ingest.config.run import find_capacity
from ingest.config.settings import Settings
from ingest.distributed.driver import ClusterEngine, connect_engine
from ingest.models import RunEvent, RunProgress, SourceResult, Summary
from ingest.pipeline.context import Run, Services
from ingest.pipeline.root import ingest_root
from ingest.pipeline.run import RunRecorder
from ingest.runtime.cancellation import Cancellation
from ingest.sources.folder import parse_folder_roots
from tests.conftest import DIMENSIONS, drop_times
from tests.emulator.emulator import Azure, run_emulator
from tests.pdfs import pdf, prose, set_age, write
from tests.pipeline.reader.test_attachments import portfolio
from tests.runs import client

Engines: TypeAlias = Callable[[str], AbstractContextManager[ClusterEngine]]  # by the id of a run

numbers = itertools.count(1)


@dataclass
class Ran:
    """One run."""

    events: list[RunEvent] = field(default_factory=list)
    summary: Summary | None = None
    spent: int = 0  # tokens

    @property
    def settled(self) -> list[SourceResult]:
        """Result of each source, by name."""
        found = [event for event in self.events if isinstance(event, SourceResult)]
        return sorted(found, key=lambda event: event.source)

    @property
    def outcomes(self) -> dict[str, str]:
        return {event.source: str(event.outcome) for event in self.settled}

    @property
    def advanced(self) -> list[RunProgress]:
        return [event for event in self.events if isinstance(event, RunProgress)]


@dataclass
class World:
    """Each index is named by who fills it."""

    azure: Azure
    folder: Path

    def settings(self, index: str, **more: str) -> Settings:
        own = {"AZURE_SEARCH_INDEX": index, "INGEST_GRACE_SECONDS": "5"}
        return client(self.azure, **own | more)

    def run(self, index: str, engines: Engines | None = None, **more: Any) -> Ran:
        """One run, to its end."""
        with self.running(index, engines, **more) as (all_, run, ran):
            self.go(all_, run, ran)
        return ran

    @contextmanager
    def running(
        self,
        index: str,
        engines: Engines | None = None,
        stop: Cancellation | None = None,
        chosen: Settings | None = None,
    ) -> Iterator[tuple[Services, Run, Ran]]:
        """Services and run of a test, and where to put its results."""
        chosen = chosen or self.settings(index)
        if engines:
            chosen = replace(chosen, engine="tcp://a-test")
        run = Run(f"r{next(numbers)}", max_deletes=99, stop=stop or Cancellation())
        ran = Ran()
        to = create_connections(chosen, run.stop)
        with open_services(chosen, run.stop, write=True, connections=to) as here:
            if engines is None:
                yield here, run, ran
                return
            with engines(run.id) as engine, connect_engine(engine, chosen, here, run) as all_:
                yield all_, run, ran

    def go(self, all_: Services, run: Run, ran: Ran) -> None:
        """Take what comes of it."""
        (root,) = parse_folder_roots([str(self.folder)])
        account = RunRecorder(run, all_, partial(find_capacity, all_, self.settings("any")), 0.0)
        try:
            for event in ingest_root(root, all_, run):
                account.add(event)
                ran.events.append(event)
        finally:
            ran.summary = account.summary(0)
            ran.spent = all_.budget.tokens

    def contents(self, index: str) -> dict[str, Any]:
        """An index, but for what tells of runs: when, and by which, each record was written."""
        self.azure.search.settle()
        return drop_times(self.azure.search.dump(index))

    def first(self) -> None:
        """Documents of every kind, and nothing else."""
        for path in self.folder.glob("*.pdf"):
            path.unlink()
        for n in range(9):
            write(self.folder / f"{n}.pdf", *(prose(f"topic {n} {page}", 8) for page in range(2)))
        write(self.folder / "gone.pdf", prose("cranes", 8))
        write(self.folder / "empty.pdf", "")
        (self.folder / "broken.pdf").write_bytes(b"%PDF-1.7 broken")
        set_age(self.folder / "broken.pdf")
        letter, note = pdf(prose("the letter", 6)), pdf(prose("the note", 6))
        portfolio(self.folder / "portfolio.pdf", letter=letter, note=note)

    def second(self) -> None:
        """Change the documents as if some days had passed."""
        write(self.folder / "1.pdf", prose("saws", 8), prose("topic 1 1", 8), age=50)
        write(self.folder / "new.pdf", prose("anvils", 12))
        write(self.folder / "3.pdf", "", age=50)
        portfolio(self.folder / "portfolio.pdf", age=50, letter=pdf(prose("the letter", 6)))
        (self.folder / "gone.pdf").unlink()


@contextmanager
def create_world(folder: Path) -> Iterator[World]:
    """All of it; this process is a client of that Azure, and so are those it starts."""
    with run_emulator(dimensions=DIMENSIONS) as azure, pytest.MonkeyPatch.context() as patch:
        for name, value in azure.environment.items():
            patch.setenv(name, value)
        (folder / "docs").mkdir()
        yield World(azure, folder / "docs")
