"""Processes that tests start: their output is read as it comes, and none outlives its test.

A process that nobody reads stops when the pipe or terminal is full, and its test waits for ever.
"""

from __future__ import annotations

import codecs
import os
import pty
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

# Before a test gives up on a process. Generous, as a machine may have several processes to a
# core; what is waited for comes in a second or two where it has not.
PATIENCE = 240.0

Where = Literal["pipe", "terminal", "null"]


def wait_until(condition: Callable[[], object], what: str = "the condition") -> None:
    """Return as soon as a condition holds; fail if that takes longer than anybody waits."""
    ends = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < ends, f"{what}: not so after {PATIENCE:g} s"
        time.sleep(0.02)


class Output:
    """What a process has written so far, read by a thread."""

    def __init__(self, descriptor: int) -> None:
        self.text = ""
        self.ended = False
        self._descriptor = descriptor
        self._more = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first match of a pattern, as soon as it has come."""
        with self._more:
            self._more.wait_for(lambda: self.ended or re.search(pattern, self.text), PATIENCE)
            found = re.search(pattern, self.text)
        assert found, f"no {pattern!r} in {self.text!r}"
        return found

    def close(self, seconds: float) -> None:
        """Wait for the end of it."""
        self._thread.join(seconds)

    def _read(self) -> None:
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        some = b"x"
        while some:
            try:
                some = os.read(self._descriptor, 65536)
            except OSError:  # of a terminal that the last process has closed
                some = b""
            with self._more:
                self.text += decode(some, final=not some).replace("\r\n", "\n")
                self.ended = not some
                self._more.notify_all()
        os.close(self._descriptor)


@dataclass
class Process:
    """A process in a group of its own."""

    popen: subprocess.Popen[bytes]
    stdout: Output
    stderr: Output

    @property
    def pid(self) -> int:
        return self.popen.pid

    def running(self) -> bool:
        return self.popen.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, and to nobody else."""
        self.popen.send_signal(number)

    def send_group(self, number: signal.Signals) -> None:
        """Send a signal to it and its children, as a terminal does for ^C."""
        os.killpg(self.pid, number)

    def write(self, text: str) -> None:
        """Send it a text on stdin."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(text.encode())
        self.popen.stdin.flush()

    def wait(self) -> int:
        """Its exit code, with all of its output read."""
        try:
            code = self.popen.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            said = f"{self.stdout.text}\n{self.stderr.text}"
            raise AssertionError(f"still running after {PATIENCE:g} s: {said}") from None
        self.stdout.close(PATIENCE)
        self.stderr.close(PATIENCE)
        return code


@contextmanager
def running(
    *command: str | Path,
    cwd: Path,
    env: dict[str, str],
    stdout: Where = "pipe",
    stderr: Where = "pipe",
    stdin: Literal["pipe", "null"] = "null",
) -> Iterator[Process]:
    """A command while it runs; its whole group is killed at the end of the block."""
    ours_out, theirs_out = descriptors(stdout)
    ours_err, theirs_err = descriptors(stderr)
    try:
        popen = subprocess.Popen(
            list(map(str, command)),
            cwd=cwd,
            env=env,
            stdin=subprocess.PIPE if stdin == "pipe" else subprocess.DEVNULL,
            stdout=theirs_out,
            stderr=theirs_err,
            start_new_session=True,
        )
    except BaseException:
        os.close(ours_out)
        os.close(ours_err)
        raise
    finally:
        os.close(theirs_out)
        os.close(theirs_err)
    process = Process(popen, Output(ours_out), Output(ours_err))
    try:
        yield process
    finally:
        with suppress(ProcessLookupError, PermissionError):  # macOS: a group of zombies
            os.killpg(popen.pid, signal.SIGKILL)
        popen.wait()
        process.stdout.close(5)
        process.stderr.close(5)
        if popen.stdin:
            with suppress(BrokenPipeError):
                popen.stdin.close()


def descriptors(where: Where) -> tuple[int, int]:
    """Where a process's output is read, and where it is written."""
    if where == "null":
        return os.open(os.devnull, os.O_RDONLY), os.open(os.devnull, os.O_WRONLY)
    return pty.openpty() if where == "terminal" else os.pipe()


def call(*command: str | Path, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A command's exit code and output, once it has ended."""
    with running(*command, cwd=cwd, env=env) as process:
        code = process.wait()
        return subprocess.CompletedProcess(
            list(map(str, command)), code, process.stdout.text, process.stderr.text
        )


def children(parent: int) -> list[int]:
    """The processes that a process has started; each may be in a group of its own."""
    try:
        return [child.pid for child in psutil.Process(parent).children()]
    except psutil.NoSuchProcess:
        return []


def alive(process: int) -> bool:
    """Whether a process runs: one that has ended may wait for its parent to take notice."""
    try:
        return bool(psutil.Process(process).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
