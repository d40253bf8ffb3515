"""Open and prepare the index of another application, and the index of its records."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from ingest.errors import ConfigError, RoleError
from ingest.index.azure.client import DocumentClient
from ingest.index.azure.create import ensure_index
from ingest.index.azure.definition import (
    SearchIndex,
    Vectorizer,
    build_records_definition,
    build_vector_search,
    existing_fields,
    vectorizer_model,
)
from ingest.index.azure.foreign_target import ForeignTarget
from ingest.index.azure.index import AzureIndex
from ingest.index.azure.mapping import (
    FieldMapping,
    bind_profile,
    describe_losses,
    describe_open_fields,
    mapping_from_json,
)
from ingest.index.azure.profile import Profile, Rule
from ingest.index.azure.texts import wait_for_fields
from ingest.index.schema import VECTOR_FIELD

log = logging.getLogger(__name__)

RECORDS_SUFFIX = "-ingest"


def open_foreign_index(
    name: str, profile: Profile, connect: Callable[[str], DocumentClient]
) -> AzureIndex:
    """Open an application's index, or the one that its alias names, and its records.

    Raises ConfigError, RoleError for an identity that may not read a definition which no earlier
    run has recorded, and ServiceError.
    """
    with ExitStack() as opened:
        documents = connect(name)
        opened.callback(documents.close)
        try:
            found = documents.fetch_definition()
        except RoleError:
            records = connect(name + RECORDS_SUFFIX)
            opened.callback(records.close)
            target = ForeignTarget(documents, FieldMapping(()), records)
            mark = target.read_mark()
            if mark is None:
                raise
            set_mapping(target, mapping_from_json(mark["mapping"]), mark["etag"])
        else:
            # An alias is another name for its index, whose records have that one's name.
            records = connect((found.name if found else name) + RECORDS_SUFFIX)
            opened.callback(records.close)
            target = ForeignTarget(documents, FieldMapping(()), records)
            if found:
                bind_target(target, profile, found)
        target.profile_name = profile.name
        opened.pop_all()  # the index closes them
    return AzureIndex(records, target=target)


def bind_target(target: ForeignTarget, profile: Profile, found: SearchIndex) -> list[Rule]:
    """Bind a profile to an index; returns the rules whose field it lacks. Raises ConfigError."""
    mapping, missing, problems = bind_profile(profile, existing_fields(found))
    keys = [f.name for f in found.fields if f.key]
    if mapping.key and keys != [mapping.key]:
        problems.append(f"its key is {', '.join(keys)}, not {mapping.key}")
    if problems:
        raise ConfigError(
            f"{target.documents.name} on {target.documents.endpoint} cannot be filled with the "
            f"profile {profile.name}: {'; '.join(problems)}: correct the profile (INGEST_PROFILE), "
            "or choose another AZURE_SEARCH_INDEX"
        )
    set_mapping(target, mapping, str(found.e_tag or ""))
    sizes = {f.name: f.vector_search_dimensions for f in found.fields}
    target.dimensions = sizes.get(mapping.vector) or 0
    target.can_filter_keys = any(f.key and f.filterable for f in found.fields)
    text = target.documents.text_field
    target.shown_text = tuple(f.name for f in found.fields if f.name == text and f.retrievable)
    return missing


def set_mapping(target: ForeignTarget, mapping: FieldMapping, etag: str) -> None:
    """Give a target the mapping of its index, and the version of its definition."""
    target.mapping, target.etag = mapping, etag
    target.documents.key_field = mapping.key
    target.documents.text_field = mapping.field_of("content")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Definition of an application's index, and options for filling it."""

    profile: Profile
    definition: SearchIndex  # of a new one
    model: Callable[[], str]  # name of the embedding model
    find_vectorizer: Callable[[], Vectorizer | None] = lambda: None
    add_fields: bool = False  # that an existing one lacks


