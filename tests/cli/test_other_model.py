"""Commands on an index that a program filled with an embedding model of its own."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from ingest import Embedder, Settings, ingest
from ingest.config.factory import take_stored_model
from ingest.index.sqlite.index import SqliteIndex
from tests.conftest import DIMENSIONS, MODEL, CommandHere, Embeds
from tests.pdfs import prose, write


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index that a program has filled, beside which this process works."""
    monkeypatch.chdir(tmp_path)
    for name in ("AZURE_OPENAI_ENDPOINT", "AZURE_SEARCH_ENDPOINT", "INGEST_EMBEDDER"):
        monkeypatch.delenv(name, raising=False)
    write(tmp_path / "docs/a.pdf", prose("lathes"))
    model = Embedder(Embeds(), MODEL, DIMENSIONS)
    done = list(ingest("docs", index=".ingest", embed=model, settings=Settings(workers=1)))
    assert [outcome.outcome for outcome in done] == ["new"]
    return tmp_path / ".ingest/index.db"


def test_an_index_that_does_not_exist_has_no_model(tmp_path: Path) -> None:
    """A plan before the first run uses the model of the settings."""
    model = Embedder(Embeds(), MODEL, DIMENSIONS)
    with closing(SqliteIndex(tmp_path / "none", "", DIMENSIONS, create=False)) as absent:
        assert take_stored_model(model, absent) is model


def test_what_embeds_nothing_needs_no_model(filled: Path, command_here: CommandHere) -> None:
    """I look at what my program made: nothing is stale or broken, and nothing is written.

    What embeds says which model it needs: it would mix vectors.
    """
    before = filled.read_bytes()
    for line, shown in {
        "status": "holds 1 file, ",
        "plan docs --workers 1": " 1 unchanged",
        "check docs --workers 1": "Found:   nothing",
        "report": "Report:  report.html",
    }.items():
        code, said, errors = command_here(*line.split())
        assert (code, shown in said) == (0, True), errors
    for line in ("plan docs --embedder local", "search lathes", "run docs"):
        code, _, said = command_here(*line.split())
        assert (code, f"holds vectors of {MODEL} " in said) == (2, True), said
    assert filled.read_bytes() == before
