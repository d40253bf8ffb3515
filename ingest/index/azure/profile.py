"""Target profiles: mappings from the values of a chunk to the fields of an index. Pure.

A profile is parsed from TOML and bound to the fields that an index has. The result maps the values
of a chunk to a document of that index. The default profile, `ingest`, maps each value to the field
of its own name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from ingest.index.schema import (
    CHUNK_FIELDS,
    COMPLEX_COLLECTION,
    IMAGE_FIELDS,
    INT_COLLECTION,
    MAX_TERM_BYTES,
    NAMES_FIELD,
    STRING_COLLECTION,
    TEXT_HASH_FIELD,
    VECTOR_FIELD,
    Field,
    truncate_term,
)
from ingest.models import GROUPS, OIDS

DEFAULT_NAME = "ingest"
STRING, INT, LONG, DOUBLE = "Edm.String", "Edm.Int32", "Edm.Int64", "Edm.Double"
BOOLEAN, TIME = "Edm.Boolean", "Edm.DateTimeOffset"
VECTOR_TYPES = ("Collection(Edm.Single)", "Collection(Edm.Half)")
META_PREFIX, TAG_PREFIX = "meta:", "tag:"  # of the names of values from blobs
IMAGES = "images"  # a value: the stored image of a figure, with its description
LIST_SUFFIX = "[]"  # of the name of such a value, if it is a list


def list_images(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the image of the figure that a chunk describes, as a list; [] if none is stored."""
    if not values.get("figure_image"):
        return []
    image = (values["figure_image"], values["content"], values["figure_box"])
    return [dict(zip((field.name for field in IMAGE_FIELDS), image, strict=True))]


# Values that are computed from the stored ones.
COMPUTED_VALUES: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "filename": lambda values: values["source"].rpartition("/")[2],
    "url": lambda values: page_url(values["storageUrl"], values["sourcepage"]),
    IMAGES: list_images,
}
# Types of all values but those of a blob, which are strings.
VALUE_TYPES: Mapping[str, str] = {
    **{f.name: f.type for f in (*CHUNK_FIELDS, NAMES_FIELD, TEXT_HASH_FIELD)},
    **dict.fromkeys(COMPUTED_VALUES, STRING),
    IMAGES: COMPLEX_COLLECTION,
    VECTOR_FIELD: VECTOR_TYPES[0],
}
REQUIRED_VALUES = ("id", "content", VECTOR_FIELD)
# Features that an application loses without a value.
USES: Mapping[str, str] = {
    "category": "filters by category",
    "sourcepage": "citations of a page",
    "sourcefile": "the name of the file in citations, and filters by it",
    "storageUrl": "links to the file",
    "title": "the document's title",
    "headings": "the headings above a passage",
    "page_start": "page numbers",
    "url": "links to the page",
    IMAGES: "images of figures",
    OIDS: "users who may read it",
    GROUPS: "groups that may read it",
}

# Conversions of values, by their type and the field's.
CONVERSIONS: Mapping[tuple[str, str], Callable[[Any], Any]] = {
    (STRING, STRING_COLLECTION): lambda text: [text],
    (STRING_COLLECTION, STRING): lambda texts: " > ".join(texts) or None,
    (INT, LONG): int,
    (INT, DOUBLE): float,
    (INT, STRING): str,
    (DOUBLE, STRING): str,
    (TIME, STRING): str,
    (VECTOR_TYPES[0], VECTOR_TYPES[1]): lambda vector: vector,
}


def page_url(url: str | None, sourcepage: str) -> str | None:
    """Return the URL of the page that a citation names; None for a file without a URL."""
    return f"{url}#{sourcepage.rpartition('#')[2]}" if url else None


class BlobValue(NamedTuple):
    """A value from a blob's metadata or index tags."""

    name: str  # in a profile
    key: str
    is_tag: bool
    is_list: bool


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
    analyzer: str = ""  # of a new index; "": that of INGEST_ANALYZER
    is_foreign: bool = False  # another application's layout, whose index holds no records

    def field_of(self, value: str) -> str:
        """Return the field that a value fills; "" if none."""
        return next((rule.field.name for rule in self.rules if rule.value == value), "")

    def blob_values(self) -> list[BlobValue]:
        """Return the values that are read from blobs."""
        found = []
        for name in dict.fromkeys(rule.value for rule in self.rules):
            if name.startswith((META_PREFIX, TAG_PREFIX)):
                is_tag, is_list = name.startswith(TAG_PREFIX), name.endswith(LIST_SUFFIX)
                key = name.partition(":")[2].removesuffix(LIST_SUFFIX)
                found.append(BlobValue(name, key if is_tag else key.lower(), is_tag, is_list))
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


