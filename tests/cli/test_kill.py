"""kill -9 of the command, at random moments."""

from __future__ import annotations

import random
import signal
import sys
import time
from pathlib import Path

from ingest.embed.minilm import MINILM_DIMENSIONS, MODEL_NAME
from ingest.index.sqlite.index import SqliteIndex
from tests.conftest import Command, dump, environment
from tests.fork_server import running_ingest
from tests.pdfs import prose, write
from tests.processes import children, is_alive, start, wait_until

RUN = (sys.executable, "-P", "-m", "ingest", "run", "docs")
KILLS = 4


def read_contents(folder: Path) -> dict[str, object]:
    index = SqliteIndex(folder, f"local:{MODEL_NAME}", MINILM_DIMENSIONS, create=False)
    try:
        return dump(index)
    finally:
        index.close()


def test_killed_runs_end_with_the_index_of_an_undisturbed_one(
    command: Command, tmp_path: Path
) -> None:
    """After any number of kills, the next run completes the index: nothing lost or doubled."""
    for n in range(8):
        write(tmp_path / f"docs/{n:02}.pdf", *(prose(f"topic {n} {page}", 15) for page in range(2)))
    (tmp_path / "docs/broken.pdf").write_bytes(b"%PDF-broken")
    started = time.monotonic()
    command("run", "docs", "--index", "calm")
    whole = time.monotonic() - started
    wanted = read_contents(tmp_path / "calm")

    moments = random.Random(time.time_ns())
    for _ in range(KILLS):
        call = ("run", "docs", "--index", "killed")
        with running_ingest(*call, cwd=tmp_path, env=environment()) as process:
            # Before that, nothing is at risk; after that, any moment will do.
            wait_until((tmp_path / "killed/index.db").exists)
            time.sleep(moments.uniform(0, whole))
            process.send(signal.SIGKILL)
            process.wait()

    done = command("run", "docs", "--index", "killed")
    assert done.returncode == 3
    found = read_contents(tmp_path / "killed")
    # How often the broken one was tried differs; all else must not.
    for side in (found, wanted):
        records = side["records"]
        assert isinstance(records, dict)
        side["records"] = {key: value for key, value in records.items() if key[1] != "broken.pdf"}
    assert found == wanted


def test_no_child_outlives_a_killed_run(tmp_path: Path) -> None:
    """A killed run leaves no child process behind."""
    for n in range(10):
        write(tmp_path / f"docs/{n:02}.pdf", *(prose(f"topic {n} {page}", 20) for page in range(8)))
    with start(*RUN, cwd=tmp_path, env=environment()) as process:
        wait_until(lambda: children(process.pid))
        readers = children(process.pid)
        process.send(signal.SIGKILL)
        process.wait()

        wait_until(lambda: not any(map(is_alive, readers)), "its readers end")
