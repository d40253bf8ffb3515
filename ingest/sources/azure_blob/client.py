"""How Azure Blob Storage is asked: plain REST through azure-core; every refusal is named.

The storage SDK is not used: it takes 0.9 s of CPU to read a page of 5,000 names where 0.1 s will
do, and begins what broke off again, on a schedule of its own. The policy here is retry.py's alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from http import HTTPStatus
from typing import TypeVar

import requests
from azure.core import PipelineClient
from azure.core.pipeline.policies import BearerTokenCredentialPolicy
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest, HttpResponse
from requests.adapters import HTTPAdapter

from ingest.azure.credential import STORAGE_SCOPE
from ingest.azure.errors import classify_transport_error
from ingest.azure.request_policy import RequestIdPolicy
from ingest.azure.roles import BLOB_READER, Role, missing_role_error, rejected_token_error
from ingest.azure.token_cache import TokenCache
from ingest.errors import ConfigError, DocumentError
from ingest.models import Code
from ingest.runtime.retry import (
    TRANSIENT_STATUSES,
    RetryableError,
    RetryPolicy,
    call_with_retry,
    parse_retry_after,
)

T = TypeVar("T")

BLOB_API_VERSION = "2023-11-03"  # of the service's API
POOL_CONNECTIONS = 64  # kept open
CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS = (
    20,
    60,
)  # seconds until a connection is given up; those of the storage SDK
STREAM_BLOCK_BYTES = (
    1 << 16
)  # bytes read from a connection at a time: what may be lost when it breaks

UNKNOWN_CODE = "without a reason"  # instead of a code
MISSING_ROLE_CODES = (
    "AuthorizationPermissionMismatch",
    "InsufficientAccountPermissions",
    UNKNOWN_CODE,
)
MISSING_CONTAINER_CODES = ("ContainerNotFound", "ContainerBeingDeleted", "ContainerDisabled")
ARCHIVED_REASON = "archived; rehydrate it to have it read (az storage blob set-tier --tier Hot)"


class BlobChangedError(Exception):
    """A blob is not the one any more that was asked for."""


class BlobRequestError(Exception):
    """An answer that is no success."""

    def __init__(self, response: HttpResponse) -> None:
        self.status = response.status_code
        self.code = str(response.headers.get("x-ms-error-code") or UNKNOWN_CODE)
        self.retry_after = parse_retry_after(response.headers)
        self.request_headers: Mapping[str, str] = response.request.headers
        super().__init__(f"{self.status} {self.code}")


class BlobStorageClient:
    """The requests of one root, `where`. Safe to call from several threads, but for `close`."""

    def __init__(self, root_url: str, token: TokenCache, retry_policy: RetryPolicy) -> None:
        self.root_url = root_url
        self.token = token
        self.retry_policy = retry_policy
        session = requests.Session()
        session.mount("https://", HTTPAdapter(pool_maxsize=POOL_CONNECTIONS))
        transport = RequestsTransport(
            session=session,
            connection_timeout=CONNECT_TIMEOUT_SECONDS,
            read_timeout=READ_TIMEOUT_SECONDS,
            connection_data_block_size=STREAM_BLOCK_BYTES,
        )
        self.client: PipelineClient[HttpRequest, HttpResponse] = PipelineClient(
            root_url,
            policies=[
                BearerTokenCredentialPolicy(token, STORAGE_SCOPE),
                RequestIdPolicy(retry_policy.request_log),
            ],
            transport=transport,
        )

    def close(self) -> None:
        """Give back the connections."""
        self.client.close()

    def send(
        self, method: str, url: str, headers: Mapping[str, str] | None = None
    ) -> AbstractContextManager[HttpResponse]:
        """The answer to one request, its body not read yet. Raises Refused, or as azure-core."""
        request = HttpRequest(
            method, url, headers={"x-ms-version": BLOB_API_VERSION, **(headers or {})}
        )
        response = self.client.send_request(request, stream=True)
        if response.status_code not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
            response.close()
            raise BlobRequestError(response)
        return response

    def call_with_retry(
        self, call: Callable[[], T], role: Role = BLOB_READER, *, is_blob_request: bool = False
    ) -> T:
        """One call by the policy, which takes a role; `reading`: it is about one blob."""
        renewals: list[str] = []

        def classify(error: Exception) -> Exception:
            if isinstance(error, BlobRequestError):
                return self.classify_error(error, role, renewals, is_blob_request=is_blob_request)
            return classify_transport_error(error, self.root_url)

        return call_with_retry(call, classify, self.retry_policy)

    def classify_error(
        self, error: BlobRequestError, role: Role, renewals: list[str], *, is_blob_request: bool
    ) -> Exception:
        """Again, or the error for whoever must act; texts of services change, codes do not."""
        where = self.root_url
        if error.status in TRANSIENT_STATUSES:
            return RetryableError(
                f"an error of the service ({error}) at {where}", error.retry_after
            )
        if error.status == HTTPStatus.UNAUTHORIZED:
            if self.token.renew_rejected(error.request_headers, renewals):
                return RetryableError(f"{where} did not accept the token")
            return rejected_token_error(self.token, where)
        if error.code == "AuthorizationFailure":
            return ConfigError(
                f"{where} takes no requests from this network: allow it in the networking of the "
                "storage account, or come by a private endpoint"
            )
        if error.status == HTTPStatus.FORBIDDEN and error.code in MISSING_ROLE_CODES:
            return missing_role_error(self.token, role, where)
        if error.status == HTTPStatus.FORBIDDEN:
            return ConfigError(f"{where} lets nobody in ({error}): check the storage account")
        if error.code in MISSING_CONTAINER_CODES:
            return ConfigError(f"{where}: there is no such container; check the URL")
        if is_blob_request:
            return classify_blob_error(error)
        return ConfigError(f"{where} cannot be listed ({error}): check the URL")


def classify_blob_error(error: BlobRequestError) -> Exception:
    """What a refusal says of one blob."""
    if error.status in (HTTPStatus.PRECONDITION_FAILED, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
        return BlobChangedError()
    if error.status == HTTPStatus.NOT_FOUND:
        return DocumentError("vanished before it was read", Code.VANISHED)
    if error.code == "BlobArchived":
        return DocumentError(ARCHIVED_REASON, Code.ARCHIVED)
    return DocumentError(f"cannot be read: the service says {error}", Code.UNREADABLE)
