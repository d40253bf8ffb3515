"""Summaries of the records of an index, for the report. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ingest.commands.report.advice import ADVICE_BY_CODE, UNFINISHED, Advice
from ingest.commands.report.duplicates import Duplicates
from ingest.models import NOT_INDEXED_OUTCOMES, Record, Summary
from ingest.pipeline.exit_codes import is_old
from ingest.pipeline.in_progress import IN_PROGRESS
from ingest.pipeline.results import first_reported_run
from ingest.runtime.formatting import describe_state

MAX_EXTREMES = 10  # documents of each kind


@dataclass(frozen=True, slots=True)
class Trouble:
    """The sources with one code, and advice about them."""

    code: str
    advice: Sequence[Advice]
    records: Sequence[Record]
    urgent: bool  # somebody has to act
    news: int = 0  # number of the first `records` that were not reported the day before

    @property
    def shared_reason(self) -> str:
        """Reason that all of several sources have in common; "" if they differ."""
        reasons = {record.error for record in self.records}
        return reasons.pop() if len(reasons) == 1 and len(self.records) > 1 else ""


@dataclass(frozen=True, slots=True)
class Extremes:
    """The documents that stand out."""

    longest: Sequence[Record]
    shortest: Sequence[Record]
    emptiest: Sequence[Record]


@dataclass(frozen=True, slots=True)
class Report:
    """Content of the page."""

    index: str  # name for display
    chunks: int  # number of chunks in the index
    size: int  # bytes; -1 if unknown
    records: Sequence[Record]  # of the whole index, or those that one run settled
    runs: Sequence[Summary]  # newest first
    run: Summary | None  # the run to show; None if there was none yet
    is_single_run: bool  # the report is about `run` alone, and so are `records`
    duplicates: Duplicates | None  # None: not searched for
    created: str  # UTC, ISO 8601


def needs_action(record: Record) -> bool:
    """Return True if a source needs somebody to act on it."""
    return record.outcome in NOT_INDEXED_OUTCOMES or record.details.needs_attention


def is_news(record: Record, run: str) -> bool:
    """Return True if a source needs action for a problem that is new in a run."""
    return needs_action(record) and not is_old(first_reported_run(record), run)


def code_of(record: Record) -> str:
    """Return the code of a source; "" if there is nothing to report."""
    is_known = record.fingerprint or record.outcome == IN_PROGRESS
    return record.code or ("" if is_known else UNFINISHED)


def state_of(record: Record, *, in_run: bool) -> str:
    """Return the state of a source: its outcome in a run, or its state in the index."""
    return (record.outcome or UNFINISHED) if in_run else describe_state(record)


def count_states(records: Iterable[Record], *, in_run: bool) -> list[tuple[str, int]]:
    """Count the sources by state, the most frequent first."""
    return Counter(state_of(record, in_run=in_run) for record in records).most_common()


def count_figures(records: Iterable[Record]) -> dict[str, int]:
    """Count the figures of all sources by the outcome of their description."""
    counts: Counter[str] = Counter()
    for record in records:
        counts.update(record.details.figure_outcomes)
    return dict(counts)


def group_troubles(records: Iterable[Record], run: str = "") -> list[Trouble]:
    """Group the sources by code: codes that need action first, then by number of sources.

    Sources whose problem is new in the run with this id come first in each group.
    """
    by_code: dict[str, list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda record: not is_news(record, run)):
        if code := code_of(record):
            by_code[code].append(record)
    groups = [
        Trouble(
            code,
            find_advice(code, some),
            some,
            any(map(needs_action, some)),
            sum(is_news(record, run) for record in some),
        )
        for code, some in by_code.items()
    ]
    return sorted(groups, key=lambda group: (not group.urgent, -len(group.records), group.code))


def find_advice(code: str, records: Iterable[Record]) -> list[Advice]:
    """Return the advice for a code; none for a code of a later version."""
    found = list(records)
    return [
        advice
        for advice in ADVICE_BY_CODE.get(code, ())
        if any(
            advice.outcome in ("", record.outcome) and advice.reason in record.error
            for record in found
        )
    ]


def find_extremes(records: Iterable[Record]) -> Extremes:
    """Find the longest, the shortest and the emptiest documents that were read."""
    read = [record for record in records if record.pages]
    texts = [record for record in read if record.chunks]
    partly_empty = [record for record in read if record.empty_pages]
    most = min(MAX_EXTREMES, (len(texts) + 1) // 2)  # no document is in both lists
    return Extremes(
        longest=sorted(texts, key=lambda r: (-r.tokens, r.source))[:most],
        shortest=sorted(texts, key=lambda r: (r.tokens, r.source))[: len(texts) - most][:most],
        emptiest=sorted(partly_empty, key=lambda r: (-r.empty_pages / r.pages, -r.pages, r.source))[
            :MAX_EXTREMES
        ],
    )
