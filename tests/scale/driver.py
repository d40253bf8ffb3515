"""Runs on a cluster against an emulated Azure, held up at moments that a test chooses."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.azure.emulator import Azure
from tests.azure.faults import Fault
from tests.azure.server import Request, Response, Service
from tests.conftest import environment
from tests.scale.cluster import PATIENCE, until

SMALL = {
    "INGEST_CHUNK_TOKENS": "64",
    "INGEST_EMBED_INPUTS": "6",
    "INGEST_EMBED_AT_ONCE": "3",
    "AZURE_OPENAI_EMBEDDING_MODEL": "text-embedding-3-large",
}


@dataclass
class Gate:
    """Where requests wait, after what they ask for was done, until it is opened."""

    held: int = 0
    opened: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self) -> Fault:
        def act(request: Request, service: Service) -> Response:
            response = service(request)
            with self.lock:
                self.held += 1
            self.opened.wait(PATIENCE)
            return response

        return Fault("held", act)

    def reached(self, number: int = 1) -> None:
        """Until so many requests wait."""
        until(lambda: self.held >= number)


@dataclass
class Driver:
    """One `ingest run` in a process of its own."""

    process: subprocess.Popen[str]

    def over(self) -> Over:
        """How it ended, once it has."""
        out, err = self.process.communicate(timeout=2 * PATIENCE)
        events = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        return Over(self.process.returncode, events, err)

    def kill(self, number: int = signal.SIGKILL) -> None:
        self.process.send_signal(number)


@dataclass
class Over:
    """A run that has ended."""

    code: int
    events: list[dict[str, Any]]
    err: str

    @property
    def outcomes(self) -> Counter[str]:
        """How many sources came to what."""
        return Counter(e["outcome"] for e in self.events if e.get("event") == "source")

    @property
    def summary(self) -> dict[str, Any]:
        """What it says of itself at the end."""
        return next(e for e in reversed(self.events) if e.get("event") == "summary")


@contextmanager
def driver(
    azure: Azure, folder: Path, root: str, *arguments: str, engine: str = "", **more: str
) -> Iterator[Driver]:
    """A run that is killed at the end of the block, if it is still there."""
    to = ("--engine", engine) if engine else ()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "ingest", "run", root, "--json", *to, *arguments],
        cwd=folder,
        env=environment() | azure.environment | SMALL | more,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Driver(process)
    finally:
        process.kill()
        process.communicate()


def contents(azure: Azure, index: str) -> dict[str, Any]:
    """An index, but for what tells of runs: when, and by which one, each record was written."""
    azure.search.settle()
    return {
        key: {k: v for k, v in document.items() if k not in {"settled", "run"}}
        for key, document in azure.search.dump(index).items()
        if not key.startswith("run-") and key != "lease"
    }
