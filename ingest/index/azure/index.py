"""Index on Azure AI Search."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from http import HTTPStatus

from azure.core.exceptions import HttpResponseError
from azure.search.documents.models import VectorizedQuery

from ingest.azure.roles import SEARCH_SERVICE_CONTRIBUTOR
from ingest.errors import BusyError
from ingest.index import HYBRID_WEIGHT, Flaw, FreeSpace, IndexTotals
from ingest.index.azure.client import DocumentClient
from ingest.index.azure.epochs import epoch_key
from ingest.index.azure.lease import Lease
from ingest.index.azure.listing import MAX_PAGE_DOCUMENTS, find_documents, list_documents
from ingest.index.azure.mapping import OWN_MAPPING
from ingest.index.azure.page_cache import AzurePageCache
from ingest.index.azure.records import AzureRecords
from ingest.index.azure.roots import AzureRoots
from ingest.index.azure.runs import read_runs, save_run
from ingest.index.azure.serialize import (
    decode_vector,
    entry_to_values,
    escape_query,
    quote_odata,
    without_local_url,
)
from ingest.index.azure.target import OwnTarget
from ingest.index.azure.texts import TextHashes
from ingest.index.azure.visibility import LISTING_LAG_SECONDS, wait_until_listed, wait_until_visible
from ingest.index.manifest import Manifest, manifest_from_json, manifest_to_json
from ingest.index.permissions import filter_expression, no_permissions_error
from ingest.index.ranking import FUSION_CANDIDATES, search_distinct
from ingest.index.schema import (
    CHUNK_FIELD_NAMES,
    FIGURE_FIELD_NAMES,
    STORED_FIELD_NAMES,
    TEXT_HASH_FIELD,
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
    Vectors,
)

MANIFEST_DOCUMENT_KEY = "manifest"
# Service statistics take a role that may create indexes; writing documents does not.
NO_STATISTICS_STATUSES = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
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
        self.lease = Lease(self.documents)
        self.texts = TextHashes(self.documents)
        self.hybrid_weight = HYBRID_WEIGHT
        self.known_roots = AzureRoots(self.documents)
        self.known_manifest: Manifest | None = None  # None: not read yet, or there is none
        self.is_new = self.read_after_write = False
        self.has_figure_fields = False  # until a query shows them
        self.listing_lag = LISTING_LAG_SECONDS
        self.idle_before_hold: float | None = None  # `seconds_since_write` before this run's lease
        self.record_store = AzureRecords(self.documents, self.lease, self.known_roots)
        self.page_cache = AzurePageCache(self.documents)

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
        # Of two runs that found no index, the later one may see the writes of the other.
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
        self.record_store.close()
        self.lease.release()
        self.target.close()
        self.documents.close()

    def vector_space(self) -> tuple[str, int] | None:
        return self.lease.read_vector_space()

    def records(self, root: str | None = None) -> Iterator[Record]:
        return self.record_store.list(root)

    def record(self, root: str, source: str, listed: Record | None = None, /) -> Record | None:
        return self.record_store.get(root, source, listed)

    def errors_of(self, sources: Collection[SourceKey]) -> dict[SourceKey, str]:
        return self.record_store.errors_of(sources)

    def save(self, record: Record) -> Future[None]:
        return self.record_store.save(record)

    def forget(self, record: Record, *, keeps_pages: bool = False) -> None:
        self.record_store.delete(record)
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
        if self.known_manifest is None:
            text = self.documents.read_json(MANIFEST_DOCUMENT_KEY)
            self.known_manifest = None if text is None else manifest_from_json(text)
        return self.known_manifest

    def save_manifest(self, manifest: Manifest) -> None:
        self.documents.save_json(MANIFEST_DOCUMENT_KEY, manifest_to_json(manifest))
        self.known_manifest = manifest

    def rename_root(self, old: str, new: str) -> bool:
        renamed = self.known_roots.rename(old, new)
        wait_until_listed(self.documents)
        self.target.project(new)
        # They have the old name, as look-ups that lag had until now.
        self.record_store.recent.clear()
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
        """Return the filter for the chunks that a person may read. Raises ConfigError."""
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
                reported = self.documents.indexes.get_service_statistics().counters
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
