"""The documents of one index on Azure AI Search: asked for, written, deleted; every answer read.

Requests are bounded by count and by bytes, and every result is looked at: a batch can succeed with
documents refused. The SDK's SearchIndexingBufferedSender loses documents, so it is not used; the
SDK's retries are off, the policy is retry.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from itertools import islice
from typing import Any, TypeVar

from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest
from azure.search.documents import SearchClient

from ingest.azure.client import classify_azure_error, create_transport, sdk_options
from ingest.azure.errors import (
    ANY,
    RETRY_TRANSIENT,
    ErrorResponse,
    ErrorTable,
    RequestContext,
    fail,
    first_line,
    missing_role,
    rejected_token,
    renew_token,
    retry,
)
from ingest.azure.roles import (
    ENABLE_TOKENS_COMMAND,
    INDEX_DATA_CONTRIBUTOR,
    SEARCH_SERVICE_CONTRIBUTOR,
    Role,
)
from ingest.azure.token_cache import TokenCache
from ingest.errors import ConfigError, ServiceError
from ingest.index.azure.serialize import batch_documents, request_body
from ingest.models import Refusal
from ingest.runtime.retry import RetryableError, RetryPolicy, call_with_retry

T = TypeVar("T")

POOL_CONNECTIONS = 64  # kept open; those beyond would be opened and closed for every request
MAX_CONCURRENT_UPLOADS = 4  # requests under way of one batch that needs several
CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS = (
    30.0,
    120.0,
)  # seconds; the SDK would wait five minutes for either
SEARCH_API_VERSION = "2026-04-01"

# Statuses of single documents: these may work in a moment, anything else from 400 on will not.
RETRYABLE_DOCUMENT_STATUSES = frozenset(
    {
        HTTPStatus.CONFLICT,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.SERVICE_UNAVAILABLE,
    }
)

# What a service says of a field that came later, asked for or written.
MISSING_FIELD_MESSAGES = ("Could not find a property named", "does not exist on type")

SUCCESS_STATUSES = (HTTPStatus.OK, HTTPStatus.CREATED)


class RequestTooLargeError(Exception):
    """A request has more bytes than the service takes."""


def missing_field(response: ErrorResponse, request: RequestContext) -> Exception | None:
    """Report an index that lacks a field which this version of the program uses."""
    if any(message in response.message for message in MISSING_FIELD_MESSAGES):
        return ConfigError(
            f"{request.where} is of an earlier version: ingest run adds the fields that it lacks, "
            f"as somebody with the role {SEARCH_SERVICE_CONTRIBUTOR.name}"
        )
    return None


def refused_request(response: ErrorResponse, request: RequestContext) -> Exception:
    """Report any other error; the definition of an index comes from the settings."""
    kind = ConfigError if request.role is SEARCH_SERVICE_CONTRIBUTOR else ServiceError
    message = first_line(response.message)
    return kind(f"{request.where} refused a request ({response.status}: {message})")


MISSING_INDEX = fail(ConfigError, "{where} does not exist: run ingest run to create it")
SEARCH_ERRORS: ErrorTable = (
    ({429}, ANY, retry("too many requests to {where}")),
    RETRY_TRANSIENT,
    ({401}, ANY, renew_token),
    ({401}, ANY, rejected_token(f", it takes keys only ({ENABLE_TOKENS_COMMAND})")),
    ({403}, ANY, missing_role),
    ({400}, ANY, missing_field),
    ({404}, ANY, MISSING_INDEX),
    (ANY, ANY, refused_request),
)


class DocumentClient:
    """The documents of an index. Safe to call from several threads, but for `close`.

    With `may_be_absent`, an index that is not there is an empty one.
    """

    def __init__(
        self,
        endpoint: str,
        name: str,
        key: str | TokenCache,
        retry_policy: RetryPolicy,
        *,
        may_be_absent: bool,
    ) -> None:
        self.endpoint = endpoint.rstrip("/")
        self.name = name
        self.key = key
        self.retry_policy = retry_policy
        self.may_be_absent = may_be_absent
        self.credential: Any = AzureKeyCredential(key) if isinstance(key, str) else key
        self.client = SearchClient(
            self.endpoint,
            name,
            self.credential,
            transport=create_transport(
                POOL_CONNECTIONS, CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS
            ),
            api_version=SEARCH_API_VERSION,
            **sdk_options(retry_policy.request_log),
        )
        self.threads = ThreadPoolExecutor(MAX_CONCURRENT_UPLOADS, "upload")

    def close(self) -> None:
        """Give back threads and connections."""
        self.threads.shutdown()
        self.client.close()

    def get(self, key: str) -> dict[str, Any] | None:
        """One document by its key, as it was written last."""

        def ask() -> dict[str, Any] | None:
            return dict(self.client.get_document(key))

        return self.call_or_default(ask, None)

    def search_page(self, **query: Any) -> list[dict[str, Any]]:
        """One page of a search, and not the pages after it."""

        def ask() -> list[dict[str, Any]]:
            pages = self.client.search(**query).by_page()
            return [dict(document) for document in islice(next(pages, []), query["top"])]

        return (
            self.call_or_default(ask, [])
            if self.may_be_absent
            else self.call_with_retry(ask, INDEX_DATA_CONTRIBUTOR)
        )

    def count(self, kind: str) -> int:
        """How many documents of a kind there are."""

        def ask() -> int:
            answer = self.client.search(
                search_text="*", filter=f"kind eq '{kind}'", include_total_count=True, top=1
            )
            count = answer.get_count()
            if count is None:
                raise RetryableError(f"{self.endpoint} gave no count")
            return int(count)

        return (
            self.call_or_default(ask, 0)
            if self.may_be_absent
            else self.call_with_retry(ask, INDEX_DATA_CONTRIBUTOR)
        )

    def call_or_default(self, ask: Callable[[], T], default: T) -> T:
        """The answer, or `nothing` where what is asked for does not exist."""

        def attempt() -> T:
            try:
                return ask()
            except HttpResponseError as error:
                if error.status_code == HTTPStatus.NOT_FOUND:
                    return default
                raise

        return self.call_with_retry(attempt, INDEX_DATA_CONTRIBUTOR)

    def write(self, action: str, documents: Sequence[dict[str, Any]]) -> list[Refusal]:
        """Every document written or deleted, or refused for good; the busy ones are tried again."""
        requests = list(batch_documents(documents))
        if len(requests) == 1:
            return self.write_batch(action, requests[0])
        parts = self.threads.map(lambda some: self.write_batch(action, some), requests)
        return [refusal for part in parts for refusal in part]

    def write_batch(self, action: str, documents: Sequence[dict[str, Any]]) -> list[Refusal]:
        """One request, and smaller ones for what the service was too busy for."""
        left = {str(document["id"]): document for document in documents}
        refusals: list[Refusal] = []

        def attempt() -> None:
            busy = "it did not answer for them"
            for result in self.send_batch(action, list(left.values())):
                key, status = str(result["key"]), int(result["statusCode"])
                if key in left and status in RETRYABLE_DOCUMENT_STATUSES:
                    busy = f"{status}, {result.get('errorMessage')}"
                elif left.pop(key, None) and not (result["status"] and status in SUCCESS_STATUSES):
                    refusals.append(Refusal(key, f"{result.get('errorMessage')} ({status})"))
            if left:
                raise RetryableError(
                    f"{self.endpoint} did not take {len(left)} documents yet ({busy})"
                )

        try:
            self.call_with_retry(attempt, INDEX_DATA_CONTRIBUTOR)
        except RequestTooLargeError:
            return self.write_halves(action, list(left.values())) + refusals
        return refusals

    def send_batch(self, action: str, documents: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The answer to one request to write or delete: a result for each document.

        The SDK's own way looks at every component of every vector, which takes ten times as long as
        all the rest; it is the SDK's pipeline all the same.
        """
        request = HttpRequest(
            "POST",
            f"{self.endpoint}/indexes('{self.name}')/docs/search.index?api-version={SEARCH_API_VERSION}",
            headers={
                "Content-Type": "application/json",
                "Accept": "application/json;odata.metadata=none",
            },
            content=request_body(action, documents),
        )
        response = self.client.send_request(request)
        if response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise RequestTooLargeError(self.endpoint)
        response.raise_for_status()
        results: list[dict[str, Any]] = response.json()["value"]
        return results

    def write_halves(self, action: str, documents: Sequence[dict[str, Any]]) -> list[Refusal]:
        """What a service takes less of than it says: in two requests, down to single documents."""
        if len(documents) == 1:
            return [Refusal(str(documents[0]["id"]), "it is too large for the service (413)")]
        middle = len(documents) // 2
        return [
            *self.write_batch(action, documents[:middle]),
            *self.write_batch(action, documents[middle:]),
        ]

    def raise_if_refused(self, refusals: Iterable[Refusal]) -> None:
        """Raises ServiceError if the index refused a record: then nothing is safe to do."""
        for refusal in refusals:
            raise ServiceError(f"{self.endpoint} refused a record: {refusal.reason}")

    def call_with_retry(self, call: Callable[[], T], role: Role) -> T:
        """One call by the policy."""
        where = f"{self.endpoint} (index {self.name})"
        request = RequestContext(where, self.key, role, "AZURE_SEARCH_KEY")
        return call_with_retry(
            call,
            lambda error: classify_azure_error(error, SEARCH_ERRORS, request),
            self.retry_policy,
        )
