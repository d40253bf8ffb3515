"""Visibility of writes on a search service: when reads show them.

A read is answered by any of several replicas, each of which lags behind the writes by a different
time. Nothing promises how long that is.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

from ingest.errors import ServiceError
from ingest.index.azure.serialize import quote_odata

if TYPE_CHECKING:
    from ingest.index.azure.client import DocumentClient

T = TypeVar("T")

MAX_RECENT_WRITES = 5000  # kept, until a service surely shows them
LISTING_LAG_SECONDS = 10.0  # the service documents "a few"
MAX_LAG_SECONDS = 300.0
POLL_SECONDS = 0.25
# Reads in a row that must show a write. Of two replicas, one alone answers so many by chance in one
# of 16 million cases, and while the other one lags there may be hundreds of them.
SEEN_IN_A_ROW = 24


class RecentWrites(Generic[T]):
    """The last values that this process wrote, by key. Thread-safe."""

    def __init__(self) -> None:
        self.values: OrderedDict[str, T] = OrderedDict()
        self.lock = Lock()

    def add(self, key: str, value: T) -> None:
        """Add a write, and drop the oldest ones."""
        with self.lock:
            self.values[key] = value
            self.values.move_to_end(key)
            while len(self.values) > MAX_RECENT_WRITES:
                self.values.popitem(last=False)

    def clear(self) -> None:
        """Forget all writes."""
        with self.lock:
            self.values.clear()

    def list(self) -> list[T]:
        """Return all values."""
        with self.lock:
            return [*self.values.values()]

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def __getitem__(self, key: str) -> T:
        return self.values[key]


def wait_until_visible(documents: DocumentClient, key: str) -> None:
    """Wait until look-ups and searches show a document, and so all that was written before it.

    Raises ServiceError if they do not for MAX_LAG_SECONDS.
    """

    def is_seen(by_search: bool) -> bool:  # noqa: FBT001 - the items of a map
        if not by_search:
            return documents.get(key) is not None
        found = documents.search_page(
            search_text="*", filter=f"id eq {quote_odata(key)}", select=["id"], top=1
        )
        return bool(found)

    waited = 0.0  # not by a clock, since the process may have been paused
    policy = documents.retry_policy
    with policy.wait_for(f"the index {documents.name} to show what was written"):
        # Two reads first, which cost little while the lag lasts.
        while not (
            all(map(is_seen, (True, False)))
            and all(documents.threads.map(is_seen, [True, False] * (SEEN_IN_A_ROW // 2 - 1)))
        ):
            if waited >= MAX_LAG_SECONDS:
                raise ServiceError(
                    f"{documents.endpoint} does not show what was written to the index "
                    f"{documents.name} {MAX_LAG_SECONDS:.0f} s ago: run again later"
                )
            policy.wait(POLL_SECONDS)
            waited += POLL_SECONDS


def wait_until_listed(documents: DocumentClient) -> None:
    """Wait until reads show all that this process has written so far."""
    key = f"lease-mark-{secrets.token_hex(8)}"
    documents.write("upload", [{"id": key, "kind": "lease"}])
    wait_until_visible(documents, key)
    documents.write("delete", [{"id": key}])
