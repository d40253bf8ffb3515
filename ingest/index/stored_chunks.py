"""Chunks as they are read from an index, where another program or a disk may have spoilt one.

A search leaves such a chunk out, a check reports it, and a repair writes it again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import orjson

from ingest.index.field_values import has_type
from ingest.index.schema import (
    CHUNK_FIELDS,
    DOUBLE_COLLECTION,
    INT_COLLECTION,
    LIST_FIELD_NAMES,
    STRING_COLLECTION,
)
from ingest.models import Hit, Permissions, parse_ids

READERS_COLUMN = "readers"  # of a table: JSON of Permissions; null for a chunk without any

log = logging.getLogger(__name__)

# Types of the fields of a chunk in Python, and those that are never null.
PYTHON_TYPES: dict[str, Any] = {
    "Edm.String": str,
    "Edm.DateTimeOffset": str,
    "Edm.Int32": int,
    "Edm.Double": float,
    STRING_COLLECTION: tuple[str, ...],
    INT_COLLECTION: tuple[int, ...],
    DOUBLE_COLLECTION: tuple[float, ...],
}
CHUNK_TYPES = {field.name: PYTHON_TYPES[field.type] for field in CHUNK_FIELDS}
REQUIRED_FIELD_NAMES = (
    "content",
    "sourcepage",
    "root",
    "source",
    "page_start",
    "page_end",
    "ordinal",
)


def parse_list(stored: object) -> Any:
    """Parse the JSON of a list; a value that is none is returned as it is."""
    with suppress(ValueError):
        return orjson.loads(stored) if isinstance(stored, str) else stored
    return stored


def parse_lists(row: dict[str, Any]) -> dict[str, Any]:
    """Parse the lists among the fields of a chunk, which a table has as JSON."""
    return row | {name: parse_list(row.get(name)) for name in LIST_FIELD_NAMES}


def has_readable_fields(fields: Mapping[str, Any]) -> bool:
    """Return whether the fields of a chunk have their types, so that a search can show it."""
    return all(
        name not in REQUIRED_FIELD_NAMES
        if (value := fields.get(name)) is None
        else has_type(tuple(value) if isinstance(value, list) else value, type_)
        for name, type_ in CHUNK_TYPES.items()
    )


def parse_readers(stored: object) -> Permissions | None:
    """Parse who may read a chunk; None if that cannot be read, so that nobody may."""
    try:
        return Permissions(*(parse_ids(ids) for ids in orjson.loads(stored)))  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return None


def are_readers_known(row: Mapping[str, Any]) -> bool:
    """Return False for a chunk in a table of which is not known who may read it."""
    stored = row.get(READERS_COLUMN)
    return stored is None or parse_readers(stored) is not None


def readable_hits(found: Iterable[tuple[float, dict[str, Any]]]) -> list[Hit]:
    """Return hits without those that cannot be read, which are logged."""
    hits = []
    for score, fields in found:
        if has_readable_fields(fields):
            hits.append(Hit(score, fields))
        else:
            log.warning(
                "a chunk of %s/%s cannot be read, and is not shown: ingest check --repair mends it",
                fields.get("root"),
                fields.get("source"),
            )
    return hits
