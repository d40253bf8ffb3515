"""Progress on stderr: a live bar or lines in a log, of runs and of other commands."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Self

from ingest.cli import logs, output
from ingest.cli.exit_message import describe_withheld
from ingest.models import (
    DeletionsWithheld,
    LeftOut,
    Outcome,
    RunEvent,
    RunProgress,
    SourceKey,
    SourceResult,
)
from ingest.pipeline.totals import RunTotals
from ingest.runtime.formatting import pluralize

PROGRESS_LOG_SECONDS = 10.0  # between lines of progress in a log; half before a wait
REFRESH_SECONDS = 1.0
MIN_PACE_SECONDS, MIN_PACE_SHARE = 3.0, 0.05  # no time left is shown before both
MINUTE_SECONDS, HOUR_SECONDS = 60, 3600


class Display:
    """Progress on stderr: a live bar on a terminal, lines in a log."""

    def __init__(
        self,
        options: argparse.Namespace,
        run: str = "",
        current_wait: Callable[[], str] = lambda: "",
    ) -> None:
        self.run = run  # its id, which tells known problems from new ones
        self.current_wait = current_wait  # what the run waits for; "" for nothing
        self.quiet: bool = options.quiet
        self.verbose: int = options.verbose
        self.bar: Any = None
        self.is_live = not (options.quiet or logs.is_machine_log()) and output.supports_escapes(
            sys.stderr, os.environ
        )
        self.last_line = self.began = time.monotonic()
        self.last_wait = ""  # in the last line of progress
        self.read = self.sources = self.pages = self.chunks = 0
        self.to_read = "?"  # number of documents
        self.waiting: dict[SourceKey, int] = {}  # bytes of each document without an outcome yet
        self.total_bytes = self.left_bytes = 0  # to read

        self.ended = threading.Event()
        # A run that waits for one answer has no event to show.
        self.refresher = threading.Thread(target=self.refresh_until_ended, daemon=True)

    def __enter__(self) -> Self:
        self.refresher.start()
        return self

    def refresh_until_ended(self) -> None:
        """Show the current wait, even while no events arrive."""
        while not self.ended.wait(REFRESH_SECONDS):
            self.refresh(self.current_wait())

    def start_bar(self, sizes: dict[SourceKey, int] | None) -> None:
        """Show the live bar. `sizes` are the bytes of the documents to read; None if unknown."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        # One column of text, so that a narrow terminal shows its beginning.
        bar = Progress(
            BarColumn(bar_width=10),
            TextColumn("{task.description}", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        bar.add_task("", total=None if sizes is None else len(sizes))
        self.to_read = "?" if sizes is None else f"{len(sizes):,}"
        self.waiting = sizes or {}
        self.total_bytes = self.left_bytes = sum(self.waiting.values())
        self.began = time.monotonic()
        bar.start()
        self.bar = bar  # last, since another thread updates it

    def __exit__(self, *_: object) -> None:
        self.stop_bar()
        self.ended.set()
        self.refresher.join()

    def stop_bar(self) -> None:
        """Remove the live bar. Lines of progress follow."""
        bar, self.bar = self.bar, None
        if bar:
            bar.stop()

    def show(self, event: RunEvent, totals: RunTotals) -> None:
        """Show one more event."""
        if isinstance(event, RunProgress):
            self.pages += event.pages
            self.chunks += event.chunks
        elif isinstance(event, DeletionsWithheld):
            level = logging.INFO if event.harmless else logging.WARNING
            # The summary and the last line name the others.
            if event.harmless or logs.is_machine_log():
                text = f"kept      {describe_withheld(event)}"
                self.write_line(text, level, "kept", **asdict(event))
        elif isinstance(event, LeftOut):
            for text in output.format_left_out(event) if self.verbose else ():
                self.write_line(text, logging.INFO, "unread")
        elif isinstance(event, SourceResult):
            self.left_bytes -= self.waiting.pop((event.root, event.source), 0)
            if self.is_shown(event):
                fields = output.outcome_fields(event, self.run)
                is_news = fields["known"] is False
                level = logging.WARNING if is_news else logging.INFO
                self.write_line(
                    output.format_outcome(event, run=self.run), level, "source", **fields
                )
        settled = totals.outcomes[Outcome.UNCHANGED] + totals.outcomes[Outcome.REMOVED]
        self.sources, self.read = totals.sources, totals.sources - settled
        self.refresh(self.current_wait())

    def refresh(self, waiting: str) -> None:
        """Update the live bar, or log a line of progress if one is due."""
        waits = f"waits for {waiting}" if waiting else ""
        news = waiting and not self.last_wait
        if bar := self.bar:
            bar.update(0, completed=self.read, description=self.describe_progress(waits))
        elif time.monotonic() - self.last_line > PROGRESS_LOG_SECONDS / (2 if news else 1):
            self.last_wait = waiting
            self.write_line(
                f"{pluralize(self.sources, 'document')}, {pluralize(self.pages, 'page')}, "
                f"{pluralize(self.chunks, 'chunk')} so far" + (f", {waits}" if waits else ""),
                logging.INFO,
                "progress",
                sources=self.sources,
                pages=self.pages,
                chunks=self.chunks,
                waiting=waiting,
            )

    def describe_progress(self, waits: str) -> str:
        """Describe the progress so far, for the live bar."""
        seconds = time.monotonic() - self.began
        parts = [
            f"{self.read:,}/{self.to_read} documents",
            f"{self.pages:,} pages",
            f"{self.chunks:,} chunks",
            str(timedelta(seconds=int(seconds))),
            format_time_left(seconds, self.total_bytes - self.left_bytes, self.left_bytes),
            waits,
        ]
        return ", ".join(filter(None, parts))

    def is_shown(self, event: SourceResult) -> bool:
        """Return whether an outcome is shown at this verbosity."""
        if not event.harmless or event.outcome is Outcome.EMPTY:
            return True
        return self.verbose > (event.outcome is Outcome.UNCHANGED)

    def write_line(self, text: str, level: int, event: str, **fields: Any) -> None:
        """Print a line above the live bar, or log it."""
        self.last_line = time.monotonic()
        if self.quiet:
            return
        if bar := self.bar:
            bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            logs.log_event(level, text, event=event, **fields)


def format_time_left(seconds: float, done: int, rest: int) -> str:
    """Estimate the time left from `done` and remaining bytes; "" while it is too early to tell."""
    if not rest or seconds < MIN_PACE_SECONDS or done < MIN_PACE_SHARE * (done + rest):
        return ""
    more = seconds * rest / done
    for unit, name in ((HOUR_SECONDS, "h"), (MINUTE_SECONDS, "min")):
        if more >= unit:
            return f"about {round(more / unit)} {name} left"
    return f"about {max(10, round(more, -1)):.0f} s left"


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