class BoundRule(NamedTuple):
    """A rule for a field as one index has it."""

    field: str
    type: str
    value: str
    constant: Any
    is_term: bool  # the field takes no more bytes than a term has


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """Mapping from the values of a chunk to a document of one index."""

    rules: tuple[BoundRule, ...]
    key: str = "id"  # field of the document's key
    vector: str = VECTOR_FIELD  # field of the vector
    keeps_others: bool = False  # other values of a source go to fields of the same name

    def to_document(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Map the values of a chunk, leaving out the fields of those that it lacks."""
        document: dict[str, Any] = {}
        for rule in self.rules:
            name = rule.value
            if not name:
                document[rule.field] = rule.constant
            elif name in values:
                document[rule.field] = convert(values[name], rule)
            elif name in COMPUTED_VALUES:
                document[rule.field] = convert(COMPUTED_VALUES[name](values), rule)
            elif name.startswith((META_PREFIX, TAG_PREFIX)):  # of a file that is no blob
                document[rule.field] = convert(None, rule)
        if self.keeps_others:
            for name, value in values.items():
                if name not in VALUE_TYPES and ":" not in name:
                    document.setdefault(name, value)
        return document

    def field_of(self, value: str) -> str:
        """Return the field that a value fills; "" if none."""
        return next((rule.field for rule in self.rules if rule.value == value), "")

    def to_json(self) -> list[list[Any]]:
        """Return the rules in a form that can be stored and compared."""
        return [list(rule) for rule in self.rules]


def mapping_from_json(rules: Iterable[list[Any]]) -> FieldMapping:
    """Return a mapping from its stored form."""
    return to_mapping([BoundRule(*rule) for rule in rules])


def to_mapping(rules: Iterable[BoundRule]) -> FieldMapping:
    """Return the mapping with these rules."""
    kept = tuple(rules)
    names = {rule.value: rule.field for rule in kept}
    return FieldMapping(kept, names.get("id", ""), names.get(VECTOR_FIELD, ""))


def convert(value: Any, rule: BoundRule) -> Any:
    """Convert a value to the type of its field."""
    if value is None:
        return [] if rule.type.startswith("Collection(") and rule.value != VECTOR_FIELD else None
    own = STRING_COLLECTION if isinstance(value, list) else STRING
    made = CONVERSIONS.get((VALUE_TYPES.get(rule.value, own), rule.type))
    converted = made(value) if made else value
    if rule.is_term and isinstance(converted, str) and len(converted) * 4 > MAX_TERM_BYTES:
        return truncate_term(converted)
    return converted


def bind_profile(
    profile: Profile, existing: Mapping[str, Field]
) -> tuple[FieldMapping, list[Rule], list[str]]:
    """Bind a profile to the fields that an index has.

    Returns the mapping, the rules whose field is missing, and the reasons why the index cannot be
    filled.
    """
    bound, missing, problems = [], [], []
    for rule in profile.rules:
        name = rule.field.name
        found = existing.get(name)
        if found is None:
            missing.append(rule)
            if rule.value in REQUIRED_VALUES:
                problems.append(f"it has no field {name} for the {describe_value(rule)}")
        elif rule.value in (OIDS, GROUPS) and (
            found.type != STRING_COLLECTION or not found.filterable
        ):
            problems.append(
                f"{name} is not a filterable {STRING_COLLECTION}, as {rule.value} needs"
            )
        elif found.type != rule.value_type and (rule.value_type, found.type) not in CONVERSIONS:
            problems.append(
                f"{name} is {found.type}, and {describe_value(rule)} is {rule.value_type}"
            )
        else:
            is_term = found.filterable or found.sortable or found.facetable
            made = None if rule.value else CONVERSIONS.get((rule.value_type, found.type))
            constant = made(rule.constant) if made else rule.constant
            bound.append(BoundRule(name, found.type, rule.value, constant, is_term))
    return to_mapping(bound), missing, problems


def describe_open_fields(profile: Profile, mapping: FieldMapping) -> str:
    """Name the fields that an index lacks, and without which anybody could read its chunks."""
    return ", ".join(
        rule.field.name
        for rule in profile.rules
        if rule.value in (OIDS, GROUPS) and not mapping.field_of(rule.value)
    )


def describe_value(rule: Rule) -> str:
    """Name what fills a field."""
    return rule.value or f"the constant {rule.constant!r}"


def describe_losses(missing: Iterable[Rule]) -> str:
    """Name fields that an index lacks, with what is lost without each."""
    return "; ".join(
        f"{rule.field.name} ({USES.get(rule.value, describe_value(rule))})" for rule in missing
    )


def type_of(constant: Any) -> str:
    """Return the type of a field that takes a constant of a profile."""
    if isinstance(constant, bool):
        return BOOLEAN
    kinds = {str: STRING, int: INT, float: DOUBLE}
    if isinstance(constant, list):
        return INT_COLLECTION if constant and type(constant[0]) is int else STRING_COLLECTION
    return kinds.get(type(constant), "")


def bind_own_profile(profile: Profile) -> FieldMapping:
    """Bind a profile to an index of our own, which has all its fields."""
    mapping, _, _ = bind_profile(profile, {rule.field.name: rule.field for rule in profile.rules})
    return replace(mapping, keeps_others=True)


OWN_MAPPING = bind_own_profile(DEFAULT_PROFILE)
