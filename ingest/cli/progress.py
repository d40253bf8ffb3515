"""Lines of progress of the commands that are not runs, for a person who waits."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from ingest.cli import logs
from ingest.cli.output import PROGRESS_LOG_SECONDS
from ingest.runtime.formatting import pluralize


def progress_logger(
    noun: str,
    *,
    quiet: bool,
    every: float = PROGRESS_LOG_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Callable[[int, int], None]:
    """Return a function that logs how many items are done, `every` so many seconds."""
    last = clock()

    def log_progress(done: int, total: int) -> None:
        nonlocal last
        if quiet or clock() - last < every:
            return
        last = clock()
        text = f"{done:,} of {pluralize(total, noun)} so far"
        logs.log_event(logging.INFO, text, event="progress", done=done, total=total)

    return log_progress
