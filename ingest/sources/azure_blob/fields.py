"""Mapping of a blob's metadata and index tags to fields of the index.

A field is written even if a blob has no value for it, so that a value that was removed from the
blob is removed from the index too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET

    from ingest.models import Values

TAG_PREFIX = "tag:"
FIELD_NAME_PATTERN = re.compile(r"(?!azureSearch)[A-Za-z][A-Za-z0-9_]{0,127}")  # of AI Search


class BlobField(NamedTuple):
    """A field of the index, and the metadata or index tag that fills it."""

    name: str
    key: str  # of the metadata, in lower case; or of the index tag, case-sensitive
    tag: bool


def blob_fields_parser(reserved: Collection[str]) -> Callable[[str], tuple[BlobField, ...]]:
    """Return a parser for `field=source, ...`; `reserved` are names of other fields."""

    def parse(text: str) -> tuple[BlobField, ...]:
        found = tuple(parse_blob_field(part.strip()) for part in text.split(",") if part.strip())
        seen = {name.lower() for name in reserved}
        for name, _, _ in found:
            if name.lower() in seen:
                raise ValueError(f"another name than {name}, which is a field already")
            seen.add(name.lower())
        return found

    return parse


def parse_blob_field(text: str) -> BlobField:
    """Parse `field`, `field=metadata` or `field=tag:NAME`. Raises ValueError."""
    name, equals, source = (part.strip() for part in text.partition("="))
    key = source.removeprefix(TAG_PREFIX).strip() if equals else name
    if not FIELD_NAME_PATTERN.fullmatch(name) or not key:
        raise ValueError(
            "field, field=metadata or field=tag:NAME, with commas between them; "
            "a field is a letter, then letters, digits and _"
        )
    tag = source.startswith(TAG_PREFIX)
    return BlobField(name, key if tag else key.lower(), tag)


def read_field_values(entry: ET.Element, blob_fields: Sequence[BlobField]) -> Values:
    """Read the value of each field from an entry of a listing; an empty value becomes None."""
    if not blob_fields:
        return ()  # a shortcut: listings are long and usually have no fields to read
    metadata = {item.tag.lower(): item.text for item in entry.iterfind("Metadata/*")}
    tags = {tag.findtext("Key"): tag.findtext("Value") for tag in entry.iterfind("Tags/TagSet/Tag")}
    return tuple(
        (name, (tags if tag else metadata).get(key) or None) for name, key, tag in blob_fields
    )
