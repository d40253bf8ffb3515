"""Client for the REST APIs of blobs and queues of Azure Storage, over azure-core.

The storage SDK is not used: it takes 0.9 s of CPU time to parse a page of 5,000 names, where 0.1 s
is enough, and it retries interrupted downloads on a schedule of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from http import HTTPStatus
from typing import TypeVar

from azure.core.rest import HttpRequest, HttpResponse

from ingest.azure.client import classify_azure_error, create_rest_client, create_transport
from ingest.azure.errors import (
    ANY,
    RETRY_TRANSIENT,
    ErrorResponse,
    ErrorTable,
    RequestContext,
    fail,
    missing_role,
    rejected_token,
    renew_token,
)
from ingest.azure.roles import BLOB_READER, Role
from ingest.azure.token_cache import TokenCache
from ingest.azure.token_hosts import STORAGE_SCOPE
from ingest.errors import ConfigError, DocumentError
from ingest.models import Code
from ingest.runtime.retry import RetryPolicy, call_with_retry

T = TypeVar("T")

BLOB_API_VERSION = "2023-11-03"
POOL_CONNECTIONS = 64
CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS = 20, 60  # as in the storage SDK
SUCCESSES = (
    HTTPStatus.OK,
    HTTPStatus.CREATED,
    HTTPStatus.ACCEPTED,
    HTTPStatus.NO_CONTENT,
    HTTPStatus.PARTIAL_CONTENT,
)
STREAM_BLOCK_BYTES = 1 << 16  # per read: the most that is lost when a connection breaks

ARCHIVED_REASON = "archived; rehydrate it to have it read (az storage blob set-tier --tier Hot)"


class BlobChangedError(Exception):
    """The blob was overwritten since it was listed."""


UNKNOWN_CODE = "without a reason"  # for a response without an error code
MISSING_ROLE_CODES = {
    "AuthorizationPermissionMismatch",
    "InsufficientAccountPermissions",
    UNKNOWN_CODE,
}
MISSING_CONTAINER_CODES = {"ContainerNotFound", "ContainerBeingDeleted", "ContainerDisabled"}

FIREWALL = fail(
    ConfigError,
    "{where} rejects requests from this network: allow it in the network settings of the storage "
    "account, or use a private endpoint",
)
NO_ACCESS = fail(ConfigError, "{where} denied access ({response}): check the storage account")
NO_CONTAINER = fail(ConfigError, "{where}: there is no such container; check the URL")
NO_LISTING = fail(ConfigError, "{where} cannot be listed ({response}): check the URL")
VANISHED = fail(partial(DocumentError, code=Code.VANISHED), "vanished before it was read")
ARCHIVED = fail(partial(DocumentError, code=Code.ARCHIVED), ARCHIVED_REASON)
UNREADABLE = fail(
    partial(DocumentError, code=Code.UNREADABLE), "cannot be read: the service says {response}"
)

CONTAINER_ERRORS: ErrorTable = (
    RETRY_TRANSIENT,
    ({401}, ANY, renew_token),
    ({401}, ANY, rejected_token()),
    (ANY, {"AuthorizationFailure"}, FIREWALL),
    ({403}, MISSING_ROLE_CODES, missing_role),
    ({403}, ANY, NO_ACCESS),
    (ANY, MISSING_CONTAINER_CODES, NO_CONTAINER),
)
LISTING_ERRORS: ErrorTable = (*CONTAINER_ERRORS, (ANY, ANY, NO_LISTING))
BLOB_ERRORS: ErrorTable = (
    *CONTAINER_ERRORS,
    ({412, 416}, ANY, fail(BlobChangedError, "")),
    ({404}, ANY, VANISHED),
    (ANY, {"BlobArchived"}, ARCHIVED),
    (ANY, ANY, UNREADABLE),
)


class StorageClient:
    """Client for the requests of one root or queue. Thread-safe, except for `close`."""

    def __init__(self, root_url: str, token: TokenCache, retry_policy: RetryPolicy) -> None:
        self.root_url = root_url
        self.token = token
        self.retry_policy = retry_policy
        transport = create_transport(
            POOL_CONNECTIONS,
            CONNECT_TIMEOUT_SECONDS,
            READ_TIMEOUT_SECONDS,
            connection_data_block_size=STREAM_BLOCK_BYTES,
        )
        self.client = create_rest_client(
            root_url, token, STORAGE_SCOPE, transport, retry_policy.request_log
        )

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
    ) -> AbstractContextManager[HttpResponse]:
        """Send one request; the body of the response is not read yet.

        Raises ErrorResponse, or what azure-core raises.
        """
        request = HttpRequest(
            method,
            url,
            headers={"x-ms-version": BLOB_API_VERSION, **(headers or {})},
            content=content or None,
        )
        response = self.client.send_request(request, stream=True)
        if response.status_code not in SUCCESSES:
            response.close()
            code = str(response.headers.get("x-ms-error-code") or UNKNOWN_CODE)
            raise ErrorResponse(response, code, [code])
        return response

    def call_with_retry(
        self, call: Callable[[], T], role: Role = BLOB_READER, table: ErrorTable = LISTING_ERRORS
    ) -> T:
        """Call with retries; the table explains the errors of this kind of request."""
        request = RequestContext(self.root_url, self.token, role)
        return call_with_retry(
            call,
            lambda error: classify_azure_error(error, table, request),
            self.retry_policy,
            f"an answer of {self.root_url}",
        )
