"""Start a sandbox process that inherits as little as possible from its parent.

multiprocessing would pass on the environment, which holds secrets. Otherwise this follows it: the
child gets the parent's `sys.path`, and functions by name.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from multiprocessing import spawn
from multiprocessing.connection import Connection
from typing import Any, BinaryIO

# Code of the child. Modules of this package can be imported after prepare().
CHILD_SCRIPT = """
from multiprocessing.connection import {kind}
from multiprocessing.spawn import prepare
pipe = {kind}({handle})
try:
    prepare(pipe.recv())
except (EOFError, ConnectionError):
    raise SystemExit from None  # the parent was killed
from ingest.extract.sandbox.child import serve
serve(pipe)
"""

# Environment variables that are passed on: library paths, locale and time zone.
KEPT_VARIABLES = ("PATH", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "WINDIR")
KEPT_PREFIXES = ("PYTHON", "LC_", "LD_", "DYLD_", "OMP_")


def spawn_process(pipe: Connection, memory: int | str = "") -> subprocess.Popen[bytes]:
    """Start a child with one end of a pipe, and the shared memory of this name if it has one.

    Send it `preparation_data` first. Raises OSError if the process cannot be started.
    """
    code = CHILD_SCRIPT.format(kind=type(pipe).__name__, handle=pipe.fileno())
    return subprocess.Popen(  # noqa: S603 - our own interpreter
        [find_python(), "-P", "-c", code],
        env=child_environment(),
        stdin=subprocess.DEVNULL,
        **inherit_options(pipe, memory),
        **new_group_options(),
    )


def find_python() -> str:
    """Return the path of the interpreter; on Windows, python.exe of a venv is only a launcher."""
    if sys.platform == "win32":
        return str(getattr(sys, "_base_executable", sys.executable))
    return sys.executable


def child_environment() -> dict[str, str]:
    """Return the environment variables to pass on; the others may hold secrets."""
    return {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - passed on without being read
        if name.upper() in KEPT_VARIABLES or name.upper().startswith(KEPT_PREFIXES)
    }


def inherit_options(pipe: Connection, memory: int | str) -> dict[str, Any]:
    """Return the Popen arguments that let a child inherit these two handles and no others."""
    if sys.platform == "win32":
        os.set_handle_inheritable(pipe.fileno(), True)
        handles = {"handle_list": [pipe.fileno()]}
        return {"startupinfo": subprocess.STARTUPINFO(lpAttributeList=handles)}
    return {"pass_fds": [pipe.fileno(), *([memory] if isinstance(memory, int) else [])]}


def new_group_options() -> dict[str, Any]:
    """Return the Popen arguments that keep ^C from the child: the parent decides about it."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"process_group": 0}


def preparation_data(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the data that a child needs to import the function."""
    everything = spawn.get_preparation_data("reader")
    names = ["sys_path"]
    if function.__module__ == "__main__":
        names += ["init_main_from_name", "init_main_from_path"]
    return {name: everything[name] for name in names if name in everything}


def handle_of(file: BinaryIO) -> int:
    """Return the operating system's handle of an open file."""
    if sys.platform == "win32":
        import msvcrt

        return msvcrt.get_osfhandle(file.fileno())
    return file.fileno()


def open_handle(handle: int) -> BinaryIO:
    """Open a handle received from the parent as a file."""
    if sys.platform == "win32":
        import msvcrt

        handle = msvcrt.open_osfhandle(handle, os.O_RDONLY)
    return os.fdopen(handle, "rb")
