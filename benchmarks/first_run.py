"""Waiting times after cloning the repository: the first run, a search, the help.

The commands are started as a user starts them, through `scripts/ingest` in an environment that is
there already; the first run of all, which lets Python compile what it imports, is not counted, as
it is not for whoever installed a wheel.

Baselines: the bare model, loaded and given the run's own chunks in as many threads as a run uses,
since a local first run is mostly that; and for the short commands, Python starting and ending.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

from measure import INGEST, ROOT, Spent, spent, taken_in_turn, tell, typical, wall

from ingest.config.capacity import count_cores
from ingest.embed.minilm import BATCH_TEXTS, embed

QUESTION = "What happens to vacation I did not use by New Year?"
REPETITIONS = 5


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        workplace = Path(folder)
        index = workplace / "index"

        def run(name: str) -> Spent:
            command = [INGEST, "run", str(ROOT / "data"), "--index", str(workplace / name)]
            return spent(command, workplace)

        warm = run("index")
        if warm.code:
            print(f"Not the run that was expected, exit {warm.code}:", warm.output, sep="\n")
        search = [INGEST, "search", QUESTION, "--index", str(index)]
        spent(search, workplace)

        runs = [run(f"index {number}") for number in range(REPETITIONS)]
        chunks = texts(index)
        embed(chunks[:1])
        bare = typical([wall(partial(embedded, chunks)) for _ in range(REPETITIONS)])
        took = typical([run.wall for run in runs])
        label = f"run data/, {len(chunks)} chunks"
        tell(
            f"{label}, wall", f"{took:.2f} s", f"{took / bare:.2f} x the bare model's {bare:.2f} s"
        )
        tell(f"{label}, CPU", f"{typical([run.cpu for run in runs]):.2f} s")
        tell(f"{label}, peak", f"{max(run.peak for run in runs):.0f} MB", "of the largest process")

        start, helped, found = (
            typical([each.wall for each in results])
            for results in taken_in_turn(
                REPETITIONS,
                partial(spent, [sys.executable, "-c", "pass"], workplace),
                partial(spent, [INGEST, "--help"], workplace),
                partial(spent, search, workplace),
            )
        )
        tell("python -c pass, wall", f"{start:.3f} s")
        tell("--help, wall", f"{helped:.3f} s", f"{helped / start:.1f} x python, target ≤ 0.3 s")
        tell("search, wall", f"{found:.3f} s", f"{found / start:.1f} x python")


def texts(index: Path) -> list[str]:
    """The texts of all chunks in an index."""
    with closing(sqlite3.connect(index / "index.db")) as database:
        return [text for (text,) in database.execute("SELECT content FROM chunks")]


def embedded(texts: Sequence[str]) -> None:
    """Give the model the texts in calls of the usual size."""
    calls = [texts[first : first + BATCH_TEXTS] for first in range(0, len(texts), BATCH_TEXTS)]
    with ThreadPoolExecutor(count_cores()) as threads:
        list(threads.map(embed, calls))


if __name__ == "__main__":
    main()
