"""Damage that hostile files can do to a run, and the cost of the worst of them.

The set is generated: bombs, loops, lies, the sample PDFs broken off at 200 places each, and 2,000
copies of them with bytes flipped. First every file is read by itself, as a run reads it, which
tells the seconds of each. Then `ingest run` goes over the whole folder into a local index, with an
emulator of Azure OpenAI as the embedder. A hang is a file that took longer than all that may be
tried on it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path

from measure import INGEST, tell, typical

from ingest.config.capacity import count_cores
from ingest.config.factory import open_services
from ingest.config.settings import build_settings
from ingest.errors import DocumentError
from ingest.models import Source
from ingest.pipeline.context import Services
from ingest.pipeline.diff import Stale
from ingest.runtime.cancellation import Cancellation
from ingest.sources import Root
from ingest.sources.folder import parse_folder_roots
from tests.emulator.emulator import run_emulator
from tests.hostile import DATA, Kind, generate, harm, sparse
from tests.hostile.watch import Peaks, watch_children

CUTS = 200  # of each sample
FLIPS = 2000
SECONDS = 10  # for a document, and a second more for each page; the default is 120
PAGE_SECONDS = 5  # for a page; the default is 30
MEGABYTES = 2048  # the default
TRIES = 2  # of a document that kills its reader
SLACK = 5.0  # seconds, to end a process and start another
UNREADABLE = {"scans"}  # folders of samples that have no text


@dataclass(frozen=True, slots=True)
class Ending:
    """Outcome of one file that was read by itself."""

    kind: Kind
    seconds: float
    code: str
    text: str = ""
    pages: int = 0

    @property
    def limit(self) -> float:
        """The seconds of all attempts: each may end with one over the pages that are known good."""
        return TRIES * (3 * SECONDS + SLACK + self.pages)

    @property
    def right(self) -> bool:
        """Return whether the outcome is acceptable."""
        return self.code in self.kind.acceptable


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder, run_emulator(dimensions=8) as azure:
        place = Path(folder)
        kinds = laid_out(place / "docs")
        more = {
            "INGEST_INDEX": str(place / "index"),
            "INGEST_DOCUMENT_SECONDS": str(SECONDS),
            "INGEST_PAGE_SECONDS": str(PAGE_SECONDS),
            "INGEST_DOCUMENT_MEGABYTES": str(MEGABYTES),
            "AZURE_OPENAI_EMBEDDING_MODEL": "text-embedding-3-large",
        }
        one_by_one(place / "docs", kinds, azure.environment | more)
        print()
        all_at_once(place, kinds, azure.environment | more)


def laid_out(docs: Path) -> dict[str, Kind]:
    """The set in a folder, and its kinds by their files' names, without their bytes."""
    docs.mkdir()
    kinds = {}
    for kind in chain(generate(), harm(CUTS, FLIPS), samples()):
        kinds[f"{kind.name}.pdf"] = replace(kind, data=b"")
        (docs / f"{kind.name}.pdf").write_bytes(kind.data)
    sparse(docs / "sparse.pdf")
    kinds["sparse.pdf"] = Kind("sparse", b"", ends=frozenset({"too-large"}))
    return kinds


def samples() -> Iterator[Kind]:
    """The sample PDFs that have text."""
    for path in sorted(DATA.rglob("*.pdf")):
        if path.parent.name not in UNREADABLE:
            yield Kind(f"sample-{path.stem}", path.read_bytes(), says=" ")


def one_by_one(docs: Path, kinds: dict[str, Kind], environment: dict[str, str]) -> None:
    """Every file read by itself, and how long the longest took."""
    (root,) = parse_folder_roots([str(docs)])
    sources = [item for item in root.list() if isinstance(item, Source)]
    with (
        open_services(build_settings(environment, {}), Cancellation(), write=False) as all_,
        ThreadPoolExecutor(count_cores()) as threads,
        watch_children(os.getpid()) as peaks,
    ):
        read = partial(ending, all_, root, kinds)
        endings = list(threads.map(read, sources))
    worst = max(endings, key=lambda end: end.seconds)
    tell("files", f"{len(endings):,}")
    tell("seconds, median", f"{typical([end.seconds for end in endings]):.3f}")
    tell(
        "seconds, the longest", f"{worst.seconds:.1f}", f"limit {worst.limit:g}: {worst.kind.name}"
    )
    tell("hangs", f"{sum(end.seconds > end.limit for end in endings)}", "target 0")
    print_peaks(peaks)
    print_codes([end.code for end in endings])
    for end in endings:
        if not end.right:
            tell("not acceptable", end.code or "read", end.kind.name)
    wanted = [end for end in endings if end.kind.says]
    found = [end for end in wanted if end.text.strip() and end.kind.says.strip() in end.text]
    share = f"{len(found)} of {len(wanted)}"
    tell("read, of what must be", f"{len(found) / len(wanted):.3f}", f"target >= 0.95: {share}")


def ending(all_: Services, root: Root, kinds: dict[str, Kind], source: Source) -> Ending:
    """Read one file, and return its outcome."""
    kind, started = kinds[source.name], time.monotonic()
    try:
        made = all_.reader.prepare(root, Stale(source, None))
    except DocumentError as error:
        return Ending(kind, time.monotonic() - started, error.code)
    seconds = time.monotonic() - started
    assert made is not None
    text = "\n".join(chunk.text for chunk in made.chunks[:10])
    return Ending(kind, seconds, "" if made.chunks else "no-text", text, made.pages)


def all_at_once(place: Path, kinds: dict[str, Kind], environment: dict[str, str]) -> None:
    """One run over the whole folder."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("INGEST_", "AZURE_"))}
    started = time.monotonic()
    with (
        (place / "out").open("w+") as out,
        (place / "err").open("w+") as err,
        subprocess.Popen(
            [INGEST, "run", str(place / "docs"), "--json"],
            env=clean | environment,
            stdout=out,
            stderr=err,
        ) as process,
        watch_children(process.pid) as peaks,
    ):
        code = process.wait()
    lines = [json.loads(line) for line in (place / "out").read_text().splitlines()]
    settled = [line for line in lines if line["event"] == "source" and "//" not in line["source"]]
    tell("one run over all, exit code", f"{code}", "3: some could not be read")
    tell("seconds", f"{time.monotonic() - started:.0f}")
    tell("files, and outcomes", f"{len(kinds):,}, {len(settled):,}", "equal")
    print_peaks(peaks)
    print_codes([line["code"] for line in settled])
    tell("chunks in the index", f"{chunks(place / 'index' / 'index.db'):,}")


def chunks(path: Path) -> int:
    """Number of chunks in a local index."""
    db = sqlite3.connect(path)
    (count,) = db.execute("SELECT count(*) FROM chunks").fetchone()
    db.close()
    return int(count)


def print_peaks(peaks: Peaks) -> None:
    """The most memory that any worker took."""
    tell("a worker's address space, MB", f"{peaks.address_space:,.0f}", f"limit {MEGABYTES:,}")
    tell("a worker's resident memory, MB", f"{peaks.resident:,.0f}")


def print_codes(codes: Sequence[str]) -> None:
    """Print the number of files by outcome."""
    for code, count in Counter(codes).most_common():
        tell(f"  {code or 'read'}", f"{count:,}")


if __name__ == "__main__":
    main()
