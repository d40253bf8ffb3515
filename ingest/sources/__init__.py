"""Sources of PDFs: the `Root` protocol. One module or package per kind of root."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol

from ingest.errors import DocumentError
from ingest.models import Code, ListingIssue, Source, Unread

URL_PATTERN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class Root(Protocol):
    """A collection of PDFs that a run indexes, such as a folder or a container.

    * `name` identifies the root in the index. It is unique and never changes.
    * A listing is complete or it fails. A document that is not listed is removed from the index,
      so anything that hides documents must be raised, or listed as a ListingIssue with `hides`.
    * Names are listed in ascending order of code points (the order of `sorted`), each once. A
      source's name ends in ".pdf"; "/" separates folders.
    * Files of other kinds may be listed as Unread: they are counted and not read.
    * `Source.size` is the number of bytes that `open` returns. `Source.modified` is a time, version
      or hash that changes with them: while both stay the same, the document is not read again.
    * A problem with one document raises DocumentError and becomes that document's outcome. Any
      other exception ends the run.

    `open` is called from several threads at once, every other method from one thread.
    """

    # the root's name in the index
    @property
    def name(self) -> str: ...

    # whether a listing of this root could contain the name
    def covers(self, name: str) -> bool: ...

    # every PDF and every issue, in order of names; ends without an error only if complete
    def list(self) -> Iterator[Source | ListingIssue | Unread]: ...

    # the current state of one source; raises DocumentError if it is gone or cannot be read
    def find(self, name: str) -> Source: ...

    # the bytes of a source, positioned at the start; raises DocumentError if they cannot be read
    # or, on exit, if they may have changed in the meantime
    def open(self, source: Source) -> AbstractContextManager[BinaryIO]: ...


def check_size(size: int, max_megabytes: int) -> None:
    """Check a document's size in bytes before it is fetched. Raises DocumentError if too large.

    A file may use half of a document's memory limit; the other half is for reading it.
    """
    if size > max_megabytes << 19:
        raise DocumentError(
            f"it has {size >> 20:,} MB, and a file may have half of {max_megabytes:,} MB; "
            "INGEST_DOCUMENT_MEGABYTES allows more",
            Code.TOO_LARGE,
        )


def require_source(listing: Iterable[Source | ListingIssue | Unread]) -> Source:
    """Return the first item of a listing. Raises DocumentError unless it is a readable source."""
    item = next(iter(listing), None)
    if isinstance(item, ListingIssue):
        raise DocumentError(item.reason, item.code)
    if not isinstance(item, Source):
        raise DocumentError("is no longer in its root", Code.VANISHED)
    if item.unreadable:
        raise DocumentError(item.unreadable, Code.ARCHIVED)
    return item


def source_url(source: Source) -> str:
    """Return the URL of a source, for a browser to open."""
    place = source.location
    return place if URL_PATTERN.match(place) else Path(place).absolute().as_uri()
