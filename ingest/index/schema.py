"""Fields of an index, and their serialization, for every back end.

The first eight fields are those of Azure's chat-and-search samples, so that an index filled by
ingest can replace theirs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from ingest.index.field_values import field_values
from ingest.models import (
    CachedPage,
    ChunkFigure,
    IndexEntry,
    KnownRoot,
    OcrFigure,
    OcrResult,
    StoredChunk,
    Summary,
    Timeline,
)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an index, with its attributes on Azure AI Search."""

    name: str
    type: str = "Edm.String"
    searchable: bool = False
    filterable: bool = False
    sortable: bool = False
    facetable: bool = False


STRING_COLLECTION, INT_COLLECTION = "Collection(Edm.String)", "Collection(Edm.Int32)"
DOUBLE_COLLECTION = "Collection(Edm.Double)"
COMPLEX_COLLECTION = "Collection(Edm.ComplexType)"

# A filterable string is one term of the index, so Azure AI Search limits its UTF-8 to this.
MAX_TERM_BYTES = 32_766

# Of chunks with the description of a figure, which is generated; null or empty in all others.
FIGURE_KIND_FIELD = Field("figure_kind", filterable=True, facetable=True)
FIGURE_FIELDS = (
    FIGURE_KIND_FIELD,
    Field("figure_label"),  # "Figure 3", as its caption calls it
    Field("figure_model", filterable=True, facetable=True),
    Field("figure_box", DOUBLE_COLLECTION),  # left, top, right, bottom, as shares of the page
    Field("figure_image"),
)
# Parts of the images that another application's index has of a chunk.
IMAGE_FIELDS = (
    Field("url", filterable=True, facetable=True),
    Field("description", searchable=True),
    Field("boundingbox", DOUBLE_COLLECTION),
)
FIGURE_FIELD_NAMES = tuple(field.name for field in FIGURE_FIELDS)

CHUNK_FIELDS = (
    Field("id", filterable=True, sortable=True),  # the key
    Field("content", searchable=True),
    Field("category", filterable=True, facetable=True),  # the source's first folder, or null
    Field("sourcepage", filterable=True),
    Field("sourcefile", filterable=True, facetable=True),
    Field("storageUrl", filterable=True),
    Field("title", searchable=True),
    Field("headings", STRING_COLLECTION, searchable=True),
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
    Field("confidence", "Edm.Double", filterable=True, sortable=True),  # of OCR; null without OCR
    # Null or empty in chunks that an earlier version wrote.
    Field("page_labels", STRING_COLLECTION),  # of each page; empty if the document has none
    Field("page_offsets", INT_COLLECTION),
    Field("sentence_offsets", INT_COLLECTION),
    Field("section_offsets", INT_COLLECTION),
    Field("sections", STRING_COLLECTION),
    *FIGURE_FIELDS,
)
# On a service, of chunks too, but for its keyword search only: the words of the source's name.
NAMES_FIELD = Field("names", searchable=True)
CHUNK_FIELD_NAMES = tuple(field.name for field in CHUNK_FIELDS)
LIST_FIELD_NAMES = tuple(f.name for f in CHUNK_FIELDS if f.type.startswith("Collection("))

# The fields of a StoredChunk.
STORED_FIELD_NAMES = (
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

# Fields of records only. `place` is ASCII, so that every service sorts it alike.
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
    Field("committed", STRING_COLLECTION),
    Field("pending", STRING_COLLECTION),
    Field("details"),  # JSON
    Field("summary"),
)
# Of chunks, but not in CHUNK_FIELDS: a local index has it in a table of its own, and one on a
# service that an earlier version created may lack it.
TEXT_HASH_FIELD = Field("text_hash", filterable=True)
SUMMARY_FIELD = "summary"  # JSON of a run, a cached page, a generation or a lease
VECTOR_FIELD = "embedding"

# Fields that INGEST_BLOB_FIELDS may override; no other field of ours.
REPLACEABLE_FIELD_NAMES = ("category", "title")
RESERVED_FIELD_NAMES = frozenset(
    {
        VECTOR_FIELD,
        *(field.name for field in (*CHUNK_FIELDS, NAMES_FIELD, *RECORD_FIELDS, TEXT_HASH_FIELD)),
    }.difference(REPLACEABLE_FIELD_NAMES)
)


def additional_fields(names: Iterable[str], lists: Collection[str] = ()) -> list[Field]:
    """Return the fields that an index needs for INGEST_BLOB_FIELDS; `lists` have several texts."""
    return [
        Field(
            name,
            STRING_COLLECTION if name in lists else "Edm.String",
            filterable=True,
            facetable=True,
        )
        for name in names
        if name not in REPLACEABLE_FIELD_NAMES
    ]


def value_to_field(value: str | tuple[str, ...] | None) -> str | list[str] | None:
    """Return the value of a user-defined field, each text cut to the length of a term."""
    if isinstance(value, tuple):
        return [truncate_term(text) for text in value]
    return truncate_term(value) if value else None


