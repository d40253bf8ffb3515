"""Create an index on a service, or add the fields it lacks; never delete or rebuild."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from http import HTTPStatus

from azure.core.exceptions import HttpResponseError
from azure.search.documents.indexes.models import SearchField

from ingest.azure.roles import SEARCH_SERVICE_CONTRIBUTOR
from ingest.errors import ConfigError, RoleError
from ingest.index.azure.definition import (
    SearchIndex,
    Vectorizer,
    build_vector_search,
    existing_fields,
    find_incompatibilities,
    missing_fields,
)
from ingest.index.azure.index import AzureIndex
from ingest.index.azure.mapping import bind_profile
from ingest.index.azure.profiles import find_built_in, foreign_names
from ingest.index.azure.texts import wait_for_fields
from ingest.index.schema import (
    FIGURE_FIELD_NAMES,
    REPLACEABLE_FIELD_NAMES,
    RESERVED_FIELD_NAMES,
    TEXT_HASH_FIELD,
    VECTOR_FIELD,
)

log = logging.getLogger(__name__)

KIND_FIELD = "kind"  # that every index of ours has


def ensure_index(
    index: AzureIndex,
    wanted: SearchIndex,
    find_vectorizer: Callable[[], Vectorizer | None] = lambda: None,
) -> None:
    """Create the index, or add the fields that it lacks.

    Raises ConfigError with every difference that cannot be changed in place. An identity that may
    only read and write documents passes if the index exists. `find_vectorizer` is called for an
    index to be created whose definition has no vectorizer.
    """

    def fetch_definition() -> SearchIndex | None:
        try:
            return index.documents.indexes.get_index(index.documents.name)
        except HttpResponseError as error:
            # Asked at once: INGEST_WAIT_FOR_ROLES is not for a role that the run does not need.
            if error.status_code == HTTPStatus.FORBIDDEN and can_read_documents(index):
                return wanted
            raise

    found = index.documents.call_or_default(fetch_definition, None, SEARCH_SERVICE_CONTRIBUTOR)
    if found is wanted:
        check_additional_fields(index, wanted)
        return
    if found is None:
        log.info("creating the index %s", index.documents.name)
        index.is_new = True
        has_vectorizer = wanted.vector_search and wanted.vector_search.vectorizers
        if not has_vectorizer and (vectorizer := find_vectorizer()):
            wanted.vector_search = build_vector_search(vectorizer)
        index.documents.save_definition(wanted)
        index.texts.is_supported = index.has_figure_fields = True
        return
    check_compatible_definition(index, found, wanted)
    missing = missing_fields(found, wanted)
    hidden = [f for f in found.fields if f.name == VECTOR_FIELD and not f.retrievable]
    if missing or hidden:
        update_definition(index, found, missing, hidden)
    else:
        index.texts.is_supported = index.has_figure_fields = True


def update_definition(
    index: AzureIndex,
    found: SearchIndex,
    missing: Sequence[SearchField],
    hidden: Sequence[SearchField],
) -> None:
    """Add the missing fields to an index, and make the hidden ones retrievable."""
    names = ", ".join(field.name for field in (*missing, *hidden))
    log.info("adding or making retrievable in %s: %s", index.documents.name, names)
    found.fields = [*found.fields, *missing]
    for field in hidden:
        field.retrievable = True
    try:
        index.documents.save_definition(found)
    except RoleError:
        # An identity may be allowed to read a definition and not to change it.
        optional = {TEXT_HASH_FIELD.name, *FIGURE_FIELD_NAMES}
        if any(field.name not in optional for field in missing):
            raise
    else:
        wait_for_fields(index.documents, [field.name for field in (*missing, *hidden)])
        index.texts.is_supported = index.has_figure_fields = True


def check_compatible_definition(index: AzureIndex, found: SearchIndex, wanted: SearchIndex) -> None:
    """Raise ConfigError if an index differs in ways that cannot be changed in place."""
    fields = existing_fields(found)
    if KIND_FIELD not in fields:
        fits = [n for n in foreign_names() if not bind_profile(find_built_in(n), fields)[2]]
        advice = (
            f"set INGEST_PROFILE={fits[0]}, which fits"
            if fits
            else f"set INGEST_PROFILE to a file that maps its fields {', '.join(fields)}"
        )
        raise ConfigError(
            f"the index {index.documents.name} on {index.documents.endpoint} was made by another "
            f"application: {advice} (docs/profiles.md), or choose another AZURE_SEARCH_INDEX"
        )
    if problems := list(find_incompatibilities(found, wanted)):
        where = f"{index.documents.name} on {index.documents.endpoint}"
        raise ConfigError(
            f"the index {where} cannot be used: {'; '.join(problems)}; "
            "ingest rebuild makes a new one next to it, or choose another AZURE_SEARCH_INDEX"
        )


def check_additional_fields(index: AzureIndex, wanted: SearchIndex) -> None:
    """Raise ConfigError if an index lacks a user-defined field, found out by a query."""
    names = [
        field.name
        for field in wanted.fields
        if field.name not in {*RESERVED_FIELD_NAMES, *REPLACEABLE_FIELD_NAMES}
    ]
    if names and not index.documents.has_fields(names):
        raise ConfigError(
            f"{index.documents.name} on {index.documents.endpoint} lacks fields of "
            f"INGEST_BLOB_FIELDS ({', '.join(names)}), and this identity may not add them: run "
            f"once as an identity with the role {SEARCH_SERVICE_CONTRIBUTOR.name}"
        )


def can_read_documents(index: AzureIndex) -> bool:
    """Return True if documents are readable, which takes fewer rights than the definition."""
    try:
        index.documents.count("source")
    except ConfigError:
        return False
    return True
