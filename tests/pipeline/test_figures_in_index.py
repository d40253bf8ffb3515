"""Descriptions of figures in an index, from the run that adds them to the one that removes them."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from ingest.config.factory import Replacements, open_services
from ingest.errors import DocumentError, StoppedError
from ingest.extract.sandbox.pool import SandboxLimits
from ingest.index import Index
from ingest.index.azure.create import ensure_index
from ingest.index.azure.errors import MissingFieldError
from ingest.index.generations import Successor
from ingest.index.schema import FIGURE_FIELD_NAMES
from ingest.index.sqlite.chunks import SqliteChunks
from ingest.index.sqlite.index import SqliteIndex
from ingest.models import (
    CachedPage,
    Code,
    DescribedFigure,
    Figure,
    FigureDescription,
    FigureFilter,
    FigureKind,
    FigureOutcome,
    Hit,
    Mode,
    Permissions,
    PreparedDocument,
    Recipe,
)
from ingest.pipeline.context import Run, Services
from ingest.pipeline.diff import Stale
from ingest.pipeline.reader.figure_cache import FigureTask
from ingest.pipeline.reader.figure_chunks import insert_figure_chunks
from ingest.pipeline.reader.figures import FigureDescriber
from ingest.pipeline.root import ingest_root
from ingest.runtime.cancellation import Cancellation
from ingest.runtime.timing import Stopwatch
from ingest.sources import Root
from ingest.sources.folder import parse_folder_roots
from tests.commands.check.conftest import Shelf, Time
from tests.conftest import DIMENSIONS, MODEL, Bench
from tests.emulator.emulator import Azure
from tests.index.test_contract import A, B, define, open_azure
from tests.pdfs import write
from tests.pipeline.reader.test_describing_figures import client, draw_figures
from tests.pipeline.reader.test_describing_figures import write as write_pdf
from tests.runs import run

if TYPE_CHECKING:
    from ingest.embed.openai_chat import ChatModel

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
    assert hit.fields["content"] == ("[Figure 3, AI-generated]\nSales\n\nAnvils sell best.")
    assert [hit.fields["figure_kind"] for hit in ask(bench, "exclude")] == [None]
    assert bench.index.search("generated", None, Mode.TEXT, 9) == []  # a word of the mark alone
    assert len(bench.index.search("figure 3", None, Mode.TEXT, 9)) == 2

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
    definition = define("earlier")
    definition.fields = [f for f in definition.fields if f.name not in FIGURE_FIELD_NAMES]
    with closing(open_azure(azure.search_endpoint, "earlier")) as made:
        ensure_index(made, definition)
    with closing(open_azure(azure.search_endpoint, "earlier")) as index:
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
        ensure_index(index, define("earlier"))
        assert index.upload([described]) == []
        assert found("only") == [described.chunk.id]
        assert found("exclude") == [A.chunk.id]


def test_a_run_that_ends_is_no_failure_of_a_figure(bench: Bench) -> None:
    """Three nights that ended early do not have a chart given up, whose sandbox they closed."""

    def draw() -> bytes:
        raise DocumentError("reading it crashed the sandbox", Code.CRASHED)

    chat = cast("ChatModel", SimpleNamespace(is_overdue=lambda: True, close=lambda: None))
    describer = FigureDescriber(bench.index, chat, "gpt-4o", SandboxLimits(9, 512), Stopwatch())
    with closing(describer), pytest.raises(StoppedError):
        new = CachedPage("ab", "docs", "a.pdf", "")
        describer.describe_one(FigureTask(new, "", FIGURE, draw))
    assert bench.index.cached_page("ab") is None


def test_a_description_is_for_those_who_may_read_its_document(bench: Bench) -> None:
    """A user who may not read a report does not find its charts either."""
    report = PreparedDocument("f", 3, 0, "", (), described=(DESCRIBED,))
    (chunk,) = insert_figure_chunks(report, B.source, RECIPE).chunks
    source = replace(B.source, fields=Permissions(("ann",)).to_values())
    bench.index.upload([A, replace(B, chunk=chunk, source=source)])

    def found(*oids: str, figures: FigureFilter = FigureFilter.ONLY) -> int:
        person = Permissions(oids)
        asked = ("anvils mill", None, Mode.TEXT, 9, person)
        return len(bench.index.search_permitted(*asked, figures=figures))

    assert (found("ann"), found("bob"), found()) == (1, 0, 0)
    assert found("ann", figures=FigureFilter.EXCLUDE) == 0
    assert found("bob", figures=FigureFilter.INCLUDE) == 0


def test_a_lost_description_is_found_and_put_back(bench: Bench) -> None:
    """`check --repair` writes the chunk of a figure again, as any other."""
    bench = DescribingBench(
        bench.folder, bench.index, bench.embeds, bench.recipe, described=(DESCRIBED,)
    )
    write(bench.folder / "a.pdf", "Lathes turn wood.\nFigure 3: Sales\nThe end.")
    bench.run()
    (hit,) = ask(bench, "only")
    shelf = Shelf(bench, Time())
    assert shelf.check() == []
    bench.index.delete([str(hit.fields["id"])])

    assert [str(found.kind) for found in shelf.check()] == ["missing"]
    shelf.repair()
    assert [found.fields for found in ask(bench, "only")] == [hit.fields]
    assert shelf.check() == []


def test_a_rebuild_asks_no_model_again(azure: Azure, folder: Path, tmp_path: Path) -> None:
    """A new index takes descriptions and their vectors over from the one that it replaces."""
    write_pdf(folder / "a.pdf", draw_figures("blue valves"))
    chosen = client(azure, tmp_path)
    run(folder, chosen)
    space = (azure.environment["AZURE_OPENAI_EMBEDDING_MODEL"], DIMENSIONS)
    (root,) = parse_folder_roots([str(folder)])
    earlier = SqliteIndex(tmp_path / "index", *space, create=True)
    made = SqliteIndex(tmp_path / "new", *space, create=True)
    embedded = sum(azure.openai.texts.values())
    with (
        closing(earlier),
        open_services(
            chosen,
            Cancellation(),
            write=True,
            replacements=Replacements(successor=Successor(made, earlier)),
        ) as services,
    ):
        list(ingest_root(root, services, Run("r")))
        hits = made.search_permitted("valves", None, Mode.TEXT, 9, None, figures=FigureFilter.ONLY)
    assert [hit.fields["figure_kind"] for hit in hits] == ["chart"]
    assert (len(azure.openai.chat.asked), sum(azure.openai.texts.values())) == (1, embedded)
