"""One run on one machine, on a cluster of one node, and on a cluster of two.

A node is a `dask worker` of its own that is kept to one core, its extraction child with it; the
plain run that it is held against is kept to one core too. The emulator, with 60 ms latency and few
dimensions so that its CPU is little, the scheduler and the driver run wherever there is room, as
they would on other machines. Where there are only two cores, two nodes have less than both: what
that allows at most, by the CPU of all, is printed beside the gain. Setting up, which is the wall
time of the same command over one small document, is printed by itself, and taken off.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from azure_run import COPIED, PAGES_COPIED, copies
from measure import INGEST, ROOT, spent, taken_in_turn, tell, typical
from nodes import Cluster, cluster, kept_to, served

from tests.emulator.emulator import Azure

PAGES = {"auto": 5_000, "pypdf": 1_500}
REPETITIONS = 3
WARMING = 40  # small documents, so that every node has met some before it is measured
LATENCY = 0.06  # seconds
DIMENSIONS = 16
MODEL = "text-embedding-3-small"


@dataclass(frozen=True, slots=True)
class Took:
    """One run, but for setting up; seconds."""

    wall: float
    setting_up: float
    run: float  # CPU of the command: the driver, or all of a plain run
    scheduler: float = 0.0  # CPU
    nodes: float = 0.0  # CPU
    emulator: float = 0.0  # CPU


def main() -> None:
    """Measure and print."""
    options = parser().parse_args()
    with tempfile.TemporaryDirectory() as folder, served(slow, dimensions=DIMENSIONS) as azure:
        for extractor, pages in PAGES.items():
            work = Path(folder) / extractor
            count = copies(work / "docs", pages) // len(COPIED) * PAGES_COPIED
            shutil.copytree(ROOT / "data" / "products", work / "small")
            for number in range(WARMING):
                shutil.copytree(work / "small", work / "warm" / str(number))
            print(f"{count:,} pages read by: {extractor}")
            compared(work, count, extractor, options.repetitions, azure)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--repetitions", type=int, default=REPETITIONS, metavar="N")
    return made


def slow(azure: Azure) -> Callable[[], float]:
    """The emulator as it is measured with; tells the CPU seconds it has used."""
    azure.openai.latency = azure.search.latency = LATENCY
    return time.process_time


def compared(
    work: Path,
    pages: int,
    extractor: str,
    repetitions: int,
    azure: tuple[dict[str, str], Callable[[], float]],
) -> None:
    """All three in turn, and their figures."""
    environment, used = azure
    numbers = itertools.count()
    with ExitStack() as opened:

        def taking(on: Cluster | None) -> Callable[[], Took]:
            return lambda: took(work, on, f"{extractor}-{next(numbers)}", environment, used)

        environment |= {
            "AZURE_OPENAI_EMBEDDING_MODEL": MODEL,
            "AZURE_OPENAI_EMBEDDING_DIMENSIONS": str(DIMENSIONS),
            "INGEST_EXTRACTOR": extractor,
        }
        one, two = (opened.enter_context(cluster(n, environment)) for n in (1, 2))
        for on in (None, one, two):
            index = {"AZURE_SEARCH_INDEX": f"{extractor}-warm-{next(numbers)}"}
            command(work, "warm", on, environment | index, used)
        results = taken_in_turn(repetitions, taking(None), taking(one), taking(two))
    plain, single, double = [middle(runs) for runs in results]
    for name, each in {"plain": plain, "one node": single, "two nodes": double}.items():
        speed = f"{pages / each.wall:,.0f} pages/s"
        tell(name, speed, f"{each.wall:.1f} s, after {each.setting_up:.1f} s of setting up")
    tell("one node / plain, wall", f"{single.wall / plain.wall:.2f}", "target <= 1.15")
    tell("the node's CPU / plain, CPU", f"{single.nodes / plain.run:.2f}", "the same, undisturbed")
    tell("two nodes / one, pages a second", f"{single.wall / double.wall:.2f}", "target >= 1.7")
    others = double.run + double.scheduler + double.emulator
    left = 2 * single.nodes / (double.nodes + others)
    tell("the most that two cores allow", f"{min(2.0, left):.2f}", "by CPU, with all the others")
    tell("two nodes' CPU / one node's", f"{double.nodes / single.nodes:.2f}")
    for name, much in {"driver": double.run, "scheduler": double.scheduler}.items():
        tell(f"CPU of the {name}, for 1,000 pages", f"{1000 * much / pages:.3f} s")
    tell("CPU of the emulator, for 1,000 pages", f"{1000 * double.emulator / pages:.3f} s")


def middle(runs: list[Took]) -> Took:
    """The median of each figure."""
    columns = zip(
        *((t.wall, t.setting_up, t.run, t.scheduler, t.nodes, t.emulator) for t in runs),
        strict=True,
    )
    return Took(*map(typical, columns))


def took(
    work: Path,
    on: Cluster | None,
    index: str,
    environment: Mapping[str, str],
    used: Callable[[], float],
) -> Took:
    """A run over all documents, less one over a small document."""
    small = command(
        work, "small", on, {**environment, "AZURE_SEARCH_INDEX": f"{index}-small"}, used
    )
    large = command(work, "docs", on, {**environment, "AZURE_SEARCH_INDEX": f"{index}-all"}, used)
    less = (b - a for a, b in zip(small, large, strict=True))
    wall, run, scheduler, nodes, emulator = less
    return Took(wall, small[0], run, scheduler, nodes, emulator)


def command(
    work: Path,
    folder: str,
    on: Cluster | None,
    environment: Mapping[str, str],
    used: Callable[[], float],
) -> tuple[float, float, float, float, float]:
    """One command: wall, and the CPU of itself, scheduler, nodes and emulator."""
    told = [f"{name}={value}" for name, value in environment.items()]
    words = ["env", *told, INGEST, "run", folder, "-q"]
    if on:
        words += ["--engine", on.address]
    before = *(on.cpu() if on else (0.0, 0.0)), used()
    # The driver has no core of its own; the plain run has the one that the first node has.
    with kept_to(None if on else min(os.sched_getaffinity(0))):
        run = spent(words, work)
    after = *(on.cpu() if on else (0.0, 0.0)), used()
    if run.code:
        print(run.output)
    scheduler, nodes, emulator = (b - a for a, b in zip(before, after, strict=True))
    return run.wall, run.cpu, scheduler, nodes, emulator


if __name__ == "__main__":
    main()
