"""Outcomes of figures in a run's summary, the status and the report."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from ingest.cli.output import format_outcome, format_totals, outcome_fields
from ingest.cli.status import format_figure_outcomes
from ingest.commands.report.overview import Report
from ingest.commands.report.page import render_report
from ingest.models import Details, Outcome, Record, SourceResult
from ingest.pipeline.totals import RunTotals

COUNTS = {"refused": 1, "described": 4, "decoration": 1}
DETAILS = Details(figure_outcomes=COUNTS)
RESULT = SourceResult("docs", "a.pdf", Outcome.NEW, details=DETAILS)
RECORD = Record("docs", "a.pdf", "f", outcome=Outcome.NEW, chunks=1, details=DETAILS)
SHOWN = "4 described, 1 decoration, 1 refused"


def test_a_run_says_how_each_figure_ended() -> None:
    """Each source lists the outcomes of its figures, and the run their sum."""
    totals = RunTotals()
    totals.add(RESULT)
    totals.add(replace(RESULT, details=Details(figure_outcomes={"failed": 2, "cut-off": 1})))
    totals.add(replace(RESULT, outcome=Outcome.UNCHANGED))  # read by an earlier run
    assert format_outcome(RESULT).endswith(f"figures: {SHOWN}")
    assert outcome_fields(RESULT)["details"] == {"figure_outcomes": COUNTS}
    line = f"Figures: {SHOWN}, 1 cut off, 2 failed (the next run tries again)"
    assert line in format_totals(totals)
    assert not any("Figures" in line for line in format_totals(RunTotals()))


def test_the_status_counts_the_figures_of_the_index() -> None:
    """`status` counts figures by outcome, and with -v for each source."""
    records = [RECORD, replace(RECORD, source="b\x1b.pdf"), Record("docs", "c.pdf")]
    total = "Figures: 8 described, 2 decoration, 2 refused"
    assert list(format_figure_outcomes(records, verbose=False)) == [total]
    named = list(format_figure_outcomes(records, verbose=True))
    assert named == [f"figures  a.pdf  {SHOWN}", f"figures  b\\x1b.pdf  {SHOWN}", total]
    assert list(format_figure_outcomes([records[-1]], verbose=True)) == []


def test_the_report_lists_the_sources_with_figures() -> None:
    """The page has the sum, and each source, whose name is escaped."""
    hostile = replace(RECORD, source="<b>.pdf")
    made = datetime.now(UTC).isoformat()
    report = Report("ix", 1, -1, [RECORD, hostile], [], None, False, None, made)
    page = render_report(report)
    assert "8 described, 2 decoration, 2 refused" in page
    assert page.count(SHOWN) == 2
    assert "&lt;b&gt;.pdf" in page
    assert "<b>.pdf" not in page
