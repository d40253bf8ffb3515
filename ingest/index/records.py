"""Serialization of records, for every back end.

A record that cannot be read, because a program or a disk has spoilt it, becomes an intent: the next
run reads its source again. It costs one more reading, and never ends the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import orjson

from ingest.index.field_values import field_values
from ingest.models import Details, Outcome, Record

ID_LISTS = ("committed", "pending")
EXTRA_NAMES = ("epoch", "spoilt")  # in the JSON of details, so that an index needs no fields
RECORD_NAMES = tuple(field.name for field in fields(Record) if field.name not in EXTRA_NAMES)
DETAIL_NAMES = tuple(field.name for field in fields(Details))
NO_DETAILS = {"details": Details()}
OUTCOMES = frozenset({"", *Outcome})
SPOILT_REASON = "its record in the index cannot be read"


def record_from_values(values: Mapping[str, Any]) -> Record:
    """Deserialize a record, listed without chunk ids or whole; a null is the default."""
    details: dict[str, Any] = {}
    try:
        details = details_from_json(values.get("details") or "")
        record = Record(**field_values(Record, {**values, **details}))
    except (TypeError, ValueError):
        return spoilt_record(values, details.get("epoch"))
    names_all = "committed" not in values or len(record.committed) >= record.chunks
    is_readable = names_all and record.outcome in OUTCOMES
    return record if is_readable else spoilt_record(values, record.epoch)


def spoilt_record(values: Mapping[str, Any], epoch: object) -> Record:
    """Return the intent in place of a record that cannot be read, with the ids that can be."""
    ids = [id_ for name in ID_LISTS for id_ in values.get(name) or () if isinstance(id_, str)]
    chunks = values.get("chunks")
    return Record(
        values["root"],
        values["source"],
        error=SPOILT_REASON,
        pending=tuple(dict.fromkeys(ids)),
        chunks=chunks if isinstance(chunks, int) else 0,
        epoch=epoch if isinstance(epoch, int) else 0,
        spoilt=True,
    )


def details_to_json(record: Record) -> str:
    """Serialize the details of a record without empty values; "" if all are empty."""
    values = {name: value for name in DETAIL_NAMES if (value := getattr(record.details, name))}
    values |= {name: value for name in EXTRA_NAMES if (value := getattr(record, name))}
    return orjson.dumps(values).decode() if values else ""


def details_from_json(text: str) -> dict[str, Any]:
    """Deserialize `details` and EXTRA_NAMES, ignoring the fields of later versions.

    Raises ValueError or TypeError.
    """
    if not text:
        return NO_DETAILS
    stored = orjson.loads(text)
    details = Details(**field_values(Details, stored))
    return {"details": details, **{name: stored.get(name) for name in EXTRA_NAMES}}
