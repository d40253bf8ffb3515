"""Figures in the inspector: the outcome of each, as the index has it; no model is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import BinaryIO

from ingest.commands.inspect.view import DocumentView, FigureView
from ingest.extract.figures.captions import find_label
from ingest.extract.sandbox.pool import SandboxLimits
from ingest.index import Index
from ingest.models import DESCRIBES, IMAGES_IN, DescribedFigure, PreparedDocument, Record
from ingest.pipeline.reader.figure_chunks import format_description
from ingest.pipeline.reader.figures import FigureDescriber
from ingest.pipeline.reader.prepare import Task
from ingest.runtime.formatting import FIGURE_WORDS
from ingest.runtime.timing import Stopwatch


def recall_descriptions(index: Index, limits: SandboxLimits) -> FigureDescriber | None:
    """Return a reader of the descriptions in an index, which asks no model; None if it has none."""
    manifest = index.manifest()
    recipe = str(manifest.recipe.get("figures", "")) if manifest else ""
    model = recipe.removeprefix(DESCRIBES).partition(IMAGES_IN)[0]
    return (
        FigureDescriber(index, None, model, limits, Stopwatch())
        if recipe.startswith(DESCRIBES)
        else None
    )


def add_figures(
    view: DocumentView, task: Task, record: Record, file: BinaryIO, describer: FigureDescriber
) -> DocumentView:
    """Add the document's figures to a view, as the index has them."""
    read = PreparedDocument(
        record.fingerprint,
        view.page_count,
        0,
        view.title,
        (),
        details=record.details,
        figures=view.drawn,
    )
    described = describer.describe(task, file, read, describer.sandbox, asks=False)
    figures = tuple(view_figure(one, described) for one in described.described)
    return replace(view, figures=figures)


def view_figure(described: DescribedFigure, document: PreparedDocument) -> FigureView:
    """Describe one figure: its place, its outcome, and the chunks of its description."""
    figure, description = described.figure, described.description
    chunks = [
        chunk
        for chunk in document.chunks
        if chunk.figure and (chunk.page_start, chunk.figure.box) == (figure.page, figure.box)
    ]
    return FigureView(
        figure.page,
        described.number,
        figure.box,
        FIGURE_WORDS[described.outcome],
        described.reason,
        label=find_label(figure.caption),
        kind=description.kind if description else "",
        model=description.model if description else "",
        text=format_description(description) if description else "",
        chunks=tuple(chunk.id for chunk in chunks),
    )
