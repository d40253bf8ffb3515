"""What stderr gets: lines for people on a terminal, an object a line for machines."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Command, called, environment
from tests.pdfs import prose, write
from tests.processes import running


def objects(text: str) -> list[dict[str, Any]]:
    """Every line, which must be an object with what every line has."""
    found = [json.loads(line) for line in text.splitlines()]
    for each in found:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", each["time"])
        assert each["level"] in ("debug", "info", "warning", "error", "critical")
        assert each["event"]
        assert each["message"]
    return found


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A good document and a broken one with a name that is no ASCII."""
    write(tmp_path / "docs/a.pdf", prose("lathes"))
    (tmp_path / "docs/café.pdf").write_bytes(b"%PDF-1.7 nothing")
    return tmp_path / "docs"


def test_a_file_gets_objects(command: Command, docs: Path) -> None:
    """The log of a job can be queried: what began, what failed and why, what it came to."""
    done = command("run", "docs", INGEST_LOG="")

    begin, failed, end = objects(done.stderr)
    assert (begin["event"], failed["event"], end["event"]) == ("begin", "source", "end")
    assert begin["run"] == failed["run"] == end["run"]
    assert (failed["source"], failed["outcome"], failed["code"]) == (
        "café.pdf",
        "failed",
        "damaged",
    )
    assert failed["level"] == "warning"
    assert (end["exit"], end["outcomes"]["new"]) == (3, 1)
    assert end["tokens_embedded"] > 0
    assert done.stdout.startswith("Files:   1 new")  # results are for people, unless --json


def test_a_terminal_gets_text(docs: Path) -> None:
    """What I look at is for me, whatever becomes of the output."""
    call = [sys.executable, "-P", "-m", "ingest", "run", "nowhere"]
    told = environment() | {"INGEST_LOG": ""}
    with running(*call, cwd=docs.parent, env=told, stderr="terminal") as process:
        process.wait()
    assert process.stderr.text.startswith("ingest: nowhere: no such folder or file")


@pytest.mark.parametrize("form", [("--log", "text"), (), ("--log", "auto")])
def test_the_form_can_be_chosen(command: Command, tmp_path: Path, form: tuple[str, ...]) -> None:
    """By flag, by the environment, by .env, in this order."""
    (tmp_path / ".env").write_text("INGEST_LOG=json\n")

    done = command("run", "nowhere", *form, INGEST_LOG="json" if form else "")

    if form == ("--log", "text"):
        assert done.stderr.startswith("ingest: nowhere: no such folder")
    else:
        assert objects(done.stderr)[-1]["exit"] == 2


def test_a_form_that_is_none_is_a_mistake(command: Command) -> None:
    """I am told which forms there are."""
    done = command("run", "nowhere", "--log", "xml")
    assert done.returncode == 2
    assert "--log=xml: expected auto or text or json" in done.stderr


def test_errors_are_objects_too(command: Command) -> None:
    """The one line that says why nothing happened is the one that must not be missed."""
    done = command("run", "nowhere", "--log", "json")

    *_, error = objects(done.stderr)
    assert (error["level"], error["exit"]) == ("error", 2)
    assert error["message"].startswith("nowhere: no such folder or file")


def test_quiet_says_nothing_but_errors(command: Command, docs: Path) -> None:
    """As for people."""
    assert command("run", "docs", "-q", "--log", "json").stderr == ""
    (error,) = objects(command("run", "nowhere", "-q", "--log", "json").stderr)
    assert error["level"] == "error"


def test_a_hostile_name_cannot_break_a_line(command: Command, tmp_path: Path) -> None:
    """One object a line, whatever a file is called and whatever stderr can show."""
    (tmp_path / "docs").mkdir()
    (tmp_path / 'docs/a"\n{"event":"end"}.pdf').write_bytes(b"%PDF-broken")
    (tmp_path / "docs/é.pdf").write_bytes(b"%PDF-broken")

    done = command("run", "docs", "--log", "json", PYTHONIOENCODING="ascii", LC_ALL="C")

    names = [line["source"] for line in objects(done.stderr) if line["event"] == "source"]
    assert sorted(names) == ['a"\n{"event":"end"}.pdf', "é.pdf"]


def test_a_defect_is_one_object(tmp_path: Path) -> None:
    """If it crashes at night, the traceback is one line of the log and not forty."""
    code = (
        "from ingest.cli import logs\nlogs.listen(1, 'json')\nlogs.begin('r')\n"
        "def broken(): raise ZeroDivisionError('for once')\nbroken()"
    )
    done = called(sys.executable, "-P", "-c", code, cwd=tmp_path)

    assert done.returncode == 1
    (line,) = objects(done.stderr)
    assert (line["level"], line["run"]) == ("critical", "r")
    assert line["message"] == "ZeroDivisionError: for once"
    assert "in broken" in line["traceback"]


def test_signs_of_life_are_objects(tmp_path: Path) -> None:
    """A long run says how far it is and what it waits for, in numbers that can be drawn."""
    code = (
        "import argparse\nfrom ingest.cli import logs, show\nfrom ingest.model import Advanced\n"
        "from ingest.report.totals import Totals\nlogs.listen(1, 'json')\n"
        "display = show.Display(argparse.Namespace(quiet=False, verbose=0))\n"
        "display.show(Advanced(pages=2), Totals())\n"
        "display.spoken -= 11\n"
        "display.show(Advanced(pages=3, chunks=7), Totals(), 'token quota')"
    )
    (line,) = objects(called(sys.executable, "-P", "-c", code, cwd=tmp_path).stderr)

    assert (line["event"], line["level"]) == ("progress", "info")
    assert (line["pages"], line["chunks"], line["waiting"]) == (5, 7, "token quota")
    assert line["message"] == "0 documents, 5 pages, 7 chunks so far, waits for token quota"
