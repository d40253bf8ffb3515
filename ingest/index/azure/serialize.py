"""Serialize chunks and records as documents, in requests that a service accepts. Pure."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import orjson

from ingest.index.names import split_names
from ingest.index.records import ID_LISTS, RECORD_NAMES, details_to_json
from ingest.index.schema import (
    CHUNK_FIELD_NAMES,
    FIGURE_FIELD_NAMES,
    FIGURE_KIND_FIELD,
    NAMES_FIELD,
    TEXT_HASH_FIELD,
    VECTOR_FIELD,
    chunk_to_document,
)
from ingest.models import IndexEntry, Record, Vectors

# Of one request; the documented limits are 1,000 and 16 MB.
MAX_BATCH_ACTIONS, MAX_BATCH_BYTES = 1000, 15_000_000
COMPONENT_BYTES = 14  # of one component of a vector in JSON, with its comma
OFFSET_BYTES = 8  # of an offset in a chunk, with its comma; or of the marks of a heading or label
OFFSET_FIELD_NAMES = (
    "page_offsets",
    "sentence_offsets",
    "section_offsets",
    "sections",
    "page_labels",
)
# Values of a chunk's copy in the records' index; those that only its profile knows are in one.
OWN_VALUES_NAME = "own"  # JSON
COPIED_VALUE_NAMES = (
    *CHUNK_FIELD_NAMES,
    NAMES_FIELD.name,
    TEXT_HASH_FIELD.name,
    VECTOR_FIELD,
    OWN_VALUES_NAME,
)
MAX_CHARACTER_BYTES = 4  # of UTF-8; an escaped character takes two
DOCUMENT_OVERHEAD_BYTES = 2000  # of a document without its strings, ids and vector

# Without the chunk ids, which may be thousands.
LISTED_RECORD_FIELDS = [name for name in RECORD_NAMES if name not in ID_LISTS]

# Characters with a meaning in the service's simple query syntax: a minus where a word begins, a
# star where it ends, the others anywhere.
SIMPLE_SYNTAX = re.compile(r"""[+|"()'\\]|(?<!\S)-|\*(?!\S)""")


def entry_to_values(entry: IndexEntry) -> dict[str, Any]:
    """Return the values of a chunk, with its vector if it has one, for a profile to map."""
    document = without_no_figure(chunk_to_document(entry))
    document[NAMES_FIELD.name] = split_names(entry.source.name)
    if entry.vector is not None:
        document[VECTOR_FIELD] = np.ascontiguousarray(entry.vector)
    return document


def without_no_figure(values: dict[str, Any]) -> dict[str, Any]:
    """Leave out the values of a figure if there is none: an earlier index has no such fields."""
    if values[FIGURE_KIND_FIELD.name]:
        return values
    return {name: value for name, value in values.items() if name not in FIGURE_FIELD_NAMES}


def copy_to_document(values: dict[str, Any]) -> dict[str, Any]:
    """Serialize a chunk's copy, whose vector is text: it is not searched."""
    own = {name: value for name, value in values.items() if name not in COPIED_VALUE_NAMES}
    return {
        **{name: value for name, value in values.items() if name not in own},
        VECTOR_FIELD: encode_vector(values[VECTOR_FIELD]),
        OWN_VALUES_NAME: json.dumps(own) if own else None,
    }


def copy_from_document(document: dict[str, Any]) -> dict[str, Any]:
    """Deserialize a chunk's copy."""
    names = (name for name in COPIED_VALUE_NAMES if name != OWN_VALUES_NAME)
    values = without_no_figure({name: document.get(name) for name in names})
    own: dict[str, Any] = json.loads(document.get(OWN_VALUES_NAME) or "{}")
    return values | own | {VECTOR_FIELD: decode_vector(document[VECTOR_FIELD])}


def encode_vector(vector: Vectors) -> str:
    """Encode a vector as text."""
    return base64.b64encode(np.asarray(vector, "<f4").tobytes()).decode("ascii")


def decode_vector(stored: str | list[float]) -> Vectors:
    """Decode a vector, as a vector field or a copy has it."""
    if isinstance(stored, str):
        return np.frombuffer(base64.b64decode(stored), "<f4").astype(np.float32)
    return np.array(stored, np.float32)


def without_local_url(document: dict[str, Any]) -> dict[str, Any]:
    """Leave out the URL of a local file: it opens nothing elsewhere, and may name a person.

    Of an image in a folder, the name stays.
    """
    found: dict[str, Any] = {}
    if str(document["storageUrl"]).startswith("file:"):
        found["storageUrl"] = None
    if (image := str(document.get("figure_image"))).startswith("file:"):
        found["figure_image"] = image.rpartition("/")[2]
    return document | found if found else document


def record_key(root_key: str, source: str) -> str:
    """Return the document key of a record: letters and digits for any names."""
    return "source-" + hashlib.sha256(f"{root_key}\0{source}".encode()).hexdigest()[:40]


def page_key(key: str) -> str:
    """Return the document key of a cached page, whose own key is hex digits."""
    return f"page-{key}"


def record_to_document(record: Record, root_key: str) -> dict[str, Any]:
    """Serialize a record, without content or vector, so that no query returns it."""
    return {
        **{name: getattr(record, name) for name in RECORD_NAMES},
        "id": record_key(root_key, record.source),
        "kind": "source",
        # Hex digits of UTF-8 sort by code point in any collation.
        "place": record.source.encode().hex(),
        "committed": list(record.committed),
        "pending": list(record.pending),
        "details": details_to_json(record),
    }


def batch_documents(documents: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Split documents into requests that the service accepts."""
    batch: list[dict[str, Any]] = []
    size = 0
    for document in documents:
        added = estimate_bytes(document)
        if batch and (len(batch) == MAX_BATCH_ACTIONS or size + added > MAX_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(document)
        size += added
    if batch:
        yield batch


def request_body(action: str, documents: Sequence[dict[str, Any]]) -> bytes:
    """Serialize a request that applies one action to each document."""
    value = [{"@search.action": action, **document} for document in documents]
    return orjson.dumps({"value": value}, option=orjson.OPT_SERIALIZE_NUMPY)


def estimate_bytes(document: dict[str, Any]) -> int:
    """Estimate the bytes of a document in JSON, rather too many than too few."""
    strings = (len(value) for value in document.values() if isinstance(value, str))
    ids = 45 * sum(len(document.get(name, ())) for name in ("committed", "pending"))
    offsets = OFFSET_BYTES * sum(len(document.get(name, ())) for name in OFFSET_FIELD_NAMES)
    inside = sum(
        len(text) for name in ("sections", "page_labels") for text in document.get(name, ())
    )
    texts = MAX_CHARACTER_BYTES * (sum(strings) + inside)
    inner = (part for value in document.values() if isinstance(value, list) for part in value)
    parts = (part.values() for part in inner if isinstance(part, dict))
    texts += MAX_CHARACTER_BYTES * sum(len(str(value)) for values in parts for value in values)
    vectors = (len(value) for value in document.values() if isinstance(value, np.ndarray))
    return DOCUMENT_OVERHEAD_BYTES + texts + ids + offsets + COMPONENT_BYTES * sum(vectors)


def quote_odata(text: str) -> str:
    """Quote a string for a filter expression."""
    return "'" + text.replace("'", "''") + "'"


def escape_query(text: str) -> str:
    """Escape the simple query syntax of a search text, so that it is read as words.

    Otherwise "temperature -20" asks for every chunk without 20, besides those with temperature.
    """
    return SIMPLE_SYNTAX.sub(r"\\\g<0>", text)
