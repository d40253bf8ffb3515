"""The programs of docs/extending.md work as they stand there."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, environment
from tests.fork_server import call_forked, run_script
from tests.pdfs import write

PAGE = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
PROGRAMS = {
    name: code for code, name in re.findall(r"```python\n(# (\w+\.py).*?)```", PAGE, re.DOTALL)
}
MAX_CODE_LINES = 40


def load_program(name: str) -> dict[str, Any]:
    """The names that a program of the page defines."""
    names: dict[str, Any] = {"__name__": name.removesuffix(".py")}
    exec(PROGRAMS[name], names)
    return names


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the programs of the page, and PDFs for them."""
    for name, code in PROGRAMS.items():
        (tmp_path / name).write_text(code, encoding="utf-8")
    write(tmp_path / "docs/mills.pdf", "Mills grind wheat between two stones.")
    write(tmp_path / "docs/saws.pdf", "Saws cut planks.", "This page is intentionally left blank.")
    return tmp_path


def output(place: Path, name: str) -> list[str]:
    """Lines that a program prints."""
    done = call_forked(partial(run_script, place / name), cwd=place, env=environment())
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_each_program_fits_on_a_screen() -> None:
    """I can read each of them at a glance."""
    assert len(PROGRAMS) == PAGE.count("```python\n")
    for name, code in PROGRAMS.items():
        assert len(code.splitlines()) <= MAX_CODE_LINES, name


def test_a_table_of_pdfs_is_a_source(place: Path) -> None:
    """What is not a folder can be indexed, and the second time nothing is done."""
    with closing(sqlite3.connect(place / "papers.db")) as db, db:
        db.execute("CREATE TABLE papers (name PRIMARY KEY, pdf, changed)")
        for path in (place / "docs").iterdir():
            row = (path.name, path.read_bytes(), "2026-01-01")
            db.execute("INSERT INTO papers VALUES (?, ?, ?)", row)
    assert sorted(output(place, "papers.py")) == ["new mills.pdf", "new saws.pdf"]
    assert sorted(output(place, "papers.py")) == ["unchanged mills.pdf", "unchanged saws.pdf"]


def test_a_function_is_an_embedder(place: Path) -> None:
    """A few lines embed both the documents and the question."""
    assert output(place, "hashed_words.py") == ["new new", "mills.pdf"]


def test_a_run_takes_a_store_and_a_filter(place: Path) -> None:
    """The page that matches is not in the index; the others are, in my store."""
    *events, found = output(place, "run.py")
    assert found == "['mills.pdf']"
    (saws,) = [event for event in events if "source='saws.pdf'" in event]
    assert "pages=2, empty_pages=1, chunks=1" in saws
