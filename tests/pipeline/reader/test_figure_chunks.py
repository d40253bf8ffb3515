"""Chunks of the descriptions of figures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ingest.chunk.chunks import make_chunks
from ingest.chunk.tokens import count_tokens
from ingest.extract.figures.captions import find_label
from ingest.models import (
    Chunk,
    DescribedFigure,
    Document,
    Figure,
    FigureDescription,
    FigureKind,
    FigureOutcome,
    Heading,
    PreparedDocument,
    Recipe,
    Source,
)
from ingest.pipeline.reader.figure_chunks import insert_figure_chunks

SOURCE = Source("docs", "report.pdf", "", 1, "")
RECIPE = Recipe("auto", 40, 0.0, "m", 8)
BOX = (0.1, 0.2, 0.9, 0.5)
CHART = FigureDescription(
    FigureKind.CHART,
    "Sales by\nquarter",
    "Sales rise from 3 to 9.",
    "ACME\n2023",
    ("Quarter", "Sales (EUR)"),
    (("Quarter", "Sales"), ("Q1", "3"), ("Q2 | Q3", "9")),
    "gpt-4o",
)
PAGES = (
    "Introduction\n\n" + "We sell lathes in all of Europe and beyond. " * 6,
    "Results\n\n"
    + "The year went well for all of us. " * 6
    + "\n\nFigure 3: Sales of the year\n\n"
    + "The text goes on after the figure, for some time. " * 5,
)


def report(*described: DescribedFigure) -> PreparedDocument:
    """A report of two pages, with figures that a model was asked to describe."""
    headings = (Heading(1, "Introduction", 1), Heading(1, "Results", 2))
    document = Document(PAGES, headings=headings, labels=("i", "ii"))
    chunks = tuple(make_chunks(document, SOURCE, RECIPE))
    return PreparedDocument("f", 2, 0, "Report", chunks, described=described)


def describe(**changes: object) -> DescribedFigure:
    """A chart on page 2, with its caption."""
    figure = Figure(2, BOX, caption="Figure 3: Sales of the year")
    return replace(DescribedFigure(figure, 0, FigureOutcome.DESCRIBED, CHART), **changes)  # type: ignore[arg-type]


def figure_chunks(document: PreparedDocument) -> list[Chunk]:
    """The chunks of figures."""
    return [chunk for chunk in document.chunks if chunk.figure]


def test_a_description_stands_where_its_figure_does() -> None:
    """I find the chart of a report between the texts around it, marked as generated."""
    before = report(describe(image="ab.png"))
    made = insert_figure_chunks(before, SOURCE, replace(RECIPE, chunk_tokens=200))
    (chunk,) = figure_chunks(made)
    assert chunk.text == (
        "[Figure 3, AI-generated]\nSales by quarter\n\nSales rise from 3 to 9.\n\n"
        "ACME\n2023\n\nQuarter; Sales (EUR)\n\n"
        "| Quarter | Sales |\n| --- | --- |\n| Q1 | 3 |\n| Q2 \\| Q3 | 9 |"
    )
    assert "generated" not in chunk.text_to_embed
    assert "Q2 | Q3 9" in chunk.text_to_embed
    assert (chunk.page_start, chunk.page_end, chunk.main_page, chunk.labels) == (2, 2, 2, ("ii",))
    assert chunk.headings == ("Results",)
    assert chunk.figure
    assert (chunk.figure.label, chunk.figure.box) == ("Figure 3", BOX)
    assert (chunk.figure.model, chunk.figure.image) == ("gpt-4o", "ab.png")
    assert "Figure 3: Sales of the year" in made.chunks[chunk.ordinal - 1].text
    assert [each.ordinal for each in made.chunks] == list(range(len(made.chunks)))
    own = [each.id for each in made.chunks if not each.figure]
    assert own == [each.id for each in before.chunks]
    assert chunk.id not in own


@pytest.mark.parametrize(
    ("figure", "place"),
    [
        (Figure(1, BOX, below="We sell lathes in all"), 1),
        (Figure(1, BOX, below="Introduction"), 0),
        (Figure(2, BOX, above="no such line"), -1),
        (Figure(9, BOX), -1),
    ],
)
def test_a_figure_without_a_caption_stands_by_its_neighbours(figure: Figure, place: int) -> None:
    """A picture without a caption comes next to the lines around it, or ends its page."""
    document = insert_figure_chunks(
        report(describe(figure=figure)), SOURCE, replace(RECIPE, chunk_tokens=200)
    )
    (chunk,) = figure_chunks(document)
    assert document.chunks.index(chunk) == place % len(document.chunks)
    assert chunk.text.startswith("[Figure, AI-generated]\n")


def test_only_descriptions_are_indexed() -> None:
    """A logo, a refusal and a failure add nothing to the index: never an empty description."""
    others = [
        describe(outcome=outcome, description=None)
        for outcome in FigureOutcome
        if outcome is not FigureOutcome.DESCRIBED
    ]
    document = report(*others)
    assert insert_figure_chunks(document, SOURCE, RECIPE) is document


def test_a_long_description_is_split_within_the_limit() -> None:
    """A table of many values is several chunks, each marked and with the names of the columns."""
    rows = (("Year", "Sales"), *((str(year), str(7 * year)) for year in range(1990, 2020)))
    long = describe(description=replace(CHART, rows=rows))
    recipe = replace(RECIPE, chunk_tokens=80)
    chunks = figure_chunks(insert_figure_chunks(report(long, describe(number=1)), SOURCE, recipe))
    assert len(chunks) > 3
    assert len({chunk.id for chunk in chunks}) == len(chunks)
    assert all(chunk.text.startswith("[Figure 3, AI-generated]\n") for chunk in chunks)
    assert max(count_tokens([chunk.text for chunk in chunks])) <= 80
    continued = next(chunk for chunk in chunks if "| 2010 |" in chunk.text)
    assert "| Year | Sales |" in continued.text
    assert continued.sentence_offsets[1] == len("[Figure 3, AI-generated]\n")


@pytest.mark.parametrize(
    ("caption", "label"),
    [
        ("Abb. 3 Umsatz", "Abb. 3"),
        ("図3 売上", "図3"),
        ("3. ábra: Eladás", "3. ábra"),
        ("Figure 3.2.\nBar", "Figure 3.2"),
        ("Sales over time", ""),
    ],
)
def test_a_figure_is_called_as_its_caption_calls_it(caption: str, label: str) -> None:
    """A hit names a figure as its caption does: "Abb. 3"."""
    assert find_label(caption) == label
