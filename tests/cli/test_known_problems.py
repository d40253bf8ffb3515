"""Problems that were reported before: a month with one locked file is not a month of alarms."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ingest.cli import logs, output
from ingest.cli.check import format_untaken
from ingest.cli.exit_message import describe_run
from ingest.commands.check.check import Untaken
from ingest.commands.report.overview import group_troubles
from ingest.models import Code, Details, Outcome, Record, SourceResult, Summary
from ingest.pipeline.totals import RunTotals
from ingest.runtime.bottleneck import Capacity
from ingest.runtime.timing import Stopwatch

BEGAN = datetime.now(UTC) - timedelta(days=40)


def run_id(night: int) -> str:
    """Id of the run of a night."""
    return (BEGAN + timedelta(days=night)).strftime("%Y%m%dT%H%M%SZ-aaaaaa")


def locked_result(name: str, since: int) -> SourceResult:
    """A locked file, as a run reports it that was not the first to."""
    details = Details(since=run_id(since))
    reason, code = "needs a password", Code.ENCRYPTED
    return SourceResult(
        "docs", name, Outcome.SKIPPED, reason, code, harmless=False, details=details
    )


def summarize(totals: RunTotals, night: int) -> Summary:
    return totals.summary(run_id(night), 1.0, 3, Stopwatch(), Capacity(1, 1, 1, 1.0))


def test_one_locked_file_is_two_warnings_a_month() -> None:
    """A known problem is a warning in the first night only, and information in later ones."""
    levels = []
    for night in range(30):
        totals = RunTotals()
        totals.add(locked_result("a.pdf", since=0))
        summary = summarize(totals, night)
        known = output.outcome_fields(totals.problems[0], run_id(night))["known"]
        levels.append(logging.INFO if known else logging.WARNING)
        levels.append(logs.exit_level(3, is_news=summary.new_problems > 0))
    assert levels == 2 * [logging.WARNING] + 58 * [logging.INFO]


def test_what_is_new_is_told_from_what_is_known() -> None:
    """Among fifty known problems, the new one is named first."""
    totals = RunTotals()
    for n in range(50):
        totals.add(locked_result(f"{n:02}.pdf", since=0))
    totals.add(locked_result("tonight.pdf", since=9))

    text = describe_run(3, totals, run=run_id(9))
    assert text.startswith("51 skipped (tonight.pdf encrypted")
    assert text.endswith("48 more with problems; 1 new problem")
    assert describe_run(3, totals).endswith("48 more with problems")  # a plan does not tell
    made = summarize(totals, 9)
    assert (made.new_problems, made.known_problems) == (1, 50)
    assert output.format_problems(made) == ["Known:   50 of 51 problems, from earlier days"]
    assert output.outcome_fields(totals.problems[0], run_id(9))["known"] is True
    assert output.outcome_fields(totals.problems[-1], run_id(9))["known"] is False
    line = output.format_outcome(totals.problems[0], run=run_id(9))
    assert "needs a password [encrypted]  known for " in line


def test_without_problems_nothing_is_said_of_them() -> None:
    """A run without problems does not mention problems."""
    totals = RunTotals()
    totals.add(SourceResult("docs", "a.pdf", Outcome.NEW))
    assert output.format_problems(summarize(totals, 1)) == []
    assert describe_run(0, totals, run=run_id(1)) == "1 new"
    fields = output.outcome_fields(SourceResult("docs", "a.pdf", Outcome.NEW), run_id(1))
    assert fields["known"] is None


def test_the_report_marks_what_is_new() -> None:
    """In each group of problems the new ones come first, and are counted."""
    old = Record(
        "docs", "a.pdf", outcome="failed", code="damaged", details=Details(since=run_id(0))
    )
    new = Record(
        "docs", "b.pdf", outcome="failed", code="damaged", details=Details(since=run_id(9))
    )
    (trouble,) = group_troubles([old, new], run_id(9))
    assert (trouble.news, [record.source for record in trouble.records]) == (1, ["b.pdf", "a.pdf"])


def test_a_replaced_file_that_is_damaged_says_that_old_text_stays() -> None:
    """Run and check name the file that broke since, and that searches find its earlier text."""
    broken = Untaken("docs", "a.pdf", "failed", "no PDF engine opens it", "damaged", 3)
    never = Untaken("docs", "b.pdf", "failed", "no PDF engine opens it", "damaged", 0)
    first, second = format_untaken([broken, never], None)
    assert first.endswith("its earlier version stays searchable")
    assert second.endswith("[damaged]")
    for chunks, end in ((3, "its earlier version stays searchable"), (0, "[damaged]")):
        event = replace(locked_result("a.pdf", since=0), code=Code.DAMAGED, chunks=chunks)
        assert output.format_outcome(replace(event, harmless=True)).endswith(end)
