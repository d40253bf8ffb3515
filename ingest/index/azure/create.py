"""The index on a service, made or completed: never rebuilt, and nothing in it destroyed."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from azure.core.exceptions import HttpResponseError

from ingest.azure.roles import INDEX_DATA, SEARCH_SERVICE
from ingest.errors import ConfigError
from ingest.index.azure.definition import SearchIndex, differences, missing
from ingest.index.azure.index import AzureIndex
from ingest.index.schema import REPLACEABLE, RESERVED

log = logging.getLogger(__name__)


def ensure(index: AzureIndex, wanted: SearchIndex) -> None:
    """The index is there and has these fields: create it, add what is missing, never destroy.

    Raises ConfigError that says exactly what differs and cannot be changed. An identity that may
    only read and write documents passes: then the index must be there already.
    """

    def look() -> Any:
        try:
            return index.indexes.get_index(index.documents.name)
        except HttpResponseError as error:
            if error.status_code == HTTPStatus.NOT_FOUND:
                return None
            if error.status_code == HTTPStatus.FORBIDDEN and usable(index):
                return wanted
            raise

    found = index.documents.patiently(look, SEARCH_SERVICE)
    if found is None:
        log.info("creating the index %s", index.documents.name)
        index.fresh = True
        index.documents.patiently(
            lambda: index.indexes.create_or_update_index(wanted), SEARCH_SERVICE
        )
        return
    if found is wanted:
        check_added(index, wanted)
    agree(index, found, wanted)
    if more := missing(found, wanted):
        log.info(
            "adding fields to %s: %s", index.documents.name, ", ".join(field.name for field in more)
        )
        found.fields = [*found.fields, *more]
        index.documents.patiently(
            lambda: index.indexes.create_or_update_index(found), SEARCH_SERVICE
        )


def agree(index: AzureIndex, found: SearchIndex, wanted: SearchIndex) -> None:
    """Raises ConfigError if an index has what cannot be changed into what is wanted."""
    if problems := list(differences(found, wanted)):
        where = f"{index.documents.name} on {index.documents.endpoint}"
        raise ConfigError(
            f"the index {where} cannot be used: {'; '.join(problems)}; "
            "ingest rebuild makes a new one beside it, or choose another AZURE_SEARCH_INDEX"
        )


def check_added(index: AzureIndex, wanted: SearchIndex) -> None:
    """Raises ConfigError if an index that cannot be looked at lacks a field that is not ours."""
    names = [field.name for field in wanted.fields if field.name not in {*RESERVED, *REPLACEABLE}]
    if not names:
        return

    def lacking() -> bool:
        try:
            next(index.documents.client.search("*", select=names, top=1), None)
        except HttpResponseError as error:
            if error.status_code == HTTPStatus.BAD_REQUEST:
                return True
            raise
        return False

    if index.documents.patiently(lacking, INDEX_DATA):
        raise ConfigError(
            f"{index.documents.name} on {index.documents.endpoint} lacks fields of "
            f"INGEST_BLOB_FIELDS ({', '.join(names)}), and this identity may not add them: run "
            f"once as one that has the role {SEARCH_SERVICE.name}"
        )


def usable(index: AzureIndex) -> bool:
    """Whether documents can be asked for, which needs less than looking at the index does."""
    try:
        index.documents.count("source")
    except ConfigError:
        return False
    return True
