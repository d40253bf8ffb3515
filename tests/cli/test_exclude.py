"""Excluded documents, as a run reports them to a person or a scheduler."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tests.conftest import Command
from tests.pdfs import prose, set_age, write


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """Two PDFs, a broken one, a link that leads nowhere, and documents of other programs."""
    folder = tmp_path / "docs"
    for name in ("a", "b"):
        write(folder / f"{name}.pdf", prose(name))
    broken = folder / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7 broken")
    set_age(broken)
    (folder / "gone.pdf").symlink_to("/nowhere")
    for name in ("c.docx", "d.docx", "e.html", "Makefile", ".DS_Store"):
        (folder / name).touch()
    return folder


UNREAD = "4 files of other kinds were not read: .docx 2, .html 1, no extension 1"


def test_what_is_not_read_is_said(command: Command, docs: Path) -> None:
    """Files of other kinds next to my PDFs are counted; -v names them."""
    plan = command("plan", "docs")
    assert f"Unread:  {UNREAD}" in plan.stdout
    assert "c.docx" not in plan.stdout
    run = command("run", "docs", "-v")
    assert f"Unread:  {UNREAD}" in run.stdout
    assert "unread    c.docx" in run.stderr
    assert f"Unread:  {UNREAD}" in command("status").stdout

    again = command("run", "docs", "--exclude", "broken.pdf", "--exclude", "gone.pdf", "--json")
    summary = json.loads(again.stdout.splitlines()[-1])
    assert again.returncode == 0  # they are no trouble
    assert summary["other_kinds"] == {".docx": 2, ".html": 1, "no extension": 1}
    assert not any("docx" in line for line in again.stdout.splitlines()[:-1])
    assert docs.exists()


def test_many_kinds_are_summed_up(command: Command, tmp_path: Path) -> None:
    """The most frequent are named, the rest is counted."""
    write(tmp_path / "docs" / "a.pdf", prose("a"))
    for number in range(10):
        (tmp_path / "docs" / f"x.k{number}").touch()
    (tmp_path / "docs" / "y.k9").touch()
    said = command("plan", "docs").stdout
    assert "11 files of other kinds were not read: .k9 2, .k0 1, .k1 1" in said
    assert ".k6 1, and 2 other kinds" in said


def test_a_dead_link_is_named_as_long_as_it_is_there(command: Command, docs: Path) -> None:
    """`status` and `check` name a dead link until it is removed."""
    assert command("run", "docs").returncode == 3
    link = "gone.pdf  a link that leads nowhere (No such file or directory) [ignored]"
    assert f"skipped  {link}" in command("status").stdout
    check = command("check", "docs")
    assert (check.returncode, "Found:   nothing" in check.stdout) == (0, True)
    assert f"skipped   {link}" in check.stdout
    *_, untaken, summary = map(json.loads, command("check", "--json").stdout.splitlines())
    assert (untaken["event"], untaken["source"], untaken["code"]) == (
        "untaken",
        "gone.pdf",
        "ignored",
    )
    assert summary["findings"] == {}

    (docs / "gone.pdf").unlink()
    assert "removed   gone.pdf" in command("run", "docs", "-v").stderr
    assert "gone.pdf" not in command("status").stdout


def test_an_excluded_document_does_not_cry_for_ever(command: Command, docs: Path) -> None:
    """An excluded document stays in the index and is listed, until I forget it."""
    command("run", "docs")
    (docs / "b.pdf").unlink()
    some = ("--exclude", "broken.pdf", "--exclude", "[bg]*.pdf")

    plan = command("plan", "docs", *some)
    assert "Exclude: 2 files left out; 3 kept in the index" in plan.stdout
    assert "kept      b.pdf  excluded" in plan.stdout
    run = command("run", "docs", INGEST_EXCLUDE="broken.pdf,[bg]*.pdf")
    assert run.returncode == 0
    assert "1 unchanged, 0 removed, 0 failed" in run.stdout
    status = command("status").stdout
    assert "Exclude: 3 kept in the index; ingest check --forget ROOT/NAME removes one" in status
    assert "kept     b.pdf  excluded" in status
    check = command("check", "docs", *some)
    assert "Found:   nothing" in check.stdout
    assert "Found:   1 vanished" in command("check", "docs").stdout

    forgot = command("check", *some, "--forget", "docs/b.pdf")
    assert f"of {docs}/b.pdf" in forgot.stdout
    assert "Exclude: 2 kept" in command("status").stdout
    assert command("check", "--forget", "docs/b.pdf").returncode == 2


def test_a_rebuild_keeps_what_the_index_has_of_an_excluded_document(
    command: Command, docs: Path
) -> None:
    """A rebuild reads an excluded document that the index has, and skips one it has not."""
    command("run", "docs")
    anew = command(
        "rebuild", "--chunk-tokens", "64", "--exclude", "b*.pdf", "--exclude", "gone.pdf"
    )
    assert anew.returncode == 0, anew.stderr
    assert "2 new" in anew.stdout
    assert "2 indexed" in command("status").stdout
    assert docs.exists()


def test_a_repair_leaves_excluded_documents_as_they_are(command: Command, docs: Path) -> None:
    """A repair neither reads nor removes what the index has of excluded documents."""
    command("run", "docs")
    db = sqlite3.connect(docs.parent / ".ingest" / "index.db")
    db.execute("DELETE FROM chunks WHERE source = 'b.pdf'")
    db.commit()
    db.close()
    mended = command("check", "--repair", "--exclude", "b.pdf")
    assert mended.returncode == 3
    assert "missing   b.pdf" in mended.stdout
    assert "unfinished" not in command("status").stdout
    assert command("check", "--repair").returncode == 0


def test_broken_for_good_is_no_news_for_a_scheduler(command: Command, docs: Path) -> None:
    """INGEST_EXIT_OK maps exit code 3 of known problems to 0; the summary keeps the 3."""
    known = {"INGEST_EXIT_OK": "known"}
    first, retry = (command("run", "docs", **known) for _ in range(2))
    assert (first.returncode, retry.returncode) == (3, 3)

    db = sqlite3.connect(docs.parent / ".ingest" / "index.db")
    rows = db.execute("SELECT source, details FROM records WHERE details LIKE '%since%'").fetchall()
    assert sorted(name for name, _ in rows) == ["broken.pdf", "gone.pdf"]
    for name, details in rows:
        before = json.dumps(json.loads(details) | {"since": "20200101T020000Z-aaaaaa"})
        db.execute("UPDATE records SET details = ? WHERE source = ?", (before, name))
    db.commit()
    db.close()

    later = command("run", "docs", "--json", **known)
    assert later.returncode == 0
    assert json.loads(later.stdout.splitlines()[-1])["exit"] == 3
    assert "exit code 3 is reported as 0" in later.stderr
    assert command("run", "docs").returncode == 3
    assert "exit 3" in command("status").stdout

    (docs / "new.pdf").symlink_to("/nowhere")
    assert command("run", "docs", **known).returncode == 3
    assert command("run", "docs", INGEST_EXIT_OK="3").returncode == 0
