"""Helpers of the benchmarks: measurements, their output, and many small PDFs.

Nothing here asserts: a slow machine gives slow figures, not a failure. Importing it makes `ingest`
importable, so that every benchmark runs as `python benchmarks/NAME.py`. Started as a program it
runs one command and says what that took; that program is kept small because on Linux a process
begins its life with the peak memory of the one that started it.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice, product
from pathlib import Path
from random import Random
from typing import TypeVar

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

INGEST = str(ROOT / "scripts" / "ingest")

T = TypeVar("T")

MEGABYTE = 1e6  # bytes
RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes, of ru_maxrss

# Long past, so that a listing trusts the time of a file that was only just written.
LONG_AGO = 1_700_000_000  # seconds since 1970

SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "ar", "en", "il")]


@dataclass(frozen=True, slots=True)
class Spent:
    """Resources that one command used, its descendants included."""

    wall: float  # seconds
    cpu: float  # seconds, user and system
    peak: float  # MB, of the largest single process
    code: int
    output: str


def cpu(call: Callable[[], object]) -> float:
    """The CPU seconds that a call takes in this process, all threads."""
    before = time.process_time()
    call()
    return time.process_time() - before


def wall(call: Callable[[], object]) -> float:
    """The seconds that pass during a call."""
    before = time.perf_counter()
    call()
    return time.perf_counter() - before


def typical(values: Sequence[float]) -> float:
    """The median: on a shared machine the mean measures the neighbours."""
    return statistics.median(values)


def taken_in_turn(repetitions: int, *calls: Callable[[], T]) -> list[list[T]]:
    """Results of calls repeated in turn, so that a slow spell of the machine affects all."""
    rounds = [[call() for call in calls] for _ in range(repetitions)]
    return [list(results) for results in zip(*rounds, strict=True)]


def spent(command: Sequence[str], workplace: Path) -> Spent:
    """Run a command in a folder, and what that took.

    The settings of whoever measures stay outside, and Python may keep what it compiles, as it does
    for a user; below `workplace`, so that nothing else is touched.
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("INGEST_", "AZURE_", "PYTHONDONTWRITEBYTECODE"))
    }
    answer = subprocess.run(
        [sys.executable, __file__, *command],
        cwd=workplace,
        env=environment | {"PYTHONPYCACHEPREFIX": str(workplace / "compiled")},
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    return Spent(**json.loads(answer))


def peak() -> float:
    """The most memory this process has had resident, in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # unlike ru_maxrss, it knows nothing of the parent's memory
        line = next(t for t in status.read_text().splitlines() if t.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / MEGABYTE
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT / MEGABYTE


def tell(label: str, figure: str, beside: str = "") -> None:
    """Print one figure, and what to hold it against."""
    print(f"{label:<42} {figure:>14}   {beside}".rstrip(), flush=True)


def small_pdfs(folder: Path, how_many: int) -> None:
    """Fill a folder with PDFs of one page and one chunk, no two with the same text."""
    folder.mkdir()
    for number in range(how_many):
        path = folder / f"note-{number:06}.pdf"
        path.write_bytes(small_pdf(note(number)))
        os.utime(path, (LONG_AGO, LONG_AGO))


def note(number: int) -> list[str]:
    """The lines of a short text, different for each number."""
    chosen = Random(number).choices(list(islice(words(), 1000)), k=8)
    return [f"Note {number} of the archive.", " ".join(chosen).capitalize() + "."]


def words() -> Iterator[str]:
    """Made-up words, the short ones first, none twice."""
    for length in count(2):
        yield from map("".join, product(SYLLABLES, repeat=length))


def small_pdf(lines: Sequence[str]) -> bytes:
    """A valid PDF of one page with these lines of ASCII, written out by hand: ISO 32000, 7.5."""
    shown = "".join(f"({line}) Tj T*\n" for line in lines)
    content = f"BT /F 11 Tf 14 TL 72 770 Td\n{shown}ET"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        (
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
            "/Resources << /Font << /F 5 0 R >> >> >>"
        ),
        f"<< /Length {len(content)} >>\nstream\n{content}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    file = "%PDF-1.4\n"
    table = "0000000000 65535 f \n"
    for number, value in enumerate(objects, 1):
        table += f"{len(file):010} 00000 n \n"
        file += f"{number} 0 obj\n{value}\nendobj\n"
    size = len(objects) + 1
    tail = f"trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{len(file)}\n%%EOF\n"
    return f"{file}xref\n0 {size}\n{table}{tail}".encode("ascii")


def main() -> None:
    """Run the command of the command line, and print what it took as JSON."""
    before = time.perf_counter()
    done = subprocess.run(
        sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    seconds = time.perf_counter() - before
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = {
        "wall": seconds,
        "cpu": used.ru_utime + used.ru_stime,
        "peak": used.ru_maxrss * RSS_UNIT / MEGABYTE,
        "code": done.returncode,
        "output": done.stdout.decode(errors="replace"),
    }
    print(json.dumps(took))


if __name__ == "__main__":
    main()
