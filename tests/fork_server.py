"""Fork server: run the command in a process that has its modules and its model already loaded.

The server loads them once and forks for each call, which saves most of the time of a short call.
All workers of pytest-xdist use one server, that of the process which starts them.
The process has its own environment, folder, streams and session, like a new one. Variables that the
interpreter reads at its start, such as `PYTHONPATH`, need `called` of conftest.py instead.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from io import BufferedWriter, FileIO, TextIOWrapper
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path

from ingest.cli import main, progress, watchdog
from tests.processes import PATIENCE, ForkedProcess, Process, Where, attach

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["tests.preload"])


def call_ingest(
    *arguments: str, cwd: Path, env: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run the command; returns its exit code and output."""
    return call_forked(partial(run_ingest, *arguments), cwd=cwd, env=env)


def call_forked(
    function: Callable[[], int], *, cwd: Path, env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Call a function of a module that imports little in a process; returns its code and output."""
    with attach(partial(fork, function, cwd, env), "pipe", "pipe") as process:
        code = process.wait()
        return subprocess.CompletedProcess(
            ["a forked process"], code, process.stdout.text, process.stderr.text
        )


@contextmanager
def running_ingest(
    *arguments: str,
    cwd: Path,
    env: dict[str, str],
    stdout: Where = "pipe",
    stderr: Where = "pipe",
) -> Iterator[Process]:
    """Run the command; it is killed at the end of the block."""
    function = partial(run_ingest, *arguments)
    with attach(partial(fork, function, cwd, env), stdout, stderr) as process:
        yield process


def run_ingest(*arguments: str) -> int:
    """Run the command in this process; returns its exit code."""
    from tests.fork_readers import fork_readers

    fork_readers()
    # A busy machine has more lines of progress, and takes longer to stop in order.
    vars(progress)["PROGRESS_LOG_SECONDS"] = math.inf
    vars(watchdog)["EXTRA_SECONDS"] = PATIENCE
    sys.argv = ["ingest", *arguments]
    return main(list(arguments))


def run_script(path: Path, *arguments: str) -> int:
    """Run a program of a user's in this process; returns its exit code."""
    from tests.fork_readers import fork_readers

    fork_readers()
    sys.argv = [str(path), *arguments]
    sys.path.insert(0, str(path.parent))
    exec(compile(path.read_text("utf-8"), path, "exec"), {"__name__": "__main__"})
    return 0


def fork(
    function: Callable[[], int], cwd: Path, env: Mapping[str, str], out: int, err: int
) -> ForkedProcess:
    """Fork a process that calls a function and exits with the code that it returns."""
    with Connection(os.dup(out)) as theirs_out, Connection(os.dup(err)) as theirs_err:
        process = SERVER.Process(target=run, args=(function, cwd, env, theirs_out, theirs_err))
        process.start()
    return ForkedProcess(process)


def run(
    function: Callable[[], int], cwd: Path, env: Mapping[str, str], out: Connection, err: Connection
) -> None:
    """Set up the forked process like a new one, and call the function."""
    share_server()
    os.setsid()
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    out.close()
    err.close()
    sys.stdout = TextIOWrapper(BufferedWriter(FileIO(1, "w")), "utf-8", line_buffering=os.isatty(1))
    sys.stderr = TextIOWrapper(
        BufferedWriter(FileIO(2, "w")), "utf-8", "backslashreplace", line_buffering=True
    )
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    time.tzset()
    tempfile.tempdir = None  # cached from another environment
    try:
        code = function()
    except Exception:  # noqa: BLE001 - as the interpreter does
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.exit(code)


def start_server() -> tuple[str, bytes | None]:
    """Start the server; returns the address and the key that other processes use it with."""
    forkserver.ensure_running()
    state = vars(forkserver._forkserver)
    return state["_forkserver_address"], state.get("_forkserver_authkey")  # since Python 3.14


def use_server(address: str, key: bytes | None) -> None:
    """Fork the children of this process from a server that another process has started."""
    state = vars(forkserver._forkserver)
    state["_forkserver_address"], state["_forkserver_authkey"] = address, key
    # The server ends with the process that started it, and this descriptor only takes the place of
    # the one by which it notices.
    state["_forkserver_alive_fd"] = os.open(os.devnull, os.O_RDONLY)
    share_server()


def share_server() -> None:
    """Do not start another server for the children of this process.

    `multiprocessing` would start one that imports everything again: two seconds for each command.
    """
    vars(forkserver._forkserver)["ensure_running"] = resource_tracker.ensure_running


def stop_server() -> None:
    """Stop the server and wait for it, so that its CPU time counts as that of the tests."""
    forkserver._forkserver._stop()  # type: ignore[attr-defined] # otherwise it ends later, uncounted
