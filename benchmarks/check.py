"""What a check of a large index costs: 100,000 documents of one chunk each, in a folder.

The index is made here, as a run would leave it; the documents are not, so their
root is not there, which is one finding. Then the very command that a schedule starts is measured:
over the index as it is, and after every other chunk was deleted from it by hand, so that 50,000
records must be looked at closely. The baseline is SQLite's own check of the file.
"""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
from pathlib import Path

import numpy as np
from measure import INGEST, spent, tell, typical, wall

from ingest.embed.minilm import MINILM_DIMENSIONS, MODEL_NAME
from ingest.index.sqlite.index import SqliteIndex
from ingest.models import Chunk, IndexEntry, Record, Source

CHUNKS = 100_000
WORDS = 60  # in each
REPETITIONS = 3


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        workplace = Path(folder)
        fill(workplace / "index", str(workplace / "root"))
        db = sqlite3.connect(workplace / "index" / "index.db")
        bare = wall(lambda: db.execute("PRAGMA quick_check").fetchall())
        tell("PRAGMA quick_check, wall", f"{bare:.1f} s")
        told(workplace, "in order", "Found:   1 root")
        for table, key in (("chunks", "number"), ("vectors", "number"), ("words", "rowid")):
            db.execute(f"DELETE FROM {table} WHERE {key} % 2")
        db.commit()
        told(workplace, "half missing", f"Found:   {CHUNKS // 2:,} missing, 1 root")
        db.close()


def told(workplace: Path, what: str, expected: str) -> None:
    """Print what a check takes."""
    command = [INGEST, "check", "--index", str(workplace / "index")]
    runs = [spent(command, workplace) for _ in range(REPETITIONS)]
    if not all(expected in run.output for run in runs):
        print("Not what was to be found:", runs[0].output, sep="\n")
    tell(f"check, {CHUNKS:,} chunks, {what}", f"{typical([run.wall for run in runs]):.1f} s wall")
    tell("  CPU", f"{typical([run.cpu for run in runs]):.1f} s")
    tell("  peak", f"{max(run.peak for run in runs):.0f} MB")


def fill(where: Path, root: str) -> None:
    """Make an index of documents that nobody read."""
    index = SqliteIndex(where, f"local:{MODEL_NAME}", MINILM_DIMENSIONS, create=True)
    index.hold()
    random = np.random.default_rng(0)
    vectors = random.standard_normal((1000, MINILM_DIMENSIONS)).astype(np.float32)
    texts = [" ".join(f"word{n}" for n in random.integers(0, 5000, WORDS)) for _ in range(1000)]
    for first in range(0, CHUNKS, 1000):
        names = [f"folder-{first // 1000:03}/document-{first + n:06}.pdf" for n in range(1000)]
        entries = [
            IndexEntry(
                Source(root, name, f"{root}/{name}", 1000, "1"),
                "file:///document.pdf",
                "f",
                name,
                Chunk(id_of(name), text, WORDS, 0, 0, len(text), 1, 1, (), ()),
                vector,
            )
            for name, text, vector in zip(names, texts, vectors, strict=True)
        ]
        index.upload(entries)
        for name in names:
            ids = (id_of(name),)
            index.save(Record(root, name, "f", 1000, "1", outcome="new", committed=ids, chunks=1))
    index.close()


def id_of(name: str) -> str:
    """The id of a document's chunk."""
    return hashlib.sha256(name.encode()).hexdigest()[:40]


if __name__ == "__main__":
    main()
