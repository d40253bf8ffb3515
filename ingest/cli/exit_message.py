"""Last line on stderr: explains the exit code in words."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ingest.commands.check.finding import FindingKind
from ingest.errors import ConfigError, IngestError, ServiceError, StoppedError
from ingest.models import DeletionsWithheld, Outcome, SourceResult
from ingest.pipeline.exit_codes import is_known, parse_start_time
from ingest.pipeline.totals import RunTotals
from ingest.runtime.formatting import escape_unprintable, pluralize

MAX_NAMED_DOCUMENTS = 3
DAY_SECONDS, HOUR_SECONDS = 86400, 3600
SIGNAL_MESSAGES = {130: "stopped by ^C", 143: "stopped by SIGTERM"}
RESUME_HINT = "the next run resumes from here"


class CommandExit(NamedTuple):
    """Exit code of a command, and a message that explains it."""

    code: int
    message: str
    is_logged: bool = False  # already in the JSON log
    process_code: int | None = None  # exit code of the process, where INGEST_EXIT_OK maps `code`


def signal_exit_code(signals: Sequence[int]) -> int:
    """Exit code of a process that signals ended: 128 plus the first one's number; 0 without any."""
    return 128 + signals[0] if signals else 0


def describe_run(code: int, totals: RunTotals, limit: str = "", run: str = "") -> str:
    """Describe a run's end. `limit` is the limit that ended it, "" for none; `run` is its id."""
    outcomes = "; ".join([describe_outcomes(totals, run), *describe_blockers(totals)])
    if code in SIGNAL_MESSAGES:
        return f"{SIGNAL_MESSAGES[code]}: {outcomes}; {RESUME_HINT}"
    if code == ServiceError.exit_code:
        why = f"more would exceed {limit}" if limit else "the deadline was reached"
        return f"{why}: {outcomes}; run again to continue"
    return outcomes


def describe_blockers(totals: RunTotals) -> list[str]:
    """Describe the reasons for exit code 2: withheld deletions, and roots that cannot be listed."""
    return [*(describe_withheld(k) for k in totals.kept if not k.harmless), *totals.unlisted]


def combine_errors(
    error: IngestError, totals: RunTotals, signals: Sequence[int], *, is_overdue: bool = False
) -> IngestError:
    """Return the error that ends a run: a signal comes before 2, and 2 before 1.

    `is_overdue`: work in progress was given up, without a signal because of the deadline.
    """
    code, text = error.exit_code, str(error)
    if signals:
        code = signal_exit_code(signals)
        text = f"{SIGNAL_MESSAGES.get(code, 'stopped')}: {text}; {RESUME_HINT}"
    elif code == ServiceError.exit_code and (blockers := describe_blockers(totals)):
        code, text = ConfigError.exit_code, "; ".join([*blockers, text])
    elif is_overdue and isinstance(error, StoppedError):
        text = f"the deadline was reached: {text}"
    if text == str(error):
        return error
    combined = IngestError(text)
    combined.exit_code = code
    return combined


def describe_withheld(kept: DeletionsWithheld) -> str:
    """Describe deletions that were withheld: the root, the reason, and the remedy."""
    stay = "stays" if kept.sources == 1 else "stay"
    return (
        f"{pluralize(kept.sources, 'document')} gone from {escape_unprintable(kept.root)} {stay} "
        f"in the index: {kept.reason}"
    )


def describe_plan(code: int, totals: RunTotals) -> str:
    """Describe what a run would do."""
    stopped = SIGNAL_MESSAGES.get(code)
    return (
        f"{stopped}: {describe_outcomes(totals)} so far" if stopped else describe_run(code, totals)
    )


def describe_outcomes(totals: RunTotals, run: str = "") -> str:
    """Count the documents by outcome, naming the first ones with problems, new ones first."""
    troubles: dict[Outcome, list[SourceResult]] = {}
    newest_first = sorted(totals.problems, key=lambda problem: is_known(problem, run))
    for problem in newest_first[:MAX_NAMED_DOCUMENTS]:
        troubles.setdefault(problem.outcome, []).append(problem)
    unnamed = len(totals.problems) - MAX_NAMED_DOCUMENTS
    parts = []
    for outcome in Outcome:
        if not totals.outcomes[outcome]:
            continue
        named = "; ".join(describe_problem(each, run) for each in troubles.get(outcome, ()))
        parts.append(f"{totals.outcomes[outcome]:,} {outcome}" + (f" ({named})" if named else ""))
    more = [f"{unnamed:,} more with problems"] if unnamed > 0 else []
    counted = ", ".join([*parts, *more]) or "no documents"
    new = len(totals.problems) - totals.count_known(run)
    is_told = new in (0, len(totals.problems)) and unnamed <= 0  # the ages show which are new
    return counted if is_told or not run else f"{counted}; {pluralize(new, 'new problem')}"


def describe_problem(event: SourceResult, run: str = "") -> str:
    """Describe a document with a problem: name, code, and for how long it has been reported."""
    age = describe_age(event.details.since, run) if event.details.since != run else ""
    return f"{escape_unprintable(event.source)} {event.code}{f', {age}' if age else ''}"


def describe_age(since: str, run: str = "") -> str:
    """Age of a run at the start of another, or now, as in "for 12 days"; "" if under an hour."""
    begun, now = parse_start_time(since), parse_start_time(run)
    end = now.timestamp() if now else time.time()
    seconds = end - begun.timestamp() if begun else 0.0
    if seconds < HOUR_SECONDS:
        return ""
    unit, noun = (DAY_SECONDS, "day") if seconds >= DAY_SECONDS else (HOUR_SECONDS, "hour")
    return f"for {pluralize(int(seconds // unit), noun)}"


def describe_check(code: int, findings: Mapping[FindingKind, int]) -> str:
    """Describe the findings of a check."""
    found = ", ".join(f"{count:,} {kind}" for kind, count in findings.items()) or "nothing"
    if code in SIGNAL_MESSAGES:
        return f"{SIGNAL_MESSAGES[code]}: found {found} so far"

    if code == ServiceError.exit_code:
        return f"stopped before everything was checked: found {found} so far"
    return f"found {found}"
