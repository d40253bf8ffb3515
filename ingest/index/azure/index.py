"""Index on Azure AI Search."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import HttpResponseError
from azure.search.documents.indexes import SearchIndexClient
from azure.search.documents.models import VectorizedQuery

from ingest.azure.client import sdk_options
from ingest.azure.roles import SEARCH_SERVICE_CONTRIBUTOR
from ingest.errors import BusyError, DocumentError
from ingest.index import HYBRID_WEIGHT, Flaw, FreeSpace, IndexTotals
from ingest.index.azure.client import SEARCH_API_VERSION, DocumentClient
from ingest.index.azure.epochs import epoch_key
from ingest.index.azure.errors import MissingFieldError, refused_record_error
from ingest.index.azure.lease import Lease
from ingest.index.azure.listing import MAX_PAGE_DOCUMENTS, find_documents, list_documents
from ingest.index.azure.manifest import AzureManifest
from ingest.index.azure.page_cache import AzurePageCache
from ingest.index.azure.profile import OWN_MAPPING
from ingest.index.azure.roots import AzureRoots
from ingest.index.azure.runs import read_runs, save_run
from ingest.index.azure.serialize import (
    LISTED_RECORD_FIELDS,
    decode_vector,
    entry_to_values,
    escape_query,
    quote_odata,
    record_key,
    record_to_document,
    without_local_url,
)
from ingest.index.azure.target import OwnTarget
from ingest.index.azure.texts import TextHashes
from ingest.index.azure.visibility import RecentWrites, wait_until_listed, wait_until_visible
from ingest.index.manifest import Manifest
from ingest.index.permissions import filter_expression, no_permissions_error
from ingest.index.ranking import FUSION_CANDIDATES, search_distinct
from ingest.index.records import ID_LISTS, record_from_values
from ingest.index.schema import (
    CHUNK_FIELD_NAMES,
    FIGURE_FIELD_NAMES,
    STORED_FIELD_NAMES,
    TEXT_HASH_FIELD,
    UNREAD_OUTCOMES,
    VECTOR_FIELD,
    chunk_from_document,
)
from ingest.index.stored_chunks import readable_hits
from ingest.models import (
    GROUPS,
    OIDS,
    CachedPage,
    FigureFilter,
    Hit,
    IndexEntry,
    KnownRoot,
    Mode,
    Permissions,
    Record,
    Refusal,
    SourceKey,
    StoredChunk,
    Summary,
)
from ingest.runtime.batch_writer import Coalescer

if TYPE_CHECKING:
    from ingest.models import Vectors

log = logging.getLogger(__name__)

MAX_BATCH_RECORDS = 100  # in one request
# Service statistics take a role that may create indexes; writing documents does not.
NO_STATISTICS_STATUSES = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
LISTING_LAG_SECONDS = 10.0  # the service documents "a few"
LISTING_SETTLE_SECONDS = 300.0  # the lag, and the difference between the clocks of two hosts


class AzureIndex:
    """Index on a service. Thread-safe, except for `hold` and `close`.

    `filled_by` is the model, with its dimensions, of the vectors that this process uploads.
    """

    def __init__(
        self,
        documents: DocumentClient,
        filled_by: tuple[str, int] | None = None,
        target: OwnTarget | None = None,
    ) -> None:
        self.documents = documents
        self.target = target or OwnTarget(documents, OWN_MAPPING)
        self.filled_by = filled_by
        self.indexes = SearchIndexClient(
            self.documents.endpoint,
            self.documents.credential,
            api_version=SEARCH_API_VERSION,
            **sdk_options(documents.retry_policy.request_log),
        )
        self.lease = Lease(self.documents)
        self.texts = TextHashes(self.documents)
        self.hybrid_weight = HYBRID_WEIGHT
        self.known_roots = AzureRoots(self.documents)
        self.known_manifest = AzureManifest(self.documents)
        self.is_new = self.read_after_write = False
        self.has_figure_fields = False  # until a query shows them
        self.has_record_fields = True  # until a query says otherwise
        self.listing_lag = LISTING_LAG_SECONDS
        self.idle_before_hold: float | None = None  # `seconds_since_write` before this run's lease
        self.recent_records: RecentWrites[Record | None] = RecentWrites()
        self.page_cache = AzurePageCache(self.documents)
        # Records are small and many: one request takes those of all documents under way.
        self.record_writer = Coalescer(self.save_records, MAX_BATCH_RECORDS)

    @property
    def holder(self) -> str:
        return self.lease.holder

    def lease_stamp(self, holder: str, /) -> str:
        return self.lease.stamp(holder)

    def hold(
        self, engine: str = "", on_lost: Callable[[BusyError], None] = lambda _: None, /
    ) -> None:
        self.lease.on_lost = on_lost
        idle = self.lease.acquire(engine, self.filled_by, is_new=self.is_new)
        self.idle_before_hold = math.inf if idle is None else idle
        # Of two runs that found no index, the later one may see what the other has written.
        self.read_after_write = self.is_new if idle is None else idle > LISTING_SETTLE_SECONDS
        if idle is not None and not self.read_after_write:
            # The last write before this run's began its epoch, or the one before.
            wait_until_visible(self.documents, epoch_key(max(1, self.lease.epoch - 1)))
        self.target.reconcile(lambda read: self.lease.poll(read, LISTING_LAG_SECONDS))

    def join(self, holder: str, /) -> None:
        self.lease.join(holder)

    def wait_until_listed(self) -> None:
        wait_until_listed(self.documents)

    def stop_renewing(self) -> None:
        self.lease.stop_renewing()

    def seconds_since_write(self) -> float:
        return (
            self.lease.seconds_since_write()
            if self.idle_before_hold is None
            else self.idle_before_hold
        )

    def close(self) -> None:
        self.record_writer.close()
        self.lease.release()
        self.target.close()
        self.documents.close()
        self.indexes.close()

    def vector_space(self) -> tuple[str, int] | None:
        return self.lease.read_vector_space()

    def records(self, root: str | None = None) -> Iterator[Record]:
        order = ["root asc", "place asc"]
        last: tuple[str, str] | None = None
        while True:
            where = ["kind eq 'source'"]
            if root is not None:
                where.append(f"root eq {quote_odata(root)}")
            if last:
                a, b = map(quote_odata, last)
                where.append(f"(root gt {a} or (root eq {a} and place gt {b}))")
            page = self.list_records(" and ".join(where), order)
            yield from map(record_from_values, page)
            if len(page) < MAX_PAGE_DOCUMENTS:
                return
            last = (str(page[-1]["root"]), str(page[-1]["place"]))

    def list_records(self, where: str, order: list[str]) -> list[dict[str, Any]]:
        """List one page of records, without chunk ids."""
        query = {"search_text": "*", "filter": where, "order_by": order, "top": MAX_PAGE_DOCUMENTS}
        if self.has_record_fields:
            try:
                return self.documents.search_page(select=[*LISTED_RECORD_FIELDS, "place"], **query)
            except MissingFieldError:
                self.has_record_fields = False  # of an earlier version: it returns what it has
        page = self.documents.search_page(select=None, **query)
        return [{n: v for n, v in document.items() if n not in ID_LISTS} for document in page]

    def record(self, root: str, source: str, listed: Record | None = None, /) -> Record | None:
        key = record_key(self.known_roots.key_of(root), source)
        if key in self.recent_records:
            return self.recent_records[key]

        def read() -> Record | None:
            found = self.documents.get_of_source(key)
            record = record_from_values(found) if found else None
            if record and record.epoch > self.lease.epoch > 0:
                self.lease.raise_if_lost()
            return record if record and (listed is None or record.epoch >= listed.epoch) else None

        if listed is None or not listed.settled:
            return read()
        # A look-up that is older than the listing lags.
        return self.lease.poll(read, LISTING_LAG_SECONDS)

    def errors_of(self, sources: Collection[SourceKey]) -> dict[SourceKey, str]:
        failed = " or ".join(f"outcome eq '{outcome}'" for outcome in UNREAD_OUTCOMES)
        these = " or ".join(
            f"(root eq {quote_odata(root)} and source eq {quote_odata(source)})"
            for root, source in sources
        )
        page = self.documents.search_page(
            search_text="*",
            filter=f"kind eq 'source' and ({failed}) and ({these})",
            select=["root", "source", "error"],
            top=MAX_PAGE_DOCUMENTS,
        )
        return {(str(d["root"]), str(d["source"])): str(d["error"]) for d in page}

    def save(self, record: Record) -> Future[None]:
        return self.record_writer.submit(replace(record, epoch=self.lease.epoch))

    def save_records(self, records: list[Record]) -> list[DocumentError | None]:
        """Insert or overwrite several records in one request; returns an error for each."""
        key_of = self.known_roots.key_of
        documents = [record_to_document(record, key_of(record.root)) for record in records]
        refused = {refusal.id: refusal for refusal in self.documents.write("upload", documents)}
        errors: list[DocumentError | None] = []
        for record, document in zip(records, documents, strict=True):
            if refusal := refused.get(document["id"]):
                errors.append(refused_record_error(refusal))
            else:
                errors.append(None)
                self.recent_records.add(document["id"], record)
        return errors

    def forget(self, record: Record, *, keeps_pages: bool = False) -> None:
        key = record_key(self.known_roots.key_of(record.root), record.source)
        for refusal in self.documents.write("delete", [{"id": key}]):
            raise refused_record_error(refusal)
        self.recent_records.add(key, None)
        if not keeps_pages:
            self.page_cache.delete(record, self.record)

    def existing_ids(self, ids: Collection[str]) -> set[str]:
        found = find_documents(self.documents, ids, ["id"])
        return self.target.existing_ids({str(document["id"]) for document in found})

    def upload(self, entries: Sequence[IndexEntry]) -> list[Refusal]:
        more = self.texts.to_fields
        self.check_permission_fields(entries)
        self.check_figure_fields(entries)
        new = [entry_to_values(e) | more(e) for e in entries if e.vector is not None]
        moved = [entry_to_values(e) | more(e) for e in entries if e.vector is None]
        new, moved = (list(map(without_local_url, chunks)) for chunks in (new, moved))
        return self.target.upload(new, moved)

    def check_permission_fields(self, entries: Sequence[IndexEntry]) -> None:
        """Raise ConfigError if a chunk has permissions for which the index has no field."""
        permitted = {n for e in entries if e.source.permissions for n, _ in e.source.fields}
        if any(not self.target.mapping.field_of(n) for n in permitted.intersection((OIDS, GROUPS))):
            raise no_permissions_error(f"{self.documents.name} on {self.documents.endpoint}")

    def check_figure_fields(self, entries: Sequence[IndexEntry]) -> None:
        """Raise ConfigError if an index cannot mark a chunk as the description of a figure."""
        if not self.has_figure_fields and any(entry.chunk.figure for entry in entries):
            # Raises MissingFieldError: an identity may be allowed to write, and not to add fields.
            self.documents.search_page(search_text="*", select=list(FIGURE_FIELD_NAMES), top=1)
            self.has_figure_fields = True

    def delete(self, ids: Collection[str]) -> list[Refusal]:
        return self.target.delete(ids)

    def roots(self) -> list[KnownRoot]:
        return list(self.known_roots.read())

    def save_roots(self, roots: Sequence[KnownRoot]) -> None:
        self.known_roots.save(roots)

    def manifest(self) -> Manifest | None:
        return self.known_manifest.read()

    def save_manifest(self, manifest: Manifest) -> None:
        self.known_manifest.save(manifest)

    def rename_root(self, old: str, new: str) -> bool:
        renamed = self.known_roots.rename(old, new)
        wait_until_listed(self.documents)
        self.target.project(new)
        self.recent_records.clear()  # they have the old name, as look-ups that lag had until now
        self.page_cache.recent.clear()
        return renamed

    def ids_by_text(self, hashes: Collection[str]) -> dict[str, str]:
        return self.texts.find_ids(hashes)

    def search(self, text: str, vector: Vectors | None, mode: Mode, top: int) -> list[Hit]:
        return self.search_permitted(text, vector, mode, top, None)

    def search_permitted(  # noqa: PLR0913 - a query, and what to search
        self,
        text: str,
        vector: Vectors | None,
        mode: Mode,
        top: int,
        person: Permissions | None,
        *,
        figures: FigureFilter = FigureFilter.INCLUDE,
    ) -> list[Hit]:
        where = self.permission_filter(person) if person else ""
        near = mode in (Mode.HYBRID, Mode.VECTOR) and vector is not None
        words = escape_query(text.strip()) if mode in (Mode.HYBRID, Mode.TEXT) else None
        if not near and not words:
            return []

        def ask(depth: int) -> list[Hit]:
            query = VectorizedQuery(
                vector=vector.tolist() if near and vector is not None else [],
                k_nearest_neighbors=max(FUSION_CANDIDATES, depth),
                fields=VECTOR_FIELD,
                weight=self.hybrid_weight,
            )
            asked = (words or None, query if near else None)
            found = self.target.search(*asked, depth, where, figures)
            return readable_hits((s, {n: d.get(n) for n in CHUNK_FIELD_NAMES}) for s, d in found)

        return search_distinct(ask, top, MAX_PAGE_DOCUMENTS)

    def permission_filter(self, person: Permissions) -> str:
        """Return the filter for what a person may read. Raises ConfigError."""
        oids, groups = (self.target.mapping.field_of(name) for name in (OIDS, GROUPS))
        if not (oids or groups):
            raise no_permissions_error(f"{self.documents.name} on {self.documents.endpoint}")
        return filter_expression(person, oids, groups)

    def chunks(
        self, root: str | None = None, source: str | None = None, *, text: bool = True
    ) -> Iterator[StoredChunk]:
        which = ["kind eq 'chunk'"]
        which += [f"root eq {quote_odata(root)}"] if root is not None else []
        which += [f"source eq {quote_odata(source)}"] if source is not None else []
        select = [name for name in STORED_FIELD_NAMES if text or name != "content"]
        for page in list_documents(self.documents, " and ".join(which), select):
            yield from map(chunk_from_document, page)

    def vectors(self, ids: Collection[str]) -> dict[str, Vectors]:
        found = find_documents(self.documents, ids, ["id", VECTOR_FIELD])
        return {
            str(d["id"]): decode_vector(vector) for d in found if (vector := d.get(VECTOR_FIELD))
        }

    def vectors_by_text(self, ids: Collection[str]) -> dict[str, Vectors]:
        if not ids or not self.texts.are_supported():
            return {}
        name = TEXT_HASH_FIELD.name
        found = find_documents(self.documents, ids, [name, VECTOR_FIELD])
        return {
            str(d[name]): decode_vector(vector)
            for d in found
            if d.get(name) and (vector := d.get(VECTOR_FIELD))
        }

    def flaws(self, dimensions: int, *, thorough: bool) -> Iterator[Flaw]:
        if thorough or not self.target.is_trusted():
            yield from self.target.flaws(self.chunks(text=False), dimensions)

    def repair_local(self) -> None:
        self.target.restore_missing()

    def totals(self) -> IndexTotals:
        sources, chunks = self.documents.threads.map(self.documents.count, ("source", "chunk"))
        return IndexTotals(sources, chunks, -1)

    def free_space(self) -> FreeSpace:
        def ask() -> FreeSpace:
            try:
                reported = self.indexes.get_service_statistics().counters
            except HttpResponseError as error:
                if error.status_code in NO_STATISTICS_STATUSES:
                    return FreeSpace()
                raise
            disk, memory = reported.storage_size_counter, reported.vector_index_size_counter
            return FreeSpace(
                math.inf if disk.quota is None else max(0, disk.quota - disk.usage),
                math.inf if memory.quota is None else memory.quota,
                memory.usage,
            )

        return self.documents.call_with_retry(ask, SEARCH_SERVICE_CONTRIBUTOR)

    def part_sizes(self) -> dict[str, int]:
        return {}  # the service has only the sum of its indexes

    def reclaim_space(self) -> None:
        """Do nothing: the service does."""

    def save_run(self, summary: Summary) -> None:
        save_run(self.documents, summary)

    def runs(self, limit: int) -> list[Summary]:
        return read_runs(self.documents, limit)

    def cached_page(self, key: str) -> CachedPage | None:
        return self.page_cache.get(key)

    def cached_page_sources(self) -> Iterator[tuple[str, str]]:
        return self.page_cache.sources()

    def cache_page(self, page: CachedPage) -> None:
        self.page_cache.add(page)
