"""Logs on stderr: lines for people, or JSON objects if asked for."""

from __future__ import annotations

import json
import re
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ingest.cli.progress import format_time_left
from tests.conftest import Command, environment, run_ingest, run_process
from tests.fork_server import running_ingest
from tests.pdfs import prose, set_age, write
from tests.processes import start


def parse_log(text: str) -> list[dict[str, Any]]:
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


def strip_times(text: str) -> list[str]:
    """The lines without the time that each must begin with."""
    found = [line.partition(" ") for line in text.splitlines()]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", time) for time, _, _ in found)
    return [line for _, _, line in found]


def test_machines_that_ask_get_objects(command: Command, docs: Path) -> None:
    """With --log json, each line is an object: begin, outcomes, reasons, end."""
    done = command("run", "docs", INGEST_LOG="json")

    events = [line for line in parse_log(done.stderr) if line["event"] != "progress"]
    begin, failed, end = events
    assert (begin["event"], failed["event"], end["event"]) == ("begin", "source", "end")
    assert begin["run"] == failed["run"] == end["run"]
    assert (failed["source"], failed["outcome"], failed["code"]) == (
        "café.pdf",
        "failed",
        "damaged",
    )
    assert failed["level"] == "warning"
    assert (end["exit"], end["outcomes"]["new"]) == (3, 1)
    assert end["message"] == "exit 3: 1 new, 1 failed (café.pdf damaged)"
    assert end["tokens_embedded"] > 0
    assert done.stdout.startswith("Files:   1 new")  # results are for people, unless --json


@pytest.mark.parametrize("form", ["", "auto", "text"])
def test_a_file_gets_text_with_the_time(command: Command, docs: Path, form: str) -> None:
    """In a file, each line of the log begins with the time; the last explains the exit code."""
    done = command("run", "docs", INGEST_LOG=form)

    failed, end = [line for line in strip_times(done.stderr) if " so far" not in line]
    assert failed.startswith("failed    café.pdf  damaged")
    assert end == "exit 3: 1 new, 1 failed (café.pdf damaged)"


def test_a_terminal_gets_text(docs: Path) -> None:
    """On a terminal, lines have no time."""
    call = [sys.executable, "-P", "-m", "ingest", "run", "nowhere"]
    variables = environment() | {"INGEST_LOG": ""}
    with start(*call, cwd=docs.parent, env=variables, stderr="terminal") as process:
        process.wait()
    assert process.stderr.text.startswith("exit 2: nowhere: no such folder or file")


@pytest.mark.parametrize("form", [("--log", "text"), (), ("--log", "auto")])
def test_the_form_can_be_chosen(command: Command, tmp_path: Path, form: tuple[str, ...]) -> None:
    """--log overrides INGEST_LOG, which overrides `.env`."""
    (tmp_path / ".env").write_text("INGEST_LOG=json\n")

    done = command("run", "nowhere", *form, **({"INGEST_LOG": "json"} if form else {}))

    if form:
        assert strip_times(done.stderr)[0].startswith("exit 2: nowhere: no such folder")
    else:
        assert parse_log(done.stderr)[-1]["exit"] == 2


@pytest.mark.parametrize(
    ("arguments", "last"),
    [
        (["run", "nowhere"], "exit 2: nowhere: no such folder or file; check the path"),
        (["run", "docs"], "exit 0: 1 unchanged"),
        (["plan", "more"], "exit 3: 1 new, 1 failed (b.pdf damaged)"),
        (["run", "more", "--max-tokens", "1"], "exit 1: more would exceed --max-tokens 1: "),
        (["check", "more"], "exit 3: found "),
        (["doctor", "nowhere"], "exit 2: 1 thing to fix"),
        (["serch"], "exit 2: no command 'serch' (did you mean search?); see ingest --help"),
        (["run", "--worker-s=1"], "(did you mean --workers?); see ingest run --help"),
        (["eval"], "exit 2: QUESTIONS is missing; see ingest eval"),
    ],
    ids=lambda each: each[0] if isinstance(each, list) else "",
)
def test_the_last_line_says_what_the_exit_code_means(
    well: Path, arguments: list[str], last: str
) -> None:
    """I understand the end of a log without a table of exit codes."""
    done = run_ingest(well, *arguments)

    line = done.stderr.splitlines()[-1]
    assert last in line, done.stderr
    assert line.partition("exit ")[2].startswith(f"{done.returncode}: ")


