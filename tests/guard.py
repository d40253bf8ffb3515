"""Timeouts that end a hung test: it fails, its processes are killed, and the suite continues.

pytest-timeout raises once, in the test. That is not enough if the test waits again on its way
out, as `Popen.__exit__`, an executor's exit and a fixture's teardown do. So the test's processes
are killed first, and the alarm repeats until the test ends. If that does not help, the worker
process exits, which pytest-xdist reports as a failure of the test before it starts a new one.
Should pytest-xdist then wait for ever, as it sometimes does, the run ends with what is reported.
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
from multiprocessing import active_children
from typing import Protocol

import psutil
import pytest

AGAIN_SECONDS = 5.0  # between two alarms
ALARMS = 6  # before the process ends
SILENCE_SECONDS = 600.0  # longer than any test lasts with its alarms
BEGAN = pytest.StashKey[float]()
LIMIT = pytest.StashKey[float]()
STDERR = pytest.StashKey[int]()
IS_RUNNING = pytest.StashKey[bool]()  # whether the test or one of its fixtures runs


class Settings(Protocol):
    """Settings of pytest-timeout for one test."""

    timeout: float


class Worker(Protocol):
    """Worker of pytest-xdist, as its controller has it."""

    config: pytest.Config


@pytest.hookimpl
def pytest_configure(config: pytest.Config) -> None:
    """Keep an uncaptured stderr, for the traceback of a worker that exits."""
    config.stash[STDERR] = os.dup(2)


@pytest.hookimpl
def pytest_unconfigure(config: pytest.Config) -> None:
    """Close it."""
    if (stderr := config.stash.get(STDERR, None)) is not None:
        os.close(stderr)


@pytest.hookimpl
def pytest_timeout_set_timer(item: pytest.Item, settings: Settings) -> bool:
    """Set the alarm instead of pytest-timeout's own."""
    item.stash[BEGAN], item.stash[LIMIT] = time.time(), settings.timeout
    arm(item, settings.timeout)
    return True


@pytest.hookimpl
def pytest_timeout_cancel_timer(item: pytest.Item) -> bool:
    """Cancel the alarm."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    faulthandler.cancel_dump_traceback_later()
    return True


@pytest.hookimpl(wrapper=True, tryfirst=True)
def run_phase(item: pytest.Item) -> Generator[None, object, object]:
    """Let alarms raise in the set-up, the call or the teardown of a test.

    Between them pytest reports: a worker that is interrupted while it sends a report leaves half of
    one, and the suite waits for the rest.
    """
    item.stash[IS_RUNNING] = True
    try:
        return (yield)
    finally:
        item.stash[IS_RUNNING] = False


pytest_runtest_setup = pytest_runtest_call = pytest_runtest_teardown = run_phase


@pytest.hookimpl(wrapper=True)
def pytest_exception_interact(node: pytest.Item | pytest.Collector) -> Generator[None]:
    """Set it again after a failure: pytest-timeout cancels it, but a teardown may hang, too."""
    yield
    if isinstance(node, pytest.Item) and LIMIT in node.stash and not node.config.option.usepdb:
        arm(node, max(AGAIN_SECONDS, node.stash[LIMIT] - (time.time() - node.stash[BEGAN])))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Worker, error: object) -> None:
    """Watch the run once a worker process of pytest-xdist has exited."""
    if error:
        threading.Thread(target=exit_if_silent, args=[node.config], daemon=True).start()


def exit_if_silent(config: pytest.Config) -> None:
    """Exit with the usual summary once no test has been reported for SILENCE_SECONDS."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    assert reporter
    reported = -1
    while (now := sum(map(len, reporter.stats.values()))) != reported:
        reported = now
        time.sleep(SILENCE_SECONDS)
    reporter.summary_errors()
    reporter.summary_failures()
    reporter.short_test_summary()
    reporter.write_line(f"a worker exited, and no test was reported for {SILENCE_SECONDS:g} s")
    sys.stdout.flush()
    os._exit(1)


def arm(item: pytest.Item, seconds: float) -> None:
    """Raise after some seconds, and repeatedly; exit the process if that does not help."""

    def ring(number: int, frame: object) -> None:
        __tracebackhide__ = True
        if not item.stash.get(IS_RUNNING, False):
            return  # it rings again
        signal.setitimer(signal.ITIMER_REAL, 0)  # the next lines may take longer than the pause
        kill_processes(item)
        print_stacks()
        signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS, AGAIN_SECONDS)
        pytest.fail(f"still running after {item.stash[LIMIT]:g} s")

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_SECONDS)
    last = seconds + ALARMS * AGAIN_SECONDS
    faulthandler.dump_traceback_later(last, exit=True, file=item.config.stash[STDERR])


def kill_processes(item: pytest.Item) -> None:
    """Kill the processes that the test has started: its descendants, orphans, and forked ones.

    Processes of earlier tests, such as a server that the session shares, stay.
    """
    ours = {os.getpid(), *(child.pid for child in active_children())}
    for process in psutil.process_iter():
        try:
            if started_by(item, ours, process):
                process.kill()
        except psutil.Error:
            continue  # it has ended, or belongs to another user


def started_by(item: pytest.Item, ours: set[int | None], process: psutil.Process) -> bool:
    """Return whether a test has started a process; `ours` are this one and those forked for it."""
    if process.pid == os.getpid() or process.create_time() < item.stash[BEGAN] - 1:
        return False
    if ours & {process.pid, *(parent.pid for parent in process.parents())}:
        return True
    # pytest sets it, with the phase after a space; children inherit it.
    test: str = process.environ().get("PYTEST_CURRENT_TEST", "")
    return test.startswith(f"{item.nodeid} (")


def print_stacks() -> None:
    """Print the stacks of all other threads; the failure shows this one's."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():
        if ident != threading.get_ident():
            stack = "".join(traceback.format_stack(frame))
            sys.stderr.write(f"\nThread {names.get(ident, ident)}:\n{stack}")
