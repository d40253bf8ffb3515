"""Results of sources that are not written: unchanged, failed, refused or given up. Pure."""

from __future__ import annotations

from dataclasses import replace

from ingest.errors import DocumentError
from ingest.models import Details, Outcome, Record, Source, SourceResult


def unchanged_result(source: Source, record: Record) -> SourceResult:
    """Return the result of an unchanged source."""
    needs_attention = record.details.needs_attention
    return SourceResult(
        source.root,
        source.name,
        Outcome.UNCHANGED,
        pages=record.pages,
        empty_pages=record.empty_pages,
        chunks=record.chunks,
        reason=reason_with_attempts(record) if record.details.missing else record.error,
        code=record.code,
        harmless=not needs_attention,
        details=replace(record.details, since=first_reported_run(record))
        if needs_attention
        else record.details,
    )


def given_up_result(record: Record) -> SourceResult:
    """Return the result of a source that failed too often to be tried again."""
    return unread_result(
        record,
        Outcome(record.outcome),
        reason_with_attempts(record),
        record.code,
        first_reported_run(record),
    )


def failed_result(
    record: Record, source: Source, error: DocumentError, run: str = ""
) -> SourceResult:
    """Return the result of a document that failed. A dry run has no run id."""
    since = first_run_with_problem(record, source, error.code, run)
    return unread_result(record, error.outcome, str(error), error.code, since)


def refused_result(record: Record, error: DocumentError) -> SourceResult:
    """Return the result of a source for which the index refuses a write."""
    return unread_result(record, error.outcome, str(error), error.code)


def unread_result(
    record: Record, outcome: Outcome, reason: str, code: str, since: str = ""
) -> SourceResult:
    """Return the result of a source whose chunks in the index stay as they are."""
    return SourceResult(
        *record.key,
        outcome,
        reason,
        code,
        harmless=False,
        chunks=record.chunks,
        details=Details(since=since),
    )


def reason_with_attempts(record: Record) -> str:
    """Return why a source is missing or incomplete, and how to have it tried again."""
    return f"{record.error} (tried {record.attempts} times; --retry-failed tries again)"


def first_run_with_problem(record: Record, source: Source, code: str, run: str) -> str:
    """Return the id of the first run that reported this problem with these bytes."""
    before = (record.code, record.size, record.modified)
    is_same = before == (code, source.size, source.modified)
    return (first_reported_run(record) or run) if is_same else run


def first_reported_run(record: Record) -> str:
    """Return the id of the first run that reported a source's problem.

    A record of an earlier version has only the last one.
    """
    return record.details.since or record.run
