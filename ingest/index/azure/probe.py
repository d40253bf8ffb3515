"""Probe permissions and contents of an index on Azure AI Search without writing to it."""

from __future__ import annotations

from http import HTTPStatus

from azure.core.exceptions import HttpResponseError

from ingest.azure.roles import INDEX_DATA_CONTRIBUTOR, SEARCH_SERVICE_CONTRIBUTOR
from ingest.index.azure.create import check_compatible_definition
from ingest.index.azure.definition import SearchIndex, missing_fields
from ingest.index.azure.index import AzureIndex

# Responses to an empty batch from a service that would accept documents.
EMPTY_BATCH_STATUSES = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND)


def check_write_access(index: AzureIndex) -> None:
    """Raise RoleError or ConfigError if the identity may not write documents.

    An empty batch takes the role that a full one takes.
    """

    def ask() -> None:
        try:
            index.documents.send_batch("upload", [])
        except HttpResponseError as error:
            if error.status_code not in EMPTY_BATCH_STATUSES:
                raise

    index.documents.call_with_retry(ask, INDEX_DATA_CONTRIBUTOR)


def fetch_definition(index: AzureIndex) -> SearchIndex | None:
    """Read the definition; None if there is no index. Raises RoleError, ConfigError."""

    def ask() -> SearchIndex | None:
        try:
            return index.indexes.get_index(index.documents.name)
        except HttpResponseError as error:
            if error.status_code == HTTPStatus.NOT_FOUND:
                return None
            raise

    return index.documents.call_with_retry(ask, SEARCH_SERVICE_CONTRIBUTOR)


def index_exists(index: AzureIndex) -> bool:
    """Return True if the index exists; takes only the right to read documents."""

    def ask() -> bool:
        try:
            index.documents.client.get_document_count()
        except HttpResponseError as error:
            if error.status_code != HTTPStatus.NOT_FOUND:
                raise
            return False
        return True

    return index.documents.call_with_retry(ask, INDEX_DATA_CONTRIBUTOR)


def describe_azure_index(index: AzureIndex, found: SearchIndex, wanted: SearchIndex) -> str:
    """Describe an index and its contents. Raises ConfigError if it cannot be used."""
    check_compatible_definition(index, found, wanted)
    more = len(missing_fields(found, wanted))
    return describe_contents(index) + (f"; the next run adds {more} fields" if more else "")


def describe_contents(index: AzureIndex) -> str:
    """Describe the contents of an index."""
    totals = index.totals()
    return f"{index.documents.name}: {totals.sources:,} files, {totals.chunks:,} chunks"
