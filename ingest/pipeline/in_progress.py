"""Records of an index that a run is writing to, for the commands that show it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ingest.index import Index
from ingest.models import Record
from ingest.pipeline.diff import was_interrupted

IN_PROGRESS = "in progress"  # instead of an outcome


def is_held(index: Index) -> bool:
    """Return whether a run holds the index."""
    return index.seconds_since_write() == 0


def list_records(index: Index, *, held: bool) -> Iterator[Record]:
    """List all records. While a run holds the index, unfinished ones are in progress.

    The record of a source that is being read says that it failed, in case the process dies.
    """
    for record in index.records():
        if held and (was_interrupted(record) or not record.fingerprint):
            yield replace(record, outcome=IN_PROGRESS, error="", code="", attempts=0)
        else:
            yield record
