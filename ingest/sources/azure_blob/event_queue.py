"""Storage queue that Event Grid fills with a message for each blob that was created or deleted.

What a message says does not matter: a run lists the container anyway. A platform starts a run while
the queue has visible messages. So a run hides the messages that it finds *before* it lists, and
deletes them when it has finished. A blob that arrives in between has a message of its own, which
starts the next run; the messages of a run that dies become visible again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import quote
from xml.etree import ElementTree as ET

from azure.core.rest import HttpRequest

from ingest.azure.client import classify_azure_error, create_rest_client, create_transport
from ingest.azure.errors import ANY, ErrorResponse, ErrorTable, RequestContext, fail
from ingest.azure.roles import QUEUE_PROCESSOR
from ingest.azure.token_cache import TokenCache
from ingest.azure.token_hosts import STORAGE_SCOPE
from ingest.errors import ConfigError, IngestError
from ingest.runtime.retry import RetryPolicy, call_with_retry
from ingest.sources.azure_blob.client import (
    BLOB_API_VERSION,
    CONNECT_TIMEOUT_SECONDS,
    CONTAINER_ERRORS,
    READ_TIMEOUT_SECONDS,
    UNKNOWN_CODE,
)

T = TypeVar("T")

log = logging.getLogger(__name__)

MAX_MESSAGES = 32  # in one response, the service's limit
MAX_HIDDEN_SECONDS = 7 * 24 * 3600  # likewise
MAX_CONCURRENT_DELETES = 16  # a message cannot be deleted together with others

UNUSABLE = fail(ConfigError, "{where} cannot be used ({response}): check INGEST_EVENT_QUEUE")
QUEUE_ERRORS: ErrorTable = (*CONTAINER_ERRORS, (ANY, ANY, UNUSABLE))


@dataclass(frozen=True, slots=True)
class Message:
    """A hidden message, and the receipt that allows deleting it."""

    id: str
    pop_receipt: str


class EventQueue:
    """Messages of one queue. `hidden_seconds`: until the messages of a dead run are visible."""

    def __init__(
        self, url: str, token: TokenCache, retry_policy: RetryPolicy, hidden_seconds: float
    ) -> None:
        self.url = url.rstrip("/")
        self.token = token
        self.retry_policy = retry_policy
        self.hidden_seconds = int(min(hidden_seconds, MAX_HIDDEN_SECONDS))
        self.hidden: list[Message] = []
        transport = create_transport(
            MAX_CONCURRENT_DELETES, CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS
        )
        self.client = create_rest_client(
            self.url, token, STORAGE_SCOPE, transport, retry_policy.request_log
        )

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def hide(self) -> None:
        """Hide all visible messages. Raises IngestError."""
        query = f"numofmessages={MAX_MESSAGES}&visibilitytimeout={self.hidden_seconds}"
        while found := self.send("GET", f"messages?{query}", parse_messages):
            self.hidden += found
        if self.hidden:
            log.info("%s: a message for each of %d events", self.url, len(self.hidden))

    def delete_hidden(self) -> None:
        """Delete the messages that were hidden. Logs a warning for those that stay."""
        with ThreadPoolExecutor(MAX_CONCURRENT_DELETES, "events") as threads:
            errors = [error for error in threads.map(self.delete, self.hidden) if error]
        if errors:
            log.warning(
                "%d of %d messages stay in the queue, and start another run: %s",
                len(errors),
                len(self.hidden),
                errors[0],
            )

    def delete(self, message: Message) -> IngestError | None:
        """Delete a message, or return the error."""
        receipt = quote(message.pop_receipt, safe="")
        try:
            self.send("DELETE", f"messages/{quote(message.id)}?popreceipt={receipt}", bytes)
        except IngestError as error:
            return error
        return None

    def send(self, method: str, path: str, parse: Callable[[bytes], T]) -> T:
        """Send a request with retries, and return the parsed body of the response."""
        context = RequestContext(self.url, self.token, QUEUE_PROCESSOR)
        url = f"{self.url}/{path}"

        def attempt() -> T:
            request = HttpRequest(method, url, headers={"x-ms-version": BLOB_API_VERSION})
            response = self.client.send_request(request)
            if response.status_code not in (HTTPStatus.OK, HTTPStatus.NO_CONTENT):
                code = str(response.headers.get("x-ms-error-code") or UNKNOWN_CODE)
                raise ErrorResponse(response, code, [code])
            return parse(response.read())

        return call_with_retry(
            attempt,
            lambda error: classify_azure_error(error, QUEUE_ERRORS, context),
            self.retry_policy,
            f"an answer of {self.url}",
        )


def parse_messages(body: bytes) -> list[Message]:
    """Parse a page of messages. Raises ValueError for one that is cut short."""
    try:
        page = ET.fromstring(body)  # noqa: S314 - it comes from the service
    except ET.ParseError as error:
        raise ValueError(str(error)) from error
    return [
        Message(item.findtext("MessageId", ""), item.findtext("PopReceipt", ""))
        for item in page.iter("QueueMessage")
    ]