def chunk_to_document(entry: IndexEntry) -> dict[str, object]:
    """Serialize a chunk without its vector: CHUNK_FIELDS in order, then its source's own fields."""
    chunk, source = entry.chunk, entry.source
    own = {name: value_to_field(value) for name, value in source.fields}
    folder = source.name.partition("/")[0] if "/" in source.name else None
    return {
        "id": chunk.id,
        "content": chunk.text,
        "category": own.pop("category", None) or folder,
        "sourcepage": f"{source.name}#page={chunk.main_page}",
        "sourcefile": source.name,
        "storageUrl": entry.url,
        "title": own.pop("title", None) or entry.title,
        "headings": list(chunk.headings),
        "page_start": chunk.page_start,
        "page_end": chunk.page_end,
        "page_label": chunk.labels[0] if chunk.labels else "",
        "ordinal": chunk.ordinal,
        "kind": "chunk",
        "root": source.root,
        "source": source.name,
        "fingerprint": entry.fingerprint,
        "author": truncate_term(entry.details.author) or None,
        "language": entry.details.language or None,
        "created": entry.details.created or None,
        "confidence": chunk.confidence,
        "page_labels": list(chunk.labels),
        "page_offsets": list(chunk.page_offsets),
        "sentence_offsets": list(chunk.sentence_offsets),
        "section_offsets": list(chunk.section_offsets),
        "sections": list(chunk.sections),
        **figure_to_fields(chunk.figure),
        **own,
    }


def figure_to_fields(figure: ChunkFigure | None) -> dict[str, object]:
    """Return the values of FIGURE_FIELDS; None for a chunk of the document's own text."""
    if figure is None:
        return dict.fromkeys(FIGURE_FIELD_NAMES)
    return {
        "figure_kind": figure.kind.value,
        "figure_label": figure.label or None,
        "figure_model": truncate_term(figure.model),
        "figure_box": list(figure.box),
        "figure_image": figure.image or None,
    }


def chunk_from_document(document: Mapping[str, Any]) -> StoredChunk:
    """Deserialize a chunk; an unreadable value is replaced, and `ingest check` reports it."""

    def number(name: str) -> int:
        value = document.get(name)
        return value if isinstance(value, int) else -1

    def text(name: str) -> str:
        return str(document.get(name) or "")

    headings = document.get("headings")
    return StoredChunk(
        id=document["id"],
        root=text("root"),
        source=text("source"),
        fingerprint=text("fingerprint"),
        ordinal=number("ordinal"),
        page_start=number("page_start"),
        page_end=number("page_end"),
        headings=tuple(map(str, headings)) if isinstance(headings, list | tuple) else (),
        text=text("content"),
    )


def summary_to_json(summary: Summary) -> str:
    """Serialize a run summary."""
    return json.dumps(asdict(summary), separators=(",", ":"))


def summaries_from_json(texts: Iterable[str | None]) -> list[Summary]:
    """Deserialize run summaries of any version; those that cannot be read are left out."""
    found = []
    for text in texts:
        with suppress(ValueError, TypeError):
            found.append(summary_from_json(text or ""))
    return found


def summary_from_json(text: str) -> Summary:
    """Deserialize a run summary of any version. Raises ValueError or TypeError."""
    stored = json.loads(text)
    if isinstance(stored, dict) and "timeline" in stored:
        stored["timeline"] = Timeline(**field_values(Timeline, stored["timeline"]))
    return Summary(**field_values(Summary, stored))


def root_to_json(root: KnownRoot) -> str:
    """Serialize a root."""
    return json.dumps(asdict(root), ensure_ascii=False, separators=(",", ":"))


def root_from_json(text: str) -> KnownRoot:
    """Deserialize a root of any version. Raises ValueError or TypeError."""
    return KnownRoot(**field_values(KnownRoot, json.loads(text)))


def cached_page_to_json(page: CachedPage) -> str:
    """Serialize a cached page without its key and source."""
    found = page.recognised
    hashes = {"file": page.file, "picture": page.picture}
    values: dict[str, Any] = {"operation": page.operation, **hashes}
    values |= asdict(found) if found else {}
    if page.others:
        values["others"] = page.others
    if found and not found.figures:
        del values["figures"]
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def cached_page_from_json(key: str, root: str, source: str, text: str) -> CachedPage | None:
    """Deserialize a cached page; None if it cannot be read."""
    try:
        stored: dict[str, Any] = json.loads(text)
        figures = (
            OcrFigure(tuple(one["box"]), one["caption"], tuple(one["pixels"]))
            for one in stored.get("figures", ())
        )
        found = (
            OcrResult(**field_values(OcrResult, {**stored, "figures": tuple(figures)}))
            if "text" in stored
            else None
        )
        others = tuple((str(name), str(other)) for name, other in stored.get("others", ()))
        texts = (stored["operation"], stored.get("file", ""), stored.get("picture", ""))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    operation, *hashes = map(str, texts)
    return CachedPage(key, root, source, operation, found, others, *hashes)


def inherit_page(
    page: CachedPage | None, is_known: Callable[[str, str], object]
) -> CachedPage | None:
    """Return a page with another of its sources as owner; None if there is no other."""
    heir = next((other for other in page.others if is_known(*other)), None) if page else None
    if page is None or heir is None:
        return None
    others = tuple(other for other in page.others if other != heir)
    return replace(page, root=heir[0], source=heir[1], others=others)


def truncate_term(value: str) -> str:
    """Truncate a value to the maximum length of a filterable field."""
    return value.encode()[:MAX_TERM_BYTES].decode(errors="ignore")
