"""Chunks and records as documents on the wire, in requests that a service takes. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from itertools import islice
from typing import Any

import numpy as np
import orjson

from ingest.index.schema import VECTOR_FIELD, chunk_to_document, details_from_json, details_to_json
from ingest.models import IndexEntry, Record

# Of one request: the documented limits are 1,000 and 16 MB.
MAX_BATCH_ACTIONS, MAX_BATCH_BYTES = 1000, 15_000_000
COMPONENT_BYTES = 14  # of one component of a vector, as it is written, and its comma
MAX_CHARACTER_BYTES = 4  # of UTF-8, at most; those that are escaped take two
DOCUMENT_OVERHEAD_BYTES = 2000  # of a document beside its strings, its ids and its vector

# A record without its ids, which may be thousands.
LISTED_RECORD_FIELDS = [f.name for f in fields(Record) if f.name not in ("committed", "pending")]


def entry_to_document(entry: IndexEntry) -> dict[str, Any]:
    """A chunk's document, with its vector."""
    assert entry.vector is not None
    return {**chunk_to_document(entry), VECTOR_FIELD: np.ascontiguousarray(entry.vector)}


def record_key(root: str, source: str) -> str:
    """The key of a record: letters and digits, whatever the names are made of."""
    return "source-" + hashlib.sha256(f"{root}\0{source}".encode()).hexdigest()[:40]


def page_key(key: str) -> str:
    """The key of a page that was paid for, whose own is hex digits."""
    return f"page-{key}"


def record_to_document(record: Record) -> dict[str, Any]:
    """A record as a document: no content and no vector, so that no query returns it."""
    values: dict[str, Any] = {f.name: getattr(record, f.name) for f in fields(Record)}
    return {
        **values,
        "id": record_key(record.root, record.source),
        "kind": "source",
        # Hex digits of UTF-8 sort as the code points do, in any collation.
        "place": record.source.encode().hex(),
        "committed": list(record.committed),
        "pending": list(record.pending),
        "details": details_to_json(record.details),
    }


def record_from_document(document: dict[str, Any]) -> Record:
    """The record that a document is."""
    values = {f.name: document[f.name] for f in fields(Record) if document.get(f.name) is not None}
    for ids in ("committed", "pending"):
        values[ids] = tuple(values.get(ids, ()))
    values["details"] = details_from_json(values.get("details", ""))
    return Record(**values)


def batch_documents(documents: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The documents in requests that the service takes."""
    batch: list[dict[str, Any]] = []
    size = 0
    for document in documents:
        more = estimate_bytes(document)
        if batch and (len(batch) == MAX_BATCH_ACTIONS or size + more > MAX_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(document)
        size += more
    if batch:
        yield batch


def request_body(action: str, documents: Sequence[dict[str, Any]]) -> bytes:
    """A request to do the same with each of these documents."""
    value = [{"@search.action": action, **document} for document in documents]
    return orjson.dumps({"value": value}, option=orjson.OPT_SERIALIZE_NUMPY)


def estimate_bytes(document: dict[str, Any]) -> int:
    """About how many bytes a document is on the wire, rather too many than too few."""
    strings = (len(value) for value in document.values() if isinstance(value, str))
    ids = 45 * sum(len(document.get(name, ())) for name in ("committed", "pending"))
    texts = MAX_CHARACTER_BYTES * sum(strings)
    return (
        DOCUMENT_OVERHEAD_BYTES
        + texts
        + ids
        + COMPONENT_BYTES * len(document.get(VECTOR_FIELD, ()))
    )


def batch_ids(items: Iterable[str], size: int) -> Iterator[list[str]]:
    """The items in lists of at most `size`."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


def quote_odata(text: str) -> str:
    """A string of a filter expression."""
    return "'" + text.replace("'", "''") + "'"
