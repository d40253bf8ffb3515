"""Descriptions of figures in an index, from the run that adds them to the one that removes them."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace

import pytest

from ingest.index import Index
from ingest.index.azure.client import MissingFieldError
from ingest.index.azure.create import ensure_index
from ingest.index.schema import FIGURE_FIELD_NAMES
from ingest.index.sqlite.chunks import SqliteChunks
from ingest.index.sqlite.index import SqliteIndex
from ingest.models import (
    DescribedFigure,
    Figure,
    FigureDescription,
    FigureFilter,
    FigureKind,
    FigureOutcome,
    Hit,
    Mode,
    PreparedDocument,
    Recipe,
)
from ingest.pipeline.context import Services
from ingest.pipeline.diff import Stale
from ingest.pipeline.reader.figure_chunks import insert_figure_chunks
from ingest.sources import Root
from tests.conftest import DIMENSIONS, MODEL, Bench
from tests.emulator.emulator import Azure
from tests.index.test_contract import A, B, defined, opened
from tests.pdfs import write

CHART = FigureDescription(FigureKind.CHART, "Sales", "Anvils sell best.", "", (), (), "gpt-4o")
FIGURE = Figure(1, (0.1, 0.1, 0.9, 0.5), caption="Figure 3: Sales")
RECIPE = Recipe("auto", 64, 0.12, MODEL, DIMENSIONS)
DESCRIBED = DescribedFigure(FIGURE, 0, FigureOutcome.DESCRIBED, CHART)


@dataclass
class DescribingBench(Bench):
    """The pipeline, with a stand-in for the model that describes figures."""

    described: tuple[DescribedFigure, ...] = ()

    def services(self, index: Index | None = None) -> Services:
        made = super().services(index)
        read = made.reader.prepare

        def prepare(root: Root, stale: Stale) -> PreparedDocument | None:
            document = read(root, stale)
            if document is None:
                return None
            found = replace(document, described=self.described)
            return insert_figure_chunks(found, stale.source, self.recipe)

        return replace(made, reader=replace(made.reader, prepare=prepare))


def ask(bench: Bench, figures: str) -> list[Hit]:
    """The chunks that a search finds."""
    kind = FigureFilter(figures)
    return bench.index.search_permitted("anvils lathes", None, Mode.TEXT, 9, None, figures=kind)


def drop_columns(index: SqliteIndex) -> None:
    """Make a local index one of the last version, as the next process finds it."""
    assert isinstance(index.store, SqliteChunks)
    index.store.has_all_columns = False
    for name in FIGURE_FIELD_NAMES:
        index.db.execute(f"ALTER TABLE chunks DROP COLUMN {name}")


def test_descriptions_come_and_go_with_their_document(bench: Bench) -> None:
    """An index of the last version stays as it is until figures are described in it."""
    bench = DescribingBench(bench.folder, bench.index, bench.embeds, bench.recipe)
    assert isinstance(bench.index, SqliteIndex)
    write(bench.folder / "a.pdf", "Lathes turn wood.\nFigure 3: Sales\nThe end.")
    bench.run()
    drop_columns(bench.index)
    assert bench.outcomes() == {"a.pdf": "unchanged"}
    assert len(ask(bench, "include")) == len(ask(bench, "exclude")) == 1
    assert ask(bench, "only") == []

    bench.described = (DESCRIBED,)
    write(bench.folder / "a.pdf", "Lathes turn wood.\nFigure 3: Sales\nThe very end.")
    assert bench.outcomes() == {"a.pdf": "changed"}
    (hit,) = ask(bench, "only")
    assert (hit.fields["figure_kind"], hit.fields["figure_label"]) == ("chart", "Figure 3")
    assert hit.fields["content"] == (
        "[Figure 3, generated description]\nSales\n\nAnvils sell best."
    )
    assert [hit.fields["figure_kind"] for hit in ask(bench, "exclude")] == [None]

    paid = len(bench.embeds.texts)
    write(bench.folder / "a.pdf", "Saws.", "Lathes turn wood.\nFigure 3: Sales\nThe very end.")
    bench.described = (replace(DESCRIBED, figure=replace(FIGURE, page=2)),)
    bench.run()
    assert [hit.fields["page_start"] for hit in ask(bench, "only")] == [2]
    assert len(bench.embeds.texts) == paid + 1  # the new page alone

    (bench.folder / "a.pdf").unlink()
    write(bench.folder / "b.pdf", "Mills grind.")
    bench.described = ()
    bench.run()
    assert ask(bench, "only") == []


def test_a_service_that_cannot_mark_a_description_is_not_given_one(azure: Azure) -> None:
    """An identity may write and not add fields: my nightly run goes on, and nothing is unmarked."""
    azure.search.delays.search = azure.search.delays.lookup = 0
    with closing(opened(azure.search_endpoint, "earlier")) as index:
        definition = defined("earlier")
        definition.fields = [f for f in definition.fields if f.name not in FIGURE_FIELD_NAMES]
        ensure_index(index, definition)
        figure = insert_figure_chunks(
            PreparedDocument("f", 3, 0, "", (), described=(DESCRIBED,)), B.source, RECIPE
        )
        described = replace(B, chunk=figure.chunks[0])
        assert index.upload([A]) == []

        def found(figures: str) -> list[object]:
            kind = FigureFilter(figures)
            hits = index.search_permitted("anvils mill", None, Mode.TEXT, 9, None, figures=kind)
            return [hit.fields["id"] for hit in hits]

        assert found("exclude") == found("include") == [A.chunk.id]
        assert found("only") == []
        with pytest.raises(MissingFieldError, match="run ingest run once with the role"):
            index.upload([described])
        ensure_index(index, defined("earlier"))
        assert index.upload([described]) == []
        assert found("only") == [described.chunk.id]
        assert found("exclude") == [A.chunk.id]
