"""Runs on a cluster against an emulated Azure, held up at moments that a test chooses."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import drop_times, environment
from tests.emulator.emulator import Azure
from tests.fork_server import running_ingest
from tests.processes import Process
from tests.runs import SMALL


@dataclass
class Driver:
    """One `ingest run` in a process of its own."""

    process: Process

    def wait(self) -> FinishedRun:
        """Wait for the end of the run."""
        code, out = self.process.wait(), self.process.stdout.text
        events = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        return FinishedRun(code, events, self.process.stderr.text)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        self.process.send(number)


@dataclass
class FinishedRun:
    """A run that has ended."""

    code: int
    events: list[dict[str, Any]]
    err: str

    @property
    def outcomes(self) -> Counter[str]:
        """Number of sources by outcome."""
        return Counter(e["outcome"] for e in self.events if e.get("event") == "source")

    @property
    def summary(self) -> dict[str, Any]:
        """The summary that it prints at the end."""
        return next(e for e in reversed(self.events) if e.get("event") == "summary")


@contextmanager
def start_driver(
    azure: Azure, folder: Path, root: str, *arguments: str, engine: str = "", **more: str
) -> Iterator[Driver]:
    """A run that is killed at the end of the block, if it is still there."""
    to = ("--engine", engine) if engine else ()
    env = environment() | azure.environment | SMALL | more
    with running_ingest("run", root, "--json", *to, *arguments, cwd=folder, env=env) as process:
        yield Driver(process)


def read_contents(azure: Azure, index: str) -> dict[str, Any]:
    """An index, but for what tells of runs: when, by which one, and how often it was tried."""
    azure.search.settle()
    return {
        key: document
        for key, document in drop_times(azure.search.dump(index)).items()
        if document.get("outcome") != "failed"
    }
