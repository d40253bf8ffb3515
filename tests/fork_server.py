"""Fork server: run the command in a process that has its modules and its model already loaded.

The server loads them once and forks for each call, which saves most of the time of a short call.
The process has its own environment, folder, streams and session, like a new one. Variables that the
interpreter reads at its start, such as `PYTHONPATH`, need `called` of conftest.py instead.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from io import BufferedWriter, FileIO, TextIOWrapper
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path

from ingest.cli import main
from tests.processes import PATIENCE, Output

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["tests.preload"])


def call_ingest(
    *arguments: str, cwd: Path, env: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run the command; returns its exit code and output."""
    (out, theirs_out), (err, theirs_err) = SERVER.Pipe(duplex=False), SERVER.Pipe(duplex=False)
    process = SERVER.Process(target=run, args=(arguments, str(cwd), env, theirs_out, theirs_err))
    process.start()
    theirs_out.close()
    theirs_err.close()
    with out, err:
        stdout, stderr = Output(os.dup(out.fileno())), Output(os.dup(err.fileno()))
    try:
        process.join(PATIENCE)
        said = f"{stdout.text}\n{stderr.text}"
        assert process.exitcode is not None, f"still running after {PATIENCE:g} s: {said}"
        stdout.close(PATIENCE)
        stderr.close(PATIENCE)
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid or 0, signal.SIGKILL)
        process.join()
    return subprocess.CompletedProcess(list(arguments), process.exitcode, stdout.text, stderr.text)


def run(
    arguments: Sequence[str], cwd: str, env: dict[str, str], out: Connection, err: Connection
) -> None:
    """Set up the forked process like a new one, and run the command."""
    os.setsid()
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    out.close()
    err.close()
    sys.stdout = TextIOWrapper(BufferedWriter(FileIO(1, "w")), "utf-8")
    sys.stderr = TextIOWrapper(
        BufferedWriter(FileIO(2, "w")), "utf-8", "backslashreplace", line_buffering=True
    )
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    time.tzset()
    tempfile.tempdir = None  # cached from another environment
    sys.argv = ["ingest", *arguments]
    from tests.fork_readers import fork_readers

    fork_readers()
    try:
        code = main(list(arguments))
    except Exception:  # noqa: BLE001 - as the interpreter does
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.exit(code)


def stop_server() -> None:
    """Stop the server and wait for it, so that its CPU time counts as that of the tests."""
    forkserver._forkserver._stop()  # type: ignore[attr-defined] # otherwise it ends later, uncounted
