"""How a document is read that its reader does not survive: less of it, or by the other engine.

A page that hangs its reader is left out and the others are kept. What crashes a reader or takes too
much memory is read once more, alone, so that nothing else can be the cause and nothing else the
victim. Every way ends: each attempt leaves out more pages, within the time of the whole document.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import BinaryIO, TypeAlias

from ingest.errors import DocumentError
from ingest.extract.ocr.local import ENGINE_NAME
from ingest.extract.sandbox.pool import ProcessDied, SandboxLimits, TimedOut
from ingest.models import Code, PreparedDocument
from ingest.pipeline.reader.prepare import Task

OCR_TIME_FACTOR = 4  # times the time, where text on pictures is recognised in the reader itself
BYTES_PER_TIMED_PAGE = 500  # a file may say that it has a million pages, and then has as many bytes
FINAL_TIME_FACTOR = (
    2  # times the time for pages that are known to be good, on a machine that may be busy
)

# A task and its file, read once within limits. Raises DocumentError, of those Died and Stuck.
Read: TypeAlias = Callable[[Task, BinaryIO, SandboxLimits], PreparedDocument | None]


def read_with_recovery(
    read: Read, task: Task, file: BinaryIO, limits: SandboxLimits, lock: ReadWriteLock
) -> PreparedDocument | None:
    """Read a document, and once more in another way if that kills its process.

    Raises DocumentError; if the second attempt fails too, the error of the first.
    """
    try:
        with lock.shared():
            return skip_hanging_pages(read, task, file, limits)
    except ProcessDied as death:
        retry = fallback_task(task, death)
        if retry is None:
            raise
        # A slow document is no danger to the others, which would wait for it a long time.
        locked = lock.shared if death.code is Code.TOO_SLOW else lock.exclusive
        try:
            with locked():
                return skip_hanging_pages(read, retry, file, limits)
        except DocumentError:
            raise death from None


def fallback_task(task: Task, death: ProcessDied) -> Task | None:
    """The task for a second attempt after the first one killed its process; None to give up.

    By pypdf, which has no native code, unless the settings name an engine.
    """
    if task.extractor == "auto":
        return replace(task, extractor="pypdf")
    # The same again would take as long again; whatever else it was may have been chance.
    return None if death.code is Code.TOO_SLOW else task


def skip_hanging_pages(
    read: Read, task: Task, file: BinaryIO, limits: SandboxLimits
) -> PreparedDocument | None:
    """Read a document without the pages that hang. Raises Stuck if that leaves none."""
    whole = scale_limits(task, limits)  # all attempts together
    attempt = whole
    begun = time.monotonic()
    while True:
        try:
            return read(task, file, attempt)
        except TimedOut as stuck:
            left = whole.total_seconds(stuck.pages) - (time.monotonic() - begun)
            # The time of the document is up, or too little is left for another page that hangs.
            last = stuck.overdue or left < whole.page_seconds
            task = skip_page(task, stuck, all_after=last)
        if last:
            return read(task, file, replace(whole, seconds=whole.seconds * FINAL_TIME_FACTOR))
        attempt = replace(whole, seconds=left, seconds_per_page=0.0)


def scale_limits(task: Task, limits: SandboxLimits) -> SandboxLimits:
    """The limits of one document: more time where its pages are recognised as they are read."""
    pace = OCR_TIME_FACTOR if task.ocr == ENGINE_NAME else 1
    return replace(
        limits,
        page_seconds=limits.page_seconds * pace,
        seconds_per_page=limits.seconds_per_page * pace,
        max_timed_pages=task.source.size / BYTES_PER_TIMED_PAGE,
    )


def skip_page(task: Task, timeout: TimedOut, *, all_after: bool) -> Task:
    """The task without the page that it is stuck at, or that one and all after it.

    Raises Stuck again where that leaves no page.
    """
    last = timeout.pages if all_after else timeout.page
    abandoned = task.skipped_pages.union(range(timeout.page, last + 1))
    if not timeout.page or len(abandoned) >= timeout.pages:
        raise timeout
    return replace(task, skipped_pages=abandoned)


@dataclass(slots=True)
class ReadWriteLock:
    """Read-write lock that prefers writers. Thread-safe."""

    condition: threading.Condition = field(default_factory=threading.Condition)
    holders: int = 0
    exclusive_waiting: int = 0  # for the exclusive lock; no shared holder is added meanwhile

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold the lock together with other shared holders."""
        with self.condition:
            self.condition.wait_for(lambda: not self.exclusive_waiting)
            self.holders += 1
        try:
            yield
        finally:
            with self.condition:
                self.holders -= 1
                self.condition.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the lock alone."""
        with self.condition:
            self.exclusive_waiting += 1
            try:
                self.condition.wait_for(lambda: not self.holders)
                self.holders += 1
            except BaseException:
                self.exclusive_waiting -= 1
                self.condition.notify_all()
                raise
        try:
            yield
        finally:
            with self.condition:
                self.holders -= 1
                self.exclusive_waiting -= 1
                self.condition.notify_all()
