"""Where PDFs come from. One file per kind of root."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol

from ingest.errors import DocumentError
from ingest.model import Code, Oddity, Source, Unread

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class Root(Protocol):
    """What a run is pointed at: a place with PDFs in it.

    * Its name is what the index calls it: the same in every run, and no other root's.
    * A listing is whole or fails. What it leaves out is removed from the index, so whatever keeps
      it from seeing everything must be raised, or listed as an Oddity that `hides`.
    * Names ascend, code point by code point (as `sorted` has them), each once. Those of sources end
      in ".pdf", with "/" between folders.
    * Files of other kinds may be listed as Unread: they are counted.
    * `size` is the number of bytes that `opened` gives. `modified` says whether they changed: a
      time, a version, a hash; while it and the size stay the same, they are not read again.
    * What is wrong with one document is a DocumentError, and its outcome. All else that is raised
      ends the run.

    All but `opened` is called by one thread; `opened` by several at the same time.
    """

    # what the index calls it
    @property
    def name(self) -> str: ...

    # whether a run on this root would have listed a name
    def covers(self, name: str) -> bool: ...

    # every PDF in the order of the names, code point by code point, and every odd thing met on
    # the way; if it ends without an error, that was all
    def listed(self) -> Iterator[Source | Oddity | Unread]: ...

    # the bytes of a source, to be read from the start; raises DocumentError if they cannot be had,
    # or, at the end, if they may have changed meanwhile
    def opened(self, source: Source) -> AbstractContextManager[BinaryIO]: ...


def fit(size: int, megabytes: int) -> None:
    """Look at how many bytes a document has, before the first of them is read or fetched.

    Half of the memory is for the file, the other half to read it with: raises DocumentError for
    one that is larger.
    """
    if size > megabytes << 19:
        raise DocumentError(
            f"it has {size >> 20:,} MB, and half of {megabytes:,} MB is the most that a file may "
            "have; INGEST_DOCUMENT_MEGABYTES allows more",
            Code.TOO_LARGE,
        )


def url(source: Source) -> str:
    """Where a person opens it."""
    place = source.location
    return place if URL.match(place) else Path(place).absolute().as_uri()
