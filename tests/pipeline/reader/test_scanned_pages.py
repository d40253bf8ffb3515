"""Documents whose scanned pages a service reads, as far as it goes without one."""

from __future__ import annotations

import io
import time
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

import pytest

from ingest.errors import DocumentError, StoppedError
from ingest.models import Recipe, Source
from ingest.pipeline.reader.page_images import RenderTask
from ingest.pipeline.reader.prepare import Task
from ingest.pipeline.reader.scanned_pages import find_scanned_pages

TASK = Task(
    Source("/docs", "a.pdf", "/docs/a.pdf", 1, "1"), "", Recipe("auto", 64, 0, "m", 8), "auto"
)


def test_one_process_at_a_time_reads_a_document() -> None:
    """All who have the file open share its place in it: two at once would read each other's."""
    reading: list[int] = []
    most = 0

    def seen(look: RenderTask, _: BinaryIO) -> dict[int, str] | bytes:
        nonlocal most
        if not look.draw:
            return dict.fromkeys(look.pages, "a hash")
        reading.append(look.pages[0])
        most = max(most, len(reading))
        time.sleep(0.02)
        reading.remove(look.pages[0])
        return b"%d" % look.pages[0]

    scans = find_scanned_pages(TASK, io.BytesIO(), (1, 2, 3, 4), seen)
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(scans.draw, scans.page_hashes)) == [b"1", b"2", b"3", b"4"]
    assert most == 1


def test_nothing_is_drawn_of_a_document_that_is_closed() -> None:
    """The run has ended for another reason; what still waits its turn ends quietly."""
    file = io.BytesIO()
    scans = find_scanned_pages(
        TASK, file, (1,), lambda look, _: dict.fromkeys(look.pages, "a hash")
    )
    file.close()
    with pytest.raises(StoppedError):
        scans.draw(1)


def test_a_document_that_kills_who_looks_at_it_has_no_pages_to_send(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It costs itself its scans, and the log says why."""

    def seen(_: RenderTask, __: BinaryIO) -> dict[int, str] | bytes:
        raise DocumentError("reading it crashed the sandbox")

    assert find_scanned_pages(TASK, io.BytesIO(), (1, 2), seen).page_hashes == {}
    assert "a.pdf: its scanned pages cannot be rendered: reading it crashed" in caplog.text
