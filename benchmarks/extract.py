"""Cost of extraction and chunking over the bare text engine, and the gain of a second worker.

Numerator: `ingest.prepare.prepare`, all that a worker does for one document: read, hash, extract,
clean, split, count tokens. Denominator: PDFium opening the same file and giving the text of every
page. Both in CPU seconds, because the machine is shared, in turn, medians, after a first call that
loads what is loaded once. One file would say little, so ordinary ones of several kinds are
measured: a few pages and hundreds, Latin and not, with an outline and without.

The same through real child processes, as the pipeline does it: with taking the task, sending the
chunks, and this process's CPU for its end of the pipe. The start of the process that readers are
forked from is left out, as a run pays it once; that of readers is not.

Pages a second are wall time, because that is the claim. The bare engine in the same children says
how much a second process can give on this machine at all.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import pypdfium2
from measure import ROOT, cpu, taken_in_turn, tell, typical, wall

from ingest.config.reader import GROUP_SECONDS
from ingest.extract.document import ignore_progress
from ingest.extract.sandbox.pool import SandboxLimits, SandboxPool
from ingest.models import PreparedDocument, Recipe, Source
from ingest.pipeline.reader.prepare import Task, document_pool, prepare

RECIPE = Recipe("auto", 512, 0.12, "none", 384)
LIMITS = SandboxLimits(120.0, 2048, 30.0)  # the defaults of the settings
GROUPED = replace(LIMITS, group_seconds=GROUP_SECONDS)
LARGE_PAGES = 400
COPIES = 8  # of all files, for the pages a second
REPETITIONS = 9

Child: TypeAlias = SandboxPool[Any, Any]
Reader: TypeAlias = Callable[[Task], object]


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        files = ordinary_pdfs(Path(folder))
        tasks = [task(file) for file in files]
        pages = [bare(task) for task in tasks]
        overheads(tasks, pages)
        contained_overhead(tasks)
        print()
        rates(tasks * COPIES, sum(pages) * COPIES)


def ordinary_pdfs(folder: Path) -> list[Path]:
    """The sample PDFs that are neither locked nor scanned, after a very long one."""
    large = folder / f"{LARGE_PAGES} pages.pdf"
    make = [sys.executable, str(ROOT / "scripts" / "make_data"), "--large", str(large)]
    subprocess.run([*make, "--pages", str(LARGE_PAGES)], check=True)
    data = ROOT / "data"
    return [
        large,
        data / "handbook.pdf",
        *sorted((data / "benefits").glob("*.pdf")),
        *sorted((data / "papers").glob("*.pdf")),
        *sorted((data / "languages").glob("*.pdf")),
        *sorted((data / "products").glob("*.pdf")),
    ]


def task(file: Path) -> Task:
    """Task that the pipeline gives a worker."""
    status = file.stat()
    source = Source(str(file.parent), file.name, str(file), status.st_size, str(status.st_mtime_ns))
    return Task(source, "", RECIPE, "auto")


def opened(task: Task) -> BinaryIO:
    """The file of a task, as the pipeline hands it to what reads it."""
    return Path(task.source.location).open("rb")


def prepared(task: Task) -> PreparedDocument | None:
    """All that a worker does, in this process."""
    with opened(task) as file:
        return prepare(task, file, ignore_progress)


def asked(child: Child, task: Task) -> Any:
    """Run a task in a child process."""
    with opened(task) as file:
        return child(task, file, owner="")


def bare(task: Task, file: BinaryIO | None = None, _: object = None) -> int:
    """The text of every page by the engine alone; returns how many pages there are."""
    # A child has no way to the path.
    document = pypdfium2.PdfDocument(file.read() if file else task.source.location)
    for index in range(len(document)):
        document[index].get_textpage().get_text_range()
    return len(document)


def overheads(tasks: Sequence[Task], pages: Sequence[int]) -> None:
    """Print the cost of preparing each file, and all, in this process."""
    ours, engines = 0.0, 0.0
    for item, count in zip(tasks, pages, strict=True):
        prepared(item)
        all_of_it, engine = taken_in_turn(
            REPETITIONS + 100 // count,
            partial(cpu, partial(prepared, item)),
            partial(cpu, partial(bare, item)),
        )
        ours += typical(all_of_it)
        engines += typical(engine)
        figures = f"{1e3 * typical(all_of_it):.1f} ms / {1e3 * typical(engine):.1f} ms"
        tell(
            f"CPU, {count} pages, {item.source.name[:24]}",
            f"{typical(all_of_it) / typical(engine):.2f}",
            figures,
        )
    tell("CPU, all of these", f"{ours / engines:.2f}", "target <= 1.3")


def contained_overhead(tasks: Sequence[Task]) -> None:
    """Print the cost of preparing all files in sandboxes, and in their parent.

    Each reader is kept for good, for a group of documents as in a run, or for one document.
    """
    kept, groups, single = (
        document_pool(replace(LIMITS, group_seconds=seconds))
        for seconds in (math.inf, GROUP_SECONDS, 0.0)
    )
    small = list(tasks[1:])  # without the long one, whose reader is replaced anyway

    def cost(child: Child) -> float:
        (process,) = child.processes
        before = used(child)
        for item in small * COPIES:
            asked(child, item)
        process.end_reader()
        return used(child) - before

    for child in (kept, groups, single):
        asked(child, tasks[1])
        next(iter(child.processes)).end_reader()
    bare_cost = partial(cpu, lambda: [bare(item) for item in small * COPIES])
    *costs, engine = taken_in_turn(
        3, *(partial(cost, child) for child in (kept, groups, single)), bare_cost
    )
    whole, grouped, each = map(typical, costs)
    tell("CPU, all of these, in a child process", f"{whole / typical(engine):.2f}", "target <= 1.3")
    tell("a reader for each group, relative to one", f"{grouped / whole:.2f}", "target <= 1.05")
    tell("a reader for each document, relative to one", f"{each / whole:.2f}")
    for child in (kept, groups, single):
        child.close()


def used(child: Child) -> float:
    """CPU seconds of this process, of the one that forks readers, and of readers that ended."""
    assert child.server
    stat = Path(f"/proc/{child.server.process.pid}/stat").read_text(encoding="ascii")
    ticks = sum(map(int, stat.rpartition(")")[2].split()[11:15]))
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def rates(tasks: Sequence[Task], pages: int) -> None:
    """Pages a second with one worker and with two."""
    children: list[tuple[str, Child, str]] = [
        ("prepared", document_pool(GROUPED), "target >= 1.7"),
        ("bare engine", SandboxPool(bare, GROUPED), "what this machine gives"),
    ]
    for label, child, target in children:
        reader = partial(asked, child)
        pools = [warm(workers, reader, tasks[0]) for workers in (1, 2)]
        one, two = (
            pages / typical(walls)
            for walls in taken_in_turn(
                REPETITIONS, *(partial(wall, partial(all_read, p, reader, tasks)) for p in pools)
            )
        )
        tell(f"pages/s, {label}, 1 worker", f"{one:,.0f}")
        tell(f"pages/s, {label}, 2 workers", f"{two:,.0f}")
        tell(f"second worker, {label}", f"{two / one:.2f}", target)
        child.close()
        for pool in pools:
            pool.shutdown()


def warm(workers: int, reader: Reader, task: Task) -> ThreadPoolExecutor:
    """Threads whose child processes have all started and read something."""
    pool = ThreadPoolExecutor(workers)
    together = threading.Barrier(workers)

    def once(_: int) -> None:
        reader(task)
        together.wait()

    list(pool.map(once, range(workers)))
    return pool


def all_read(pool: ThreadPoolExecutor, reader: Reader, tasks: Sequence[Task]) -> None:
    """All tasks done."""
    list(pool.map(reader, tasks))


if __name__ == "__main__":
    main()
