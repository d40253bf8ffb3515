"""Suggestion of a next command: the last line of a run that a person started."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.conftest import ROOT, Command, environment
from tests.fork_server import running_ingest
from tests.pdfs import prose, write


def read_terminal(folder: Path, *arguments: str) -> list[str]:
    """The lines that `ingest` prints where stdout is a terminal."""
    call = running_ingest(
        *arguments, cwd=folder, env=environment(), stdout="terminal", stderr="null"
    )
    with call as process:
        process.wait()
    return process.stdout.text.splitlines()


def test_a_first_run_says_what_to_try_next(tmp_path: Path) -> None:
    """My first run is over: its last line is a search, in the index that I named."""
    write(tmp_path / "docs/a.pdf", prose("lathes"))
    search = f'Try:     {ROOT}/scripts/ingest search{{}} "your question"'

    assert read_terminal(tmp_path, "run", "docs")[-1] == search.format("")
    named = read_terminal(tmp_path, "run", "docs", "--index", "my index")
    assert named[-1] == search.format(" --index 'my index'")


def test_only_a_person_is_told_what_to_try(command: Command, tmp_path: Path) -> None:
    """With -q, with JSON or without a terminal, no suggestion is printed."""
    write(tmp_path / "docs/a.pdf", prose("lathes"))

    assert read_terminal(tmp_path, "run", "docs", "-q") == []
    assert len(read_terminal(tmp_path, "run", "docs", "--json")) == 2
    done = command("run", "docs")
    assert "Index:" in done.stdout
    assert "Try:" not in done.stdout


def test_a_run_that_is_not_in_order_has_other_news(tmp_path: Path) -> None:
    """After a run with problems, or without documents, no search is suggested."""
    (tmp_path / "none").mkdir()
    assert not any(line.startswith("Try:") for line in read_terminal(tmp_path, "run", "none"))

    write(tmp_path / "docs/a.pdf", prose("lathes"))
    shutil.copy(ROOT / "tests/data/broken/truncated.pdf", tmp_path / "docs")
    lines = read_terminal(tmp_path, "run", "docs")
    assert any(line.startswith("Index:") for line in lines)
    assert not any(line.startswith("Try:") for line in lines)
