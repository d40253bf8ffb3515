"""A document whose scanned pages a service recognises: read, looked at, recognised, read again.

The children have no network, so they say what a page is and draw it; this process, which has the
token, sends it. A page that the service cannot read is a missing page of its document, no error.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from ingest.errors import DocumentError, StoppedError
from ingest.extract.ocr.page_cache import Recogniser, Scans
from ingest.extract.sandbox.pool import Contained, Limits
from ingest.models import Prepared
from ingest.pipeline.reader.page_images import Look, look
from ingest.pipeline.reader.prepare import Prepare, Task

if TYPE_CHECKING:
    from ingest.extract.ocr.document_intelligence import DocumentIntelligence

log = logging.getLogger(__name__)

Seen: TypeAlias = Callable[[Look, BinaryIO], dict[int, str] | bytes]


class Recognition:
    """What has the scanned pages of documents recognised."""

    def __init__(
        self, pages: Recogniser, service: DocumentIntelligence | None, limits: Limits
    ) -> None:
        self.pages = pages
        self.service = service
        self.children = Contained(look, limits)

    def unsent(self) -> int:
        """How many pages a run would pay for, as far as a plan has come."""
        return len(self.pages.unsent)

    def close(self) -> None:
        """Give back processes, threads and connections."""
        self.children.close()
        self.pages.close()
        if self.service:
            self.service.close()

    def prepare(
        self, task: Task, file: BinaryIO, prepare: Prepare, cpu: AbstractContextManager[object]
    ) -> Prepared | None:
        """Prepare a document with the text that the service recognises on its scanned pages.

        `cpu` is held while a child process draws a page.
        """
        made = prepare(task, file)
        if made is None or not made.details.scanned:
            return made
        scans = scanned(task, file, made.details.scanned, partial(self.look, cpu))
        found = self.pages.found(scans)
        if found.texts:
            hung = frozenset(made.details.missing)
            again = replace(task, recognised=found.texts, abandoned=task.abandoned | hung)
            made = prepare(again, file) or made
        unread = {*made.details.scanned}.difference(scans.identities).union(found.refused)
        missing = tuple(sorted(unread.union(made.details.missing)))
        ocr = task.ocr if found.texts or self.service else ""
        return replace(made, details=replace(made.details, missing=missing, ocr=ocr))

    def look(
        self, cpu: AbstractContextManager[object], task: Look, file: BinaryIO
    ) -> dict[int, str] | bytes:
        """Hash or draw pages in a child process."""
        with cpu:
            return self.children(task, file)


def scanned(task: Task, file: BinaryIO, pages: tuple[int, ...], seen: Seen) -> Scans:
    """The scanned pages of a document, as far as they can be told from others."""
    source = task.source
    lock = Lock()  # who reads a file moves its place, also for another process

    def draw(page: int) -> bytes:
        with lock:
            if file.closed:
                raise StoppedError("the run ends")
            drawn = seen(Look((page,), task.passwords, task.extractor, True, task.within), file)
        assert isinstance(drawn, bytes)
        return drawn

    identities: dict[int, str] | bytes = {}
    try:
        identities = seen(Look(pages, task.passwords, task.extractor, False, task.within), file)
    except DocumentError as error:
        log.warning("%s: its scanned pages cannot be drawn: %s", source.name, error)
    assert isinstance(identities, dict)
    return Scans(source.root, source.name, identities, draw)