@pytest.fixture(scope="module")
def well(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an index that is in step with `docs`, and more documents than that."""
    folder = tmp_path_factory.mktemp("well")
    write(folder / "docs/a.pdf", prose("lathes"))
    write(folder / "more/a.pdf", prose("mills"))
    (folder / "more/b.pdf").write_bytes(b"%PDF-1.7 broken")
    assert run_ingest(folder, "run", "docs").returncode == 0
    return folder


def test_the_last_line_says_for_how_long_a_document_is_in_trouble(
    command: Command, tmp_path: Path
) -> None:
    """A file that is broken for twelve days is no news of this night."""
    write(tmp_path / "docs/a.pdf", prose("lathes"))
    broken = tmp_path / "docs/half.pdf"
    broken.write_bytes(b"%PDF-1.7 broken")
    set_age(broken)
    command("run", "docs")
    first = time.strftime("%Y%m%dT%H%M%SZ-abcdef", time.gmtime(time.time() - 12.5 * 86400))
    with closing(sqlite3.connect(tmp_path / ".ingest/index.db")) as db, db:
        db.execute(
            "UPDATE records SET details = ? WHERE source = 'half.pdf'",
            [json.dumps({"since": first})],
        )

    done = command("run", "docs", "-q")

    (end,) = strip_times(done.stderr)
    assert end == "exit 3: 1 unchanged, 1 failed (half.pdf damaged, for 12 days)"


def test_a_form_that_is_none_is_a_mistake(command: Command) -> None:
    """An unknown log format is an error that names the valid ones."""
    done = command("run", "nowhere", "--log", "xml")
    assert done.returncode == 2
    assert "--log=xml: expected auto, text or json" in done.stderr


def test_errors_are_objects_too(command: Command) -> None:
    """With --log json, the error that ends a command is an object too."""
    done = command("run", "nowhere", "--log", "json")

    *_, error = parse_log(done.stderr)
    assert (error["level"], error["exit"]) == ("error", 2)
    assert error["message"].startswith("exit 2: nowhere: no such folder or file")


def test_quiet_says_nothing_but_how_it_ended_in_trouble(command: Command, docs: Path) -> None:
    """With -q, a JSON log has a line only if the run fails, so cron sends mail only then."""
    (end,) = parse_log(command("run", "docs", "-q", "--log", "json").stderr)
    assert (end["event"], end["exit"], end["level"]) == ("end", 3, "warning")
    (error,) = parse_log(command("run", "nowhere", "-q", "--log", "json").stderr)
    assert error["level"] == "error"
    (docs / "café.pdf").unlink()
    assert command("run", "docs", "-q", "--log", "json").stderr == ""


def test_a_hostile_name_cannot_break_a_line(command: Command, tmp_path: Path) -> None:
    """One object a line, whatever a file is called and whatever stderr can show."""
    (tmp_path / "docs").mkdir()
    (tmp_path / 'docs/a"\n{"event":"end"}.pdf').write_bytes(b"%PDF-broken")
    (tmp_path / "docs/é.pdf").write_bytes(b"%PDF-broken")

    done = command("run", "docs", "--log", "json", PYTHONIOENCODING="ascii", LC_ALL="C")

    names = [line["source"] for line in parse_log(done.stderr) if line["event"] == "source"]
    assert sorted(names) == ['a"\n{"event":"end"}.pdf', "é.pdf"]


def test_a_defect_is_one_object(tmp_path: Path) -> None:
    """The traceback of a crash is one line of a JSON log."""
    code = (
        "from ingest.cli import logs\nlogs.configure_logging(1, 'json')\nlogs.set_run('r')\n"
        "def broken(): raise ZeroDivisionError('for once')\nbroken()"
    )
    done = run_process(sys.executable, "-P", "-c", code, cwd=tmp_path)

    assert done.returncode == 1
    (line,) = parse_log(done.stderr)
    assert (line["level"], line["run"]) == ("critical", "r")
    assert line["message"] == "ZeroDivisionError: for once"
    assert "in broken" in line["traceback"]


def test_signs_of_life_are_objects(tmp_path: Path) -> None:
    """Progress lines say how far a run is and what it waits for, also while it only waits."""
    code = (
        "import argparse, time\nfrom ingest.cli import logs, progress\n"
        "from ingest.models import RunProgress\n"
        "from ingest.pipeline.totals import RunTotals\nlogs.configure_logging(1, 'json')\n"
        "options = argparse.Namespace(quiet=False, verbose=0)\n"
        "display = progress.Display(options, current_wait=lambda: 'token quota')\n"
        "display.show(RunProgress(pages=2), RunTotals())\n"
        "display.show(RunProgress(pages=3, chunks=7), RunTotals())\n"
        "display.last_line -= 11\n"
        "progress.REFRESH_SECONDS = 0.01\n"
        "with display:\n"
        "    while not display.last_wait:\n"
        "        time.sleep(0.01)\n"
    )
    (line,) = parse_log(run_process(sys.executable, "-P", "-c", code, cwd=tmp_path).stderr)

    assert (line["event"], line["level"]) == ("progress", "info")
    assert (line["pages"], line["chunks"], line["waiting"]) == (5, 7, "token quota")
    assert line["message"] == "0 documents, 5 pages, 7 chunks so far, waits for token quota"


@pytest.mark.parametrize(
    ("seconds", "done", "rest", "words"),
    [
        (60.0, 1, 3, "about 3 min left"),
        (20.0, 50, 50, "about 20 s left"),
        (7200.0, 10, 20, "about 4 h left"),
        (2.0, 50, 50, ""),
        (60.0, 1, 99, ""),
        (60.0, 100, 0, ""),
    ],
)
def test_the_time_left_is_told_as_soon_as_there_is_a_pace(
    seconds: float, done: int, rest: int, words: str
) -> None:
    """The time left is shown once it can be estimated, and not before."""
    assert format_time_left(seconds, done, rest) == words


@pytest.mark.parametrize("more", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["no colour", "dumb"])
def test_who_wants_no_escape_sequences_gets_none(tmp_path: Path, more: dict[str, str]) -> None:
    """With NO_COLOR, or TERM=dumb, the output is plain text."""
    write(tmp_path / "docs/a.pdf", prose("lathes"))
    shown = ""
    env = environment() | {"TERM": "xterm"} | more
    for arguments in (["run", "docs"], ["search", "lathes"]):
        with running_ingest(
            *arguments, cwd=tmp_path, env=env, stdout="terminal", stderr="terminal"
        ) as process:
            assert process.wait() == 0
        shown += process.stdout.text + process.stderr.text
    assert "exit 0: 1 new" in shown
    assert "lathes" in shown
    assert "\x1b" not in shown
