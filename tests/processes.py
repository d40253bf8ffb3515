"""Start processes in tests: read their output as it comes, and let none outlive its test.

A process without a reader stops when the pipe or terminal is full, and its test waits for ever.
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
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import IO, Literal

import psutil
import pytest

# Seconds before a test gives up on a process. Generous, because a machine may run several processes
# per core; on an idle machine the wait is a second or two.
PATIENCE = 240.0
MAX_PAUSE_SECONDS = 0.25  # between two looks at a condition that a test waits for

Where = Literal["pipe", "terminal", "null"]


def wait_until(
    condition: Callable[[], object], what: str | Callable[[], str] = "the condition"
) -> None:
    """Wait until a condition holds; fail after PATIENCE seconds."""
    ends = time.monotonic() + PATIENCE
    pause = 0.01
    while not condition():
        if time.monotonic() > ends:
            said = what if isinstance(what, str) else what()
            pytest.fail(f"{said}: not so after {PATIENCE:g} s")
        time.sleep(pause)
        pause = min(pause * 1.3, MAX_PAUSE_SECONDS)  # a condition may take as much time as a pause


class Output:
    """Output of a process so far, read by a thread."""

    def __init__(self, descriptor: int) -> None:
        self.text = ""
        self.ended = False
        self._descriptor = descriptor
        self._more = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait for the first match of a pattern."""
        with self._more:
            self._more.wait_for(lambda: self.ended or re.search(pattern, self.text), PATIENCE)
            found = re.search(pattern, self.text)
        assert found, f"no {pattern!r} in {self.text!r}"
        return found

    def close(self, seconds: float) -> None:
        """Wait for the end of the output."""
        self._thread.join(seconds)

    def _read(self) -> None:
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        some = b"x"
        while some:
            try:
                some = os.read(self._descriptor, 65536)
            except OSError:  # the last process has closed the terminal
                some = b""
            with self._more:
                self.text += decode(some, final=not some).replace("\r\n", "\n")
                self.ended = not some
                self._more.notify_all()
        os.close(self._descriptor)


@dataclass
class ForkedProcess:
    """A process of the fork server, with the part of Popen's interface that tests use."""

    process: BaseProcess
    stdin: IO[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process.pid
        return self.process.pid

    @property
    def returncode(self) -> int | None:
        return self.process.exitcode

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self.process.join(timeout)
        if self.process.exitcode is None:
            raise subprocess.TimeoutExpired("a forked process", timeout or 0)
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.process.kill()


Started = subprocess.Popen[bytes] | ForkedProcess


@dataclass
class Process:
    """A process in a group of its own."""

    popen: Started
    stdout: Output
    stderr: Output

    @property
    def pid(self) -> int:
        return self.popen.pid

    def running(self) -> bool:
        return self.popen.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this process only."""
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
        """Wait for its end and all of its output; returns its exit code."""
        try:
            code = self.popen.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            said = f"{self.stdout.text}\n{self.stderr.text}"
            raise AssertionError(f"still running after {PATIENCE:g} s: {said}") from None
        self.stdout.close(PATIENCE)
        self.stderr.close(PATIENCE)
        return code


@contextmanager
def start(
    *command: str | Path,
    cwd: Path,
    env: dict[str, str],
    stdout: Where = "pipe",
    stderr: Where = "pipe",
    stdin: Literal["pipe", "null"] = "null",
) -> Iterator[Process]:
    """Run a command; its whole process group is killed at the end of the block."""
    with attach(
        lambda out, err: subprocess.Popen(
            list(map(str, command)),
            cwd=cwd,
            env=env,
            stdin=subprocess.PIPE if stdin == "pipe" else subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        ),
        stdout,
        stderr,
    ) as process:
        yield process


@contextmanager
def attach(start: Callable[[int, int], Started], stdout: Where, stderr: Where) -> Iterator[Process]:
    """Start a process with these streams; its whole group is killed at the end of the block."""
    ours_out, theirs_out = descriptors(stdout)
    ours_err, theirs_err = descriptors(stderr)
    try:
        popen = start(theirs_out, theirs_err)
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
    """File descriptors to read a process's output from, and for the process to write to."""
    if where == "null":
        return os.open(os.devnull, os.O_RDONLY), os.open(os.devnull, os.O_WRONLY)
    return pty.openpty() if where == "terminal" else os.pipe()


def call(*command: str | Path, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; returns its exit code and output."""
    with start(*command, cwd=cwd, env=env) as process:
        code = process.wait()
        return subprocess.CompletedProcess(
            list(map(str, command)), code, process.stdout.text, process.stderr.text
        )


def children(parent: int) -> list[int]:
    """Ids of the processes that a process has started, in any process group."""
    try:
        return [child.pid for child in psutil.Process(parent).children()]
    except psutil.NoSuchProcess:
        return []


def is_alive(process: int) -> bool:
    """Return whether a process runs, and is no zombie."""
    try:
        return bool(psutil.Process(process).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
