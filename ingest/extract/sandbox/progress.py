"""Where a reader is: a few bytes that it writes on at each page, and its parent may look at.

Messages would wake the parent at every page, which costs as much as a tenth of reading it. A reader
that was taken over may write anything here; nothing but its own time depends on it.
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

if sys.platform == "linux":
    import fcntl

LAYOUT = struct.Struct("=qqd")

F_ADD_SEALS, F_SEAL_SHRINK, F_SEAL_GROW = 1033, 2, 4  # linux/fcntl.h


class ReadProgress(NamedTuple):
    """Where a reader is."""

    page: int = 0  # counted from 1; 0 before the first and after the last
    pages: int = 0  # how many there are; 0 before they were counted
    since: float = 0.0  # by the clock of time.monotonic, which is one for all processes


class ProgressBuffer:
    """Memory that a reader and its parent share; each makes its own of the same name."""

    def __init__(self, name: int | str) -> None:
        if sys.platform == "win32":
            self.memory = mmap.mmap(-1, LAYOUT.size, str(name))
        else:
            self.memory = mmap.mmap(int(name), LAYOUT.size)

    def read(self) -> ReadProgress:
        """What was written last."""
        return ReadProgress(*LAYOUT.unpack_from(self.memory))

    def write(self, progress: ReadProgress) -> None:
        """Say where this process is."""
        LAYOUT.pack_into(self.memory, 0, *progress)


@contextmanager
def new_memory() -> Iterator[int | str]:
    """The name of new memory: a file's number, but on Windows. It is needed until both have it."""
    if sys.platform == "win32":
        yield f"ingest-{uuid.uuid4()}"
        return
    if sys.platform == "linux":
        file = os.memfd_create("ingest", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.truncate(file, LAYOUT.size)
        # A reader could cut it short, and that would kill whoever looks at it.
        fcntl.fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW)
    else:
        with tempfile.TemporaryFile() as made:
            made.truncate(LAYOUT.size)
            file = os.dup(made.fileno())
    try:
        yield file
    finally:
        os.close(file)
