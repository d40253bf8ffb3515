"""One run from its name to its summary: what the command line and the library have in common.

A run that fails or ends early has a summary too, and the index keeps it like any other.
"""

from __future__ import annotations

import logging
import math
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace

from ingest.errors import IngestError, ServiceError
from ingest.index import Index
from ingest.model import Event, Summary
from ingest.report.bottleneck import Capacity
from ingest.report.timeline import Recorder
from ingest.report.totals import Totals
from ingest.services import Run, Services
from ingest.settings import Settings
from ingest.stop import Stop

log = logging.getLogger(__name__)


def new_run(settings: Settings, *, retry_failed: bool = False) -> Run:
    """One execution, as the settings want it."""
    return Run(
        id=time.strftime("%Y%m%dT%H%M%SZ-", time.gmtime()) + secrets.token_hex(3),
        prune=settings.prune,
        max_deletes=settings.max_deletes,
        retry_failed=retry_failed,
        passwords=bool(settings.passwords),
        # A deadline that is shorter than the grace still leaves half of it for work.
        stop=Stop(min(settings.grace_seconds, (settings.deadline or math.inf) / 2)),
    )


@contextmanager
def ending(stop: Stop, deadline: float | None, then: Callable[[], None]) -> Iterator[None]:
    """Ask for an early end, and call `then`, when the deadline is near, in seconds from now.

    What is left until then is the time to settle what is under way.
    """

    def end() -> None:
        stop.request()
        then()

    timer = threading.Timer(max(0.0, (deadline or 0) - stop.grace), end)
    timer.daemon = True
    if deadline is not None:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def exit_code(stop: Stop, totals: Totals) -> int:
    """How a run ends that did not fail: early with work left, or as its totals say."""
    return ServiceError.exit_code if stop.requested() else totals.exit_code


def capacity(all_: Services, settings: Settings) -> Capacity:
    """How much could be under way at once, and how much the quota allowed."""
    if all_.elsewhere:
        return all_.elsewhere.capacity()
    model, limits = all_.embedder, settings.openai_tpm
    most = sum(limits) * (max(1, len(settings.openai_endpoint)) if len(limits) == 1 else 1)
    allowed = model.allowed()
    return Capacity(
        all_.reader.at_once,
        model.at_once,
        all_.writing,
        allowed,
        own=bool(limits) and allowed >= most,
        recognising=all_.reader.waiting,
    )


class Account:
    """What one run comes to: told of every event, and asked for the summary at the end."""

    def __init__(self, run: Run, services: Services, settings: Settings, began: float) -> None:
        self.run, self.services, self.settings, self.began = run, services, settings, began
        self.totals = Totals()
        self.recorder = Recorder(services.times)

    def add(self, event: Event) -> None:
        """Something has happened."""
        self.totals.add(event)
        self.recorder.add(event)

    def summary(self, code: int) -> Summary:
        """The run until now, as one that ends with this exit code."""
        of = capacity(self.services, self.settings)
        seconds = time.monotonic() - self.began
        made = self.totals.summary(self.run.id, seconds, code, self.services.times, of)
        timeline, index = self.recorder.timeline(of.tokens), holdings(self.services.index)
        return replace(made, timeline=timeline, index=index, exclude=self.settings.exclude)


def holdings(index: Index) -> dict[str, int]:
    """What the index holds now; nothing where it cannot be told."""
    try:
        return asdict(index.totals())
    except IngestError as error:
        log.info("what the index holds could not be counted: %s", error)
        return {}


def remember(summary: Summary, index: Index) -> None:
    """Keep what the run came to, if the index can."""
    try:
        index.remember(summary)
    except IngestError as error:
        log.info("what this run came to could not be kept: %s", error)
