"""What it costs to look for the vectors of texts before they are paid for: paired runs.

One-page PDFs that are new are added to an index that has others, so that every look-up is in vain:
the worst case. Of each pair of runs, one looks up and the other takes the index for a new one,
whose look-ups are skipped; which of them is first alternates. In a folder with a stand-in for the
model, and on the emulator, in a process of its own, with 60 ms latency.

    benchmarks/lookups.py [PAIRS]
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from azure_run import serving
from measure import LONG_AGO, note, small_pdf, tell, typical

from ingest.config.factory import open_services
from ingest.config.settings import build_settings
from ingest.embed import Embedder
from ingest.pipeline.context import Run
from ingest.pipeline.stages import ingest_root
from ingest.sources.folder import parse_folder_roots

if TYPE_CHECKING:
    from ingest.models import Vectors

PAIRS = 7
DOCUMENTS = 300  # of a run
DIMENSIONS = 1536


@dataclass(frozen=True, slots=True)
class Took:
    """The seconds of a run, and the CPU seconds of its main process."""

    wall: float
    cpu: float


def main() -> None:
    """Measure and print."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS
    with tempfile.TemporaryDirectory() as folder, serving() as (environment, _):
        stub = Embedder(embed, "stub", DIMENSIONS)
        compare("in a folder", Path(folder) / "local", {}, stub, pairs)
        os.environ |= environment
        compare("on the emulator", Path(folder) / "remote", environment, None, pairs)


def embed(texts: Sequence[str]) -> Vectors:
    """A vector that depends on the text alone, at almost no cost."""
    seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") for text in texts]
    rows = [np.random.default_rng(seed).standard_normal(DIMENSIONS) for seed in seeds]
    return np.array(rows, np.float32)


def compare(
    title: str, folder: Path, environment: Mapping[str, str], model: Embedder | None, pairs: int
) -> None:
    """Measure pairs of runs, and print what the look-ups add."""
    folder.mkdir()
    numbers = count()
    take(folder, numbers, environment, model, looks=True)  # there are others
    with_: list[Took] = []
    without: list[Took] = []
    for pair in range(pairs):
        for looks in (True, False) if pair % 2 else (False, True):
            took = take(folder, numbers, environment, model, looks=looks)
            (with_ if looks else without).append(took)
    added = [a.wall / b.wall - 1 for a, b in zip(with_, without, strict=True)]
    cpu = typical([a.cpu for a in with_]) / typical([b.cpu for b in without]) - 1
    tell(
        f"look-ups {title}: wall",
        f"{100 * typical(added):+.1f} %",
        f"{typical([b.wall for b in without]):.2f} s without; pairs "
        + ", ".join(f"{100 * each:+.0f}" for each in sorted(added)),
    )
    tell(f"look-ups {title}: CPU", f"{100 * cpu:+.1f} %", "of the main process")


def take(
    folder: Path,
    numbers: count[int],
    environment: Mapping[str, str],
    model: Embedder | None,
    *,
    looks: bool,
) -> Took:
    """One run over new documents."""
    documents = folder / f"docs{next(numbers)}"
    documents.mkdir()
    for _ in range(DOCUMENTS):
        number = next(numbers)
        path = documents / f"note-{number:06}.pdf"
        path.write_bytes(small_pdf(note(number)))
        os.utime(path, (LONG_AGO, LONG_AGO))
    named = {"AZURE_OPENAI_EMBEDDING_MODEL": "text-embedding-3-small"} if environment else {}
    place = {} if environment else {"INGEST_INDEX": str(folder / "index")}
    settings = build_settings({**environment, **named, **place}, {})
    run = Run(f"run {next(numbers)}")
    (root,) = parse_folder_roots([str(documents)])
    with open_services(settings, run.stop, write=True, model=model) as services:
        services.reader.threads.submit(services.reader.warm_up).result()
        services.index.is_new = not looks
        wall, cpu = time.perf_counter(), time.process_time()
        for event in ingest_root(root, services, run):
            assert event is not None
        return Took(time.perf_counter() - wall, time.process_time() - cpu)


if __name__ == "__main__":
    main()
