"""Nights of a scheduled job: what an operator reads in the log of one that went wrong."""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ingest.cli import logs
from ingest.cli.exit_message import combine_errors
from ingest.cli.signals import handle_signals
from ingest.cli.status import describe_late, format_marks, without_current_run
from ingest.config.factory import begin
from ingest.config.settings import Settings
from ingest.errors import BusyError, ConfigError, IngestError, RootError, ServiceError, StoppedError
from ingest.models import KnownRoot, Summary, __version__
from ingest.pipeline.run import mark_begun, mark_ended, run_exit_code, run_on_roots
from ingest.pipeline.totals import RunTotals
from ingest.runtime.cancellation import Cancellation
from tests.conftest import Command, CommandHere
from tests.pdfs import prose, write


def parse_log(text: str) -> list[dict[str, Any]]:
    """The events of a JSON log."""
    return [json.loads(line) for line in text.splitlines()]


def test_a_share_that_is_not_mounted_is_no_green_night(command: Command, tmp_path: Path) -> None:
    """For a folder that lost all its PDFs, the job exits with 2 and logs what to do."""
    write(tmp_path / "docs/a.pdf", prose("lathes"))
    command("run", "docs")
    (tmp_path / "docs/a.pdf").unlink()

    done = command("run", "docs", INGEST_LOG="json")

    kept, end = parse_log(done.stderr)[-2:]
    assert (done.returncode, kept["event"], kept["level"]) == (2, "kept", "warning")
    assert (end["event"], end["level"], end["exit"]) == ("end", "error", 2)
    for line in (kept, end):
        assert "the root has no PDFs at all: check that it is mounted" in line["message"]
        assert "--allow-empty removes them" in line["message"]
    assert "0 removed" in done.stdout
    # The morning after, without the log.
    (last, _) = (line for line in command("status").stdout.splitlines() if line[:4] == "Run:")
    assert "exit 2" in last
    assert "the root has no PDFs at all: check that it is mounted" in last
    assert "--allow-empty removes them" in command("report", "--out", "-").stdout

    done = command("run", "docs", "--allow-empty")

    assert (done.returncode, "1 removed" in done.stdout) == (0, True)


def test_one_missing_root_does_not_stop_the_others(command: Command, tmp_path: Path) -> None:
    """If one folder is missing, the others are indexed, and the run exits with 2 naming it."""
    write(tmp_path / "docs/a.pdf", prose("lathes"))
    (tmp_path / "docs/b.pdf").write_bytes(b"%PDF-1.7 nothing")

    done = command("run", "gone", "docs", INGEST_LOG="json")

    lines = parse_log(done.stderr)
    begin, end = lines[0], lines[-1]
    for line in (begin, end):  # either of them tells which job this was
        assert (line["roots"], line["version"]) == (["gone", "docs"], __version__)
        assert (line["index_name"], line["embedder"]) == (".ingest", "local")
    assert (end["new_problems"], end["known_problems"]) == (1, 0)
    assert (end["retries"], end["refused_requests"], end["waited_seconds"]) == (0, 0, 0)
    assert end["model"]
    warned = [line["message"] for line in lines if line["level"] == "warning"]
    assert "gone: no such folder or file; check the path; the other roots are done" in warned
    assert (done.returncode, lines[-1]["exit"], lines[-1]["level"]) == (2, 2, "error")
    assert lines[-1]["message"] == (
        "exit 2: 1 new, 1 failed (b.pdf damaged); gone: no such folder or file; check the path"
    )
    assert command("plan", "gone", "docs").returncode == 2


def test_a_wait_that_the_deadline_ended_names_the_deadline() -> None:
    """If the deadline ends a wait, the error names the deadline."""
    error = StoppedError("stopped while waiting for a service; run again to continue")
    ended = combine_errors(error, RunTotals(), [], is_overdue=True)
    assert (ended.exit_code, str(ended)) == (1, f"the deadline was reached: {error}")
    assert combine_errors(error, RunTotals(), []) is error


def test_a_signal_ends_a_wait_for_the_lock_at_once() -> None:
    """Waiting for the lock needs no grace period: ^C ends it, with the signal's exit code."""
    stop = Cancellation(grace_seconds=600.0)

    def hold(_engine: str, _on_lost: object) -> None:
        assert not stop.is_overdue()
        stop.request()
        assert stop.is_overdue()
        raise StoppedError("stopped while waiting for a service")

    services: Any = SimpleNamespace(index=SimpleNamespace(hold=hold))
    with pytest.raises(IngestError) as caught, handle_signals(stop) as received:
        received.append(signal.SIGTERM)
        begin(services, Settings(), stop, write=True)
    assert caught.value.exit_code == 143
    assert str(caught.value).startswith("stopped by SIGTERM: stopped while waiting")


@pytest.mark.parametrize(("form", "lines"), [("json", 0), ("text", 1)])
def test_the_cause_of_an_error_is_logged_once(
    command_here: CommandHere, monkeypatch: pytest.MonkeyPatch, form: str, lines: int
) -> None:
    """A JSON log has the cause in its `end` line; a text log has it in the last line."""

    def fail(_: object) -> int:
        logs.configure_logging(1, form)
        error = ServiceError("down")
        error.is_logged = True  # by the line `end`
        raise error

    monkeypatch.setitem(sys.modules, "ingest.cli.status", SimpleNamespace(main=fail))
    code, _, errors = command_here("status")
    assert (code, errors.count("exit 1: down")) == (1, lines)


