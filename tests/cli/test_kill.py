"""kill -9 of the real process, at random moments."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from ingest.embed.local import DIMENSIONS, MODEL
from ingest.index.local import LocalIndex
from tests.conftest import Command, dump, environment
from tests.pdfs import prose, write

KILLS = 5


def contents(folder: Path) -> dict[str, object]:
    index = LocalIndex(folder, f"local:{MODEL}", DIMENSIONS, create=False)
    try:
        return dump(index)
    finally:
        index.close()


def test_killed_runs_end_with_the_index_of_an_undisturbed_one(
    command: Command, tmp_path: Path
) -> None:
    """Whatever the moment, the next runs make it good: nothing lost, doubled or left over."""
    for n in range(12):
        write(tmp_path / f"docs/{n:02}.pdf", *(prose(f"topic {n} {page}", 20) for page in range(3)))
    (tmp_path / "docs/broken.pdf").write_bytes(b"%PDF-broken")
    started = time.monotonic()
    command("run", "docs", "--index", "calm")
    whole = time.monotonic() - started
    wanted = contents(tmp_path / "calm")

    moments = random.Random(time.time_ns())
    for _ in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ingest", "run", "docs", "--index", "killed"],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(moments.uniform(0.2, whole))
        process.send_signal(signal.SIGKILL)
        process.wait()

    done = command("run", "docs", "--index", "killed")
    assert done.returncode == 3
    found = contents(tmp_path / "killed")
    # How often the broken one was tried differs; all else must not.
    for side in (found, wanted):
        records = side["records"]
        assert isinstance(records, dict)
        side["records"] = {key: value for key, value in records.items() if key[1] != "broken.pdf"}
    assert found == wanted


def test_no_child_outlives_a_killed_run(tmp_path: Path) -> None:
    """A run that was killed leaves no process behind that eats the machine."""
    for n in range(30):
        write(tmp_path / f"docs/{n:02}.pdf", *(prose(f"topic {n} {page}", 20) for page in range(8)))
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "ingest", "run", "docs"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(2)
    readers = children(process.pid)
    process.kill()
    process.wait()

    assert readers
    deadline = time.monotonic() + 20
    while any(map(alive, readers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(alive, readers))


def children(parent: int) -> list[int]:
    """The processes that a process has started; each is in a group of its own."""
    if Path("/proc/self/stat").exists():
        lines = list(filter(None, map(status, Path("/proc").glob("[0-9]*"))))
        listed = [(line.split()[0], line.rpartition(")")[2].split()[1]) for line in lines]
    else:
        told = subprocess.check_output(["ps", "-A", "-o", "pid=,ppid="], text=True)
        listed = [(pid, of) for pid, of in map(str.split, told.splitlines())]
    return [int(pid) for pid, of in listed if int(of) == parent]


def status(process: Path) -> str:
    """What the system says of a process; "" if it has gone meanwhile."""
    try:
        return (process / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def alive(process: int) -> bool:
    """Whether a process still runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
