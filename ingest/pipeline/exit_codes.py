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
    ok = "3" in exit_ok or ("known" in exit_ok and is_known(problems, run))
    return 0 if ok else code


def is_known(problems: Iterable[SourceResult], run: str) -> bool:
    """Return whether a run that began twelve hours before this one reported each problem."""
    now = parse_start_time(run)
    times = [parse_start_time(problem.details.since) for problem in problems]
    return now is not None and all(time is not None and now - time > KNOWN_AFTER for time in times)


def parse_start_time(run: str) -> datetime | None:
    """Return the start time in a run's id; None for an id of another form."""
    with suppress(ValueError):
        return datetime.strptime(run.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return None
