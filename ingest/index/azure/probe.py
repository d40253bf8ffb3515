"""What may be done with an index on Azure AI Search, and what it is, without writing to it."""

from __future__ import annotations

from http import HTTPStatus

from azure.core.exceptions import HttpResponseError

from ingest.azure.roles import INDEX_DATA_CONTRIBUTOR, SEARCH_SERVICE_CONTRIBUTOR
from ingest.index.azure.create import check_compatible_definition
from ingest.index.azure.definition import SearchIndex, missing_fields
from ingest.index.azure.index import AzureIndex

# What a batch without documents is answered with by who would take one with some.
EMPTY_BATCH_STATUSES = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND)


def check_write_access(index: AzureIndex) -> None:
    """Raises RoleError or ConfigError if documents of the index may not be written.

    A batch of nothing needs the same role as one of something.
    """

    def ask() -> None:
        try:
            index.documents.send_batch("upload", [])
        except HttpResponseError as error:
            if error.status_code not in EMPTY_BATCH_STATUSES:
                raise

    index.documents.call_with_retry(ask, INDEX_DATA_CONTRIBUTOR)


def fetch_definition(index: AzureIndex) -> SearchIndex | None:
    """The definition as it is; None if there is no such index. Raises RoleError, ConfigError."""

    def ask() -> SearchIndex | None:
        try:
            return index.indexes.get_index(index.documents.name)
        except HttpResponseError as error:
            if error.status_code == HTTPStatus.NOT_FOUND:
                return None
            raise

    return index.documents.call_with_retry(ask, SEARCH_SERVICE_CONTRIBUTOR)


def index_exists(index: AzureIndex) -> bool:
    """Whether the index exists, as who may only read its documents finds out."""

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
    """What an index is and holds, in words. Raises ConfigError if it cannot be used."""
    check_compatible_definition(index, found, wanted)
    more = len(missing_fields(found, wanted))
    return describe_contents(index) + (f"; the next run adds {more} fields" if more else "")


def describe_contents(index: AzureIndex) -> str:
    """What is in it, in words."""
    totals = index.totals()
    return f"{index.documents.name}: {totals.sources:,} files, {totals.chunks:,} chunks"
