"""A root of the caller's, held to the contract.

A listing out of order would look like deletions, and one that names another root would be read anew
in every run: neither may get as far as the plan.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from ingest.errors import ConfigError, DocumentError
from ingest.model import Code, Oddity, Source, Unread, holder
from ingest.sources import Root
from ingest.sources.copy import copy, written

PIECE = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Checked:
    """A root whose listing is as a run needs it, and whose sources come as files.

    Raises ConfigError where the listing is not.
    """

    root: Root

    @property
    def name(self) -> str:
        return self.root.name

    def covers(self, name: str) -> bool:
        return self.root.covers(name)

    def listed(self) -> Iterator[Source | Oddity | Unread]:
        previous = ""
        for item in self.root.listed():
            if problem := wrong(item, self.root, previous):
                raise ConfigError(f"the root {self.name} lists {item.name!r} {problem}")
            previous = item.name
            yield item

    @contextmanager
    def opened(self, source: Source) -> Iterator[BinaryIO]:
        with self.root.opened(source) as file:
            if is_file(file):
                yield file
                return
            # A reader gets the file itself, and a stream or some bytes are none.
            with copy() as made:
                while made.tell() <= source.size and (piece := file.read(PIECE)):
                    written(made, piece)
                if made.tell() != source.size:
                    raise DocumentError(
                        f"has another size than the {source.size:,} bytes that were listed; "
                        "run again",
                        Code.CHANGED,
                    )
                yield made


def wrong(item: Source | Oddity | Unread, root: Root, previous: str) -> str:
    """What is wrong with a listed item, after which name it comes; "" for nothing."""
    if item.root != root.name:
        return f"as of the root {item.root!r}: give it the root's own name"
    if item.name <= previous:
        return f"after {previous!r}: names ascend, code point by code point, each once"
    if isinstance(item, Oddity | Unread):
        return ""
    if not item.name.lower().endswith(".pdf") or holder(item.name):
        return "as a PDF: its name must end in .pdf, and have no .pdf// in it"
    return "" if root.covers(item.name) else "and does not cover it"


def is_file(stream: BinaryIO) -> bool:
    """Whether the system knows it as a file with just these bytes.

    A `fileno` does not say so: that of a gzip stream is the packed file's.
    """
    return isinstance(getattr(stream, "raw", stream), io.FileIO)
