"""The index on a service, made or completed: never rebuilt, and nothing in it destroyed."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from azure.core.exceptions import HttpResponseError

from ingest.azure.roles import INDEX_DATA_CONTRIBUTOR, SEARCH_SERVICE_CONTRIBUTOR
from ingest.errors import ConfigError
from ingest.index.azure.definition import SearchIndex, find_incompatibilities, missing_fields
from ingest.index.azure.index import AzureIndex
from ingest.index.schema import REPLACEABLE_FIELD_NAMES, RESERVED_FIELD_NAMES

log = logging.getLogger(__name__)


def ensure_index(index: AzureIndex, wanted: SearchIndex) -> None:
    """The index is there and has these fields: create it, add what is missing, never destroy.

    Raises ConfigError that says exactly what differs and cannot be changed. An identity that may
    only read and write documents passes: then the index must be there already.
    """

    def fetch_definition() -> Any:
        try:
            return index.indexes.get_index(index.documents.name)
        except HttpResponseError as error:
            if error.status_code == HTTPStatus.NOT_FOUND:
                return None
            if error.status_code == HTTPStatus.FORBIDDEN and can_read_documents(index):
                return wanted
            raise

    found = index.documents.call_with_retry(fetch_definition, SEARCH_SERVICE_CONTRIBUTOR)
    if found is None:
        log.info("creating the index %s", index.documents.name)
        index.is_new = True
        index.documents.call_with_retry(
            lambda: index.indexes.create_or_update_index(wanted), SEARCH_SERVICE_CONTRIBUTOR
        )
        return
    if found is wanted:
        check_additional_fields(index, wanted)
    check_compatible_definition(index, found, wanted)
    if more := missing_fields(found, wanted):
        log.info(
            "adding fields to %s: %s", index.documents.name, ", ".join(field.name for field in more)
        )
        found.fields = [*found.fields, *more]
        index.documents.call_with_retry(
            lambda: index.indexes.create_or_update_index(found), SEARCH_SERVICE_CONTRIBUTOR
        )


def check_compatible_definition(index: AzureIndex, found: SearchIndex, wanted: SearchIndex) -> None:
    """Raises ConfigError if an index has what cannot be changed into what is wanted."""
    if problems := list(find_incompatibilities(found, wanted)):
        where = f"{index.documents.name} on {index.documents.endpoint}"
        raise ConfigError(
            f"the index {where} cannot be used: {'; '.join(problems)}; "
            "ingest rebuild makes a new one beside it, or choose another AZURE_SEARCH_INDEX"
        )


def check_additional_fields(index: AzureIndex, wanted: SearchIndex) -> None:
    """Raises ConfigError if an index that cannot be looked at lacks a field that is not ours."""
    names = [
        field.name
        for field in wanted.fields
        if field.name not in {*RESERVED_FIELD_NAMES, *REPLACEABLE_FIELD_NAMES}
    ]
    if not names:
        return

    def is_field_missing() -> bool:
        try:
            next(index.documents.client.search("*", select=names, top=1), None)
        except HttpResponseError as error:
            if error.status_code == HTTPStatus.BAD_REQUEST:
                return True
            raise
        return False

    if index.documents.call_with_retry(is_field_missing, INDEX_DATA_CONTRIBUTOR):
        raise ConfigError(
            f"{index.documents.name} on {index.documents.endpoint} lacks fields of "
            f"INGEST_BLOB_FIELDS ({', '.join(names)}), and this identity may not add them: run "
            f"once as one that has the role {SEARCH_SERVICE_CONTRIBUTOR.name}"
        )


def can_read_documents(index: AzureIndex) -> bool:
    """Whether documents can be asked for, which needs less than looking at the index does."""
    try:
        index.documents.count("source")
    except ConfigError:
        return False
    return True
