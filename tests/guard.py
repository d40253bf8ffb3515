"""Time-outs that end a hung test: it fails, its processes die, and the suite goes on.

pytest-timeout raises once, in the test. That is not enough where the test waits again on its way
out, as `Popen.__exit__`, an executor's exit and a fixture's teardown do. So the test's processes
are killed first, the alarm rings again for as long as the test is there, and a test that hears
no alarm takes its process with it, which pytest-xdist reports as its failure and replaces.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Generator
from typing import Protocol

import psutil
import pytest

AGAIN_SECONDS = 5.0  # between two alarms
ALARMS = 6  # before the process ends
BEGAN = pytest.StashKey[float]()
LIMIT = pytest.StashKey[float]()
STDERR = pytest.StashKey[int]()


class Settings(Protocol):
    """What pytest-timeout knows of a test's limit."""

    timeout: float


@pytest.hookimpl
def pytest_configure(config: pytest.Config) -> None:
    """Keep a stderr that is not captured, for the last words of a process."""
    config.stash[STDERR] = os.dup(2)


@pytest.hookimpl
def pytest_unconfigure(config: pytest.Config) -> None:
    """Give it back."""
    if (stderr := config.stash.get(STDERR, None)) is not None:
        os.close(stderr)


@pytest.hookimpl
def pytest_timeout_set_timer(item: pytest.Item, settings: Settings) -> bool:
    """Set the alarm, in the place of pytest-timeout's own."""
    item.stash[BEGAN], item.stash[LIMIT] = time.time(), settings.timeout
    arm(item, settings.timeout)
    return True


@pytest.hookimpl
def pytest_timeout_cancel_timer(item: pytest.Item) -> bool:
    """Stop it."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    faulthandler.cancel_dump_traceback_later()
    return True


@pytest.hookimpl(wrapper=True)
def pytest_exception_interact(node: pytest.Item | pytest.Collector) -> Generator[None]:
    """Set it again after a failure: pytest-timeout stops it there, and a teardown may hang, too."""
    yield
    if isinstance(node, pytest.Item) and LIMIT in node.stash and not node.config.option.usepdb:
        arm(node, max(AGAIN_SECONDS, node.stash[LIMIT] - (time.time() - node.stash[BEGAN])))


def arm(item: pytest.Item, seconds: float) -> None:
    """Ring after so many seconds, and again and again; end the process if that does not help."""

    def ring(number: int, frame: object) -> None:
        __tracebackhide__ = True
        kill_processes(item)
        print_stacks()
        pytest.fail(f"still running after {item.stash[LIMIT]:g} s")

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_SECONDS)
    last = seconds + ALARMS * AGAIN_SECONDS
    faulthandler.dump_traceback_later(last, exit=True, file=item.config.stash[STDERR])


def kill_processes(item: pytest.Item) -> None:
    """Kill what the test has started: its descendants, and those whose parents have gone.

    What older tests have started, as a server that a session shares, stays.
    """
    for process in psutil.process_iter():
        try:
            if started_by(item, process):
                process.kill()
        except psutil.Error:
            continue  # it has ended, or is somebody else's


def started_by(item: pytest.Item, process: psutil.Process) -> bool:
    if process.pid == os.getpid() or process.create_time() < item.stash[BEGAN] - 1:
        return False
    if os.getpid() in (parent.pid for parent in process.parents()):
        return True
    # pytest sets it, with the phase after a space; children inherit it.
    test: str = process.environ().get("PYTEST_CURRENT_TEST", "")
    return test.startswith(f"{item.nodeid} (")


def print_stacks() -> None:
    """All threads but this one, which the failure shows."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():
        if ident != threading.get_ident():
            stack = "".join(traceback.format_stack(frame))
            sys.stderr.write(f"\nThread {names.get(ident, ident)}:\n{stack}")
