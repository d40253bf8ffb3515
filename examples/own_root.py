"""Index the PDFs in a ZIP archive without unpacking it: an example of a custom root.

python examples/own_root.py papers.zip
"""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from zipfile import ZipFile

from ingest import Oddity, Source, ingest


@dataclass(frozen=True)
class Archive:
    """ZIP archive as a root: implements the protocol `ingest.Root`."""

    path: Path

    @property
    def name(self) -> str:
        return f"zip:{self.path.resolve()}"

    def covers(self, name: str) -> bool:
        return True

    def listed(self) -> Iterator[Source | Oddity]:
        with ZipFile(self.path) as archive:
            for entry in sorted(archive.infolist(), key=lambda entry: entry.filename):
                name = entry.filename
                if name.lower().endswith(".pdf"):
                    place = f"{self.path.resolve().as_uri()}#{name}"
                    yield Source(self.name, name, place, entry.file_size, modified=f"{entry.CRC:x}")

    @contextmanager
    def opened(self, source: Source) -> Iterator[BinaryIO]:
        with ZipFile(self.path) as archive:
            yield io.BytesIO(archive.read(source.name))


for outcome in ingest(Archive(Path(sys.argv[1]))):
    print(outcome.outcome, outcome.source, outcome.reason)
