"""`ingest check` as a person or a schedule meets it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sqlite3
from pathlib import Path

from tests.conftest import Command
from tests.pdfs import prose, write


def lose_chunks(folder: Path) -> None:
    """Two chunks are lost from an index, with all that belongs to them."""
    db = sqlite3.connect(folder / ".ingest" / "index.db")
    query = "SELECT number FROM chunks WHERE source = 'a.pdf' LIMIT 2"
    numbers = db.execute(query).fetchall()
    for table, key in (("chunks", "number"), ("vectors", "number"), ("words", "rowid")):
        db.executemany(f"DELETE FROM {table} WHERE {key} = ?", numbers)
    db.commit()
    db.close()


def test_a_schedule_can_rely_on_the_exit_code(command: Command, tmp_path: Path) -> None:
    """A check exits with 0, with 3 after damage, and with 0 again once it is repaired for free."""
    assert command("check").returncode == 0
    assert command("check", "--repair").returncode == 0
    assert list(tmp_path.iterdir()) == []  # looking makes no index

    for name in ("a", "b"):
        write(tmp_path / "docs" / f"{name}.pdf", *(prose(f"{name} {n}", 40) for n in range(3)))
    command("run", "docs")
    well = command("check", "docs")
    assert (well.returncode, well.stderr) == (0, "")
    assert "Found:   nothing" in well.stdout

    lose_chunks(tmp_path)
    found = command("check")
    assert found.returncode == 3
    assert re.search(
        r"^missing   a\.pdf  not in the index: 2 of \d+ chunks$", found.stdout, re.MULTILINE
    )
    assert "Fix:     ingest check --repair  (missing)" in found.stdout
    quiet = command("check", "-q")
    assert (quiet.returncode, quiet.stdout) == (3, "")
    assert quiet.stderr.endswith("Z exit 3: found 1 missing\n")

    mended = command("check", "--repair")
    assert mended.returncode == 0, mended.stdout
    assert "2 chunks embedded" in mended.stdout
    assert "Found:   nothing" in mended.stdout


def test_a_script_reads_each_finding_as_a_line(command: Command, tmp_path: Path) -> None:
    """With --json, each finding, each repair and its cost is a line."""
    write(tmp_path / "docs" / "a.pdf", *(prose(f"topic {n}", 40) for n in range(3)))
    command("run", "docs")
    lose_chunks(tmp_path)

    done = command("check", "--repair", "--json")
    finding, source, summary = (json.loads(line) for line in done.stdout.splitlines())
    assert finding["event"] == "finding"
    assert {name: finding[name] for name in ("kind", "root", "source", "count", "remedy")} == {
        "kind": "missing",
        "root": str(tmp_path / "docs"),
        "source": "a.pdf",
        "count": 2,
        "remedy": "ingest check --repair",
    }
    assert len(finding["ids"]) == 2
    assert (source["event"], source["outcome"], source["embedded"]) == ("source", "changed", 2)
    assert summary["event"] == "summary"
    assert (summary["findings"], summary["exit"]) == ({}, 0)
    assert (summary["chunks_embedded"], summary["tokens_embedded"]) == (2, source["tokens"])


def test_a_repair_that_stops_at_a_limit_is_not_taken_for_done(
    command: Command, tmp_path: Path
) -> None:
    """It exits with 1 and names the limit; the next repair continues."""
    write(tmp_path / "docs" / "a.pdf", *(prose(f"topic {n}", 40) for n in range(3)))
    command("run", "docs")
    lose_chunks(tmp_path)

    done = command("check", "--repair", "--max-tokens", "1")
    assert done.returncode == 1, done.stdout
    assert "more would exceed --max-tokens 1" in done.stderr
    assert "Found:   nothing so far: stopped before everything was checked" in done.stdout
    (*_, summary) = command("check", "--repair", "--json", "--max-tokens", "1").stdout.splitlines()
    assert json.loads(summary)["exit"] == 1

    assert command("check", "--repair").returncode == 0


def test_what_mends_it_can_be_copied(command: Command, tmp_path: Path) -> None:
    """The suggested command names the index that was checked."""
    write(tmp_path / "my docs" / "a.pdf", prose("a"))
    found = command("check", "my docs", "--index", "my index")
    assert f"ingest run '{tmp_path / 'my docs'}' --index 'my index'  (new)" in found.stdout

    command("run", "my docs", "--index", "my index")
    shutil.rmtree(tmp_path / "my docs")
    (advised,) = re.findall(
        "^Fix:     (.*), if it", command("check", "--index", "my index").stdout, re.MULTILINE
    )
    gone = command(*shlex.split(advised)[1:])
    assert (gone.returncode, "Forgot:  1 file, " in gone.stdout) == (0, True)
    assert "The index is empty" in command("check", "--index", "my index").stdout


def test_what_cannot_be_mended_is_said(command: Command, tmp_path: Path) -> None:
    """A missing folder stays a finding until --forget removes it."""
    write(tmp_path / "docs" / "a.pdf", prose("a"))
    command("run", "docs")
    shutil.rmtree(tmp_path / "docs")

    left = command("check", "--repair")
    assert left.returncode == 3
    assert f"ingest check --forget {tmp_path / 'docs'}" in left.stdout
    assert command("check", "docs").returncode == 2
    unknown = command("check", "--forget", "other")
    assert unknown.returncode == 2
    assert "the index has no such root" in unknown.stderr

    gone = command("check", "--forget", "docs")
    assert gone.returncode == 0
    assert "Forgot:  1 file, " in gone.stdout


def test_a_check_ends_with_who_listens(command: Command, tmp_path: Path) -> None:
    """Only some of many findings are printed, unless -v asks for all."""
    for n in range(25):
        write(tmp_path / "docs" / f"{n:02}.pdf", "words")
    some = command("check", "docs")
    assert some.returncode == 3
    assert some.stdout.count("it is not in the index yet") == 20
    assert "5 more; -v shows all" in some.stdout
    assert command("check", "docs", "-v").stdout.count("it is not in the index yet") == 25
