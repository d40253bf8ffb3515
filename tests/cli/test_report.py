"""`ingest report`, as a person or a script meets it."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock

from ingest.models import Outcome
from ingest.pipeline.diff import INTERRUPTED_REASON
from tests.conftest import ingested
from tests.pdfs import prose, write


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an index that two runs have filled."""
    folder = tmp_path_factory.mktemp("filled")
    write(folder / "docs/a.pdf", prose("lathes"))
    write(folder / "docs/copy of a.pdf", prose("lathes"))
    (folder / "docs/b.pdf").write_bytes(b"%PDF-1.4 and then nothing")
    ingested(folder, "run", "docs", "-q")
    write(folder / "docs/c.pdf", prose("looms"))
    ingested(folder, "run", "docs", "-q")
    return folder


def data(page: str) -> dict[str, list[list[object]]]:
    """Data of the page's list."""
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    found: dict[str, list[list[object]]] = json.loads(text)
    return found


def test_the_page_is_written_where_i_am(filled: Path) -> None:
    """One word, and there is a file to open, with what it found in a line."""
    done = ingested(filled, "report")

    assert done.returncode == 0, done.stderr
    assert re.match(
        r"Report:  report\.html, [\d.]+ kB: 4 files, 1 of which needs attention\n",
        done.stdout,
    )
    page = (filled / "report.html").read_text()
    assert [row[0] for row in data(page)["rows"]] == ["a.pdf", "b.pdf", "c.pdf", "copy of a.pdf"]
    assert "The same file more than once" in page
    # Chunks and sources over two runs; a run of half a second has no others.
    assert page.count('class="chart"') >= 2


def test_a_run_has_a_page_of_its_own(filled: Path) -> None:
    """By its id, or its start; where that is nobody's I am told the ids there are."""
    status = ingested(filled, "status", "--json").stdout.splitlines()
    runs = [json.loads(line) for line in status if '"event": "run"' in line]
    latest = runs[0]["run"]

    done = ingested(filled, "report", latest, "--out", "run.html", "--json")

    assert json.loads(done.stdout) == {
        "event": "report",
        "file": "run.html",
        "bytes": (filled / "run.html").stat().st_size,
        "sources": 2,
        "inspected": 2,
        "needs_someone": 1,
    }
    rows = data((filled / "run.html").read_text())["rows"]
    assert [(row[0], row[2]) for row in rows] == [("b.pdf", "failed"), ("c.pdf", "new")]

    several = ingested(filled, "report", latest[:4])
    assert (several.returncode, several.stdout) == (2, "")
    assert f"Z exit 2: 2 runs begin with {latest[:4]}: give more of the id (" in several.stderr
    assert latest in several.stderr
    none = ingested(filled, "report", "2019")
    assert none.returncode == 2
    assert latest in none.stderr


def test_the_page_can_be_piped(filled: Path) -> None:
    """To a mail or a store: the page and nothing else; not together with JSON."""
    done = ingested(filled, "report", "--out", "-")
    assert done.returncode == 0
    assert done.stdout.startswith("<!DOCTYPE html>")
    assert done.stdout.rstrip().endswith("</html>")

    both = ingested(filled, "report", "--out", "-", "--json")
    assert both.returncode == 2
    assert "leave out --json" in both.stderr


def test_what_cannot_be_written_is_said(filled: Path) -> None:
    """In one line, with the name and the reason."""
    done = ingested(filled, "report", "--out", "nowhere/report.html")
    assert done.returncode == 2
    assert done.stderr.endswith(
        "Z exit 2: nowhere/report.html cannot be written (No such file or directory): "
        "name another file with --out\n"
    )


def test_an_empty_index_has_no_page(tmp_path: Path) -> None:
    """Asked too early, or in another folder, it tells me how to begin, and makes nothing."""
    done = ingested(tmp_path, "report")
    assert done.returncode == 2
    assert "the index .ingest is empty: fill it with ingest run" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_run_keeps_what_went_on_when(filled: Path) -> None:
    """Its timeline adds up to its totals, and it knows what the index held after it."""
    status = ingested(filled, "status", "--json").stdout.splitlines()
    second, first = (json.loads(line) for line in status if '"event": "run"' in line)

    for run in (first, second):
        assert sum(run["timeline"]["pages"]) == run["pages"]
        assert sum(run["timeline"]["tokens"]) == run["tokens_embedded"] > 0
        assert sum(run["timeline"]["charged"]) == 0  # there is no quota
    assert first["outcomes"][Outcome.NEW] == 2
    assert first["index"] == {"sources": 3, "chunks": 6, "size": first["index"]["size"]}
    assert first["chunks_embedded"] == 3  # each text once
    assert second["index"]["chunks"] == 6 + second["chunks_embedded"]


def test_a_source_can_be_looked_at_page_by_page(filled: Path) -> None:
    """The page has its picture and each of its chunks by the id that the index knows it by."""
    done = ingested(filled, "report", "--inspect", "c.pdf", "--out", "c.html")
    assert done.returncode == 0, done.stderr
    page = (filled / "c.html").read_text()
    with closing(sqlite3.connect(filled / ".ingest/index.db")) as db:
        ids = [row[0] for row in db.execute("SELECT id FROM chunks WHERE source = 'c.pdf'")]
    assert ids
    assert all(f'data-id="{name}"' in page for name in ids)
    assert page.count("data:image/png;base64,") == 1

    nobody = ingested(filled, "report", "--inspect", "d.pdf")
    assert nobody.returncode == 2
    assert "--inspect d.pdf: there is no such source" in nobody.stderr


def test_what_a_run_is_reading_has_not_failed(filled: Path) -> None:
    """While a run holds the index, I am told what it is at; once it has died, what it died over."""
    with closing(sqlite3.connect(filled / ".ingest/index.db", isolation_level=None)) as db:
        before = db.execute("SELECT * FROM records WHERE source = 'c.pdf'").fetchall()
        db.execute(
            "UPDATE records SET outcome = 'failed', error = ?, code = 'crashed', attempts = 1 "
            "WHERE source = 'c.pdf'",
            (INTERRUPTED_REASON,),
        )
        with FileLock(filled / ".ingest/lock"):
            meanwhile = ingested(filled, "status").stdout
            lines = ingested(filled, "status", "--json").stdout.splitlines()
            ingested(filled, "report", "--out", "meanwhile.html")
        later = ingested(filled, "status").stdout
        marks = ", ".join("?" * len(before[0]))
        db.execute(f"INSERT OR REPLACE INTO records VALUES ({marks})", before[0])

    assert "in progress  c.pdf  a run is working on it" in meanwhile
    assert "crashed" not in meanwhile
    record = next(json.loads(line) for line in lines if '"source": "c.pdf"' in line)
    assert (record["outcome"], record["code"], record["attempts"]) == ("in progress", "", 0)
    assert '"in_progress": 1' in lines[-1]
    assert "crashed" not in json.dumps(data((filled / "meanwhile.html").read_text()))
    assert f"failed   c.pdf  {INTERRUPTED_REASON} [crashed]" in later
