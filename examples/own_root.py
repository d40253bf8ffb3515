"""Index the PDFs in a ZIP archive without unpacking it: an example of a custom root.

python examples/own_root.py papers.zip
"""

import argparse
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from zipfile import ZipFile

from ingest import ListingIssue, Source, ingest


@dataclass(frozen=True)
class Archive:
    """ZIP archive as a root: implements the protocol `ingest.Root`."""

    path: Path

    @property
    def name(self) -> str:
        return f"zip:{self.path.resolve()}"

    def covers(self, name: str) -> bool:
        return True

    def list(self) -> Iterator[Source | ListingIssue]:
        with ZipFile(self.path) as archive:
            names = sorted(archive.namelist())
        return (self.find(name) for name in names if name.lower().endswith(".pdf"))

    def find(self, name: str) -> Source:
        with ZipFile(self.path) as archive:
            entry = archive.getinfo(name)
        place = f"{self.path.resolve().as_uri()}#{name}"
        return Source(self.name, name, place, entry.file_size, modified=f"{entry.CRC:x}")

    @contextmanager
    def open(self, source: Source) -> Iterator[BinaryIO]:
        with ZipFile(self.path) as archive:
            yield io.BytesIO(archive.read(source.name))


parser = argparse.ArgumentParser()
parser.add_argument("archive", type=Path)
for outcome in ingest(Archive(parser.parse_args().archive)):
    print(outcome.outcome, outcome.source, outcome.reason)
