"""Whole runs in this process, against the emulator or an index on this machine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ingest.config.connections import create_connections
from ingest.config.factory import open_services
from ingest.config.settings import Settings
from ingest.models import RunEvent
from ingest.pipeline.context import Run, Services
from ingest.pipeline.root import ingest_root
from ingest.runtime.cancellation import Cancellation
from ingest.sources.folder import parse_folder_roots

SPEED = 20.0  # waits are that much shorter than real ones


@contextmanager
def open_run(
    chosen: Settings, stop: Cancellation | None = None, *, write: bool = True
) -> Iterator[Services]:
    """The services of some settings, with short waits."""
    stop = stop or Cancellation()
    to = create_connections(
        chosen,
        stop,
        clock=lambda: time.monotonic() * SPEED,
        sleep=lambda seconds: time.sleep(seconds / SPEED),
    )
    with open_services(chosen, stop, write=write, connections=to, take_over=True) as all_:
        yield all_


def run(folder: Path, chosen: Settings) -> list[RunEvent]:
    """One run over a folder; its events."""
    (root,) = parse_folder_roots([str(folder)])
    stop = Cancellation()
    with open_run(chosen, stop) as all_:
        return list(ingest_root(root, all_, Run("r", max_deletes=99, stop=stop)))
