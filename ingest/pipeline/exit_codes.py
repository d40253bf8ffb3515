"""Map a run's exit code to the process's, by `INGEST_EXIT_OK`.

The summary, the report and the log always have the run's own exit code.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from ingest.errors import BusyError, DocumentError
from ingest.models import SourceResult

# Every source was looked at; with the second one, some could not be indexed.
FINISHED = (0, DocumentError.exit_code)

# Longer than all retries of a job, shorter than the time between two nightly runs.
KNOWN_AFTER = timedelta(hours=12)


def process_exit_code(
    code: int, exit_ok: Collection[str], problems: Iterable[SourceResult], run: str
) -> int:
    """Return the exit code of a process whose run, with this id, ended with `code`."""
    if code == BusyError.exit_code and "11" in exit_ok:
        return 0
    if code != DocumentError.exit_code:
        return code
    are_known = "known" in exit_ok and all(is_known(problem, run) for problem in problems)
    ok = "3" in exit_ok or are_known
    return 0 if ok else code


def is_known(problem: SourceResult, run: str) -> bool:
    """Return whether a run that began twelve hours before this one reported a problem."""
    return is_old(problem.details.since, run)


def is_old(since: str, run: str) -> bool:
    """Return whether a run began twelve hours before another one, by their ids."""
    then, now = parse_start_time(since), parse_start_time(run)
    return then is not None and now is not None and now - then > KNOWN_AFTER


def parse_start_time(run: str) -> datetime | None:
    """Return the start time in a run's id; None for an id of another form."""
    with suppress(ValueError):
        return datetime.strptime(run.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return None
