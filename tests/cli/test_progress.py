"""Lines of progress of `ingest report` and `ingest eval`."""

from __future__ import annotations

import logging

import pytest

from ingest.cli.progress import progress_logger


def test_progress_is_logged_every_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    """I see that a long report goes on, and --quiet says nothing."""
    now = iter([0.0, 4.0, 11.0, 11.0, 14.0])
    caplog.set_level(logging.INFO, "ingest")
    log_progress = progress_logger("document", quiet=False, every=10.0, clock=lambda: next(now))
    for done in range(1, 4):
        log_progress(done, 12)
    progress_logger("document", quiet=True, every=0.0)(9, 12)
    assert [record.getMessage() for record in caplog.records] == ["2 of 12 documents so far"]
