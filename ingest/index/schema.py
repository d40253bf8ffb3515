"""The fields of an index, as data. The same in every back end.

The first eight are those of the chat-and-search samples that people already run on Azure AI Search,
so that an index filled by ingest can take the place of theirs; the rest are ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import orjson

from ingest.model import Details, Entry, Paid, Recognised, Stored, Summary, Timeline

NO_DETAILS = Details()
DETAILS = tuple(field.name for field in fields(Details))


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an index on Azure AI Search. What is not said is off."""

    name: str
    type: str = "Edm.String"
    searchable: bool = False
    filterable: bool = False
    sortable: bool = False
    facetable: bool = False


TEXTS = "Collection(Edm.String)"

# Filterable strings hold at most 32,766 bytes of UTF-8, because each is one term of an index.
TERM_BYTES = 32_766

FIELDS = (
    Field("id", filterable=True, sortable=True),  # the key
    Field("content", searchable=True),
    Field("category", filterable=True, facetable=True),  # the source's first folder, or null
    Field("sourcepage", filterable=True),
    Field("sourcefile", filterable=True, facetable=True),
    Field("storageUrl", filterable=True),
    Field("title", searchable=True),
    Field("headings", TEXTS, searchable=True),
    Field("page_start", "Edm.Int32", filterable=True, sortable=True),
    Field("page_end", "Edm.Int32", filterable=True),
    Field("page_label"),
    Field("ordinal", "Edm.Int32", filterable=True, sortable=True),
    Field("kind", filterable=True),
    Field("root", filterable=True, sortable=True),
    Field("source", filterable=True),
    Field("fingerprint", filterable=True),
    Field("author", filterable=True, facetable=True),
    Field("language", filterable=True, facetable=True),
    Field("created", "Edm.DateTimeOffset", filterable=True, sortable=True, facetable=True),
    Field("confidence", "Edm.Double", filterable=True, sortable=True),  # of OCR; null: none needed
)
CHUNK_FIELDS = tuple(field.name for field in FIELDS)

# What of a chunk is needed to look after it.
STORED = (
    "id",
    "root",
    "source",
    "fingerprint",
    "ordinal",
    "page_start",
    "page_end",
    "headings",
    "content",
)

# What only records have; `place` orders them in ASCII, whatever a service thinks of Unicode.
RECORD_FIELDS = (
    Field("place", filterable=True, sortable=True),
    Field("size", "Edm.Int64"),
    Field("modified"),
    Field("pages", "Edm.Int32"),
    Field("empty_pages", "Edm.Int32"),
    Field("tokens", "Edm.Int32"),
    Field("outcome", filterable=True, facetable=True),
    Field("error"),
    Field("code", filterable=True, facetable=True),
    Field("attempts", "Edm.Int32"),
    Field("chunks", "Edm.Int32"),
    Field("settled", filterable=True, sortable=True),
    Field("run", filterable=True),
    Field("committed", TEXTS),
    Field("pending", TEXTS),
    Field("details"),  # JSON
    Field("summary"),
)
SUMMARY_FIELD = "summary"  # JSON, of a run or of a page that was paid for
VECTOR_FIELD = "embedding"

# What blobs may say instead; no other field of ours is theirs to fill.
REPLACEABLE = ("category", "title")
RESERVED = frozenset(
    {VECTOR_FIELD, *(field.name for field in (*FIELDS, *RECORD_FIELDS))}.difference(REPLACEABLE)
)


def additional(names: Iterable[str]) -> list[Field]:
    """The fields that an index gets beside ours, of those that blobs fill."""
    return [
        Field(name, filterable=True, facetable=True) for name in names if name not in REPLACEABLE
    ]


def chunk_document(entry: Entry) -> dict[str, object]:
    """A chunk's fields as they stand in an index, the vector apart.

    CHUNK_FIELDS in their order, then the additional ones of its source.
    """
    chunk, source = entry.chunk, entry.source
    said = {name: term(value) if value else None for name, value in source.fields}
    folder = source.name.partition("/")[0] if "/" in source.name else None
    return {
        "id": chunk.id,
        "content": chunk.text,
        "category": said.pop("category", None) or folder,
        "sourcepage": f"{source.name}#page={chunk.page_start}",
        "sourcefile": source.name,
        "storageUrl": entry.url,
        "title": said.pop("title", None) or entry.title,
        "headings": list(chunk.headings),
        "page_start": chunk.page_start,
        "page_end": chunk.page_end,
        "page_label": chunk.label,
        "ordinal": chunk.ordinal,
        "kind": "chunk",
        "root": source.root,
        "source": source.name,
        "fingerprint": entry.fingerprint,
        "author": term(entry.details.author) or None,
        "language": entry.details.language or None,
        "created": entry.details.created or None,
        "confidence": chunk.confidence,
        **said,
    }


def stored(document: Mapping[str, Any]) -> Stored:
    """A chunk as it stands in an index."""
    return Stored(
        id=document["id"],
        root=document["root"],
        source=document["source"],
        fingerprint=document["fingerprint"],
        ordinal=document["ordinal"],
        page_start=document["page_start"],
        page_end=document["page_end"],
        headings=tuple(document["headings"]),
        text=document.get("content") or "",
    )


def details_json(details: Details) -> str:
    """Details as they stand in a record: what is empty is left out."""
    said = {name: value for name in DETAILS if (value := getattr(details, name))}
    return orjson.dumps(said).decode() if said else ""


def details_of(text: str) -> Details:
    """The details that a record holds; what a later version wrote beside ours is left out."""
    if not text:
        return NO_DETAILS
    said: dict[str, Any] = orjson.loads(text)
    values = {name: said[name] for name in DETAILS if name in said}
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return Details(**(values | lists))


def summary_json(summary: Summary) -> str:
    """A run as an index keeps it."""
    return json.dumps(asdict(summary), separators=(",", ":"))


def summary_of(text: str) -> Summary:
    """The run that `summary_json` wrote, in this version, an earlier or a later one."""
    said = ours(Summary, json.loads(text))
    if "exclude" in said:
        said["exclude"] = tuple(said["exclude"])
    if "timeline" in said:
        columns = ours(Timeline, said["timeline"])
        lists = {name: tuple(value) for name, value in columns.items() if isinstance(value, list)}
        said["timeline"] = Timeline(**(columns | lists))
    return Summary(**said)


def ours(kind: type[Summary | Timeline], said: dict[str, Any]) -> dict[str, Any]:
    """What was said, without what only a later version knows."""
    return {f.name: said[f.name] for f in fields(kind) if f.name in said}


def paid_json(page: Paid) -> str:
    """What was paid for, as it stands in an index beside its key and its source."""
    found = page.recognised
    said = {"operation": page.operation, **(asdict(found) if found else {})}
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"))


def paid_of(key: str, root: str, source: str, text: str) -> Paid:
    """The page that `paid_json` wrote."""
    said: dict[str, Any] = json.loads(text)
    found = Recognised(said["text"], said["confidence"]) if "text" in said else None
    return Paid(key, root, source, said["operation"], found)


def term(value: str) -> str:
    """A value cut to what a filterable field takes."""
    return value.encode()[:TERM_BYTES].decode(errors="ignore")
