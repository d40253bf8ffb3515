"""Content of a report, as values."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from ingest.commands.report import charts
from ingest.commands.report.advice import ADVICE_BY_CODE, UNFINISHED
from ingest.commands.report.duplicates import find_duplicates
from ingest.commands.report.overview import count_states, find_extremes, group_troubles
from ingest.commands.report.page import minute_rates
from ingest.errors import DocumentError
from ingest.extract.passwords import locked_error, unsupported_encryption_error
from ingest.models import Code, Details, Outcome
from tests.commands.report.reports import DIGEST, make_chunk, make_damaged, make_empty, make_record
from tests.conftest import ROOT


def test_the_advice_is_that_of_the_document() -> None:
    """Whether I read the page or docs/outcomes.md, I am told the same."""
    table = (ROOT / "docs/outcomes.md").read_text(encoding="utf-8").partition("--- |\n")[2]
    written: dict[str, list[tuple[str, str]]] = {}
    code = remedy = ""
    for line in re.findall(r"^\|.*\|$", table, re.MULTILINE):
        plain = re.sub(r"\[(.*?)\]\(.*?\)|`", r"\1", line)
        name, _, _, happened, what = (cell.strip() for cell in plain.split("|")[1:-1])
        code = name or code
        remedy = remedy if what == "the same" else what
        written.setdefault(code, []).append((happened, remedy))
    # "The same" is what is said of no text at all.
    written[Code.SCANNED] = [(written[Code.SCANNED][0][0], written[Code.NO_TEXT][0][1])]

    expected = {
        code: [(a.problem, a.remedy) for a in advice] for code, advice in ADVICE_BY_CODE.items()
    }
    assert set(expected.pop(UNFINISHED)) == {
        ("a run was interrupted while writing it", "run again: it resumes")
    }
    assert expected == written


def test_troubles_come_by_code_and_the_urgent_ones_first() -> None:
    """Problems are grouped by code with their counts, those that I must act on first."""
    hung = make_record(
        "h.pdf", code=Code.PAGES_MISSING, error="2 pages", details=Details(missing=(1, 2))
    )
    begun = replace(make_record("b.pdf"), fingerprint="", outcome="")
    records = [
        make_record("a.pdf"),
        make_empty("s.pdf"),
        make_empty("t.pdf"),
        make_damaged("d.pdf"),
        hung,
        begun,
    ]

    found = group_troubles(records)

    assert [(t.code, len(t.records), t.urgent) for t in found] == [
        ("damaged", 1, True),
        ("pages-missing", 1, True),
        ("no-text", 2, False),
        ("unfinished", 1, False),
    ]
    assert [advice.problem for advice in found[2].advice] == ["no page has text"]
    assert found[2].shared_reason == "its pages are scans without text"
    assert found[0].shared_reason == ""


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (locked_error([]), "name a file of passwords with --passwords"),
        (locked_error(["a", "b"]), "name a file of passwords with --passwords"),
        (unsupported_encryption_error(), "ask for a copy without encryption"),
    ],
)
def test_a_locked_document_has_one_remedy(error: DocumentError, remedy: str) -> None:
    """A password does not open what is encrypted for a certificate, nor the other way round."""
    (found,) = group_troubles([make_record("a.pdf", code=error.code, error=str(error))])
    assert [advice.remedy for advice in found.advice] == [remedy]


def test_a_code_of_a_later_version_is_shown_without_advice() -> None:
    """An index that a newer ingest wrote to is no reason to break."""
    (found,) = group_troubles([make_record("a.pdf", code="moonstruck", outcome=Outcome.FAILED)])
    assert (found.code, list(found.advice)) == ("moonstruck", [])


def test_states_are_those_of_the_index_or_of_the_run() -> None:
    """A source that was new in its run is called indexed in the report on the index."""
    records = [
        make_record("a.pdf"),
        make_record("b.pdf", outcome=Outcome.CHANGED),
        make_damaged("c.pdf"),
    ]
    assert count_states(records, in_run=False) == [("indexed", 2), ("failed", 1)]
    assert count_states(records, in_run=True) == [("new", 1), ("changed", 1), ("failed", 1)]


def test_the_longest_are_not_the_shortest() -> None:
    """With three documents, none is listed both as longest and as shortest."""
    some = [make_record(f"{n}.pdf", tokens=100 * n) for n in (1, 2, 3)]
    found = find_extremes([*some, make_damaged("d.pdf"), make_empty("e.pdf")])
    assert [r.tokens for r in found.longest] == [300, 200]
    assert [r.tokens for r in found.shortest] == [100]
    assert [r.source for r in found.emptiest] == ["e.pdf"]


def test_copies_and_shared_texts_are_told_apart() -> None:
    """Two copies of a file are one finding, not one for each paragraph."""
    records = [
        make_record("a.pdf", "x"),
        make_record("b/a.pdf", "x"),
        make_record("c.pdf"),
        make_record("d.pdf"),
    ]
    chunks = [
        make_chunk("a.pdf", "one"),
        make_chunk("b/a.pdf", "one"),
        make_chunk("a.pdf", "terms", 2),
        make_chunk("b/a.pdf", "terms", 2),
        make_chunk("c.pdf", "terms", 7),
        make_chunk("d.pdf", "alone"),
        make_chunk("d.pdf", "alone", 2),
    ]

    for order in (chunks, chunks[::-1]):
        found = find_duplicates(records, order)
        assert [[r.source for r in group] for group in found.copies] == [["a.pdf", "b/a.pdf"]]
        (shared,) = found.repeated
        assert shared.text == "terms"
        assert shared.sources[("/srv/documents", "c.pdf")] == 7
        assert found.chunk_count == 5


def test_what_was_never_read_is_nobodys_copy() -> None:
    """Two damaged files have no hash of their bytes, so they are not called copies."""
    broken = [replace(make_damaged(name), fingerprint=DIGEST) for name in ("a.pdf", "b.pdf")]
    assert find_duplicates(broken, []).copies == []


def test_the_quota_used_is_that_of_a_minute() -> None:
    """The chart shows quota use by the minute, as the service counts it."""
    assert minute_rates([900, 0, 0, 900, 0, 0], 20.0) == [900, 900, 900, 900, 900, 900]
    assert minute_rates([100, 300], 120.0) == [50, 150]


@pytest.mark.parametrize(
    ("highest", "expected"),
    [(1, [0, 0.5, 1]), (350_000, [0, 200_000, 400_000]), (0.2, [0, 0.1, 0.2]), (7, [0, 5, 10])],
)
def test_axes_have_round_numbers(highest: float, expected: list[float]) -> None:
    """I can read a value off without a ruler."""
    assert charts.axis_ticks(highest, 3) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.6, ["0", "0.6 s"]),
        (50, ["0", "10 s", "20 s", "30 s", "40 s", "50 s"]),
        (400, ["0", "2 min", "4 min", "6 min"]),
        (20_000, ["0", "1 h", "2 h", "3 h", "4 h", "5 h"]),
    ],
)
def test_times_are_as_a_clock_has_them(seconds: float, expected: list[str]) -> None:
    """Minutes and hours, not thousands of seconds."""
    assert [charts.format_elapsed(tick) for tick in charts.clock_ticks(seconds)] == expected
