"""PDFs inside PDFs: sources of their own, in step with the file they are in."""

from __future__ import annotations

import io
from pathlib import Path

import pypdf
import pytest

from ingest.index.sqlite.index import SqliteIndex
from ingest.models import Mode, Outcome, Recipe
from ingest.pipeline.context import Run
from tests.conftest import DIMENSIONS, MODEL, Bench, Embeds, vector
from tests.pdfs import pdf, prose, set_age, to_bytes, write
from tests.pipeline.test_crash import Crash, Mortal

ROUND = Run("again", max_deletes=0)


def portfolio(path: Path, age: float = 100.0, **inside: bytes) -> None:
    """A PDF with others attached to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(container(prose("the cover", 3), **inside))
    set_age(path, age)


def container(text: str, **inside: bytes) -> bytes:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf(text)))
    for name, data in inside.items():
        writer.add_attachment(f"{name}.pdf", data)
    return to_bytes(writer)


def lock_pdf() -> bytes:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf("secret")))
    writer.encrypt("unknown", algorithm="AES-256")
    return to_bytes(writer)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    folder = tmp_path / "docs"
    write(folder / "other.pdf", prose("others", 5))
    index = SqliteIndex(tmp_path / "index", MODEL, DIMENSIONS, create=True)
    return Bench(folder, index, Embeds(), Recipe("auto", 512, 0.12, MODEL, DIMENSIONS))


def sources(bench: Bench) -> list[str]:
    return [record.source for record in bench.index.records()]


def test_each_pdf_inside_is_a_source(bench: Bench) -> None:
    """The letter in a portfolio is found as itself, and opens the portfolio."""
    nested = container(prose("the folder", 3), deep=pdf(prose("the depth", 3)))
    portfolio(bench.folder / "p.pdf", letter=pdf(prose("the letter", 3)), folder=nested)

    outcomes = bench.outcomes()

    assert outcomes == dict.fromkeys(
        [
            "other.pdf",
            "p.pdf",
            "p.pdf//letter.pdf",
            "p.pdf//folder.pdf",
            "p.pdf//folder.pdf//deep.pdf",
        ],
        "new",
    )
    (hit,) = bench.index.search("the depth", vector("x"), Mode.TEXT, 1)
    assert hit.fields["source"] == "p.pdf//folder.pdf//deep.pdf"
    assert hit.fields["storageUrl"] == (bench.folder / "p.pdf").as_uri()


def test_an_unchanged_portfolio_is_not_opened(bench: Bench) -> None:
    """The second run costs nothing, and nothing counts as vanished."""
    portfolio(bench.folder / "p.pdf", letter=pdf(prose("the letter", 3)))
    bench.run()
    bench.read.clear()

    outcomes = bench.outcomes(ROUND)

    assert outcomes == dict.fromkeys(["other.pdf", "p.pdf", "p.pdf//letter.pdf"], "unchanged")
    assert bench.read == []


def test_what_is_taken_out_is_removed_and_what_stays_is_not_embedded_again(bench: Bench) -> None:
    """An edited portfolio embeds only what is new in it."""
    letter, bill = pdf(prose("the letter", 3)), pdf(prose("the bill", 3))
    portfolio(bench.folder / "p.pdf", letter=letter, bill=bill)
    bench.run()
    portfolio(bench.folder / "p.pdf", age=50, letter=letter, note=pdf(prose("the note", 3)))
    bench.embeds.texts.clear()

    outcomes = bench.outcomes(ROUND)

    assert outcomes["p.pdf//bill.pdf"] == "removed"
    assert outcomes["p.pdf//note.pdf"] == "new"
    assert outcomes["p.pdf//letter.pdf"] == "unchanged"
    assert len(bench.embeds.texts) == 1
    assert sources(bench) == ["other.pdf", "p.pdf", "p.pdf//letter.pdf", "p.pdf//note.pdf"]
    assert bench.outcomes(ROUND) == dict.fromkeys(sources(bench), "unchanged")


def test_one_that_cannot_be_read_hides_no_other(bench: Bench) -> None:
    """A locked attachment has an outcome of its own, and the others are indexed."""
    portfolio(bench.folder / "p.pdf", locked=lock_pdf(), letter=pdf(prose("the letter", 3)))
    for _ in range(3):
        outcomes = bench.outcomes(ROUND)
        assert outcomes["p.pdf//locked.pdf"] == "skipped"
        assert outcomes["p.pdf//letter.pdf"] in ("new", "unchanged")
    bench.read.clear()

    assert bench.outcomes(ROUND)["p.pdf//locked.pdf"] == "skipped"

    assert bench.read == []


def test_a_deleted_portfolio_takes_all_with_it(bench: Bench) -> None:
    """Deleting a portfolio removes its attachments, as one deletion."""
    inside = {f"n{number}": pdf(prose(f"number {number}", 3)) for number in range(12)}
    portfolio(bench.folder / "p.pdf", 100.0, **inside)
    bench.run()
    (bench.folder / "p.pdf").unlink()

    outcomes = bench.outcomes(Run("less", max_deletes=1))

    assert [*outcomes.values()].count("removed") == 13
    assert sources(bench) == ["other.pdf"]


def test_a_touched_portfolio_settles_down(bench: Bench) -> None:
    """A portfolio with a new time is read once, embeds nothing, and is then unchanged."""
    portfolio(bench.folder / "p.pdf", letter=pdf(prose("the letter", 3)))
    bench.run()
    set_age(bench.folder / "p.pdf", 50)
    bench.embeds.texts.clear()
    for _ in range(2):
        assert set(bench.outcomes(ROUND).values()) == {"unchanged"}
    bench.read.clear()
    assert set(bench.outcomes(ROUND).values()) == {"unchanged"}
    assert bench.read == []
    assert bench.embeds.texts == []


def test_a_run_that_dies_at_any_write_is_made_good(bench: Bench, tmp_path: Path) -> None:
    """However far a run came with a portfolio that was edited, the next one ends with all of it."""
    letter = pdf(prose("the letter", 3))
    crash = 0
    while True:
        crash += 1
        portfolio(bench.folder / "p.pdf", letter=letter, bill=pdf(prose("the bill", 3)))
        index = Mortal(tmp_path / f"index {crash}", MODEL, DIMENSIONS, create=True)
        bench.index = index
        bench.run()
        portfolio(bench.folder / "p.pdf", age=50, letter=letter, note=pdf(prose("the note", 3)))
        index.left, index.when = crash, "after"
        died = False
        try:
            bench.run()
        except Crash:
            died = True
        index.left = 10**9
        bench.run()
        assert sources(bench) == ["other.pdf", "p.pdf", "p.pdf//letter.pdf", "p.pdf//note.pdf"]
        assert index.totals().chunks == 4
        assert all(r.outcome in (Outcome.NEW, Outcome.CHANGED) for r in index.records())
        assert set(bench.outcomes().values()) == {"unchanged"}
        index.close()
        if not died:
            break
    assert crash > 5
