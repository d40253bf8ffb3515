"""The exit code that a scheduler is given, where `INGEST_EXIT_OK` says that some are no failure.

A summary, a report and the log have the run's own exit code in any case.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from ingest.errors import BusyError, DocumentError
from ingest.model import Settled

# Longer than the tries of a job take together, shorter than from one night to the next.
LONG_AGO = timedelta(hours=12)


def given(code: int, exit_ok: Collection[str], problems: Iterable[Settled], run: str) -> int:
    """The exit code of a process whose run, of this id, ended with `code`."""
    if code == BusyError.exit_code and "11" in exit_ok:
        return 0
    if code != DocumentError.exit_code:
        return code
    ok = "3" in exit_ok or ("known" in exit_ok and known(problems, run))
    return 0 if ok else code


def known(problems: Iterable[Settled], run: str) -> bool:
    """Whether a run that began twelve hours before this one reported each of these troubles."""
    now = began(run)
    times = [began(problem.details.since) for problem in problems]
    return now is not None and all(time is not None and now - time > LONG_AGO for time in times)


def began(run: str) -> datetime | None:
    """When a run began, as its id says; None for an id of another form."""
    with suppress(ValueError):
        return datetime.strptime(run.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return None
