"""What a report says of an index, as values: folds over its records. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ingest.commands.report.advice import ADVICE_BY_CODE, UNFINISHED, Advice
from ingest.commands.report.duplicates import Duplicates
from ingest.models import Outcome, Record, Summary
from ingest.runtime.formatting import describe_state

MAX_EXTREMES = 10  # of each kind


@dataclass(frozen=True, slots=True)
class Trouble:
    """The sources that have one code, and what to do about them."""

    code: str
    advice: Sequence[Advice]
    records: Sequence[Record]
    urgent: bool  # its owner has something to do

    @property
    def shared(self) -> str:
        """The reason that several have in common; "" if each has its own."""
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
    """All that the page is made of."""

    index: str  # as people are told of it
    chunks: int  # that it holds
    size: int  # bytes, -1 where it cannot be told
    records: Sequence[Record]  # of the whole index, or those that one run settled
    runs: Sequence[Summary]  # the newest first
    run: Summary | None  # the one that is looked at; None: there was none yet
    chosen: bool  # that was asked for: `records` are its own
    duplicates: Duplicates | None  # None: not looked for
    made: str  # when, UTC, ISO 8601


def needs_action(record: Record) -> bool:
    """Whether the owner of a document has something to do."""
    return record.outcome in (Outcome.FAILED, Outcome.SKIPPED) or bool(record.details.missing)


def code_of(record: Record) -> str:
    """What is to be said of a source, if anything."""
    return record.code or ("" if record.fingerprint else UNFINISHED)


def state_of(record: Record, *, in_run: bool) -> str:
    """What became of a source: in one run, or for good."""
    return (record.outcome or UNFINISHED) if in_run else describe_state(record)


def count_states(records: Iterable[Record], *, in_run: bool) -> list[tuple[str, int]]:
    """How many sources came out how, the most frequent first."""
    return Counter(state_of(record, in_run=in_run) for record in records).most_common()


def group_troubles(records: Iterable[Record]) -> list[Trouble]:
    """The sources by code: those that need someone first, then by their number."""
    found: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if code := code_of(record):
            found[code].append(record)
    groups = [
        Trouble(code, find_advice(code, some), some, any(map(needs_action, some)))
        for code, some in found.items()
    ]
    return sorted(groups, key=lambda group: (not group.urgent, -len(group.records), group.code))


def find_advice(code: str, records: Iterable[Record]) -> list[Advice]:
    """What is to be said of a code; nothing of one that only a later version knows."""
    outcomes = {record.outcome for record in records}
    return [
        found
        for found in ADVICE_BY_CODE.get(code, ())
        if not found.outcome or found.outcome in outcomes
    ]


def find_extremes(records: Iterable[Record]) -> Extremes:
    """The longest, the shortest and the emptiest of the documents that were read."""
    read = [record for record in records if record.pages]
    texts = [record for record in read if record.chunks]
    hollow = [record for record in read if record.empty_pages]
    most = min(MAX_EXTREMES, (len(texts) + 1) // 2)  # so that none is both
    return Extremes(
        longest=sorted(texts, key=lambda r: (-r.tokens, r.source))[:most],
        shortest=sorted(texts, key=lambda r: (r.tokens, r.source))[: len(texts) - most][:most],
        emptiest=sorted(hollow, key=lambda r: (-r.empty_pages / r.pages, -r.pages, r.source))[
            :MAX_EXTREMES
        ],
    )
