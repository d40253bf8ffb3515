"""An index on Azure AI Search."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from azure.core.exceptions import HttpResponseError
from azure.search.documents.indexes import SearchIndexClient
from azure.search.documents.models import VectorizedQuery

from ingest.azure.request_policy import Noting
from ingest.azure.roles import SEARCH_SERVICE
from ingest.index import RUNS_KEPT, VECTOR, Flaw, Room, Totals
from ingest.index.azure.client import COMMON, Documents
from ingest.index.azure.lease import Lease
from ingest.index.azure.serialize import (
    LISTED,
    groups,
    page_key,
    quoted,
    record_document,
    record_key,
    record_of,
    written,
)
from ingest.index.ranking import CANDIDATES, MEANING
from ingest.index.schema import (
    CHUNK_FIELDS,
    STORED,
    SUMMARY_FIELD,
    VECTOR_FIELD,
    chunk_document,
    paid_json,
    paid_of,
    stored,
    summary_json,
    summary_of,
)
from ingest.models import Entry, Hit, Mode, Paid, Record, Refusal, Stored, Summary
from ingest.runtime.batch_writer import Together

if TYPE_CHECKING:
    from ingest.models import Vectors

log = logging.getLogger(__name__)

PAGE = 1000  # documents in one answer to a search, at most
IDS = 400  # in one filter
RECORDS = 100  # in one request
# What a service says of its limits is for who may make indexes, which writing to one does not take.
UNTOLD = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
LAG = 10.0  # seconds; the service says "a few"
QUIET = 300.0  # seconds; listings lag behind by a few, and the clocks of hosts may differ


class AzureIndex:
    """An Index on a service. Safe to call from several threads, but for `hold` and `close`."""

    def __init__(self, documents: Documents) -> None:
        self.documents = documents
        self.indexes = SearchIndexClient(
            self.documents.endpoint,
            self.documents.credential,
            per_retry_policies=[Noting(documents.patience.exchanges)],
            **COMMON,
        )
        self.lease = Lease(self.documents)
        self.fresh = self.current = False
        self.lag = LAG
        self.before: float | None = None  # what `quiet` was when this run took the lease
        # Records are small and many: those of documents that are under way at once go together.
        self.saved = Together(self.save_all, RECORDS)

    @property
    def holder(self) -> str:
        return self.lease.owner

    def stands(self, holder: str, /) -> str:
        return self.lease.sign(holder)

    def hold(self, engine: str = "", /) -> None:
        quiet = self.lease.take(engine)
        self.before = math.inf if quiet is None else quiet
        # Of two runs that found no index, the later one may find what the other wrote meanwhile.
        self.current = self.fresh if quiet is None else quiet > QUIET

    def lapse(self) -> None:
        self.lease.lapse()

    def quiet(self) -> float:
        return self.lease.quiet() if self.before is None else self.before

    def close(self) -> None:
        self.saved.close()
        self.lease.give_back()
        self.documents.close()
        self.indexes.close()

    def records(self, root: str | None = None) -> Iterator[Record]:
        order = ["root asc", "place asc"]
        last: tuple[str, str] | None = None
        while True:
            where = ["kind eq 'source'"]
            if root is not None:
                where.append(f"root eq {quoted(root)}")
            if last:
                a, b = map(quoted, last)
                where.append(f"(root gt {a} or (root eq {a} and place gt {b}))")
            page = self.documents.found(
                search_text="*",
                filter=" and ".join(where),
                order_by=order,
                select=[*LISTED, "place"],
                top=PAGE,
            )
            yield from map(record_of, page)
            if len(page) < PAGE:
                return
            last = (str(page[-1]["root"]), str(page[-1]["place"]))

    def record(self, root: str, source: str) -> Record | None:
        found = self.documents.get(record_key(root, source))
        return record_of(found) if found else None

    def save(self, record: Record) -> Future[None]:
        return self.saved.submit(record)

    def save_all(self, records: list[Record]) -> None:
        """Insert or overwrite several records, in one request."""
        documents = list(map(record_document, records))
        self.documents.must(self.documents.acted("upload", documents))

    def forget(self, record: Record) -> None:
        self.documents.must(
            self.documents.acted("delete", [{"id": record_key(record.root, record.source)}])
        )
        if record.details.scanned:
            self.forget_pages(record)

    def forget_pages(self, record: Record) -> None:
        """Remove what was paid for in a source."""
        root, source = quoted(record.root), quoted(record.source)
        which = f"kind eq 'page' and root eq {root} and source eq {source}"
        last = ""
        while True:
            page = self.documents.found(
                search_text="*",
                filter=f"{which} and id gt {quoted(last)}",
                order_by=["id asc"],
                select=["id"],
                top=PAGE,
            )
            ids = [str(document["id"]) for document in page]
            self.documents.must(self.delete(ids))
            if len(ids) < PAGE:
                return
            last = ids[-1]

    def held(self, ids: Collection[str]) -> set[str]:
        def ask(some: Sequence[str]) -> set[str]:
            among = quoted(",".join(some))
            page = self.documents.found(
                search_text="*",
                filter=f"search.in(id, {among}, ',')",
                select=["id"],
                top=PAGE,
            )
            return {str(document["id"]) for document in page}

        parts = self.documents.threads.map(ask, groups(ids, IDS))
        return set().union(*parts)

    def upload(self, entries: Sequence[Entry]) -> list[Refusal]:
        new = [written(entry) for entry in entries if entry.vector is not None]
        moved = [chunk_document(entry) for entry in entries if entry.vector is None]
        return self.documents.acted("upload", new) + self.documents.acted("merge", moved)

    def delete(self, ids: Collection[str]) -> list[Refusal]:
        return self.documents.acted("delete", [{"id": id_} for id_ in ids])

    def search(self, text: str, vector: Vectors | None, mode: Mode, top: int) -> list[Hit]:
        near = mode in (Mode.HYBRID, Mode.VECTOR) and vector is not None
        words = text.strip() if mode in (Mode.HYBRID, Mode.TEXT) else None
        if not near and not words:
            return []
        query = VectorizedQuery(
            vector=vector.tolist() if near and vector is not None else [],
            k_nearest_neighbors=max(CANDIDATES, top),
            fields=VECTOR_FIELD,
            weight=MEANING,
        )
        page = self.documents.found(
            search_text=words or None,
            vector_queries=[query] if near else None,
            filter="kind eq 'chunk'",
            select=list(CHUNK_FIELDS),
            top=min(top, PAGE),
        )
        return [
            Hit(float(d["@search.score"]), {name: d.get(name) for name in CHUNK_FIELDS})
            for d in page
        ]

    def stored(
        self, root: str | None = None, source: str | None = None, *, text: bool = True
    ) -> Iterator[Stored]:
        which = ["kind eq 'chunk'"]
        which += [f"root eq {quoted(root)}"] if root is not None else []
        which += [f"source eq {quoted(source)}"] if source is not None else []
        last = ""
        while True:
            page = self.documents.found(
                search_text="*",
                filter=" and ".join([*which, f"id gt {quoted(last)}"]),
                order_by=["id asc"],
                select=[name for name in STORED if text or name != "content"],
                top=PAGE,
            )
            yield from map(stored, page)
            if len(page) < PAGE:
                return
            last = str(page[-1]["id"])

    def vectors(self, ids: Collection[str]) -> dict[str, Vectors]:
        def ask(some: Sequence[str]) -> dict[str, Vectors]:
            page = self.documents.found(
                search_text="*",
                filter=f"search.in(id, {quoted(','.join(some))}, ',')",
                select=["id", VECTOR_FIELD],
                top=PAGE,
            )
            return {
                str(d["id"]): np.array(vector, np.float32)
                for d in page
                if (vector := d.get(VECTOR_FIELD))
            }

        found: dict[str, Vectors] = {}
        for part in self.documents.threads.map(ask, groups(ids, IDS)):
            found |= part
        return found

    def flaws(self, dimensions: int, *, thorough: bool) -> Iterator[Flaw]:
        # The service looks at the form of each vector itself, so all that can be is that there is
        # none. Vectors cannot be read: but what has none is near to nothing, however far one looks.
        probe = [1.0] + [0.0] * (dimensions - 1)
        chunks = self.stored(text=False) if thorough else iter(())
        while some := {chunk.id: chunk for chunk in islice(chunks, IDS)}:
            query = VectorizedQuery(
                vector=probe, k_nearest_neighbors=IDS, fields=VECTOR_FIELD, exhaustive=True
            )
            near = self.documents.found(
                search_text=None,
                vector_queries=[query],
                filter=f"search.in(id, {quoted(','.join(some))}, ',')",
                select=["id"],
                top=IDS,
            )
            for id_ in some.keys() - {str(document["id"]) for document in near}:
                yield Flaw(VECTOR, "it has no vector", id_, some[id_].root, some[id_].source)

    def mend(self) -> None:
        """Nothing of a service can be mended without a vector."""

    def totals(self) -> Totals:
        sources, chunks = self.documents.threads.map(self.documents.count, ("source", "chunk"))
        return Totals(sources, chunks, -1)

    def room(self) -> Room:
        def ask() -> Room:
            try:
                told = self.indexes.get_service_statistics().counters
            except HttpResponseError as error:
                if error.status_code in UNTOLD:
                    return Room()
                raise
            disk, memory = told.storage_size_counter, told.vector_index_size_counter
            return Room(
                math.inf if disk.quota is None else max(0, disk.quota - disk.usage),
                math.inf if memory.quota is None else memory.quota,
                memory.usage,
            )

        return self.documents.patiently(ask, SEARCH_SERVICE)

    def remember(self, summary: Summary) -> None:
        run = {"id": f"run-{summary.run}", "kind": "run", "run": summary.run}
        when = {"settled": summary.ended, SUMMARY_FIELD: summary_json(summary)}
        self.documents.must(self.documents.acted("upload", [run | when]))
        old = self.past_runs(PAGE, ["id"])[RUNS_KEPT:]
        self.delete([document["id"] for document in old])

    def runs(self, most: int) -> list[Summary]:
        # Every field, because an index from before this one was thought of cannot select it.
        texts = (document.get(SUMMARY_FIELD) for document in self.past_runs(most, None))
        return [summary_of(text) for text in texts if text]

    def paid(self, key: str) -> Paid | None:
        # By key, because a search does not see what was written a moment ago.
        found = self.documents.get(page_key(key))
        return paid_of(key, found["root"], found["source"], found[SUMMARY_FIELD]) if found else None

    def paid_in(self) -> Iterator[tuple[str, str]]:
        last = ""
        while True:
            page = self.documents.found(
                search_text="*",
                filter=f"kind eq 'page' and id gt {quoted(last)}",
                order_by=["id asc"],
                select=["id", "root", "source"],
                top=PAGE,
            )
            yield from ((str(d["root"]), str(d["source"])) for d in page)
            if len(page) < PAGE:
                return
            last = str(page[-1]["id"])

    def keep(self, page: Paid) -> None:
        document = {"id": page_key(page.key), "kind": "page", "root": page.root}
        more = {"source": page.source, SUMMARY_FIELD: paid_json(page)}
        self.documents.must(self.documents.acted("upload", [document | more]))

    def past_runs(self, most: int, select: list[str] | None) -> list[dict[str, Any]]:
        """The documents of the last runs, the newest first; None selects every field."""
        return self.documents.found(
            search_text="*",
            filter="kind eq 'run'",
            order_by=["id desc"],
            select=select,
            top=most,
        )
