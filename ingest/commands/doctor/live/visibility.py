"""Measure when reads of an index show writes, and how writes are answered."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from ingest.commands.doctor.live.exchange import Json, Service
from ingest.errors import ServiceError
from ingest.index.azure.connection import SEARCH_API_VERSION
from ingest.index.azure.visibility import SEEN_IN_A_ROW

POLL_SECONDS = 0.02
MAX_WATCH_SECONDS = 60.0
COUNTED_DOCUMENTS = 10
RACE_WRITERS, RACE_ROUNDS, SEQUENCE_ROUNDS = 8, 5, 5
# The lease relies on this: the answer to each action shows what was there before it.
SEQUENCE = ("mergeOrUpload", "merge", "mergeOrUpload", "delete", "merge", "mergeOrUpload", "delete")


@dataclass(slots=True)
class Lag:
    """Seconds from the answer to a write until reads show it."""

    first: float | None = None  # of the first read that showed it; None: none did
    last: float = 0.0  # of the last read that did not; 0: all did
    back: int = 0  # reads that did not show it after one that did
    in_a_row: int = 0

    def add(self, shown: bool, sent: float, arrived: float) -> None:  # noqa: FBT001 - of one read
        """Add one read, with the seconds since the write."""
        if shown:
            self.first = arrived if self.first is None else self.first
            self.in_a_row += 1
        else:
            self.back += self.first is not None
            self.last, self.in_a_row = sent, 0

    @property
    def is_settled(self) -> bool:
        """True after enough reads in a row that show the write: every replica should, too."""
        return self.in_a_row >= SEEN_IN_A_ROW

    def to_json(self) -> Json:
        """Return the fields to record; `settled` is None if the reads did not settle in time."""
        settled = round(self.last, 3) if self.is_settled else None
        first = None if self.first is None else round(self.first, 3)
        return {"first": first, "settled": settled, "back": self.back}


class ThrowawayDocuments:
    """Documents of a throw-away index."""

    def __init__(self, service: Service, index: str) -> None:
        self.service = service
        self.path = f"/indexes('{index}')/docs"
        self.version = f"api-version={SEARCH_API_VERSION}"
        self.write_path = f"{self.path}/search.index?{self.version}"

    def write(self, action: str, *keys: str) -> list[int]:
        """Apply one action to some documents, by the retry policy; return the status of each."""
        reply = self.service.require("write", "POST", self.write_path, batch(action, keys))
        return [int(result["statusCode"]) for result in reply.json().get("value", [])]

    def write_once(self, action: str, key: str) -> int:
        """Apply one action to a document without any retry; return its status."""
        reply = self.service.send("POST", self.write_path, batch(action, [key]))
        results = reply.json().get("value") or [{"statusCode": reply.status}]
        return int(results[0]["statusCode"])

    def look_up(self, key: str) -> bool:
        """Return whether a look-up by key shows a document."""
        path = f"{self.path}('{quote(key)}')?{self.version}&$select=id"
        reply = self.service.call("GET", path)
        if reply.status not in (HTTPStatus.OK, HTTPStatus.NOT_FOUND):
            raise ServiceError(f"a look-up was answered with {reply.status}")
        return reply.status == HTTPStatus.OK

    def search(self, **query: Any) -> Json:
        """Return the response to a query."""
        path = f"{self.path}/search.post.search?{self.version}"
        body = {"search": "*", "select": "id", **query}
        return self.service.require("search", "POST", path, body).json()

    def find(self, key: str) -> bool:
        """Return whether a search shows a document."""
        return bool(self.search(filter=f"id eq '{key}'", top=1).get("value"))

    def count_found(self) -> int:
        """Return the number of documents by the count of a search."""
        return int(self.search(top=1, count=True).get("@odata.count") or 0)

    def count_all(self) -> int:
        """Return the number of documents by the count of the index."""
        reply = self.service.require("count", "GET", f"{self.path}/$count?{self.version}")
        return int(reply.body)


def batch(action: str, keys: Sequence[str]) -> Json:
    """Build the body of a request that applies one action to some documents."""
    more = {} if action == "delete" else {"kind": "lease"}
    return {"value": [{"@search.action": action, "id": key, **more} for key in keys]}


def measure_visibility(documents: ThrowawayDocuments, writes: int) -> Json:
    """Create and delete documents one by one, and watch how long reads take to follow."""
    measured: dict[str, dict[str, list[Json]]] = {}

    def add(change: str, lags: Mapping[str, Lag]) -> None:
        for read, lag in lags.items():
            measured.setdefault(change, {}).setdefault(read, []).append(lag.to_json())

    for number in range(writes):
        key = f"visible-{number}"
        reads = {
            "look-up": partial(documents.look_up, key),
            "search": partial(documents.find, key),
        }
        documents.write("upload", key)
        add("created", watch(reads, True))
        documents.write("delete", key)
        add("deleted", watch(reads, False))
    documents.write("upload", *(f"counted-{number}" for number in range(COUNTED_DOCUMENTS)))
    counts = {"count of a search": documents.count_found, "count of the index": documents.count_all}
    add("created", watch(counts, COUNTED_DOCUMENTS))
    return measured


def watch(reads: Mapping[str, Callable[[], int]], expected: int) -> dict[str, Lag]:
    """Read until every kind of read has settled on a value, or MAX_WATCH_SECONDS are over."""
    started = time.monotonic()
    lags = {name: Lag() for name in reads}
    while time.monotonic() - started < MAX_WATCH_SECONDS:
        left = [name for name, lag in lags.items() if not lag.is_settled]
        if not left:
            break
        for name in left:
            sent = time.monotonic() - started
            shown = reads[name]() == expected
            lags[name].add(shown, sent, time.monotonic() - started)
        time.sleep(POLL_SECONDS)
    return lags


def measure_race(documents: ThrowawayDocuments) -> Json:
    """Let several writers create the same document at once; count their answers, round by round."""
    rounds = []
    with ThreadPoolExecutor(RACE_WRITERS, "race") as threads:
        for number in range(RACE_ROUNDS):
            together = threading.Barrier(RACE_WRITERS)

            def create(key: str, together: threading.Barrier = together) -> int:
                together.wait(MAX_WATCH_SECONDS)  # not for ever, if ^C keeps the others away
                return documents.write_once("mergeOrUpload", key)

            statuses = Counter(threads.map(create, [f"race-{number}"] * RACE_WRITERS))
            rounds.append({str(status): count for status, count in sorted(statuses.items())})
    return {"writers": RACE_WRITERS, "rounds": rounds}


def measure_answers(documents: ThrowawayDocuments) -> Json:
    """Write to a document repeatedly, and record the answer to each write."""
    rounds = [
        [documents.write(action, f"sequence-{number}")[0] for action in SEQUENCE]
        for number in range(SEQUENCE_ROUNDS)
    ]
    return {"actions": list(SEQUENCE), "statuses": rounds}
