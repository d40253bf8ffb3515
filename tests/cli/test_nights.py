"""Nights of a scheduled job: what an operator reads in the log of one that went wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.conftest import Command
from tests.pdfs import prose, write


def logged(text: str) -> list[dict[str, Any]]:
    """The events of a JSON log."""
    return [json.loads(line) for line in text.splitlines()]


def test_a_share_that_is_not_mounted_is_no_green_night(command: Command, tmp_path: Path) -> None:
    """The folder is there and empty: the job ends with 2, and its log says why and what to do."""
    write(tmp_path / "docs/a.pdf", prose("lathes"))
    command("run", "docs")
    (tmp_path / "docs/a.pdf").unlink()

    done = command("run", "docs", INGEST_LOG="json")

    kept, end = logged(done.stderr)[-2:]
    assert (done.returncode, kept["event"], kept["level"]) == (2, "kept", "warning")
    assert (end["event"], end["level"], end["exit"]) == ("end", "error", 2)
    for line in (kept, end):
        assert "the root has no PDFs at all: check that it is mounted" in line["message"]
        assert "--allow-empty removes them" in line["message"]
    assert "0 removed" in done.stdout

    done = command("run", "docs", "--allow-empty")

    assert (done.returncode, "1 removed" in done.stdout) == (0, True)
