"""The hostile set: malicious and corrupted PDFs, generated one after another."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from tests.hostile.bombs import bombs
from tests.hostile.content import content
from tests.hostile.files import files, flip_bytes, truncate
from tests.hostile.kinds import Kind
from tests.hostile.trees import trees

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data"
BROKEN = ROOT / "tests/data/broken"


def generate() -> Iterator[Kind]:
    """Every kind that is made without a sample."""
    return chain(bombs(), trees(), content(), files())


def harm(cuts: int, flips: int, files: int | None = None) -> Iterator[Kind]:
    """`files` samples, each truncated at `cuts` places, and `flips` copies with random bytes."""
    paths = [path for folder in (DATA, BROKEN) for path in sorted(folder.rglob("*.pdf"))]
    samples = [(path.stem.replace(" ", "-"), path.read_bytes()) for path in paths]
    for name, data in sorted(samples, key=lambda sample: len(sample[1]))[:files]:
        yield from truncate(name, data, cuts)
    yield from flip_bytes(samples, flips)


def sparse(path: Path, size: int = 4 << 30) -> Path:
    """A sparse file: large, with almost nothing on the disk."""
    with path.open("wb") as file:
        file.write(b"%PDF-1.7\n")
        file.truncate(size)
    return path


__all__ = ["DATA", "Kind", "generated", "harmed", "sparse"]
