"""Mapping of a blob's metadata and index tags to fields of the index.

A field is written even if a blob has no value for it, so that a value that was removed from the
blob is removed from the index too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from ingest.models import (
    FIELD_NAME_PATTERN,
    GROUPS,
    LIST_SUFFIX,
    META_PREFIX,
    OIDS,
    TAG_PREFIX,
    BlobField,
    Values,
)

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET


def blob_fields_parser(reserved: Collection[str]) -> Callable[[str], tuple[BlobField, ...]]:
    """Return a parser for `field=source, ...`; `reserved` are names of other fields."""

    def parse(text: str) -> tuple[BlobField, ...]:
        found = tuple(parse_blob_field(part.strip()) for part in text.split(",") if part.strip())
        seen = {name.lower() for name in reserved}
        for name, *_ in found:
            if name.lower() in seen:
                raise ValueError(f"another name than {name}, which is a field already")
            seen.add(name.lower())
        return found

    return parse


def parse_blob_field(text: str) -> BlobField:
    """Parse `field`, `field=metadata`, `field=meta:NAME[]` or `field=tag:NAME`. Raises ValueError.

    The brackets ask for a list.
    """
    name, equals, source = (part.strip() for part in text.partition("="))
    is_list = (source or name).endswith(LIST_SUFFIX)
    source = source.removesuffix(LIST_SUFFIX)
    name = name if equals else name.removesuffix(LIST_SUFFIX)
    key = source.removeprefix(META_PREFIX).removeprefix(TAG_PREFIX).strip() if equals else name
    if not FIELD_NAME_PATTERN.fullmatch(name) or not key:
        raise ValueError(
            "field, field=metadata, field=meta:NAME[] or field=tag:NAME, with commas between "
            "them; a field is a letter, then letters, digits and _"
        )
    tag = source.startswith(TAG_PREFIX)
    return BlobField(name, key if tag else key.lower(), tag, is_list)


def read_field_values(entry: ET.Element, blob_fields: Sequence[BlobField]) -> Values:
    """Read the value of each field from an entry of a listing; an empty value becomes None."""
    if not blob_fields:
        return ()  # a shortcut: listings are long and usually have no fields to read
    metadata = {item.tag.lower(): item.text for item in entry.iterfind("Metadata/*")}
    tags = {tag.findtext("Key"): tag.findtext("Value") for tag in entry.iterfind("Tags/TagSet/Tag")}
    found = ((f, (tags if f.tag else metadata).get(f.key) or None) for f in blob_fields)
    return tuple((f.name, split_list(text) if f.is_list else text) for f, text in found)


def permission_names(blob_fields: Iterable[BlobField]) -> tuple[str, ...]:
    """Return the names of the fields for permissions."""
    return tuple(f.name for f in blob_fields if f.is_list and f.name in (OIDS, GROUPS))


def split_list(text: str | None) -> tuple[str, ...] | None:
    """Split a list in JSON, or one with commas. Returns None if there is none, or it is invalid."""
    if text is None:
        return None
    if not text.lstrip().startswith("["):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return tuple(found) if all(isinstance(item, str) for item in found) else None
