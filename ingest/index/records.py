"""Serialization of records, for every back end.

A record that cannot be read, because a program or a disk has spoilt it, becomes an intent: the next
run reads its source again. It costs a reading, and never the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import orjson

from ingest.index.field_values import field_values
from ingest.models import Details, Outcome, Record

ID_LISTS = ("committed", "pending")
RECORD_NAMES = tuple(field.name for field in fields(Record) if field.name != "epoch")
DETAIL_NAMES = tuple(field.name for field in fields(Details))
EPOCH_NAME = "epoch"  # in the JSON of details, so that an index needs no field for it
NO_DETAILS = Details()
OUTCOMES = frozenset({"", *Outcome})
SPOILT_REASON = "its record in the index cannot be read"


def record_from_values(values: Mapping[str, Any]) -> Record:
    """Deserialize a record, listed without chunk ids or whole; a null is the default."""
    epoch = 0
    try:
        details, epoch = details_from_json(values.get("details") or "")
        found = field_values(Record, {**values, "details": details, "epoch": epoch})
        record = Record(**found)
    except (TypeError, ValueError):
        return spoilt_record(values, epoch)
    names_all = "committed" not in values or len(record.committed) >= record.chunks
    return record if names_all and record.outcome in OUTCOMES else spoilt_record(values, epoch)


def spoilt_record(values: Mapping[str, Any], epoch: int) -> Record:
    """Return the intent in place of a record that cannot be read, with the ids that can be."""
    ids = [id_ for name in ID_LISTS for id_ in values.get(name) or () if isinstance(id_, str)]
    chunks = values.get("chunks")
    return Record(
        values["root"],
        values["source"],
        error=SPOILT_REASON,
        pending=tuple(dict.fromkeys(ids)),
        chunks=chunks if isinstance(chunks, int) else 0,
        details=Details(spoilt=True),
        epoch=epoch,
    )


def details_to_json(details: Details, epoch: int = 0) -> str:
    """Serialize details and an epoch without empty values; "" if all are empty."""
    values = {name: value for name in DETAIL_NAMES if (value := getattr(details, name))}
    values |= {EPOCH_NAME: epoch} if epoch else {}
    return orjson.dumps(values).decode() if values else ""


def details_from_json(text: str) -> tuple[Details, int]:
    """Deserialize details and an epoch, ignoring the fields of later versions.

    Raises ValueError or TypeError.
    """
    if not text:
        return NO_DETAILS, 0
    stored = orjson.loads(text)
    details = Details(**field_values(Details, stored))
    epoch = stored.get(EPOCH_NAME, 0)
    if not isinstance(epoch, int):
        raise TypeError(f"epoch is {epoch!r:.99}")
    return details, epoch