@pytest.mark.parametrize(
    ("error", "signals", "missing", "code", "text"),
    [
        (ServiceError("down"), [], [], 1, "down"),
        (ServiceError("down"), [], ["x: gone"], 2, "x: gone; down"),
        (ConfigError("wrong"), [], ["x: gone"], 2, "wrong"),
        (BusyError("held"), [], [], 11, "held"),
        (ServiceError("down"), [15], ["x: gone"], 143, "stopped by SIGTERM: down; the next run"),
    ],
)
def test_where_several_codes_apply_the_first_to_act_on_wins(
    error: IngestError, signals: list[int], missing: list[str], code: int, text: str
) -> None:
    """A signal comes before 2, 2 before 1, 1 before 3; the message has every cause."""
    ended = combine_errors(error, RunTotals(unlisted=missing), signals)
    assert (ended.exit_code, str(ended)[: len(text)]) == (code, text)


def test_a_deadline_does_not_hide_what_needs_a_person() -> None:
    """A run that reached its deadline and lacks a root exits with 2."""
    stop = Cancellation()
    assert run_exit_code(stop, RunTotals(unlisted=["x: gone"])) == 2
    stop.request()
    assert run_exit_code(stop, RunTotals(unlisted=["x: gone"])) == 2
    assert run_exit_code(stop, RunTotals()) == 1


class Root:
    """A root that cannot be listed, or has nothing."""

    def __init__(self, name: str) -> None:
        self.name = name


def list_root(root: Root, *_: object) -> Iterator[str]:
    """A run on a root; that of some of them cannot be listed."""
    yield root.name
    if root.name.startswith("bad"):
        raise RootError(f"{root.name}: no such container")


@dataclass
class Nothing:
    """In place of the services of a run, and of its options."""

    reader = SimpleNamespace(describes=False)
    images: None = None
    has_more_roots: bool = False


def test_a_root_that_cannot_be_listed_is_noted() -> None:
    """If a container is missing, the roots after it are still done."""
    totals = RunTotals()
    nothing = cast("Any", Nothing())
    roots = cast("Any", [Root("bad"), Root("good")])
    found = list(run_on_roots(cast("Any", list_root), roots, nothing, nothing, totals))
    assert (found, totals.unlisted) == (["bad", "good"], ["bad: no such container"])
    with pytest.raises(RootError, match="bad: no such container"):
        list(run_on_roots(cast("Any", list_root), roots[:1], nothing, nothing, RunTotals()))


def test_a_health_check_tells_the_nights_that_did_not_happen(
    command: Command, tmp_path: Path
) -> None:
    """`status --max-age` exits with 3 once the last complete run is too old."""
    write(tmp_path / "docs/a.pdf", prose("lathes"))
    assert command("status", "--max-age", "36h").returncode == 3  # nothing ever ran
    command("run", "docs")

    done = command("status", "--max-age", "36h")
    assert done.returncode == 0
    assert re.search(
        r"^Last:    .*docs  complete run \d+ (second|minute)s? ago, ", done.stdout, re.MULTILINE
    )

    done = command("status", "--max-age", "0")
    assert done.returncode == 3
    assert re.search(r"exit 3: the last complete run of .*docs ended \d+ .* ago: ", done.stderr)
    quiet = command("status", "--quiet", "--max-age", "0")
    assert (quiet.returncode, quiet.stdout, len(quiet.stderr.splitlines())) == (3, "", 1)


def test_only_a_complete_run_counts() -> None:
    """A failed run does not renew the age; a killed one is named until a run succeeds."""

    def ended(root: KnownRoot, run: str, code: int) -> KnownRoot:
        summary = Summary(run, f"2026-11-0{run}T03:00:00+00:00", 1, code, {}, 0, 0, 0, 0, {}, "")
        return mark_ended(root, summary)

    never = list(format_marks(KnownRoot("docs", "docs"), 0))
    assert never == ["Last:    docs  no complete run is recorded"]
    root = ended(mark_begun(KnownRoot("docs", "docs"), "1"), "1", 3)
    assert (root.last_good[:10], root.begun) == ("2026-11-01", ())
    root = mark_begun(root, "2")  # and is killed
    root = ended(mark_begun(root, "3"), "3", 1)
    assert (root.last_good[:10], root.begun) == ("2026-11-01", ("2",))
    now = datetime(2026, 11, 3, 4, tzinfo=UTC).timestamp()
    assert list(format_marks(root, now)) == [
        "Last:    docs  complete run 2 days ago, 2026-11-01 03:00",
        "Began:   docs  run 2 began and never ended: it was killed, or its host or disk failed",
    ]
    late = describe_late([root], 48 * 3600, now)
    assert late.startswith("the last complete run of docs ended 2 day")
    assert describe_late([root], 50 * 3600, now) == ""
    assert ended(root, "9", 0) == root  # of another root
    root = ended(mark_begun(root, "4"), "4", 0)
    assert (root.last_good[:10], root.begun) == ("2026-11-04", ())
    assert without_current_run(mark_begun(root, "5"), held=True) == root
