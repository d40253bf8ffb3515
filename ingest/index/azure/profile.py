"""Target profiles: which value of a chunk fills which field of an index. Pure.

A profile is parsed from TOML (profile_toml.py) and bound to the fields that an index has
(mapping.py). The default profile, `ingest`, fills the field of each value's own name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ingest.index.schema import (
    CHUNK_FIELDS,
    COMPLEX_COLLECTION,
    IMAGE_FIELDS,
    INT_COLLECTION,
    NAMES_FIELD,
    STRING_COLLECTION,
    TEXT_HASH_FIELD,
    VECTOR_FIELD,
    Field,
)
from ingest.models import GROUPS, LIST_SUFFIX, META_PREFIX, OIDS, TAG_PREFIX, BlobField

DEFAULT_NAME = "ingest"
STRING, INT, LONG, DOUBLE = "Edm.String", "Edm.Int32", "Edm.Int64", "Edm.Double"
BOOLEAN, TIME = "Edm.Boolean", "Edm.DateTimeOffset"
VECTOR_TYPES = ("Collection(Edm.Single)", "Collection(Edm.Half)")
IMAGES = "images"  # a value: the stored image of a figure, with its description


def list_images(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the image of the figure that a chunk describes, as a list; [] if none is stored."""
    if not values.get("figure_image"):
        return []
    image = (values["figure_image"], values["content"], values["figure_box"])
    return [dict(zip((field.name for field in IMAGE_FIELDS), image, strict=True))]


def format_metadata(values: Mapping[str, Any]) -> str:
    """Format where a chunk is from as JSON, with the names that LangChain's readers of PDFs use."""
    page = values["page_start"]
    metadata = {
        "source": values["storageUrl"] or values["sourcefile"],
        "page": page - 1,  # counted from 0
        "page_label": values["page_label"] or str(page),
        "title": values["title"],
    }
    return json.dumps(metadata, ensure_ascii=False)


# Values that are computed from the stored ones.
COMPUTED_VALUES: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "filename": lambda values: values["source"].rpartition("/")[2],
    "url": lambda values: page_url(values["storageUrl"], values["sourcepage"]),
    "metadata": format_metadata,
    IMAGES: list_images,
}
# Types of all values except a blob's, which are strings.
VALUE_TYPES: Mapping[str, str] = {
    **{f.name: f.type for f in (*CHUNK_FIELDS, NAMES_FIELD, TEXT_HASH_FIELD)},
    **dict.fromkeys(COMPUTED_VALUES, STRING),
    IMAGES: COMPLEX_COLLECTION,
    VECTOR_FIELD: VECTOR_TYPES[0],
}
REQUIRED_VALUES = ("id", "content", VECTOR_FIELD)


def page_url(url: str | None, sourcepage: str) -> str | None:
    """Return the URL of the page that a citation names; None for a file without a URL."""
    return f"{url}#{sourcepage.rpartition('#')[2]}" if url else None


@dataclass(frozen=True, slots=True)
class Rule:
    """A field of an index, and the value or the constant that fills it."""

    field: Field
    value: str = ""  # "" for a constant
    constant: Any = None

    @property
    def value_type(self) -> str:
        """Type of the value before it is converted."""
        if not self.value or self.value in VALUE_TYPES:
            return VALUE_TYPES[self.value] if self.value else type_of(self.constant)
        if self.value.startswith((META_PREFIX, TAG_PREFIX)):
            return STRING_COLLECTION if self.value.endswith(LIST_SUFFIX) else STRING
        return self.field.type  # of a source's own value


@dataclass(frozen=True, slots=True)
class VectorOptions:
    """Storage and compression of the vectors of a new index."""

    profile: str = "vectors"
    compression: str = "scalar"  # or binary, or none
    truncate: int | None = None  # dimensions of the compressed vectors; None: all
    oversampling: float = 4.0
    retrievable: bool = True
    stored: bool = True


@dataclass(frozen=True, slots=True)
class SemanticOptions:
    """Semantic configuration of a new index, by fields."""

    name: str = "default"
    title: str = "title"
    content: tuple[str, ...] = ("content",)
    keywords: tuple[str, ...] = ("headings",)


@dataclass(frozen=True, slots=True)
class EncryptionKey:
    """Customer-managed key that encrypts a new index."""

    vault: str
    key: str
    version: str = ""  # "": the latest one


@dataclass(frozen=True, slots=True)
class PermissionOptions:
    """Fields for the permissions of a chunk."""

    users: str = OIDS
    groups: str = GROUPS
    elevated: bool = False  # the index filters by itself: reads ask for everybody's chunks


@dataclass(frozen=True, slots=True)
class Profile:
    """Layout of the documents of an index."""

    name: str
    rules: tuple[Rule, ...]
    vectors: VectorOptions = field(default_factory=VectorOptions)
    semantic: SemanticOptions = field(default_factory=SemanticOptions)
    encryption: EncryptionKey | None = None
    permissions: PermissionOptions = field(default_factory=PermissionOptions)
    analyzer: str = ""  # of a new index; "": INGEST_ANALYZER
    is_foreign: bool = False  # another application's layout, whose index holds no records

    def field_of(self, value: str) -> str:
        """Return the field that a value fills; "" if none."""
        return next((rule.field.name for rule in self.rules if rule.value == value), "")

    def blob_fields(self) -> list[BlobField]:
        """Return the values that are read from blobs."""
        found = []
        for name in dict.fromkeys(rule.value for rule in self.rules):
            if name.startswith((META_PREFIX, TAG_PREFIX)):
                is_tag, is_list = name.startswith(TAG_PREFIX), name.endswith(LIST_SUFFIX)
                key = name.partition(":")[2].removesuffix(LIST_SUFFIX)
                found.append(BlobField(name, key if is_tag else key.lower(), is_tag, is_list))
        return found

    def with_fields(self, fields: Iterable[Field]) -> Profile:
        """Return the profile with more fields, each filled by the value of its name."""
        taken = {rule.field.name for rule in self.rules}
        more = [Rule(f, f.name) for f in fields if f.name not in taken]
        return replace(self, rules=(*self.rules, *more))

    def without_value(self, value: str) -> Profile:
        """Return the profile without the field that a value fills."""
        return replace(self, rules=tuple(rule for rule in self.rules if rule.value != value))

    def with_permissions(self, values: Iterable[str]) -> Profile:
        """Return the profile with fields for permissions, if it has none."""
        names = {OIDS: self.permissions.users, GROUPS: self.permissions.groups}
        more = [
            Rule(Field(names[value], STRING_COLLECTION, filterable=True), value)
            for value in values
            if not self.field_of(value)
        ]
        return replace(self, rules=(*self.rules, *more))


DEFAULT_PROFILE = Profile(
    DEFAULT_NAME,
    (
        *(Rule(f, f.name) for f in (*CHUNK_FIELDS, NAMES_FIELD, TEXT_HASH_FIELD)),
        Rule(Field(VECTOR_FIELD, VECTOR_TYPES[0]), VECTOR_FIELD),
    ),
)


def type_of(constant: Any) -> str:
    """Return the type of a field that takes a constant of a profile."""
    if isinstance(constant, bool):
        return BOOLEAN
    kinds = {str: STRING, int: INT, float: DOUBLE}
    if isinstance(constant, list):
        return INT_COLLECTION if constant and type(constant[0]) is int else STRING_COLLECTION
    return kinds.get(type(constant), "")
