"""Cost of a run, and of a plan, with nothing to do: 10,000 one-page PDFs, all in the index.

The index is filled by the real `ingest run`, with the real model, and then the very same command
is measured as a user or a schedule starts it: Python's start, the listing, the comparison with
every record, the summary. Wall and CPU seconds and peak memory are those of the whole command,
taken by a small process whose only child it is; the peak is that of its largest process, and a run
that has nothing to read starts no other. The files' times are long past: a file changed in the last
two seconds would be read again.

Baseline: the bare walk, `os.scandir` and one `stat` an entry, of the same folder.
"""

from __future__ import annotations

import os
import tempfile
from functools import partial
from pathlib import Path

from measure import INGEST, small_pdfs, spent, taken_in_turn, tell, typical, wall

DOCUMENTS = 10_000
REPETITIONS = 5


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        workplace = Path(folder)
        notes = workplace / "notes"
        small_pdfs(notes, DOCUMENTS)
        index = ["--index", str(workplace / "index")]
        command = [INGEST, "run", str(notes), *index]
        plan = [INGEST, "plan", str(notes), *index]

        first = spent(command, workplace)
        tell(f"first run, {DOCUMENTS:,} documents", f"{first.wall:.1f} s", f"exit {first.code}")

        runs = [spent(command, workplace) for _ in range(REPETITIONS)]
        (walks,) = taken_in_turn(REPETITIONS, partial(wall, partial(walked, notes)))
        if not all(f"{DOCUMENTS:,} unchanged" in run.output for run in runs):
            print("Not a no-change run:", runs[0].output, sep="\n")
        time, bare = typical([run.wall for run in runs]), typical(walks)
        tell("no-change run, wall", f"{time:.2f} s", "target <= 3 s")
        tell("no-change run, CPU", f"{typical([run.cpu for run in runs]):.2f} s")
        tell("no-change run, peak", f"{max(run.peak for run in runs):.0f} MB", "target <= 250 MB")
        looks = [spent(plan, workplace) for _ in range(REPETITIONS)]
        if not all(f"{DOCUMENTS:,} unchanged" in look.output for look in looks):
            print("Not a plan of nothing:", looks[0].output, sep="\n")
        tell("plan, wall", f"{typical([look.wall for look in looks]):.2f} s", "target <= 3 s")
        tell("plan, CPU", f"{typical([look.cpu for look in looks]):.2f} s")
        tell(
            "bare scandir and stat, wall", f"{1e3 * bare:.0f} ms", f"run / walk = {time / bare:.0f}"
        )


def walked(folder: Path) -> int:
    """The bytes of the files in a folder, by listing it and asking for each."""
    with os.scandir(folder) as entries:
        return sum(entry.stat().st_size for entry in entries)


if __name__ == "__main__":
    main()
