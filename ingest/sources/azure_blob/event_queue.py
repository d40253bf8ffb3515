"""Storage queue that Event Grid fills with a message for each blob that was created or deleted.

A message's content does not matter: a run lists the container anyway. A platform starts a run while
the queue has visible messages. So a run hides the messages that it finds *before* it lists, and
deletes them when it has finished. A blob that arrives in between has a message of its own, which
starts the next run; the messages of a run that dies become visible again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote
from xml.etree import ElementTree as ET

from ingest.azure.errors import ANY, ErrorTable, fail
from ingest.azure.roles import QUEUE_PROCESSOR
from ingest.azure.token_cache import TokenCache
from ingest.errors import ConfigError, IngestError
from ingest.runtime.retry import RetryPolicy
from ingest.sources.azure_blob.client import CONTAINER_ERRORS, StorageClient

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
        self.storage = StorageClient(self.url, token, retry_policy)
        self.hidden_seconds = int(min(hidden_seconds, MAX_HIDDEN_SECONDS))
        self.hidden: list[Message] = []

    def close(self) -> None:
        """Close the connections."""
        self.storage.close()

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

        def attempt() -> T:
            with self.storage.send(method, f"{self.url}/{path}") as response:
                return parse(response.read())

        return self.storage.call_with_retry(attempt, QUEUE_PROCESSOR, QUEUE_ERRORS)


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
