"""Parser for one page of a container's listing (the List Blobs operation)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from urllib.parse import unquote
from xml.etree import ElementTree as ET

from ingest.models import ATTACHMENT_SEPARATOR, BlobField, is_document_name, parent_name
from ingest.sources.azure_blob.client import ARCHIVED_REASON
from ingest.sources.azure_blob.fields import read_field_values

REHYDRATING_REASON = "archived; it is being rehydrated, and a run after that reads it"
# A blob's name may have an empty part, which otherwise stands before the name of an attachment.
NAMED_AS_ATTACHED_REASON = "it is named like a PDF that is attached to {}: rename it"
ESCAPED_SEPARATOR = "/%2F"


class Blob(NamedTuple):
    """One blob of a listing; one that is not a PDF has only a name."""

    name: str  # relative to the root
    size: int
    etag: str  # without quotes
    unreadable: str
    fields: str  # in JSON
    is_ignored: bool = False


def parse_blobs(
    entries: ET.Element, folder: str, blob_fields: Sequence[BlobField]
) -> Iterator[Blob]:
    """Yield the files in a listing, with names relative to `folder`."""
    for entry in entries.iter("Blob"):
        name = element_text(entry, "Name").removeprefix(folder)
        if re.search(r"(^|/)\.[^/]*/", name):
            continue
        # A directory of a hierarchical namespace, or a marker blob that some tools write for one.
        if any(item.tag.lower() == "hdi_isfolder" for item in entry.iterfind("Metadata/*")):
            continue
        if not is_document_name(name):
            # Skip placeholders for folders (names that end with a "/") and other hidden files.
            if not re.search(r"(^|/)(\.[^/]*)?$", name):
                yield Blob(name, 0, "", "", "[]")
            continue
        if outer := parent_name(name):
            shown = name.replace(ATTACHMENT_SEPARATOR, ESCAPED_SEPARATOR)
            yield Blob(shown, 0, "", NAMED_AS_ATTACHED_REASON.format(outer), "[]", is_ignored=True)
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
    """Return an element's text. The service percent-encodes names that XML cannot represent."""
    found = entry.find(path)
    if found is None or not found.text:
        return ""
    return unquote(found.text) if found.get("Encoded") == "true" else found.text
