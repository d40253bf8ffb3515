"""Shared-memory progress of a sandbox process: page, number of pages, timestamp.

Messages would wake the parent at every page, which costs a tenth of the time to read it. A
compromised child may write anything here; only its own time limit, and which of its own pages are
skipped, depend on it.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ingest.extract.limits import MAX_PAGES

if sys.platform == "linux":
    import fcntl

LAYOUT = struct.Struct("=qqd")

F_ADD_SEALS, F_SEAL_SHRINK, F_SEAL_GROW = 1033, 2, 4  # linux/fcntl.h


class ReadProgress(NamedTuple):
    """Progress of reading a document."""

    page: int = 0  # counted from 1; 0 before the first and after the last
    pages: int = 0  # number of pages; 0 before they are counted
    since: float = 0.0  # time.monotonic() when the page was started; one clock for all processes


class ProgressBuffer:
    """Progress in memory that a child and its parent share; each maps it by its name."""

    def __init__(self, name: int | str) -> None:
        if sys.platform == "win32":
            self.memory = mmap.mmap(-1, LAYOUT.size, str(name))
        else:
            self.memory = mmap.mmap(int(name), LAYOUT.size)

    def read(self) -> ReadProgress:
        """Return the progress that was written last; none if no document can make it."""
        found = ReadProgress(*LAYOUT.unpack_from(self.memory))
        return found if 0 <= found.page <= found.pages <= MAX_PAGES else ReadProgress()

    def write(self, progress: ReadProgress) -> None:
        """Write the progress of this process."""
        LAYOUT.pack_into(self.memory, 0, *progress)


@contextmanager
def create_memory() -> Iterator[int | str]:
    """Create shared memory and yield its name: a file descriptor, or a string on Windows.

    Leave the context once both processes have mapped it.
    """
    if sys.platform == "win32":
        yield f"ingest-{uuid.uuid4()}"
        return
    if sys.platform == "linux":
        file = os.memfd_create("ingest", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.truncate(file, LAYOUT.size)
        # A child could truncate it, and reading it would then kill the parent.
        fcntl.fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW)
    else:
        with tempfile.TemporaryFile() as temporary:
            temporary.truncate(LAYOUT.size)
            file = os.dup(temporary.fileno())
    try:
        yield file
    finally:
        os.close(file)
