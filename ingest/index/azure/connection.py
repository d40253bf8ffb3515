"""Connection to one index on Azure AI Search: its definition, and reads of its documents.

The SDK's retries are off; runtime/retry.py retries.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Sequence
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
from azure.search.documents.indexes import SearchIndexClient
from azure.search.documents.indexes.models import SearchIndex

from ingest.azure.client import classify_azure_error, create_transport, sdk_options
from ingest.azure.errors import RequestContext
from ingest.azure.roles import INDEX_DATA_CONTRIBUTOR, SEARCH_SERVICE_CONTRIBUTOR, Role
from ingest.azure.token_cache import TokenCache
from ingest.errors import DocumentError
from ingest.index.azure.errors import SEARCH_ERRORS
from ingest.models import Code
from ingest.runtime.retry import (
    RepeatedFailureError,
    RetryableError,
    RetryPolicy,
    call_for_item,
    call_with_retry,
)
from ingest.runtime.timing import INDEX_ANSWER

T = TypeVar("T")

POOL_CONNECTIONS = 64  # kept open; any beyond are opened and closed for every request
MAX_CONCURRENT_REQUESTS = 4  # of one upload or look-up that needs several
CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS = 30.0, 120.0  # the SDK's defaults are 300 s
SEARCH_API_VERSION = "2026-04-01"
# Of an index with permission filters. Search Index Data Contributor may ask so.
ELEVATED_READ_HEADERS = {"x-ms-enable-elevated-read": "true"}


def probe_key() -> str:
    """Return a key that no document has."""
    return f"probe-{secrets.token_hex(8)}"


class SearchConnection:
    """Connection to an index. Thread-safe, except for `close`.

    With `may_be_absent`, an index that does not exist reads as empty; `elevated` reads ask an index
    that filters by itself for everybody's documents.
    """

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
        self.indexes = SearchIndexClient(  # for definitions of any index of the service
            self.endpoint,
            self.credential,
            api_version=SEARCH_API_VERSION,
            **sdk_options(retry_policy.request_log),
        )
        self.threads = ThreadPoolExecutor(MAX_CONCURRENT_REQUESTS, "index")
        # Called right before each request that writes; raises BusyError if the lease is lost.
        self.fence: Callable[[], None] = lambda: None
        self.clock_offset = 0.0  # seconds that the service's clock is ahead of this machine's

    def close(self) -> None:
        """Stop the threads and close the connections."""
        self.threads.shutdown()
        self.client.close()
        self.indexes.close()

    def fetch_definition(self) -> SearchIndex | None:
        """Read the definition of the index; None if there is none. Raises RoleError."""
        return self.call_or_default(
            lambda: self.indexes.get_index(self.name), None, SEARCH_SERVICE_CONTRIBUTOR
        )

    def save_definition(self, definition: SearchIndex) -> SearchIndex:
        """Create the index that a definition names, or update it. Raises RoleError."""
        return self.call_with_retry(
            lambda: self.indexes.create_or_update_index(definition), SEARCH_SERVICE_CONTRIBUTOR
        )

    def get(self, key: str, max_failures: float = math.inf) -> dict[str, Any] | None:
        """Look up one document by its key; None if there is none. It may lag behind writes."""

        def ask() -> dict[str, Any] | None:
            return dict(self.client.get_document(key, raw_response_hook=self.read_clock))

        return self.call_or_default(ask, None, max_failures=max_failures)

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

        return self.call_if_present(ask, [])

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

        return self.call_if_present(ask, 0)

    def count_all(self) -> int:
        """Count the documents, which may lag behind writes."""
        return self.call_or_default(lambda: int(self.client.get_document_count()), 0)

    def has_fields(self, names: Sequence[str], where: str | None = None) -> bool:
        """Return whether queries can select these fields, and filter by `where`."""

        def ask() -> bool:
            try:
                next(self.client.search("*", select=list(names), filter=where, top=1), None)
            except HttpResponseError as error:
                if error.status_code == HTTPStatus.BAD_REQUEST:
                    return False
                raise
            return True

        return self.call_if_present(ask, True)

    def call_if_present(self, ask: Callable[[], T], default: T) -> T:
        """Call the service; return `default` if the index is absent, and may be."""
        if self.may_be_absent:
            return self.call_or_default(ask, default)
        return self.call_with_retry(ask, INDEX_DATA_CONTRIBUTOR)

    def call_or_default(
        self,
        ask: Callable[[], T],
        default: T,
        role: Role = INDEX_DATA_CONTRIBUTOR,
        max_failures: float = math.inf,
    ) -> T:
        """Call the service by the retry policy; return `default` on 404."""

        def attempt() -> T:
            try:
                return ask()
            except HttpResponseError as error:
                if error.status_code == HTTPStatus.NOT_FOUND:
                    return default
                raise

        return self.call_with_retry(attempt, role, max_failures=max_failures)

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
