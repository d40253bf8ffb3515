"""Figures in the inspector, each with what became of it."""

from __future__ import annotations

from pathlib import Path

from ingest.commands.inspect.view import FigureView
from ingest.commands.inspect.viewer import IndexAccess, inspect_sources
from ingest.commands.report.page import render_report
from ingest.config.connections import create_connections
from ingest.runtime.cancellation import Cancellation
from tests.commands.report.reports import make_report
from tests.emulator.emulator import Azure
from tests.pipeline.reader.test_describing_figures import client, draw_figures, write
from tests.runs import open_run, run


def test_each_figure_is_shown_with_its_outcome(azure: Azure, folder: Path, tmp_path: Path) -> None:
    """I see on the page what a model was shown, and beside it what it wrote, marked as generated.

    Looking costs nothing.
    """
    azure.openai.chat.refusing["red lathes"] = "finish"
    azure.openai.chat.answers["blue valves"] = {"summary": "Bar 5 < 7 & 9."}
    write(folder / "a.pdf", draw_figures("blue valves", "red lathes"))
    chosen = client(azure, tmp_path)
    run(folder, chosen)
    asked = len(azure.openai.chat.asked)

    with open_run(chosen, Cancellation(), write=False) as services:
        access = IndexAccess(chosen, create_connections(chosen), services.index, services.recipe)
        (one,) = inspect_sources(list(services.index.records()), ["a.pdf"], access)

    assert len(azure.openai.chat.asked) == asked
    assert (one.error, one.difference) == ("", "")
    assert one.view
    blue, red = one.view.figures
    assert (blue.page, blue.label, blue.outcome, blue.indexed) == (1, "Figure 1", "described", True)
    assert red == FigureView(
        2, 1, red.box, "refused", "refused by the content filter of the service", "Figure 2"
    )
    page = render_report(make_report(one.record), [one])
    assert page.count('<rect class="drawn"') == 2
    assert f"<strong>generated</strong>: described by <bdi>{blue.model}</bdi> as a chart" in page
    assert "Bar 5 &lt; 7 &amp; 9." in page
    assert "refused by the content filter" in page
