"""What a page of a container's listing says: its blobs, as the service spells them.

A name that XML cannot hold comes percent-encoded, and some entries only stand for a folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from urllib.parse import unquote
from xml.etree import ElementTree as ET

from ingest.models import is_document_name
from ingest.sources.azure_blob.client import ARCHIVED_REASON
from ingest.sources.azure_blob.fields import BlobField, read_field_values

REHYDRATING_REASON = "archived; it is being rehydrated, a run after that reads it"


class Blob(NamedTuple):
    """One blob of a listing; of one that is no PDF, only its name is said."""

    name: str  # relative to the root
    size: int
    etag: str  # without quotes
    unreadable: str
    fields: str  # in JSON


def parse_blobs(
    entries: ET.Element, folder: str, blob_fields: Sequence[BlobField]
) -> Iterator[Blob]:
    """The files among the entries of a listing; their names lose that of the folder."""
    for entry in entries.iter("Blob"):
        name = element_text(entry, "Name").removeprefix(folder)
        if re.search(r"(^|/)\.[^/]*/", name):
            continue
        # A folder in its own right, or what some tools put in the place of one.
        if any(item.tag.lower() == "hdi_isfolder" for item in entry.iterfind("Metadata/*")):
            continue
        if not is_document_name(name):
            # A name that ends with a "/" stands for a folder; a hidden file of another kind, for
            # nothing that anybody looks for.
            if not re.search(r"(^|/)(\.[^/]*)?$", name):
                yield Blob(name, 0, "", "", "[]")
            continue
        archived = element_text(entry, "Properties/AccessTier") == "Archive"
        coming = element_text(entry, "Properties/ArchiveStatus").startswith("rehydrate-pending")
        yield Blob(
            name,
            int(element_text(entry, "Properties/Content-Length")),
            element_text(entry, "Properties/Etag").strip('"'),
            (REHYDRATING_REASON if coming else ARCHIVED_REASON) if archived else "",
            json.dumps(read_field_values(entry, blob_fields)),
        )


def element_text(entry: ET.Element, path: str) -> str:
    """What an element holds; names that XML cannot hold come percent-encoded."""
    found = entry.find(path)
    if found is None or not found.text:
        return ""
    return unquote(found.text) if found.get("Encoded") == "true" else found.text
