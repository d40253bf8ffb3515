"""A terminal under ^S, or a pipe that nobody reads: a run ends all the same."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TypeAlias

import pytest

from tests.conftest import Command, environment
from tests.pdfs import prose, write
from tests.processes import children, is_alive

# Lets an orderly shutdown take one second beyond the grace period, instead of eight.
SHORT_SHUTDOWN = (
    "from ingest.cli import main, watchdog; watchdog.EXTRA_SECONDS = 1.0; raise SystemExit(main())"
)
PATIENCE = 60  # seconds: by far more than the end takes, and less than a test may

Start: TypeAlias = "Callable[..., subprocess.Popen[str]]"


def fill_pipe(end: int) -> int:
    """The writing end of something that nobody reads, once nothing more goes into it."""
    os.set_blocking(end, False)
    # A terminal makes room a little later, and may take one byte where it does not take many.
    for size in (512, 1, 1, 1, 1):
        try:
            while True:
                os.write(end, b"." * size)
        except BlockingIOError:
            threading.Event().wait(0.1)
    os.set_blocking(end, True)
    return end


@pytest.fixture
def stuck() -> Iterator[Callable[[str], int]]:
    """Makes full pipes and terminals, and closes them once all is over."""
    opened: list[int] = []

    def make(kind: str) -> int:
        reading_end, writing_end = pty.openpty() if kind == "terminal" else os.pipe()
        opened.extend([reading_end, writing_end])
        return fill_pipe(writing_end)

    yield make
    for end in opened:
        os.close(end)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts runs over documents of which every other one is broken; none outlives the test."""
    for n in range(0, 8, 2):
        write(tmp_path / f"docs/{n}.pdf", prose(f"topic {n}"))
        (tmp_path / f"docs/{n + 1}.pdf").write_bytes(b"%PDF-1.7 broken")
    started: list[subprocess.Popen[str]] = []

    def run(
        *arguments: str, stdout: int, stderr: int, program: tuple[str, str] = ("-c", SHORT_SHUTDOWN)
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-P", *program, "run", "docs", "--workers", "1", *arguments],
            cwd=tmp_path,
            env=environment() | {"INGEST_GRACE_SECONDS": "1", "TERM": "xterm"},
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            stdout=stdout,
            stderr=stderr,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()


def becomes_true(true: Callable[[], object]) -> bool:
    """Return whether a condition becomes true before a timeout."""
    pause = threading.Event()
    return any(true() or pause.wait(0.1) for _ in range(10 * PATIENCE))


def read_first_line(stream: IO[str] | None) -> str:
    """The first line of a stream; whatever follows is read too, by nobody in particular."""
    assert stream is not None
    line = stream.readline()
    threading.Thread(target=stream.read, daemon=True).start()
    return line


def test_a_run_that_cannot_speak_can_be_stopped(start: Start, stuck: Callable[[str], int]) -> None:
    """SIGTERM ends a run whose stderr nobody reads, and its child processes."""
    run = start("--json", stdout=subprocess.DEVNULL, stderr=stuck("pipe"), program=("-m", "ingest"))
    assert becomes_true(lambda: children(run.pid))
    readers = children(run.pid)

    run.send_signal(signal.SIGTERM)

    assert run.wait(PATIENCE) == 128 + signal.SIGTERM
    assert becomes_true(lambda: not any(map(is_alive, readers)))


def test_a_run_on_a_frozen_terminal_can_be_stopped(
    start: Start, stuck: Callable[[str], int], tmp_path: Path
) -> None:
    """After ^S, SIGTERM from another terminal still ends the run."""
    run = start(stdout=subprocess.DEVNULL, stderr=stuck("terminal"))
    assert becomes_true((tmp_path / ".ingest").exists)
    threading.Event().wait(2)  # it begins to show something, most likely, and cannot

    run.send_signal(signal.SIGTERM)

    assert run.wait(PATIENCE) == 128 + signal.SIGTERM


def test_a_run_whose_results_nobody_reads_can_be_stopped(
    start: Start, stuck: Callable[[str], int]
) -> None:
    """^C ends a run whose output a pager does not read."""
    run = start("--json", stdout=stuck("pipe"), stderr=subprocess.PIPE)
    assert re.search(r"failed    \d\.pdf", read_first_line(run.stderr))

    run.send_signal(signal.SIGINT)

    assert run.wait(PATIENCE) == 128 + signal.SIGINT


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_deadline_holds_for_a_run_that_is_stuck(
    start: Start, stuck: Callable[[str], int], stream: str
) -> None:
    """A blocked job ends at its deadline plus the grace period."""
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    streams[stream] = stuck("pipe")

    run = start("--json", "--deadline", "3s", **streams)

    assert run.wait(PATIENCE) == 1


def test_what_was_ended_while_stuck_is_made_good(
    start: Start, stuck: Callable[[str], int], command: Command
) -> None:
    """After such an end, the next run continues without a loss."""
    run = start("--json", stdout=subprocess.DEVNULL, stderr=stuck("pipe"))
    assert becomes_true(lambda: children(run.pid))
    run.send_signal(signal.SIGTERM)
    run.wait(PATIENCE)

    assert command("run", "docs").returncode == 3
    assert command("check").returncode == 0
    assert "docs  4 indexed, 4 failed" in command("status").stdout


@pytest.mark.parametrize("argument", ["docs", "docs/pipe.pdf"])
def test_a_named_pipe_is_not_waited_for(command: Command, tmp_path: Path, argument: str) -> None:
    """A FIFO among the documents is reported, and the others are read."""
    write(tmp_path / "docs/a.pdf", prose("lathes"))
    os.mkfifo(tmp_path / "docs/pipe.pdf")

    done = command("run", argument)

    assert done.returncode == 3
    assert "skipped   pipe.pdf  not a regular file [ignored]" in done.stderr
    assert done.stdout.startswith(f"Files:   {int(argument == 'docs')} new,")
