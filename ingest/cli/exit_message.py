"""The last line on stderr: in words, what an exit code means."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

from ingest.commands.check.finding import FindingKind
from ingest.errors import ServiceError
from ingest.models import Outcome, SourceResult
from ingest.pipeline.exit_codes import parse_start_time
from ingest.pipeline.totals import RunTotals
from ingest.runtime.formatting import escape_unprintable, pluralize

MAX_NAMED_DOCUMENTS = 3  # documents that are named
DAY_SECONDS, HOUR_SECONDS = 86400, 3600
SIGNAL_MESSAGES = {130: "stopped by ^C", 143: "stopped by SIGTERM"}
RESUME_HINT = "the next run goes on from here"


class CommandExit(NamedTuple):
    """How a command ended, for those whose exit code needs more than one word."""

    code: int
    message: str
    is_logged: bool = False  # in the log for machines already
    process_code: int | None = None  # the exit code of the process, where settings want another one


def describe_run(code: int, totals: RunTotals, limit: str = "", run: str = "") -> str:
    """What a run came to; `limit` is the one that ended it, "" for none."""
    came = describe_outcomes(totals, run)
    if code in SIGNAL_MESSAGES:
        return f"{SIGNAL_MESSAGES[code]}: {came}; {RESUME_HINT}"
    if code == ServiceError.exit_code:
        why = f"more would exceed {limit}" if limit else "the deadline came"
        return f"{why}: {came}; run again to go on"
    held = [kept for kept in totals.kept if not kept.harmless]
    if held:
        why = "; ".join(
            f"{pluralize(kept.sources, 'document')} gone from {escape_unprintable(kept.root)} stay, {kept.reason}"
            for kept in held
        )
        return f"{came}; {why}"
    return came


def describe_plan(code: int, totals: RunTotals) -> str:
    """What a run would come to."""
    stopped = SIGNAL_MESSAGES.get(code)
    return (
        f"{stopped}: {describe_outcomes(totals)} so far" if stopped else describe_run(code, totals)
    )


def describe_outcomes(totals: RunTotals, run: str = "") -> str:
    """How many documents came out how, the first of those in trouble by name."""
    troubles: dict[Outcome, list[SourceResult]] = {}
    for problem in totals.problems[:MAX_NAMED_DOCUMENTS]:
        troubles.setdefault(problem.outcome, []).append(problem)
    unnamed = len(totals.problems) - MAX_NAMED_DOCUMENTS
    parts = []
    for outcome in Outcome:
        if not totals.outcomes[outcome]:
            continue
        named = "; ".join(describe_problem(each, run) for each in troubles.get(outcome, ()))
        parts.append(f"{totals.outcomes[outcome]:,} {outcome}" + (f" ({named})" if named else ""))
    more = [f"{unnamed:,} more in trouble"] if unnamed > 0 else []
    return ", ".join([*parts, *more]) or "no documents"


def describe_problem(event: SourceResult, run: str = "") -> str:
    """A document in trouble: its name, what is wrong, and for how long a run has said so."""
    age = describe_age(event.details.since, time.time()) if event.details.since != run else ""
    return f"{escape_unprintable(event.source)} {event.code}{f', {age}' if age else ''}"


def describe_age(run: str, now: float) -> str:
    """How long ago a run began, as one says it: "for 12 days"; "" for less than an hour."""
    begun = parse_start_time(run)
    seconds = now - begun.timestamp() if begun else 0.0
    if seconds < HOUR_SECONDS:
        return ""
    unit, noun = (DAY_SECONDS, "day") if seconds >= DAY_SECONDS else (HOUR_SECONDS, "hour")
    return f"for {pluralize(int(seconds // unit), noun)}"


def describe_check(code: int, findings: Mapping[FindingKind, int]) -> str:
    """What a check came to."""
    found = ", ".join(f"{count:,} {kind}" for kind, count in findings.items()) or "nothing"
    if code in SIGNAL_MESSAGES:
        return f"{SIGNAL_MESSAGES[code]}: found {found} so far"
    early = code == ServiceError.exit_code
    return f"stopped before all was looked at: found {found} so far" if early else f"found {found}"
