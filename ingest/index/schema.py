"""The fields of an index, as data. The same in every back end.

The first eight are those of the chat-and-search samples that people already run on Azure AI Search,
so that an index filled by ingest can take the place of theirs; the rest are ours.
"""

from __future__ import annotations

from ingest.model import Entry

CHUNK_FIELDS = (
    "id",
    "content",
    "category",  # the first folder of the source's name, or null
    "sourcepage",
    "sourcefile",
    "storageUrl",
    "title",
    "headings",
    "page_start",
    "page_end",
    "page_label",
    "ordinal",
    "kind",
    "root",
    "source",
    "fingerprint",
)


def chunk_document(entry: Entry) -> dict[str, object]:
    """A chunk's fields as they stand in an index, the vector apart: CHUNK_FIELDS in their order."""
    chunk, source = entry.chunk, entry.source
    return {
        "id": chunk.id,
        "content": chunk.text,
        "category": source.name.partition("/")[0] if "/" in source.name else None,
        "sourcepage": f"{source.name}#page={chunk.page_start}",
        "sourcefile": source.name,
        "storageUrl": entry.url,
        "title": entry.title,
        "headings": list(chunk.headings),
        "page_start": chunk.page_start,
        "page_end": chunk.page_end,
        "page_label": chunk.label,
        "ordinal": chunk.ordinal,
        "kind": "chunk",
        "root": source.root,
        "source": source.name,
        "fingerprint": entry.fingerprint,
    }
