"""Parser of target profiles in TOML. Pure; docs/profiles.md has the format."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from ingest.errors import ConfigError
from ingest.index.azure.profile import (
    DEFAULT_NAME,
    REQUIRED_VALUES,
    VALUE_TYPES,
    EncryptionKey,
    PermissionOptions,
    Profile,
    Rule,
    SemanticOptions,
    VectorOptions,
    type_of,
)
from ingest.index.schema import RESERVED_FIELD_NAMES, STRING_COLLECTION, VECTOR_FIELD, Field
from ingest.models import FIELD_NAME_PATTERN, GROUPS, META_PREFIX, OIDS, TAG_PREFIX

T = TypeVar("T", VectorOptions, SemanticOptions, EncryptionKey, PermissionOptions)

TABLES = ("fields", "vectors", "semantic", "encryption", "permissions")
KEYS = ("extends", "analyzer", *TABLES)
ATTRIBUTES = ("searchable", "filterable", "sortable", "facetable")
FIELD_KEYS = ("value", "constant", "type", *ATTRIBUTES)
COMPRESSIONS = ("scalar", "binary", "none")


def parse_profile(name: str, text: str, find: Callable[[str], Profile]) -> Profile:
    """Parse a profile; `find` returns the one that it extends. Raises ConfigError."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the profile {name} is not valid TOML: {error}") from None
    try:
        return build_profile(name, table, find)
    except ValueError as error:
        raise ConfigError(f"the profile {name}: {error} (docs/profiles.md)") from None


def build_profile(name: str, table: Mapping[str, Any], find: Callable[[str], Profile]) -> Profile:
    """Build a profile from a parsed file. Raises ValueError."""
    check_keys(table, KEYS, "the profile")
    for part in TABLES:
        if not isinstance(table.get(part, {}), dict):
            raise ValueError(f"{part} must be a table: [{part}]")  # noqa: TRY004 - as for other input
    base = find(str(table["extends"])) if "extends" in table else Profile(name, (), is_foreign=True)
    rules = {rule.field.name: rule for rule in base.rules}
    for rule in parse_rules(table.get("fields", {})):
        if not base.is_foreign and rule.field.name in RESERVED_FIELD_NAMES:
            raise ValueError(f"{rule.field.name} is a field of {DEFAULT_NAME} already")
        rules[rule.field.name] = rule
    semantic = base.semantic if "extends" in table else semantic_options(rules.values())
    made = replace(
        base,
        name=name,
        rules=tuple(rules.values()),
        vectors=parse_options(base.vectors, table, "vectors"),
        semantic=parse_options(semantic, table, "semantic"),
        encryption=parse_options(base.encryption or EncryptionKey("", ""), table, "encryption")
        if "encryption" in table
        else base.encryption,
        permissions=parse_options(base.permissions, table, "permissions"),
        analyzer=str(table.get("analyzer", base.analyzer)),
    )
    check_profile(made)
    return made


def semantic_options(rules: Iterable[Rule]) -> SemanticOptions:
    """Return the semantic configuration of a profile that names none: of its searchable fields."""
    names = {rule.value: rule.field.name for rule in rules if rule.field.searchable}
    content, keywords = ([names[v]] if v in names else [] for v in ("content", "headings"))
    return SemanticOptions(
        title=names.get("title", ""), content=tuple(content), keywords=tuple(keywords)
    )


