"""Client for the documents of one index on Azure AI Search.

Requests are bounded by count and by bytes, and every result is checked: a batch can succeed with
documents refused. The SDK's SearchIndexingBufferedSender loses documents, so it is not used. The
SDK's retries are off; runtime/retry.py retries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from itertools import islice
from typing import Any, TypeVar

import requests
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest
from azure.search.documents import SearchClient
from requests.adapters import HTTPAdapter

from ingest.azure.errors import classify_transport_error, short_message
from ingest.azure.request_policy import RequestIdPolicy
from ingest.azure.roles import (
    ENABLE_TOKENS_COMMAND,
    INDEX_DATA_CONTRIBUTOR,
    SEARCH_SERVICE_CONTRIBUTOR,
    Role,
    missing_role_error,
    rejected_token_error,
)
from ingest.azure.token_cache import TokenCache
from ingest.errors import ConfigError, ServiceError
from ingest.index.azure.serialize import batch_documents, request_body
from ingest.models import Refusal
from ingest.runtime.retry import (
    TRANSIENT_STATUSES,
    RetryableError,
    RetryPolicy,
    call_with_retry,
    parse_retry_after,
)

T = TypeVar("T")

POOL_CONNECTIONS = 64  # kept open; any beyond are opened and closed for every request
MAX_CONCURRENT_UPLOADS = 4  # requests under way of one upload that needs several
CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS = 30.0, 120.0  # the SDK's defaults are 300 s
SEARCH_API_VERSION = "2026-04-01"

# Statuses of single documents that a retry may cure; any other from 400 on is final.
RETRYABLE_DOCUMENT_STATUSES = frozenset(
    {
        HTTPStatus.CONFLICT,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.SERVICE_UNAVAILABLE,
    }
)

# Error texts of the service for a field that an index of an earlier version lacks.
MISSING_FIELD_MESSAGES = ("Could not find a property named", "does not exist on type")

SUCCESS_STATUSES = (HTTPStatus.OK, HTTPStatus.CREATED)
ACCESS_DENIED_STATUSES = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)

CLIENT_OPTIONS: dict[str, Any] = {"retry_total": 0, "api_version": SEARCH_API_VERSION}


class RequestTooLargeError(Exception):
    """A request has more bytes than the service accepts (413)."""


class DocumentClient:
    """Documents of an index. Thread-safe, except for `close`.

    With `may_be_absent`, an index that does not exist reads as empty.
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
        session = requests.Session()
        session.mount("https://", HTTPAdapter(pool_maxsize=POOL_CONNECTIONS))
        transport = RequestsTransport(
            session=session,
            connection_timeout=CONNECT_TIMEOUT_SECONDS,
            read_timeout=READ_TIMEOUT_SECONDS,
        )
        request_ids = RequestIdPolicy(retry_policy.request_log)
        self.client = SearchClient(
            self.endpoint,
            name,
            self.credential,
            transport=transport,
            per_retry_policies=[request_ids],
            **CLIENT_OPTIONS,
        )
        self.threads = ThreadPoolExecutor(MAX_CONCURRENT_UPLOADS, "upload")

    def close(self) -> None:
        """Stop the threads and close the connections."""
        self.threads.shutdown()
        self.client.close()

    def get(self, key: str) -> dict[str, Any] | None:
        """Look up one document by its key, as it was last written; None if there is none."""

        def ask() -> dict[str, Any] | None:
            return dict(self.client.get_document(key))

        return self.call_or_default(ask, None)

    def search_page(self, **query: Any) -> list[dict[str, Any]]:
        """Return the first page of a search."""

        def ask() -> list[dict[str, Any]]:
            pages = self.client.search(**query).by_page()
            return [dict(document) for document in islice(next(pages, []), query["top"])]

        return (
            self.call_or_default(ask, [])
            if self.may_be_absent
            else self.call_with_retry(ask, INDEX_DATA_CONTRIBUTOR)
        )

    def count(self, kind: str) -> int:
        """Count the documents of a kind."""

        def ask() -> int:
            answer = self.client.search(
                search_text="*", filter=f"kind eq '{kind}'", include_total_count=True, top=1
            )
            count = answer.get_count()
            if count is None:
                raise RetryableError(f"{self.endpoint} returned no count")
            return int(count)

        return (
            self.call_or_default(ask, 0)
            if self.may_be_absent
            else self.call_with_retry(ask, INDEX_DATA_CONTRIBUTOR)
        )

    def call_or_default(self, ask: Callable[[], T], default: T) -> T:
        """Call the service by the retry policy; return `default` on 404."""

        def attempt() -> T:
            try:
                return ask()
            except HttpResponseError as error:
                if error.status_code == HTTPStatus.NOT_FOUND:
                    return default
                raise

        return self.call_with_retry(attempt, INDEX_DATA_CONTRIBUTOR)

    def write(self, action: str, documents: Sequence[dict[str, Any]]) -> list[Refusal]:
        """Write or delete documents, in several requests if need be; return those refused."""
        batches = list(batch_documents(documents))
        if len(batches) == 1:
            return self.write_batch(action, batches[0])
        parts = self.threads.map(lambda batch: self.write_batch(action, batch), batches)
        return [refusal for part in parts for refusal in part]

    def write_batch(self, action: str, documents: Sequence[dict[str, Any]]) -> list[Refusal]:
        """Send one request, and again for the documents that the service was too busy for."""
        left = {str(document["id"]): document for document in documents}
        refusals: list[Refusal] = []

        def attempt() -> None:
            busy = "no result for them"
            for result in self.send_batch(action, list(left.values())):
                key, status = str(result["key"]), int(result["statusCode"])
                if key in left and status in RETRYABLE_DOCUMENT_STATUSES:
                    busy = f"{status}, {result.get('errorMessage')}"
                elif left.pop(key, None) and not (result["status"] and status in SUCCESS_STATUSES):
                    refusals.append(Refusal(key, f"{result.get('errorMessage')} ({status})"))
            if left:
                raise RetryableError(
                    f"{self.endpoint} has not accepted {len(left)} documents yet ({busy})"
                )

        try:
            self.call_with_retry(attempt, INDEX_DATA_CONTRIBUTOR)
        except RequestTooLargeError:
            return self.write_halves(action, list(left.values())) + refusals
        return refusals

    def send_batch(self, action: str, documents: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Send one request to write or delete; return a result for each document.

        The SDK's own method serializes vectors component by component, which takes ten times as
        long as everything else. This sends the request through the SDK's pipeline.
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
        """Split a request that the service calls too large, down to single documents."""
        if len(documents) == 1:
            return [Refusal(str(documents[0]["id"]), "it is too large for the service (413)")]
        middle = len(documents) // 2
        return [
            *self.write_batch(action, documents[:middle]),
            *self.write_batch(action, documents[middle:]),
        ]

    def raise_if_refused(self, refusals: Iterable[Refusal]) -> None:
        """Raise ServiceError if the index refused a record: without it no write is safe."""
        for refusal in refusals:
            raise ServiceError(f"{self.endpoint} refused a record: {refusal.reason}")

    def call_with_retry(self, call: Callable[[], T], role: Role) -> T:
        """Call the service by the retry policy."""
        renewals: list[str] = []
        return call_with_retry(
            call, lambda error: self.classify_error(error, role, renewals), self.retry_policy
        )

    def classify_error(self, error: Exception, role: Role, renewals: list[str]) -> Exception:
        """Map an exception of the SDK to RetryableError, or to the error for the user."""
        where = f"{self.endpoint} (index {self.name})"
        if isinstance(error, RequestTooLargeError):
            return error
        if isinstance(error, HttpResponseError) and error.status_code:
            return self.classify_status(error, where, role, renewals)
        return classify_transport_error(error, where)

    def classify_status(
        self, error: HttpResponseError, where: str, role: Role, renewals: list[str]
    ) -> Exception:
        """Map an HTTP status: statuses are stable, texts of services are not."""
        status = error.status_code
        headers: Mapping[str, str] = getattr(error.response, "headers", {})
        retry_after = parse_retry_after(headers)
        if status in TRANSIENT_STATUSES:
            what = (
                "too many requests to"
                if status == HTTPStatus.TOO_MANY_REQUESTS
                else f"an error of the service ({status})"
            )
            return RetryableError(f"{what} {where}", retry_after)
        if status is not None and status < HTTPStatus.BAD_REQUEST:
            return RetryableError(f"{where} returned an unreadable response")
        if status == HTTPStatus.UNAUTHORIZED and isinstance(self.key, TokenCache):
            sent: Any = getattr(error.response, "request", None)
            if self.key.renew_rejected(sent.headers if sent else {}, renewals):
                return RetryableError(f"{where} did not accept the token")
        if status in ACCESS_DENIED_STATUSES:
            if not isinstance(self.key, TokenCache):
                return ConfigError(
                    f"{where} does not accept the key: check AZURE_SEARCH_KEY, or unset it"
                )
            if status == HTTPStatus.UNAUTHORIZED:
                return rejected_token_error(
                    self.key, where, f", it takes keys only ({ENABLE_TOKENS_COMMAND})"
                )
            return missing_role_error(self.key, role, where)
        if status == HTTPStatus.BAD_REQUEST and any(
            words in str(error) for words in MISSING_FIELD_MESSAGES
        ):
            return ConfigError(
                f"{where} is of an earlier version and lacks fields: run ingest run once with the "
                f"role {SEARCH_SERVICE_CONTRIBUTOR.name}, which adds them"
            )
        if status == HTTPStatus.NOT_FOUND:
            return ConfigError(f"{where} does not exist: run ingest run to create it")
        kind = ConfigError if role is SEARCH_SERVICE_CONTRIBUTOR else ServiceError
        return kind(f"{where} refused a request ({status}: {short_message(error)})")
