"""Fork server of a pool of sandboxes: a process with all modules loaded, which forks readers.

It exists on Linux only, and never has a document. Its readers start within milliseconds, and share
the memory of the modules. It is their only parent, so that many of them cost one import.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import recv_handle, send_handle
from subprocess import Popen
from threading import Lock
from typing import NoReturn

from ingest.extract.sandbox import seccomp

READY = b"ready"
FORK = b"fork"  # asks for a reader; its pipe, its status pipe and its memory follow
MAX_MESSAGE_BYTES = 20  # of READY, and of a number that the server sends
MAX_SIGNALS = 512  # read at once; one of them stands for all readers that have ended
START_SECONDS = 60.0  # for all imports, on a busy machine


class ForkServer:
    """The parent's side of a fork server. Thread-safe."""

    def __init__(self, process: Popen[bytes], pipe: Connection) -> None:
        self.process, self.pipe = process, pipe
        self.lock = Lock()

    def wait_until_ready(self) -> None:
        """Wait until all modules are loaded. Raises EOFError or OSError."""
        receive(self.pipe)

    def fork(self, memory: int) -> tuple[int, Connection, Connection]:
        """Fork a reader that shares this memory with its parent.

        Returns its process id, its pipe, and the pipe on which its exit code arrives. Raises
        EOFError or OSError.
        """
        pipe, child_pipe = Pipe()
        status, child_status = Pipe(duplex=False)
        try:
            with child_pipe, child_status, self.lock:
                self.pipe.send_bytes(FORK)
                for handle in (child_pipe.fileno(), child_status.fileno(), memory):
                    send_handle(self.pipe, handle, self.process.pid)
            return int(receive(status)), pipe, status
        except BaseException:
            pipe.close()
            status.close()
            raise

    def is_alive(self) -> bool:
        """Return whether the process can fork readers."""
        return self.process.poll() is None

    def close(self) -> None:
        """Kill the process, and so all of its readers."""
        self.process.kill()
        self.process.wait()


def receive(pipe: Connection, seconds: float = START_SECONDS) -> bytes:
    """Receive a short message of a fork server. Raises EOFError or OSError."""
    if not pipe.poll(seconds):
        raise TimeoutError
    return pipe.recv_bytes(MAX_MESSAGE_BYTES)


def serve_forks(pipe: Connection, read: Callable[[Connection, int], None]) -> None:
    """Fork a reader whenever the parent asks for one, until the parent closes the pipe.

    `read` gets the reader's pipe and its memory. Raises EOFError.
    """
    ended, wake_up = Pipe(duplex=False)
    os.set_blocking(wake_up.fileno(), False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_up.fileno(), warn_on_full_buffer=False)
    readers: dict[int, Connection] = {}  # status pipe by process id
    pipe.send_bytes(READY)
    while True:
        for ready in wait([pipe, ended]):
            if ready is pipe:
                fork_reader(pipe, read, readers, (ended, wake_up))
            else:
                os.read(ended.fileno(), MAX_SIGNALS)
                report_exits(readers)


def fork_reader(
    pipe: Connection,
    read: Callable[[Connection, int], None],
    readers: dict[int, Connection],
    own: Sequence[Connection],
) -> None:
    """Fork the reader that the parent asks for. In it, close the server's pipes."""
    assert pipe.recv_bytes() == FORK
    theirs, status, memory = Connection(recv_handle(pipe)), recv_handle(pipe), recv_handle(pipe)
    answers = Connection(status, readable=False)
    server = os.getpid()
    pid = os.fork()
    if not pid:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for connection in (pipe, answers, *own, *readers.values()):
            connection.close()
        read_and_exit(partial(read, theirs, memory), server)
    theirs.close()
    os.close(memory)
    readers[pid] = answers
    send_number(answers, pid)


def report_exits(readers: dict[int, Connection]) -> None:
    """Send the exit codes of the readers that have ended."""
    while readers:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with readers.pop(pid) as answers:
            send_number(answers, os.waitstatus_to_exitcode(status))


def send_number(pipe: Connection, number: int) -> None:
    """Send a number to the parent, unless it no longer wants it."""
    with contextlib.suppress(OSError):
        pipe.send_bytes(b"%d" % number)


def read_and_exit(read: Callable[[], None], server: int) -> NoReturn:
    """Read documents in a process that was just forked, and end it."""
    code = 1
    try:
        die_with(server)
        with contextlib.suppress(EOFError, ConnectionError):
            read()
        code = 0
    finally:
        os._exit(code)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; end it if the parent has (Linux)."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(seccomp.PR_SET_PDEATHSIG, *map(ctypes.c_ulong, (signal.SIGKILL, 0, 0, 0)))
        if parent and os.getppid() != parent:
            os._exit(1)
