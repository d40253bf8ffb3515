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

TAG = "tag:"
NAME = re.compile(r"(?!azureSearch)[A-Za-z][A-Za-z0-9_]{0,127}")  # of a field, as services take it


class BlobField(NamedTuple):
    """One field of the index and what fills it."""

    name: str
    key: str  # of the metadata, in lower case, or of the index tag, as it is
    tag: bool


def mapping(taken: Collection[str]) -> Callable[[str], tuple[BlobField, ...]]:
    """A parser of `field=source, ...`; the names in `taken` are other fields of the index."""

    def parse(text: str) -> tuple[BlobField, ...]:
        found = tuple(pair(part.strip()) for part in text.split(",") if part.strip())
        seen = {name.lower() for name in taken}
        for name, _, _ in found:
            if name.lower() in seen:
                raise ValueError(f"another name than {name}, which is a field already")
            seen.add(name.lower())
        return found

    return parse


def pair(text: str) -> BlobField:
    """One of `field`, `field=metadata`, `field=tag:NAME`. Raises ValueError."""
    name, equals, source = (part.strip() for part in text.partition("="))
    key = source.removeprefix(TAG).strip() if equals else name
    if not NAME.fullmatch(name) or not key:
        raise ValueError(
            "field, field=metadata or field=tag:NAME, with commas between them; "
            "a field is a letter, then letters, digits and _"
        )
    tag = source.startswith(TAG)
    return BlobField(name, key if tag else key.lower(), tag)


def values(entry: ET.Element, wanted: Sequence[BlobField]) -> Values:
    """What an entry of a listing says for each field; an empty value is none."""
    if not wanted:
        return ()  # most listings are long, and nothing is wanted of them
    metadata = {item.tag.lower(): item.text for item in entry.iterfind("Metadata/*")}
    tags = {tag.findtext("Key"): tag.findtext("Value") for tag in entry.iterfind("Tags/TagSet/Tag")}
    return tuple((name, (tags if tag else metadata).get(key) or None) for name, key, tag in wanted)