def ensure_foreign_index(index: AzureIndex, wanted: Wanted) -> None:
    """Create an application's index as its profile says, or check the one that exists.

    It is filled as it is: a field that it lacks is added only if asked for. The records' index is
    created if need be. Raises ConfigError.
    """
    target, profile = index.target, wanted.profile
    assert isinstance(target, ForeignTarget)
    documents = target.documents
    if wanted.add_fields and profile.permissions.elevated:
        raise ConfigError(
            f"{documents.name} on {documents.endpoint} has permission filters, which this version "
            "of the API would remove: add its fields yourself, without --add-fields"
        )

    try:
        found = documents.fetch_definition()
    except RoleError:  # opened with the profile that an earlier run has recorded
        check_permission_fields(target, profile)
        check_vector_space(index)
        return
    if found is None:
        log.info("creating the index %s with the profile %s", documents.name, profile.name)
        found = documents.save_definition(with_vectorizer(wanted))
    if problems := list(find_vector_problems(found, wanted)):
        raise ConfigError(
            f"{documents.name} on {documents.endpoint} cannot be filled: {'; '.join(problems)}; "
            "set the embedding model and dimensions of that application, or choose another "
            "AZURE_SEARCH_INDEX"
        )
    missing = bind_target(target, profile, found)
    if missing and wanted.add_fields:
        names = [rule.field.name for rule in missing]
        log.info("adding to %s: %s", documents.name, ", ".join(names))
        more = (field for field in wanted.definition.fields if field.name in names)
        found.fields = [*found.fields, *more]
        found = documents.save_definition(found)
        bind_target(target, profile, found)
        wait_for_fields(documents, names)
    elif missing:
        log.warning(
            "%s has no field for: %s; --add-fields adds them",
            documents.name,
            describe_losses(missing),
        )
    check_permission_fields(target, profile)
    ensure_index(index, build_records_definition(index.documents.name, profile.encryption))
    check_vector_space(index)


def check_vector_space(index: AzureIndex) -> None:
    """Raise ConfigError if the records say that another model filled the index."""
    recorded, model = index.vector_space(), index.filled_by
    if recorded and model and recorded != model:
        raise ConfigError(
            f"{index.target.documents.name} was filled with vectors of {recorded[0]} "
            f"({recorded[1]} dimensions), and the model is {model[0]} ({model[1]}): set that one, "
            "or make a new index with ingest rebuild"
        )


def check_permission_fields(target: ForeignTarget, profile: Profile) -> None:
    """Raise ConfigError for an index without the fields for permissions."""
    if names := describe_open_fields(profile, target.mapping):
        raise ConfigError(
            f"{target.documents.name} on {target.documents.endpoint} has no field {names} for "
            "permissions: --add-fields adds it, or name another in [permissions] of the "
            "profile"
        )


def with_vectorizer(wanted: Wanted) -> SearchIndex:
    """Return the definition of a new index, with a vectorizer if one can be found out."""
    made = wanted.definition
    has_one = made.vector_search and made.vector_search.vectorizers
    if not has_one and (vectorizer := wanted.find_vectorizer()):
        made.vector_search = build_vector_search(vectorizer, wanted.profile.vectors)
    return made


def find_vector_problems(found: SearchIndex, wanted: Wanted) -> Iterator[str]:
    """Describe how the vectors of an index differ from those to be written."""
    name = wanted.profile.field_of(VECTOR_FIELD)
    sizes = {f.name: f.vector_search_dimensions for f in found.fields}
    size = {f.name: f.vector_search_dimensions for f in wanted.definition.fields}[name]
    if name in sizes and sizes[name] != size:
        yield f"{name} has {sizes[name]} dimensions, not {size}"
    old = vectorizer_model(found, name)
    if old and old != (new := wanted.model()):
        yield f"{name} holds vectors of {old}, not {new}"


def define_like(current: DocumentClient, wanted: SearchIndex, profile: Profile) -> SearchIndex:
    """Return the definition of a new index like the current one, which its application made.

    Only the size of its vectors comes from `wanted`, which is returned if there is no index yet.
    """
    found = current.fetch_definition()
    if found is None:
        return wanted
    name = profile.field_of(VECTOR_FIELD)
    sizes = {f.name: f.vector_search_dimensions for f in wanted.fields}
    found.name, found.e_tag = wanted.name, None
    for field in found.fields:
        if field.name == name:
            field.vector_search_dimensions = sizes[name]
    return found
