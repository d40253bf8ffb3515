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

from ingest.azure.credential import STORAGE
from ingest.azure.errors import unanswered
from ingest.azure.request_policy import Noting
from ingest.azure.roles import BLOB_READER, Role, missing_role, rejected
from ingest.azure.token_cache import TokenCache
from ingest.errors import ConfigError, DocumentError
from ingest.models import Code
from ingest.runtime.retry import PASSING, Again, Patience, floor_of, patiently

T = TypeVar("T")

VERSION = "2023-11-03"  # of the service's API
CONNECTIONS = 64  # kept open
CONNECTING, SILENT = 20, 60  # seconds until a connection is given up; those of the storage SDK
PIECE = 1 << 16  # bytes read from a connection at a time: what may be lost when it breaks

UNSAID = "without a reason"  # instead of a code
NO_ROLE = ("AuthorizationPermissionMismatch", "InsufficientAccountPermissions", UNSAID)
NO_CONTAINER = ("ContainerNotFound", "ContainerBeingDeleted", "ContainerDisabled")
ARCHIVED = "archived; rehydrate it to have it read (az storage blob set-tier --tier Hot)"


class Changed(Exception):
    """A blob is not the one any more that was asked for."""


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, response: HttpResponse) -> None:
        self.status = response.status_code
        self.code = str(response.headers.get("x-ms-error-code") or UNSAID)
        self.floor = floor_of(response.headers)
        self.sent: Mapping[str, str] = response.request.headers
        super().__init__(f"{self.status} {self.code}")


class Storage:
    """The requests of one root, `where`. Safe to call from several threads, but for `close`."""

    def __init__(self, where: str, token: TokenCache, patience: Patience) -> None:
        self.where = where
        self.token = token
        self.patience = patience
        session = requests.Session()
        session.mount("https://", HTTPAdapter(pool_maxsize=CONNECTIONS))
        transport = RequestsTransport(
            session=session,
            connection_timeout=CONNECTING,
            read_timeout=SILENT,
            connection_data_block_size=PIECE,
        )
        self.client: PipelineClient[HttpRequest, HttpResponse] = PipelineClient(
            where,
            policies=[BearerTokenCredentialPolicy(token, STORAGE), Noting(patience.exchanges)],
            transport=transport,
        )

    def close(self) -> None:
        """Give back the connections."""
        self.client.close()

    def asked(
        self, method: str, url: str, headers: Mapping[str, str] | None = None
    ) -> AbstractContextManager[HttpResponse]:
        """The answer to one request, its body not read yet. Raises Refused, or as azure-core."""
        request = HttpRequest(method, url, headers={"x-ms-version": VERSION, **(headers or {})})
        response = self.client.send_request(request, stream=True)
        if response.status_code not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
            response.close()
            raise Refused(response)
        return response

    def patiently(
        self, call: Callable[[], T], role: Role = BLOB_READER, *, reading: bool = False
    ) -> T:
        """One call by the policy, which takes a role; `reading`: it is about one blob."""
        renewals: list[str] = []

        def judged(error: Exception) -> Exception:
            if isinstance(error, Refused):
                return self.judged(error, role, renewals, reading=reading)
            return unanswered(error, self.where)

        return patiently(call, judged, self.patience)

    def judged(
        self, error: Refused, role: Role, renewals: list[str], *, reading: bool
    ) -> Exception:
        """Again, or the error for whoever must act; texts of services change, codes do not."""
        where = self.where
        if error.status in PASSING:
            return Again(f"an error of the service ({error}) at {where}", error.floor)
        if error.status == HTTPStatus.UNAUTHORIZED:
            if self.token.retried(error.sent, renewals):
                return Again(f"{where} did not accept the token")
            return rejected(self.token, where)
        if error.code == "AuthorizationFailure":
            return ConfigError(
                f"{where} takes no requests from this network: allow it in the networking of the "
                "storage account, or come by a private endpoint"
            )
        if error.status == HTTPStatus.FORBIDDEN and error.code in NO_ROLE:
            return missing_role(self.token, role, where)
        if error.status == HTTPStatus.FORBIDDEN:
            return ConfigError(f"{where} lets nobody in ({error}): check the storage account")
        if error.code in NO_CONTAINER:
            return ConfigError(f"{where}: there is no such container; check the URL")
        if reading:
            return of_a_blob(error)
        return ConfigError(f"{where} cannot be listed ({error}): check the URL")


def of_a_blob(error: Refused) -> Exception:
    """What a refusal says of one blob."""
    if error.status in (HTTPStatus.PRECONDITION_FAILED, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
        return Changed()
    if error.status == HTTPStatus.NOT_FOUND:
        return DocumentError("vanished before it was read", Code.VANISHED)
    if error.code == "BlobArchived":
        return DocumentError(ARCHIVED, Code.ARCHIVED)
    return DocumentError(f"cannot be read: the service says {error}", Code.UNREADABLE)
