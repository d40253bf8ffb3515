"""Fork the sandbox processes of tests from the fork server, which has their modules loaded.

A new interpreter takes half a second of CPU time to import them, and most tests start several. The
forked process runs the same loop with the same isolation. Tests of the sandbox itself, and of
commands that run in a process of their own, start real ones.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

from ingest.extract.sandbox import process
from ingest.extract.sandbox.child import serve
from ingest.extract.sandbox.spawn import child_environment, spawn_process
from tests.fork_server import SERVER
from tests.processes import ForkedProcess


def fork_process(pipe: Connection, _memory: int | str) -> Any:
    """Start a sandbox process as `spawn_process` does, by forking it from the server."""
    # It ends with this process.
    forked = SERVER.Process(target=run_child, args=(pipe, child_environment()), daemon=True)
    forked.start()
    return ForkedProcess(forked)


def run_child(pipe: Connection, env: dict[str, str]) -> None:
    """Set up the forked process like a new one, and serve tasks."""
    os.setpgid(0, 0)
    os.environ.clear()
    os.environ.update(env)
    with suppress(EOFError):  # the test has ended already
        sys.path[:] = pipe.recv()["sys_path"]
        serve(pipe)


def fork_readers() -> None:
    """Fork all sandbox processes of this process from now on."""
    replace_start(fork_process)


def replace_start(start: Callable[[Connection, int | str], Any]) -> None:
    """Replace the function that starts a sandbox process."""
    assert "spawn_process" in vars(process)  # or each test would start interpreters, unnoticed
    vars(process)["spawn_process"] = start


@contextmanager
def real_readers() -> Iterator[None]:
    """Start a new interpreter for each sandbox process, as users do, until the end of a block."""
    replace_start(spawn_process)
    try:
        yield
    finally:
        fork_readers()
