"""Which metadata and index tags of a blob become which fields of the index.

A field is named even where a blob has no value for it: only so does a value that was taken away
leave the index.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET

    from ingest.models import Values

TAG_PREFIX = "tag:"
FIELD_NAME_PATTERN = re.compile(
    r"(?!azureSearch)[A-Za-z][A-Za-z0-9_]{0,127}"
)  # of a field, as services take it


class BlobField(NamedTuple):
    """One field of the index and what fills it."""

    name: str
    key: str  # of the metadata, in lower case, or of the index tag, as it is
    tag: bool


def blob_fields_parser(reserved: Collection[str]) -> Callable[[str], tuple[BlobField, ...]]:
    """A parser of `field=source, ...`; the names in `taken` are other fields of the index."""

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
    """One of `field`, `field=metadata`, `field=tag:NAME`. Raises ValueError."""
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
    """What an entry of a listing says for each field; an empty value is none."""
    if not blob_fields:
        return ()  # most listings are long, and nothing is wanted of them
    metadata = {item.tag.lower(): item.text for item in entry.iterfind("Metadata/*")}
    tags = {tag.findtext("Key"): tag.findtext("Value") for tag in entry.iterfind("Tags/TagSet/Tag")}
    return tuple(
        (name, (tags if tag else metadata).get(key) or None) for name, key, tag in blob_fields
    )
