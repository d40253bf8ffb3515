"""Sources of PDFs: the `Root` protocol. One module or package per kind of root."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol

from ingest.errors import ConfigError, DocumentError, RootError
from ingest.models import Code, ListingIssue, Source, Unread

URL_PATTERN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class Root(Protocol):
    """A place with PDFs: a folder, a blob container, or a custom source.

    * `name` identifies the root in the index: it never changes, and no other root has it.
    * A listing is complete, or raises. Sources that it omits are removed from the index, so it must
      raise an exception for whatever it cannot see, or yield a ListingIssue with `hides=True`.
    * A listing is sorted by name, as `sorted` compares strings, without repetitions. The name of a
      source ends with ".pdf", and has "/" between folders.
    * Other files may be listed as Unread, to be counted.
    * `Source.size` is the number of bytes that `open` returns. `Source.modified` is any version of
      them: a time, an ETag, a hash. While both are unchanged, the source is not read again.
    * A DocumentError becomes the outcome of one document. Any other exception ends the run.

    `open` is called from several threads at once; everything else from one thread.
    """

    # Name of the root in the index.
    @property
    def name(self) -> str: ...

    # Whether `list` would yield a source of this name, if it existed.
    def covers(self, name: str) -> bool: ...

    # Every PDF, every issue and optionally every other file, sorted by name.
    def list(self) -> Iterator[Source | ListingIssue | Unread]: ...

    # The current state of one source, for `ingest report`. Raises DocumentError if it is gone or
    # cannot be read. Optional: without this method, `list` is used.
    def find(self, name: str) -> Source: ...

    # The bytes of a source, positioned at the start. Raises DocumentError if they cannot be read
    # or, on exit, if they may have changed in the meantime.
    def open(self, source: Source) -> AbstractContextManager[BinaryIO]: ...


def list_root(root: Root) -> Iterator[Source | ListingIssue | Unread]:
    """List a root. Raises RootError for one that is missing, or may not be listed."""
    try:
        yield from root.list()
    except ConfigError as error:
        raise RootError(str(error)) from error


def check_size(size: int, max_megabytes: int) -> None:
    """Check a document's size in bytes before it is fetched. Raises DocumentError if too large.

    A file may use half of a document's memory limit; the other half is for reading it.
    """
    if size > max_megabytes << 19:
        raise DocumentError(
            f"it has {size >> 20:,} MB, more than half of the limit of {max_megabytes:,} MB; "
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
