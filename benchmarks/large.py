"""Memory and start-up at sizes that nobody tries by hand.

One PDF of 10,000 pages, and 100,000 PDFs of one page: the peak of the main process and of its
largest worker. Then the very command a schedule starts, over those 100,000 with nothing to do. Then
an index that knows a million sources, compared with a listing of as many. The model is a stand-in,
as in memory.py; all else is real. Takes some ten minutes, most of it making the PDFs.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from measure import INGEST, MEGABYTE, ROOT, peak, small_pdfs, spent, tell, typical, wall
from memory import stand_in

from ingest.config.factory import open_services
from ingest.config.settings import Settings
from ingest.embed.minilm import MINILM_DIMENSIONS, MODEL_NAME
from ingest.index.sqlite.index import SqliteIndex
from ingest.models import Source, SourceResult
from ingest.pipeline.context import Run
from ingest.pipeline.diff import SkipRule, compare
from ingest.pipeline.root import ingest_root
from ingest.sources.folder import Folder

T = TypeVar("T")

PAGES = 10_000
DOCUMENTS = 100_000
SOURCES = 1_000_000
SIZE, MODIFIED = 1000, "1"  # of each of those
REPETITIONS = 3


@dataclass(frozen=True, slots=True)
class Peaks:
    """Peak memory of a run."""

    embedded: int  # documents
    chunks: int
    main: float  # MB
    worker: float  # MB, of the largest
    seconds: float


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        workplace = Path(folder)
        long = workplace / "long"
        long.mkdir()
        pages = ["--large", str(long / "long.pdf"), "--pages", str(PAGES)]
        subprocess.run([sys.executable, ROOT / "scripts" / "make_data", *pages], check=True)
        told(f"one PDF of {PAGES:,} pages", fresh(full_run, long, workplace / "long index"))

        notes, index = workplace / "notes", workplace / "index"
        small_pdfs(notes, DOCUMENTS)
        told(f"{DOCUMENTS:,} PDFs of one page", fresh(full_run, notes, index))

        command = [INGEST, "run", str(notes), "--index", str(index)]
        runs = [spent(command, workplace) for _ in range(REPETITIONS)]
        if not all(f"{DOCUMENTS:,} unchanged" in run.output for run in runs):
            print("Not a no-change run:", runs[0].output, sep="\n")
        seconds = typical([run.wall for run in runs])
        tell(f"no-change run, {DOCUMENTS:,} records", f"{seconds:.1f} s", "target <= 10 s")
        tell("its peak", f"{max(run.peak for run in runs):.0f} MB")

        seconds, size = fresh(planned, workplace / "million")
        tell(f"comparing {SOURCES:,} sources", f"{seconds:.1f} s", f"peak {size:.0f} MB")


def told(what: str, peaks: Peaks) -> None:
    """Print what a run took."""
    tell(what, f"{peaks.seconds:.0f} s", f"{peaks.embedded:,} taken, {peaks.chunks:,} chunks")
    tell("  peak of the main process", f"{peaks.main:.0f} MB", "target <= 400 MB")
    tell("  peak of the largest worker", f"{peaks.worker:.0f} MB", "target <= 300 MB")


def fresh(call: Callable[..., T], *arguments: Path) -> T:
    """The call's result from a process of its own, because a peak cannot be taken back."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(call, *arguments).result()


def full_run(folder: Path, where: Path) -> Peaks:
    """Fill an index."""
    run = Run("benchmark")
    # A new index would have the real model loaded, for which this one stands in.
    SqliteIndex(where, f"local:{MODEL_NAME}", MINILM_DIMENSIONS, create=True).close()
    settings = Settings(index=str(where), workers=2)
    taken = chunks = 0
    worker = 0.0

    def work() -> None:
        nonlocal taken, chunks, worker
        with open_services(settings, run.stop, write=True) as real:
            fake = replace(real, embedder=replace(real.embedder, embed=stand_in))
            for event in ingest_root(Folder(folder.resolve()), fake, run):
                if isinstance(event, SourceResult) and event.embedded:
                    taken, chunks = taken + 1, chunks + event.embedded
            worker = max(map(peak_of, children()), default=0.0)

    seconds = wall(work)
    return Peaks(taken, chunks, peak(), worker, seconds)


def children() -> Iterator[int]:
    """The processes that this one started."""
    for path in Path("/proc/self/task").glob("*/children"):
        yield from map(int, path.read_text().split())


def peak_of(process: int) -> float:
    """The most memory that a process has had resident, in MB."""
    status = Path(f"/proc/{process}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / MEGABYTE


def planned(where: Path) -> tuple[float, float]:
    """Seconds and peak of comparing a million records with a listing that has the same sources."""
    index = SqliteIndex(where, f"local:{MODEL_NAME}", MINILM_DIMENSIONS, create=True)
    with index.database.transaction():
        known(index, "/root", "recipe", range(SOURCES))
    before = peak()
    listing = (Source("/root", name(n), "", SIZE, MODIFIED) for n in range(SOURCES))
    count = 0

    def merge() -> None:
        nonlocal count
        for change in compare(listing, index.records("/root"), SkipRule("recipe")):
            count += isinstance(change, SourceResult)

    seconds = wall(merge)
    assert count == SOURCES
    return seconds, max(before, peak())


def known(index: SqliteIndex, root: str, recipe: str, numbers: Iterable[int]) -> None:
    """Let an index know the sources of these numbers, each with one chunk."""
    columns = (
        "root, source, fingerprint, size, modified, pages, empty_pages, tokens, outcome, error, "
        "attempts, chunks, settled, run, committed, pending"
    )
    rest = (SIZE, MODIFIED, 1, 0, 300, "new", "", 0, 1, "", "r", "id", "")
    marks = ", ".join("?" * (3 + len(rest)))
    index.db.executemany(
        f"INSERT INTO records ({columns}) VALUES ({marks})",
        ((root, name(number), recipe, *rest) for number in numbers),
    )


def name(number: int) -> str:
    """A name that sorts as its number does."""
    return f"folder-{number // 1000:04}/document-{number:07}.pdf"


if __name__ == "__main__":
    os.environ.pop("INGEST_INDEX", None)
    main()
