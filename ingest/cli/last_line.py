"""The last line on stderr: in words, what an exit code means."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

from ingest.check.finding import Kind
from ingest.errors import ServiceError
from ingest.exits import began
from ingest.model import Outcome, Settled
from ingest.report.totals import Totals
from ingest.report.words import many, printable

FEW = 3  # documents that are named
DAY, HOUR = 86400, 3600
SIGNALS = {130: "stopped by ^C", 143: "stopped by SIGTERM"}
AGAIN = "the next run goes on from here"


class Ended(NamedTuple):
    """How a command ended, for those whose exit code needs more than one word."""

    code: int
    words: str
    logged: bool = False  # in the log for machines already
    given: int | None = None  # the exit code of the process, where settings want another one


def of_run(code: int, totals: Totals, limit: str = "", run: str = "") -> str:
    """What a run came to; `limit` is the one that ended it, "" for none."""
    came = counts(totals, run)
    if code in SIGNALS:
        return f"{SIGNALS[code]}: {came}; {AGAIN}"
    if code == ServiceError.exit_code:
        why = f"more would exceed {limit}" if limit else "the deadline came"
        return f"{why}: {came}; run again to go on"
    held = [kept for kept in totals.kept if not kept.harmless]
    if held:
        why = "; ".join(
            f"{many(kept.sources, 'document')} gone from {printable(kept.root)} stay, {kept.reason}"
            for kept in held
        )
        return f"{came}; {why}"
    return came


def of_plan(code: int, totals: Totals) -> str:
    """What a run would come to."""
    stopped = SIGNALS.get(code)
    return f"{stopped}: {counts(totals)} so far" if stopped else of_run(code, totals)


def counts(totals: Totals, run: str = "") -> str:
    """How many documents came out how, the first of those in trouble by name."""
    troubles: dict[Outcome, list[Settled]] = {}
    for problem in totals.problems[:FEW]:
        troubles.setdefault(problem.outcome, []).append(problem)
    unnamed = len(totals.problems) - FEW
    parts = []
    for outcome in Outcome:
        if not totals.outcomes[outcome]:
            continue
        named = "; ".join(trouble(each, run) for each in troubles.get(outcome, ()))
        parts.append(f"{totals.outcomes[outcome]:,} {outcome}" + (f" ({named})" if named else ""))
    more = [f"{unnamed:,} more in trouble"] if unnamed > 0 else []
    return ", ".join([*parts, *more]) or "no documents"


def trouble(event: Settled, run: str = "") -> str:
    """A document in trouble: its name, what is wrong, and for how long a run has said so."""
    age = since(event.details.since, time.time()) if event.details.since != run else ""
    return f"{printable(event.source)} {event.code}{f', {age}' if age else ''}"


def since(run: str, now: float) -> str:
    """How long ago a run began, as one says it: "for 12 days"; "" for less than an hour."""
    begun = began(run)
    seconds = now - begun.timestamp() if begun else 0.0
    if seconds < HOUR:
        return ""
    unit, noun = (DAY, "day") if seconds >= DAY else (HOUR, "hour")
    return f"for {many(int(seconds // unit), noun)}"


def of_check(code: int, findings: Mapping[Kind, int]) -> str:
    """What a check came to."""
    found = ", ".join(f"{count:,} {kind}" for kind, count in findings.items()) or "nothing"
    if code in SIGNALS:
        return f"{SIGNALS[code]}: found {found} so far"
    early = code == ServiceError.exit_code
    return f"stopped before all was looked at: found {found} so far" if early else f"found {found}"
