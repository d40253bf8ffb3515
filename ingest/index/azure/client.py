"""Client for the documents of one index on Azure AI Search.

Requests are bounded by count and by bytes, and every result is checked: a batch can succeed with
documents refused. The SDK's SearchIndexingBufferedSender loses documents, so it is not used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any

import numpy as np
from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest

from ingest.azure.errors import AccessDeniedError, first_line
from ingest.azure.roles import INDEX_DATA_CONTRIBUTOR
from ingest.errors import ServiceError
from ingest.index.azure.connection import SEARCH_API_VERSION, SearchConnection, probe_key
from ingest.index.azure.errors import (
    RETRYABLE_DOCUMENT_STATUSES,
    RefusedRequestError,
    is_quota_message,
    quota_error,
)
from ingest.index.azure.serialize import batch_documents, request_body
from ingest.index.schema import SUMMARY_FIELD
from ingest.models import Refusal
from ingest.redaction import redact
from ingest.runtime.retry import BUSY_WEIGHT, RepeatedFailureError, RetryableError, call_for_item
from ingest.runtime.timing import INDEX_ANSWER

PROBE_TEXT = "probe"
SUCCESS_STATUSES = (HTTPStatus.OK, HTTPStatus.CREATED)


class UnwrittenDocumentsError(RetryableError):
    """A request succeeded, but not for all of its documents."""


class RequestTooLargeError(Exception):
    """A request has more bytes than the service accepts (413)."""


class DocumentClient(SearchConnection):
    """Reads and writes the documents of an index. Thread-safe, except for `close`."""

    key_field, text_field = "id", "content"

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

        def send(max_failures: float) -> None:
            try:
                self.send_until_answered(
                    action, left, results, self.fence, max_failures=max_failures
                )
            except (AccessDeniedError, RefusedRequestError) as error:
                raise RepeatedFailureError(str(error)) from error

        try:
            call_for_item(send, partial(self.send_probe, action, documents[0]))
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
        self.raise_if_refused(
            Refusal(str(result["key"]), f"{result.get('errorMessage')} ({result['statusCode']})")
            for result in results
            if int(result["statusCode"]) not in (*SUCCESS_STATUSES, HTTPStatus.NOT_FOUND)
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

    def send_probe(self, action: str, like: dict[str, Any]) -> None:
        """Raise ServiceError or ConfigError unless the index takes a document with these fields.

        It is empty but for a word of text and a vector of that size. No document has its key, so
        nothing is merged or deleted.
        """
        key = probe_key()
        verb, probe = "delete", {self.key_field: key}
        if action != "delete":
            fields = {n: v if n == "kind" else empty_value(v) for n, v in like.items()}
            verb, probe = "merge", fields | {self.text_field: PROBE_TEXT} | probe
        self.send_until_answered(verb, {key: probe}, [], self.fence)

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

    def raise_if_full(self, status: int, message: str) -> None:
        """Raise ConfigError if a document was refused because the index or service is full.

        A 429 for a single document means that there are too many documents, not requests.
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

    def save_json(self, key: str, text: str) -> None:
        """Replace the one document of this key, which no search returns. Raises ServiceError."""
        document = {"id": key, "kind": key, SUMMARY_FIELD: text}
        self.raise_if_refused(self.write("upload", [document]))

    def read_json(self, key: str) -> str | None:
        """Return the text of the one document of this key; None if there is none."""
        found = self.get(key)
        return str(found[SUMMARY_FIELD]) if found else None

    def raise_if_refused(self, refusals: Iterable[Refusal]) -> None:
        """Raise ServiceError if the index refused a record: without it no write is safe."""
        for refusal in refusals:
            raise ServiceError(
                f"the index {self.name} on {self.endpoint} does not take the document "
                f"{refusal.id}, which a run needs: {refusal.reason}; run again later, and if it is "
                "refused again, choose another AZURE_SEARCH_INDEX"
            )


def empty_value(value: Any) -> Any:
    """Return a value of the same type that holds nothing of a document."""
    if isinstance(value, np.ndarray):
        return np.ones_like(value)
    return [] if isinstance(value, list) else None
