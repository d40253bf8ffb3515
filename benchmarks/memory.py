"""Growth of memory with the corpus: peak of a full run over 500 and over 5,000 documents.

Each run is in a fresh process, because a peak cannot be taken back, and only that process is
measured: its children read one document at a time. The model is a stand-in that makes a vector of
the hash of a text. It hides nothing that could grow, and without the real one's hundreds of
MB below it, growth shows as what it is. All else is real: listing, children, index.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import zlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from measure import peak, small_pdfs, tell, typical

from ingest.config.factory import open_services
from ingest.config.settings import Settings
from ingest.embed.minilm import MINILM_DIMENSIONS, MODEL_NAME
from ingest.index.sqlite.index import SqliteIndex
from ingest.models import SourceResult, Vectors
from ingest.pipeline.context import Run
from ingest.pipeline.root import ingest_root
from ingest.sources.folder import Folder

FEW, MANY = 500, 5_000
REPETITIONS = 3


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        few, many = (measured(Path(folder), count) for count in (FEW, MANY))
        tell("growth", f"{100 * (many / few - 1):+.1f} %", "target <= 10 %")
        tell("growth per 1,000 documents", f"{1000 * (many - few) / (MANY - FEW):+.1f} MB")


def measured(workplace: Path, count: int) -> float:
    """The peak of a full run over so many documents."""
    notes = workplace / f"{count} notes"
    small_pdfs(notes, count)
    peaks = []
    spawn = multiprocessing.get_context("spawn")
    for number in range(REPETITIONS):
        with ProcessPoolExecutor(1, spawn) as fresh:
            index = workplace / f"{count} index {number}"
            settled, size = fresh.submit(full_run, notes, index).result()
        if settled != count:
            print(f"Not a full run: {settled} of {count} documents were taken")
        peaks.append(size)
    tell(f"peak, {count:,} documents", f"{typical(peaks):.1f} MB")
    return typical(peaks)


def full_run(folder: Path, where: Path) -> tuple[int, float]:
    """Fill an index; returns how many documents it took, and this process's peak in MB."""
    run = Run("benchmark")
    # A new index would have the real model loaded, for which this one stands in.
    SqliteIndex(where, f"local:{MODEL_NAME}", MINILM_DIMENSIONS, create=True).close()
    settings = Settings(index=str(where), workers=2)
    with open_services(settings, run.stop, write=True) as real:
        fake = replace(real, embedder=replace(real.embedder, embed=stand_in))
        events = ingest_root(Folder(folder.resolve()), fake, run)
        taken = sum(isinstance(event, SourceResult) and event.embedded > 0 for event in events)
    return taken, peak()


def stand_in(texts: Sequence[str]) -> Vectors:
    """A vector for each text that depends on nothing but the text."""
    rows = [np.random.default_rng(zlib.crc32(text.encode())) for text in texts]
    return np.stack([row.standard_normal(MINILM_DIMENSIONS, np.float32) for row in rows])


if __name__ == "__main__":
    main()
