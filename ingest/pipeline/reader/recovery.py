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
from ingest.extract.ocr.local import NAME
from ingest.extract.sandbox.pool import Died, Limits, Stuck
from ingest.models import Code, Prepared
from ingest.pipeline.reader.prepare import Prepare, Task

RECOGNISING = 4  # times the time, where text on pictures is recognised in the reader itself
PAGE_BYTES = 500  # a file may say that it has a million pages, and then has as many bytes
ENOUGH = 2  # times the time for pages that are known to be good, on a machine that may be busy

# A task and its file, read once within limits. Raises DocumentError, of those Died and Stuck.
Read: TypeAlias = Callable[[Task, BinaryIO, Limits], Prepared | None]


def careful(read: Read, limits: Limits) -> Prepare:
    """Read documents, and do with those that kill their reader what can be done.

    Raises DocumentError for the others; for one that dies twice, what it died of first.
    """
    turns = Turns()

    def prepare(task: Task, file: BinaryIO) -> Prepared | None:
        try:
            with turns.together():
                return patient(read, task, file, limits)
        except Died as death:
            other = otherwise(task, death)
            if other is None:
                raise
            # What is slow is no danger to others, and they would wait long.
            turn = turns.together if death.code is Code.TOO_SLOW else turns.alone
            try:
                with turn():
                    return patient(read, other, file, limits)
            except DocumentError:
                raise death from None

    return prepare


def otherwise(task: Task, death: Died) -> Task | None:
    """How to read what killed its reader; None for not at all.

    By pypdf if it may be, which has no native code.
    """
    if task.extractor == "auto":
        return replace(task, extractor="pypdf")
    # The same again would take as long again; whatever else it was may have been chance.
    return None if death.code is Code.TOO_SLOW else task


def patient(read: Read, task: Task, file: BinaryIO, limits: Limits) -> Prepared | None:
    """Read a document without the pages that hang. Raises Stuck if that leaves none."""
    whole = deserved(task, limits)  # all attempts together
    attempt = whole
    begun = time.monotonic()
    while True:
        try:
            return read(task, file, attempt)
        except Stuck as stuck:
            left = whole.due(stuck.pages) - (time.monotonic() - begun)
            # The time of the document is up, or too little is left for another page that hangs.
            last = stuck.overdue or left < whole.page_seconds
            task = without(task, stuck, all_after=last)
        if last:
            return read(task, file, replace(whole, seconds=whole.seconds * ENOUGH))
        attempt = replace(whole, seconds=left, more_seconds=0.0)


def deserved(task: Task, limits: Limits) -> Limits:
    """The limits of one document: more time where its pages are recognised as they are read."""
    pace = RECOGNISING if task.ocr == NAME else 1
    return replace(
        limits,
        page_seconds=limits.page_seconds * pace,
        more_seconds=limits.more_seconds * pace,
        most_pages=task.source.size / PAGE_BYTES,
    )


def without(task: Task, stuck: Stuck, *, all_after: bool) -> Task:
    """The task without the page that it is stuck at, or that one and all after it.

    Raises Stuck again where that leaves no page.
    """
    last = stuck.pages if all_after else stuck.page
    abandoned = task.abandoned.union(range(stuck.page, last + 1))
    if not stuck.page or len(abandoned) >= stuck.pages:
        raise stuck
    return replace(task, abandoned=abandoned)


@dataclass(slots=True)
class Turns:
    """Work that goes on side by side, until some of it must be alone. Any thread may ask."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    working: int = 0
    waiting: int = 0  # for a turn alone; nobody else begins meanwhile

    @contextmanager
    def together(self) -> Iterator[None]:
        """Beside others, but for those that must be alone."""
        with self.changed:
            self.changed.wait_for(lambda: not self.waiting)
            self.working += 1
        try:
            yield
        finally:
            with self.changed:
                self.working -= 1
                self.changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While nobody else works."""
        with self.changed:
            self.waiting += 1
            try:
                self.changed.wait_for(lambda: not self.working)
                self.working += 1
            except BaseException:
                self.waiting -= 1
                self.changed.notify_all()
                raise
        try:
            yield
        finally:
            with self.changed:
                self.working -= 1
                self.waiting -= 1
                self.changed.notify_all()
