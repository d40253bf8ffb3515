"""Recovery from a crashed or hung sandbox: skip the hanging page, or fall back to pypdf.

A document that crashes its process or exhausts the memory is read once more, alone, so that no
other document can be the cause or the victim. Recovery terminates: each attempt skips more pages,
within the time limit of the whole document.
"""

from __future__ import annotations

import logging
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

log = logging.getLogger(__name__)

OCR_TIME_FACTOR = 4  # times the time limits, if the sandbox runs OCR
# A page adds to the time limit only if the file has this many bytes for it, as any file can claim
# to have a million pages.
BYTES_PER_TIMED_PAGE = 500
FINAL_TIME_FACTOR = 2  # times the time limit, for pages that are known to be good

# Reads a task and its file once, within limits. Raises DocumentError; ProcessDied or TimedOut if
# the process does not survive.
Read: TypeAlias = Callable[[Task, BinaryIO, SandboxLimits], PreparedDocument | None]


def read_with_recovery(
    read: Read, task: Task, file: BinaryIO, limits: SandboxLimits, lock: ReadWriteLock
) -> PreparedDocument | None:
    """Read a document; if that kills its process, retry with the fallback task.

    Raises DocumentError: if the retry fails too, the error of the first attempt.
    """
    started = time.monotonic()
    try:
        with lock.shared():
            return skip_hanging_pages(read, task, file, limits)
    except ProcessDied as death:
        retry = fallback_task(task, death)
        limits = replace(limits, max_seconds=limits.max_seconds - (time.monotonic() - started))
        if retry is None or limits.max_seconds <= 0:
            raise
        # A slow document does not endanger others, which would wait long for it.
        hold = lock.shared if death.code is Code.TOO_SLOW else lock.exclusive
        try:
            with hold():
                found = skip_hanging_pages(read, retry, file, limits)
        except DocumentError:
            raise death from None
        log.warning("%s: read once more, by %s: %s", task.source.name, retry.extractor, death)
        return found


def fallback_task(task: Task, death: ProcessDied) -> Task | None:
    """Return the task for the retry after a killed process; None to give up.

    It uses pypdf, which has no native code, unless the settings name an engine.
    """
    if task.extractor == "auto":
        return replace(task, extractor="pypdf")
    # A retry with this engine would be as slow; any other failure may have been chance.
    return None if death.code is Code.TOO_SLOW else task


def skip_hanging_pages(
    read: Read, task: Task, file: BinaryIO, limits: SandboxLimits
) -> PreparedDocument | None:
    """Read a document without the pages that hang. Raises TimedOut if that leaves none."""
    total = scale_limits(task, limits)  # for all attempts together
    attempt = total
    started = time.monotonic()
    while True:
        try:
            return read(task, file, attempt)
        except TimedOut as timeout:
            left = total.total_seconds(timeout.pages) - (time.monotonic() - started)
            # The time is up, or too short for another page that hangs.
            is_final = timeout.overdue or left < total.page_seconds
            task = skip_page(task, timeout, all_after=is_final)
            reason = timeout
        most = total.max_seconds - (time.monotonic() - started)
        if most <= 0:
            raise reason
        if is_final:
            final = total.seconds * FINAL_TIME_FACTOR
            return read(task, file, replace(total, seconds=final, max_seconds=most))
        attempt = replace(total, seconds=left, seconds_per_page=0.0, max_seconds=most)


def scale_limits(task: Task, limits: SandboxLimits) -> SandboxLimits:
    """Scale the limits for one document: more time if the sandbox runs OCR."""
    runs_ocr = ENGINE_NAME in {task.ocr, task.figure_ocr} or task.verify_share
    factor = OCR_TIME_FACTOR if runs_ocr else 1
    return replace(
        limits,
        page_seconds=limits.page_seconds * factor,
        seconds_per_page=limits.seconds_per_page * factor,
        max_timed_pages=min(limits.max_timed_pages, task.source.size / BYTES_PER_TIMED_PAGE),
    )


def skip_page(task: Task, timeout: TimedOut, *, all_after: bool) -> Task:
    """Return the task without the page that timed out, or without that page and all after it.

    Raises the TimedOut again if no page is left.
    """
    last = timeout.pages if all_after else timeout.page
    skipped = task.hanging_pages.union(range(timeout.page, last + 1))
    if not timeout.page or len(skipped) >= timeout.pages:
        raise timeout
    return replace(task, hanging_pages=skipped)


@dataclass(slots=True)
class ReadWriteLock:
    """Read-write lock that prefers writers. Thread-safe."""

    condition: threading.Condition = field(default_factory=threading.Condition)
    holders: int = 0
    exclusive_waiting: int = 0  # waiting for or holding the exclusive lock; blocks shared ones

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
