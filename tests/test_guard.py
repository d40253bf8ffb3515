"""The suite's own guard: a test that hangs is one failure, and the others still run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.conftest import environment
from tests.processes import call, is_alive, start, wait_until

HANGS = """
import subprocess, sys, threading
from concurrent.futures import ThreadPoolExecutor
import pytest

SLEEP = [sys.executable, "-c", "import time; time.sleep(1000)", __file__]


def test_in_the_exit_of_a_process():
    with subprocess.Popen(SLEEP) as process:
        process.wait()


def test_in_the_pipe_of_an_orphan():
    code = f"import subprocess; subprocess.Popen({SLEEP!r}, start_new_session=True)"
    subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE)


def test_in_the_exit_of_an_executor():
    ends = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        try:
            threads.submit(ends.wait).result()
        except BaseException:
            threading.Timer(2, ends.set).start()  # after the next alarm
            raise


@pytest.fixture
def hanging():
    yield
    threading.Event().wait()


def test_in_a_teardown(hanging):
    pass


def test_in_a_teardown_after_a_failure(hanging):
    assert False


def test_good():
    pass
"""
DEAF = """
import signal, time


def test_deaf():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    time.sleep(1000)
"""
CONFTEST = """
import tests.guard
tests.guard.AGAIN_SECONDS = 1.0
tests.guard.ALARMS = 3
from tests.guard import *
"""

WEDGED = """
import threading
import tests.guard
tests.guard.SILENCE_SECONDS = 1.0
from tests.guard import *


def pytest_testnodedown(node, error):
    tests.guard.pytest_testnodedown(node, error)
    threading.Event().wait()
"""
EXITS = """
import os


def test_bad():
    assert False


def test_exits():
    os._exit(3)
"""


def run_pytest(
    folder: Path, name: str, tests: str, conftest: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run tests in a process and a folder of their own."""
    (folder / name).write_text(tests)
    (folder / "conftest.py").write_text(conftest)
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = ("-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, ".")
    return call(sys.executable, *command, cwd=folder, env=environment())


def test_a_hung_test_is_one_failure_and_the_others_run(tmp_path: Path) -> None:
    """Wherever it hangs, even where it waits again on its way out."""
    # Without pytest-xdist, whose controller first cleans up after earlier runs of all tests.
    done = run_pytest(tmp_path, "test_hangs.py", HANGS, CONFTEST, "--timeout", "1")

    failed = {
        line.split()[1].rpartition("::")[2]
        for line in done.stdout.splitlines()
        if line.startswith(("FAILED", "ERROR"))
    }
    assert failed == {
        "test_in_the_exit_of_a_process",
        "test_in_the_pipe_of_an_orphan",
        "test_in_the_exit_of_an_executor",
        "test_in_a_teardown",
        "test_in_a_teardown_after_a_failure",
    }, done.stdout + done.stderr
    assert "4 failed, 2 passed, 2 errors" in done.stdout  # a teardown's is called an error
    assert "still running after 1 s" in done.stdout
    started = [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"]]
    assert not [p for p in started if p.info["cmdline"][-1] == str(tmp_path / "test_hangs.py")]


def test_a_process_that_no_alarm_ends_exits(tmp_path: Path) -> None:
    """It says where it hangs. pytest-xdist reports its test as failed, and starts another one."""
    done = run_pytest(tmp_path, "test_deaf.py", DEAF, CONFTEST, "--timeout", "1")

    assert done.returncode == 1
    assert "Timeout (0:00:04)!" in done.stderr
    assert "in test_deaf" in done.stderr


def test_a_run_that_waits_for_ever_after_a_worker_exited_ends(tmp_path: Path) -> None:
    """It shows the failures that were reported."""
    alone = ("--basetemp", str(tmp_path / "temp"))  # it does not clean up after other runs
    done = run_pytest(tmp_path, "test_exits.py", EXITS, WEDGED, "-n", "1", *alone)

    assert done.returncode == 1
    assert "FAILED test_exits.py::test_bad" in done.stdout
    assert "a worker exited, and no test was reported for 1 s" in done.stdout


def test_a_process_dies_with_its_test_and_all_its_children(tmp_path: Path) -> None:
    """Also where the test fails before it comes to the end of it."""
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)'])\n"
        "print(child.pid, flush=True); time.sleep(1000)"
    )
    with (
        pytest.raises(ZeroDivisionError),
        start(sys.executable, "-c", code, cwd=tmp_path, env=environment()) as process,
    ):
        child = int(process.stdout.wait_for(r"(\d+)\n")[1])
        assert is_alive(child)
        _ = 1 / 0
    assert not process.running()
    wait_until(lambda: not is_alive(child))


def test_a_process_may_write_more_than_a_pipe_or_a_terminal_takes(tmp_path: Path) -> None:
    """Nobody has to read it by hand: it goes on, and all that it wrote is there."""
    code = "import sys\nfor out in sys.stdout, sys.stderr: out.write('x' * 1_000_000)"
    with start(
        sys.executable, "-c", code, cwd=tmp_path, env=environment(), stderr="terminal"
    ) as process:
        assert process.wait() == 0
    assert (len(process.stdout.text), len(process.stderr.text)) == (1_000_000, 1_000_000)
