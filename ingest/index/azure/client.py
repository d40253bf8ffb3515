"""Client for the documents of one index on Azure AI Search.

Requests are bounded by count and by bytes, and every result is checked: a batch can succeed with
documents refused. The SDK's SearchIndexingBufferedSender loses documents, so it is not used. The
SDK's retries are off; runtime/retry.py retries.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from itertools import islice
from typing import Any, TypeVar

from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline import PipelineResponse
from azure.core.rest import HttpRequest, HttpResponse
from azure.search.documents import SearchClient

from ingest.azure.client import classify_azure_error, create_transport, sdk_options
from ingest.azure.errors import AccessDeniedError, RequestContext, first_line
from ingest.azure.roles import INDEX_DATA_CONTRIBUTOR, Role
from ingest.azure.token_cache import TokenCache
from ingest.errors import DocumentError, ServiceError
from ingest.index.azure.errors import (
    RETRYABLE_DOCUMENT_STATUSES,
    SEARCH_ERRORS,
    RefusedRequestError,
    is_quota_message,
    quota_error,
)
from ingest.index.azure.serialize import batch_documents, request_body
from ingest.models import Code, Refusal
from ingest.redaction import redact
from ingest.runtime.retry import (
    BUSY_WEIGHT,
    RepeatedFailureError,
    RetryableError,
    RetryPolicy,
    call_for_item,
    call_with_retry,
)
from ingest.runtime.timing import INDEX_ANSWER

T = TypeVar("T")

POOL_CONNECTIONS = 64  # kept open; any beyond are opened and closed for every request
MAX_CONCURRENT_UPLOADS = 4  # requests under way of one upload that needs several
CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS = 30.0, 120.0  # the SDK's defaults are 300 s
SEARCH_API_VERSION = "2026-04-01"
# Of an index with permission filters. Search Index Data Contributor may ask so.
ELEVATED_READ_HEADERS = {"x-ms-enable-elevated-read": "true"}

SUCCESS_STATUSES = (HTTPStatus.OK, HTTPStatus.CREATED)


class UnwrittenDocumentsError(RetryableError):
    """A request succeeded, but not for all of its documents."""


class RequestTooLargeError(Exception):
    """A request has more bytes than the service accepts (413)."""


def probe_key() -> str:
    """Return a key that no document has."""
    return f"probe-{secrets.token_hex(8)}"


class DocumentClient:
    """Documents of an index. Thread-safe, except for `close`.

    With `may_be_absent`, an index that does not exist reads as empty; `elevated` reads ask an index
    that filters by itself for everybody's documents.
    """

    key_field = "id"

    def __init__(  # noqa: PLR0913 - an index, and how to reach it
        self,
        endpoint: str,
        name: str,
        key: str | TokenCache,
        retry_policy: RetryPolicy,
        *,
        may_be_absent: bool,
        elevated: bool = False,
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
            headers=ELEVATED_READ_HEADERS if elevated else {},
            **sdk_options(retry_policy.request_log),
        )
        self.threads = ThreadPoolExecutor(MAX_CONCURRENT_UPLOADS, "upload")
        # Called right before each request that writes; raises BusyError if the lease is lost.
        self.fence: Callable[[], None] = lambda: None
        self.written_kinds: set[str] = set()  # of documents, since this client was made
        self.clock_offset = 0.0  # seconds that the service's clock is ahead of this machine's

    def close(self) -> None:
        """Stop the threads and close the connections."""
        self.threads.shutdown()
        self.client.close()

    def get(self, key: str, max_failures: float = math.inf) -> dict[str, Any] | None:
        """Look up one document by its key; None if there is none. It may lag behind writes."""

        def ask() -> dict[str, Any] | None:
            return dict(self.client.get_document(key, raw_response_hook=self.read_clock))

        return self.call_or_default(ask, None, max_failures)

    def get_of_source(self, key: str) -> dict[str, Any] | None:
        """Look up a document of one source, as `get` does.

        Raises DocumentError if the service fails on it, and not on others.
        """
        try:
            return call_for_item(partial(self.get, key), lambda: self.get(probe_key()))
        except RepeatedFailureError as error:
            raise DocumentError(
                f"the index cannot be asked for it: {error}", Code.REFUSED
            ) from error

    def search_page(self, **query: Any) -> list[dict[str, Any]]:
        """Return the first `top` results of a search.

        The service may answer with fewer and a continuation, which the SDK follows.
        """

        def ask() -> list[dict[str, Any]]:
            return [
                dict(document) for document in islice(self.client.search(**query), query["top"])
            ]

        return (
            self.call_or_default(ask, [])
            if self.may_be_absent
            else self.call_with_retry(ask, INDEX_DATA_CONTRIBUTOR)
        )

    def count(self, kind: str) -> int:
        """Count the documents of a kind, approximately; 0 only if a search finds none."""

        def ask() -> int:
            answer = self.client.search(
                search_text="*",
                filter=f"kind eq '{kind}'",
                select=["id"],
                include_total_count=True,
                top=1,
            )
            count = answer.get_count()
            if count is None:
                raise RetryableError(f"{self.endpoint} returned no count")
            return max(int(count), len(list(islice(answer, 1))))

        return (
            self.call_or_default(ask, 0)
            if self.may_be_absent
            else self.call_with_retry(ask, INDEX_DATA_CONTRIBUTOR)
        )

    def count_all(self) -> int:
        """Count the documents, which may lag behind writes."""
        return self.call_or_default(lambda: int(self.client.get_document_count()), 0)

    def call_or_default(
        self, ask: Callable[[], T], default: T, max_failures: float = math.inf
    ) -> T:
        """Call the service by the retry policy; return `default` on 404."""

        def attempt() -> T:
            try:
                return ask()
            except HttpResponseError as error:
                if error.status_code == HTTPStatus.NOT_FOUND:
                    return default
                raise

        return self.call_with_retry(attempt, INDEX_DATA_CONTRIBUTOR, max_failures=max_failures)

    def write(self, action: str, documents: Sequence[dict[str, Any]]) -> list[Refusal]:
        """Write or delete documents, in several requests if need be; return those refused."""
        batches = list(batch_documents(documents))
        if len(batches) == 1:
            return self.write_batch(action, batches[0])
        parts = self.threads.map(lambda batch: self.write_batch(action, batch), batches)
        return [refusal for part in parts for refusal in part]

    def write_batch(self, action: str, documents: Sequence[dict[str, Any]]) -> list[Refusal]:
        """Send one request, and again for the documents that the service was too busy for.

        Documents that the service fails on or denies, while it works for others, are refused.
        """
        left = {str(document[self.key_field]): document for document in documents}
        results: list[dict[str, Any]] = []
        others: list[Refusal] = []
        kind = str(documents[0].get("kind"))

        def send(max_failures: float) -> None:
            try:
                self.send_until_answered(
                    action, left, results, self.fence, max_failures=max_failures
                )
            except (AccessDeniedError, RefusedRequestError) as error:
                # Where none of its kind was ever accepted, its fields may be wrong for the index.
                if isinstance(error, RefusedRequestError) and kind not in self.written_kinds:
                    raise
                raise RepeatedFailureError(str(error)) from error
            self.written_kinds.add(kind)

        try:
            call_for_item(send, self.send_probe)
        except RequestTooLargeError:
            reason = "it is too large for the service (413)"
            others = self.write_halves(action, list(left.values()), reason)
        except RepeatedFailureError as error:
            if isinstance(error.__cause__, UnwrittenDocumentsError):
                others = [Refusal(key, str(error)) for key in left]
            else:
                others = self.write_halves(action, list(left.values()), str(error))
        refusals = [
            Refusal(
                str(result["key"]),
                redact(f"{result.get('errorMessage')} ({result['statusCode']})"),
            )
            for result in results
            if not (result["status"] and int(result["statusCode"]) in SUCCESS_STATUSES)
        ]
        return others + refusals

    def write_statuses(self, action: str, documents: Sequence[dict[str, Any]]) -> dict[str, int]:
        """Send one request without the fence; return each document's status by its id.

        The status tells, without any lag, whether the document existed: 201 for one that was
        created, 404 for a merge into none. Raises ServiceError for any other refusal.
        """
        results: list[dict[str, Any]] = []
        left = {str(document["id"]): document for document in documents}
        awaited = f"{INDEX_ANSWER} about its lease"
        try:
            self.send_until_answered(action, left, results, lambda: None, awaited=awaited)
        except RequestTooLargeError as error:
            raise ServiceError(f"{self.endpoint} refused a record as too large (413)") from error
        for result in results:
            if int(result["statusCode"]) not in (*SUCCESS_STATUSES, HTTPStatus.NOT_FOUND):
                raise ServiceError(
                    f"{self.endpoint} refused a record: {result.get('errorMessage')} "
                    f"({result['statusCode']})"
                )
        return {str(result["key"]): int(result["statusCode"]) for result in results}

    def send_until_answered(  # noqa: PLR0913 - a request, and how it is repeated
        self,
        action: str,
        left: dict[str, dict[str, Any]],
        results: list[dict[str, Any]],
        fence: Callable[[], None],
        *,
        awaited: str = INDEX_ANSWER,
        max_failures: float = math.inf,
    ) -> None:
        """Move the documents from `left` to `results` as they are accepted, or refused for good."""

        def attempt() -> None:
            busy = "no result for them"
            fence()
            for result in self.send_batch(action, list(left.values())):
                key, status = str(result["key"]), int(result["statusCode"])
                self.raise_if_full(status, str(result.get("errorMessage")))
                if key in left and status in RETRYABLE_DOCUMENT_STATUSES:
                    busy = f"{status}, {result.get('errorMessage')}"
                elif left.pop(key, None):
                    results.append(result)
            if left:
                raise UnwrittenDocumentsError(
                    f"{self.endpoint} has not accepted {len(left)} documents yet ({busy})",
                    weight=BUSY_WEIGHT,
                )

        self.call_with_retry(attempt, INDEX_DATA_CONTRIBUTOR, awaited, max_failures)

    def send_probe(self) -> None:
        """Raise ServiceError or ConfigError unless the index deletes a document.

        Its key is that of none.
        """
        key = probe_key()
        self.send_until_answered("delete", {key: {self.key_field: key}}, [], self.fence)

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
        self.set_clock(response)
        if response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise RequestTooLargeError(self.endpoint)
        if HTTPStatus.MULTIPLE_CHOICES <= response.status_code < HTTPStatus.BAD_REQUEST:
            raise HttpResponseError(response=response)
        response.raise_for_status()
        results: list[dict[str, Any]] = response.json()["value"]
        return results

    def read_clock(self, answered: PipelineResponse[HttpRequest, HttpResponse]) -> None:
        """Read the service's clock, from an answer in the SDK's pipeline."""
        self.set_clock(answered.http_response)

    def set_clock(self, response: HttpResponse) -> None:
        """Read the service's clock from the date of a response."""
        # A proxy may send a date that cannot be read: then the clock stays as it was.
        with suppress(ValueError, OverflowError):
            sent = response.headers.get("Date", "")
            self.clock_offset = parsedate_to_datetime(sent).timestamp() - time.time()

    def now(self) -> datetime:
        """Return the time by the service's clock, as far as it has told it."""
        return datetime.fromtimestamp(time.time() + self.clock_offset, UTC)

    def raise_if_full(self, status: int, message: str) -> None:
        """Raise ConfigError if a document was refused because the index or service is full.

        A 429 of a single document means the number of documents, and not that of requests.
        """
        is_full = status >= HTTPStatus.BAD_REQUEST and is_quota_message(message)
        if is_full or status == HTTPStatus.TOO_MANY_REQUESTS:
            where = f"{self.endpoint} (index {self.name})"
            raise quota_error(where, f"{status}: {first_line(message)}", is_index=False)

    def write_halves(
        self, action: str, documents: Sequence[dict[str, Any]], reason: str
    ) -> list[Refusal]:
        """Split a request that the service fails on for a reason, down to single documents."""
        if len(documents) == 1:
            return [Refusal(str(documents[0][self.key_field]), reason)]
        middle = len(documents) // 2
        return [
            *self.write_batch(action, documents[:middle]),
            *self.write_batch(action, documents[middle:]),
        ]

    def raise_if_refused(self, refusals: Iterable[Refusal]) -> None:
        """Raise ServiceError if the index refused a record: without it no write is safe."""
        for refusal in refusals:
            raise ServiceError(
                f"the index {self.name} on {self.endpoint} does not take the document "
                f"{refusal.id}, which a run needs: {refusal.reason}; run again later, and if it is "
                "refused again, choose another AZURE_SEARCH_INDEX"
            )

    def call_with_retry(
        self,
        call: Callable[[], T],
        role: Role,
        awaited: str = INDEX_ANSWER,
        max_failures: float = math.inf,
    ) -> T:
        """Call the service by the retry policy."""
        where = f"{self.endpoint} (index {self.name})"
        request = RequestContext(where, self.key, role, "AZURE_SEARCH_KEY")
        return call_with_retry(
            call,
            lambda error: classify_azure_error(error, SEARCH_ERRORS, request),
            self.retry_policy,
            awaited,
            max_failures,
        )
