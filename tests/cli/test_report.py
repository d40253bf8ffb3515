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
from tests.conftest import run_ingest
from tests.pdfs import prose, write


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an index that two runs have filled."""
    folder = tmp_path_factory.mktemp("filled")
    write(folder / "docs/a.pdf", prose("lathes"))
    write(folder / "docs/copy of a.pdf", prose("lathes"))
    (folder / "docs/b.pdf").write_bytes(b"%PDF-1.4 and then nothing")
    run_ingest(folder, "run", "docs", "-q")
    write(folder / "docs/c.pdf", prose("looms"))
    run_ingest(folder, "run", "docs", "-q")
    return folder


def parse_data(page: str) -> dict[str, list[list[object]]]:
    """Data of the page's list."""
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    found: dict[str, list[list[object]]] = json.loads(text)
    return found


def test_the_page_is_written_where_i_am(filled: Path) -> None:
    """`ingest report` writes report.html and prints one line about it."""
    done = run_ingest(filled, "report")

    assert done.returncode == 0, done.stderr
    assert re.match(
        r"Report:  report\.html, [\d.]+ kB: 4 files, 1 of which needs attention\n",
        done.stdout,
    )
    page = (filled / "report.html").read_text()
    assert [row[0] for row in parse_data(page)["rows"]] == [
        "a.pdf",
        "b.pdf",
        "c.pdf",
        "copy of a.pdf",
    ]
    assert "The same file more than once" in page
    # Chunks and sources over two runs; a run of half a second has no others.
    assert page.count('class="chart"') >= 2


def test_a_run_has_a_page_of_its_own(filled: Path) -> None:
    """A run is chosen by its id or the start of it; for an unknown id, known ones are listed."""
    status = run_ingest(filled, "status", "--json").stdout.splitlines()
    runs = [json.loads(line) for line in status if '"event": "run"' in line]
    latest = runs[0]["run"]

    done = run_ingest(filled, "report", latest, "--out", "run.html", "--json")

    assert json.loads(done.stdout) == {
        "event": "report",
        "file": "run.html",
        "bytes": (filled / "run.html").stat().st_size,
        "sources": 2,
        "inspected": 2,
        "needs_someone": 1,
    }
    rows = parse_data((filled / "run.html").read_text())["rows"]
    assert [(row[0], row[2]) for row in rows] == [("b.pdf", "failed"), ("c.pdf", "new")]

    several = run_ingest(filled, "report", latest[:4])
    assert (several.returncode, several.stdout) == (2, "")
    assert f"Z exit 2: 2 runs begin with {latest[:4]}: give more of the id (" in several.stderr
    assert latest in several.stderr
    none = run_ingest(filled, "report", "2019")
    assert none.returncode == 2
    assert latest in none.stderr


def test_the_page_can_be_piped(filled: Path) -> None:
    """`--out -` prints the page and nothing else, and excludes --json."""
    done = run_ingest(filled, "report", "--out", "-")
    assert done.returncode == 0
    assert done.stdout.startswith("<!DOCTYPE html>")
    assert done.stdout.rstrip().endswith("</html>")

    both = run_ingest(filled, "report", "--out", "-", "--json")
    assert both.returncode == 2
    assert "leave out --json" in both.stderr


def test_what_cannot_be_written_is_said(filled: Path) -> None:
    """A report that cannot be written is one line with the file and the reason."""
    done = run_ingest(filled, "report", "--out", "nowhere/report.html")
    assert done.returncode == 2
    assert done.stderr.endswith(
        "Z exit 2: nowhere/report.html cannot be written (No such file or directory): "
        "name another file with --out\n"
    )


def test_an_empty_index_has_no_page(tmp_path: Path) -> None:
    """For an empty index, the report says how to fill it, and creates nothing."""
    done = run_ingest(tmp_path, "report")
    assert done.returncode == 2
    assert "the index .ingest is empty or does not exist: ingest run fills it" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_run_keeps_what_went_on_when(filled: Path) -> None:
    """The timeline of a run adds up to its totals."""
    status = run_ingest(filled, "status", "--json").stdout.splitlines()
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
    """Each page has its picture, and its chunks by their ids in the index."""
    done = run_ingest(filled, "report", "--inspect", "c.pdf", "--out", "c.html")
    assert done.returncode == 0, done.stderr
    page = (filled / "c.html").read_text()
    with closing(sqlite3.connect(filled / ".ingest/index.db")) as db:
        ids = [row[0] for row in db.execute("SELECT id FROM chunks WHERE source = 'c.pdf'")]
    assert ids
    assert all(f'data-id="{name}"' in page for name in ids)
    assert page.count("data:image/png;base64,") == 1

    nobody = run_ingest(filled, "report", "--inspect", "d.pdf")
    assert nobody.returncode == 2
    assert "--inspect d.pdf: no source has this name" in nobody.stderr


def test_what_a_run_is_reading_has_not_failed(filled: Path) -> None:
    """While a run reads a document, it is shown as in progress; after a kill, as the cause."""
    with closing(sqlite3.connect(filled / ".ingest/index.db", isolation_level=None)) as db:
        before = db.execute("SELECT * FROM records WHERE source = 'c.pdf'").fetchall()
        db.execute(
            "UPDATE records SET outcome = 'failed', error = ?, code = 'crashed', attempts = 1 "
            "WHERE source = 'c.pdf'",
            (INTERRUPTED_REASON,),
        )
        with FileLock(filled / ".ingest/lock"):
            meanwhile = run_ingest(filled, "status").stdout
            lines = run_ingest(filled, "status", "--json").stdout.splitlines()
            run_ingest(filled, "report", "--out", "meanwhile.html")
        later = run_ingest(filled, "status").stdout
        marks = ", ".join("?" * len(before[0]))
        db.execute(f"INSERT OR REPLACE INTO records VALUES ({marks})", before[0])

    assert "in progress  c.pdf  a run is working on it" in meanwhile
    assert "crashed" not in meanwhile
    record = next(json.loads(line) for line in lines if '"source": "c.pdf"' in line)
    assert (record["outcome"], record["code"], record["attempts"]) == ("in progress", "", 0)
    assert '"in_progress": 1' in lines[-1]
    assert "crashed" not in json.dumps(parse_data((filled / "meanwhile.html").read_text()))
    assert f"failed   c.pdf  {INTERRUPTED_REASON} [crashed]" in later
