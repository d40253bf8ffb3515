"""A million sources through a driver: its memory, and whether its speed stays constant.

Listing and work are made up, and no PDF is read: a worker answers for a group at once. All else is
what a run on a cluster has: the index that every tenth source is known to, the comparison, the
groups, the pacing, Dask with two workers, and the events of every source. The driver is a process
of its own, and so is each worker.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from large import MODIFIED, SIZE, known, name
from measure import MEGABYTE, peak, tell
from nodes import cluster

from ingest.config.factory import open_services
from ingest.config.run import find_capacity
from ingest.config.settings import Settings
from ingest.distributed import dask
from ingest.distributed.driver import connect_engine
from ingest.distributed.messages import Group, GroupResult, Job, WorkerStatus
from ingest.embed.minilm import MINILM_DIMENSIONS, MODEL_NAME
from ingest.index.sqlite.index import SqliteIndex
from ingest.models import Outcome, RunProgress, Source, SourceResult
from ingest.pipeline.context import Run
from ingest.pipeline.root import ingest_root
from ingest.pipeline.run import RunRecorder

SOURCES = 1_000_000
KNOWN = 10  # of so many sources one is in the index, and unchanged
NODES = 2
PARTS = 10  # of the run, each timed by itself
ROOT = "https://account.blob.core.windows.net/container"
PAGE = os.sysconf("SC_PAGE_SIZE")  # bytes


@dataclass(frozen=True, slots=True)
class Listing:
    """A root that has so many sources, and nothing in them."""

    sources: int
    name: str = ROOT

    def list(self) -> Iterator[Source]:
        """The sources, in the order of their names."""
        return (Source(ROOT, name(n), "", SIZE, MODIFIED) for n in range(self.sources))

    def covers(self, name: str) -> bool:
        """All belong to it."""
        return bool(name)

    def find(self, name: str) -> Source:
        """No run of a whole root asks for a single source."""
        raise NotImplementedError(name)

    def open(self, source: Source) -> AbstractContextManager[BinaryIO]:
        """Nobody reads any."""
        raise FileNotFoundError(source.name)


def made_up(engine: dask.DaskEngine) -> dask.DaskEngine:
    """The engine, with workers that make their answers up."""
    engine.task = MADE
    return engine


def making() -> Callable[[Group, Job], GroupResult]:
    """Return the task of a worker; defined here, so that it is sent with its code."""

    def made(group: Group, _: Job) -> GroupResult:
        outcomes = tuple(
            SourceResult(s.root, s.name, Outcome.NEW, pages=2, embedded=3, tokens=600)
            for s in group.sources
        )
        count = len(outcomes)
        so_far = RunProgress(2 * count, 3 * count, 600 * count)
        return GroupResult(group.number, outcomes, (), so_far, WorkerStatus("made up"))

    return made


MADE = making()


def main() -> None:
    """Measure and print."""
    options = parser().parse_args()
    with tempfile.TemporaryDirectory() as folder, cluster(NODES) as on:
        where = Path(folder) / "index"
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, spawn) as filling:
            filling.submit(fill, where, options.sources).result()
        before = on.cpu()
        with ProcessPoolExecutor(1, spawn) as driver:
            parts = driver.submit(driven, where, options.sources, on.address).result()
        scheduler, nodes = (b - a for a, b in zip(before, on.cpu(), strict=True))
    slowest, fastest = max(p[0] for p in parts), min(p[0] for p in parts)
    tell("last tenth / first, seconds", f"{parts[-1][0] / parts[0][0]:.2f}", "flat: about 1")
    tell("slowest / fastest tenth", f"{slowest / fastest:.2f}")
    growth = parts[-1][1] / parts[1][1] - 1
    tell("growth of the driver from the second to the last", f"{100 * growth:+.1f} %")
    tell("its peak", f"{parts[-1][2]:.0f} MB", "target <= 400 MB")
    tell("CPU of the scheduler; of the nodes", f"{scheduler:.0f} s; {nodes:.0f} s")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--sources", type=int, default=SOURCES, metavar="N")
    return made


def fill(where: Path, sources: int) -> None:
    """An index that knows some of the sources."""
    index = SqliteIndex(where, f"local:{MODEL_NAME}", MINILM_DIMENSIONS, create=True)
    with open_services(Settings(index=str(where)), Run("filling").stop, write=False) as all_:
        recipe = all_.recipe.digest
    with index.database.transaction():
        known(index, ROOT, recipe, range(0, sources, KNOWN))
    index.close()


def driven(where: Path, sources: int, address: str) -> list[tuple[float, float, float]]:
    """A run, in tenths: the seconds of each, and MB that the process has then, and at most had."""
    run, settings = Run("benchmark"), Settings(index=str(where))
    parts: list[tuple[float, float, float]] = []
    with (
        open_services(settings, run.stop, write=True) as all_,
        dask.connect_cluster(address, run.id) as engine,
        connect_engine(made_up(engine), settings, all_, run) as everywhere,
    ):
        account = RunRecorder(
            run, everywhere, partial(find_capacity, everywhere, settings), time.monotonic()
        )
        began, count = time.perf_counter(), 0
        for event in ingest_root(Listing(sources), everywhere, run):
            account.add(event)
            count += isinstance(event, SourceResult)
            if isinstance(event, SourceResult) and count % (sources // PARTS) == 0:
                now = time.perf_counter()
                parts.append((now - began, resident(), peak()))
                speed = f"{sources / PARTS / (now - began):,.0f} a second"
                has = f"the driver then has {parts[-1][1]:.0f} MB"
                tell(f"tenth {len(parts)} of {sources:,} sources", speed, has)
                began = now
    assert count == sources
    return parts


def resident() -> float:
    """MB that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / MEGABYTE


if __name__ == "__main__":
    main()
