"""Mappings from the values of a chunk to a document of one index: bound profiles. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ingest.index.azure.profile import (
    COMPUTED_VALUES,
    DEFAULT_PROFILE,
    DOUBLE,
    IMAGES,
    INT,
    LONG,
    REQUIRED_VALUES,
    STRING,
    TIME,
    VALUE_TYPES,
    VECTOR_TYPES,
    Profile,
    Rule,
)
from ingest.index.schema import (
    MAX_TERM_BYTES,
    STRING_COLLECTION,
    VECTOR_FIELD,
    Field,
    truncate_term,
)
from ingest.models import GROUPS, META_PREFIX, OIDS, TAG_PREFIX

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
    "metadata": "its source and page",
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
    """Name the value or constant that fills a field."""
    return rule.value or f"the constant {rule.constant!r}"


def describe_losses(missing: Iterable[Rule]) -> str:
    """Name fields that an index lacks, with the loss that each of them means."""
    return "; ".join(
        f"{rule.field.name} ({USES.get(rule.value, describe_value(rule))})" for rule in missing
    )


def bind_own_profile(profile: Profile) -> FieldMapping:
    """Bind a profile to an index of our own, which has all its fields."""
    mapping, _, _ = bind_profile(profile, {rule.field.name: rule.field for rule in profile.rules})
    return replace(mapping, keeps_others=True)


OWN_MAPPING = bind_own_profile(DEFAULT_PROFILE)