def parse_rules(table: Mapping[str, Any]) -> Iterator[Rule]:
    """Parse the fields of a profile. Raises ValueError."""
    for name, given in table.items():
        if not FIELD_NAME_PATTERN.fullmatch(name):
            raise ValueError(f"{name} is not a field name: a letter, then letters, digits and _")
        item = {"value": given} if isinstance(given, str) else given
        if not isinstance(item, dict) or ("value" in item) == ("constant" in item):
            raise ValueError(
                f'{name} needs a value or a constant: {name} = "content", or '
                f'{name} = {{ constant = "text" }}'
            )
        check_keys(item, FIELD_KEYS, name)
        rule = Rule(Field(name), str(item.get("value", "")), item.get("constant"))
        if rule.value and not names_value(rule.value):
            raise ValueError(
                f"{name} takes {rule.value}, which is not a value: expected one of "
                f"{', '.join(VALUE_TYPES)}, {OIDS}, {GROUPS}, {META_PREFIX}NAME or {TAG_PREFIX}NAME"
            )
        if not rule.value_type:
            raise ValueError(f"{name} has a constant that is not text, number, boolean or list")
        is_permission = rule.value in (OIDS, GROUPS)
        kind = STRING_COLLECTION if is_permission else str(item.get("type", rule.value_type))
        flags = {flag: item.get(flag) is True for flag in ATTRIBUTES}
        flags["filterable"] |= is_permission
        yield replace(rule, field=Field(name, kind, **flags))


def names_value(text: str) -> bool:
    """Return whether a text names a value."""
    blob = text.startswith((META_PREFIX, TAG_PREFIX)) and not text.endswith(":")
    return blob or text in VALUE_TYPES or text in (OIDS, GROUPS)


def parse_options(base: T, table: Mapping[str, Any], part: str) -> T:
    """Return options, overridden by the values of a table. Raises ValueError."""
    given = table.get(part, {})
    known = {f.name: getattr(base, f.name) for f in fields(base)}
    check_keys(given, tuple(known), part)
    made: dict[str, Any] = {}
    for name, value in given.items():
        old = known[name]
        expected = int if old is None else type(old)
        if expected is float and type(value) is int:
            value = float(value)  # noqa: PLW2901 - TOML writes 4.0 as 4 too
        if expected is tuple and type_of(value) == STRING_COLLECTION:
            value = tuple(value)  # noqa: PLW2901 - of strings, as the field is
        if type(value) is not expected:
            raise ValueError(f"{part}.{name} must be of type {expected.__name__}")
        made[name] = value
    return replace(base, **made)


def check_keys(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    """Raise ValueError for an unknown key."""
    if unknown := sorted(set(table) - set(known)):
        raise ValueError(f"{where} has no {unknown[0]}; expected {', '.join(known)}")


def check_profile(profile: Profile) -> None:
    """Raise ValueError for a profile that contradicts itself."""
    values = [rule.value for rule in profile.rules]
    for value in REQUIRED_VALUES:
        if values.count(value) != 1:
            raise ValueError(f"exactly one field must take the value {value}")
    permitted = (profile.permissions.users, profile.permissions.groups)
    for rule in profile.rules:
        if rule.field.name in permitted and rule.value.startswith((META_PREFIX, TAG_PREFIX)):
            raise ValueError(
                f"{rule.field.name} says who may read a chunk: fill it with INGEST_BLOB_FIELDS "
                "(docs/permissions.md)"
            )
    vectors = profile.vectors
    if vectors.compression not in COMPRESSIONS:
        raise ValueError(f"vectors.compression must be one of {', '.join(COMPRESSIONS)}")
    if vectors.truncate is not None and vectors.compression == "none":
        raise ValueError("vectors.truncate needs a compression, scalar or binary")
    if vectors.retrievable and not vectors.stored:
        raise ValueError("vectors.stored = false needs vectors.retrievable = false")
    if not profile.is_foreign and not (vectors.retrievable and vectors.stored):
        raise ValueError(f"{DEFAULT_NAME} reads its vectors: leave them stored and retrievable")
    if profile.encryption and not (profile.encryption.vault and profile.encryption.key):
        raise ValueError("encryption needs vault and key")
    names = {rule.field.name for rule in profile.rules} | {VECTOR_FIELD, ""}
    semantic = profile.semantic
    for name in (semantic.title, *semantic.content, *semantic.keywords):
        if name not in names:
            raise ValueError(f"semantic names {name}, which is not a field of the profile")
