"""A process to read documents in, started with as little of its parent's as possible.

multiprocessing would hand down the environment, where secrets are. Its way is kept otherwise: the
child gets the parent's `sys.path`, and functions by their names.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from multiprocessing import spawn
from multiprocessing.connection import Connection
from typing import Any, BinaryIO

# The child's first words. Its modules are found once it is prepared.
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

# What of the environment a reader needs: how to find libraries, and which conventions hold.
KEPT_VARIABLES = ("PATH", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "WINDIR")
KEPT_PREFIXES = ("PYTHON", "LC_", "LD_", "DYLD_", "OMP_")


def spawn_process(pipe: Connection, memory: int | str) -> subprocess.Popen[bytes]:
    """A child at the other end of a pipe, which also has the memory of that name.

    It is to be told its `preparation` first. Raises OSError if the system starts none.
    """
    code = CHILD_SCRIPT.format(kind=type(pipe).__name__, handle=pipe.fileno())
    return subprocess.Popen(  # noqa: S603 - ourselves
        [find_python(), "-P", "-c", code],
        env=child_environment(),
        stdin=subprocess.DEVNULL,
        **inherit_options(pipe, memory),
        **new_group_options(),
    )


def find_python() -> str:
    """The interpreter itself: on Windows, a virtual environment's is a program that starts it."""
    if sys.platform == "win32":
        return str(getattr(sys, "_base_executable", sys.executable))
    return sys.executable


def child_environment() -> dict[str, str]:
    """The parent's environment without what is not a reader's business."""
    return {
        name: text
        for name, text in os.environ.items()  # noqa: TID251 - passed on, and not looked into
        if name.upper() in KEPT_VARIABLES or name.upper().startswith(KEPT_PREFIXES)
    }


def inherit_options(pipe: Connection, memory: int | str) -> dict[str, Any]:
    """The arguments that let a child have these two, and nothing else that is open."""
    if sys.platform == "win32":
        os.set_handle_inheritable(pipe.fileno(), True)
        handles = {"handle_list": [pipe.fileno()]}
        return {"startupinfo": subprocess.STARTUPINFO(lpAttributeList=handles)}
    return {"pass_fds": [pipe.fileno(), memory]}


def new_group_options() -> dict[str, Any]:
    """The arguments that keep the terminal's ^C from a child: it is for the parent to decide."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"process_group": 0}


def preparation_data(function: Callable[..., Any]) -> dict[str, Any]:
    """What a child must be told before it is given a function."""
    told = spawn.get_preparation_data("reader")
    wanted = ["sys_path"]
    if function.__module__ == "__main__":
        wanted += ["init_main_from_name", "init_main_from_path"]
    return {name: told[name] for name in wanted if name in told}


def handle_of(file: BinaryIO) -> int:
    """What the system knows an open file by."""
    if sys.platform == "win32":
        import msvcrt

        return msvcrt.get_osfhandle(file.fileno())
    return file.fileno()


def open_handle(handle: int) -> BinaryIO:
    """The file that came from the parent."""
    if sys.platform == "win32":
        import msvcrt

        handle = msvcrt.open_osfhandle(handle, os.O_RDONLY)
    return os.fdopen(handle, "rb")
