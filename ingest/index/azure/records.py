"""Records of an index on Azure AI Search: one document each."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace

from ingest.errors import DocumentError
from ingest.index.azure.client import DocumentClient
from ingest.index.azure.errors import MissingFieldError, refused_record_error
from ingest.index.azure.lease import Lease
from ingest.index.azure.listing import MAX_PAGE_DOCUMENTS, Documents
from ingest.index.azure.roots import AzureRoots
from ingest.index.azure.serialize import (
    LISTED_RECORD_FIELDS,
    quote_odata,
    record_key,
    record_to_document,
)
from ingest.index.azure.visibility import LISTING_LAG_SECONDS, RecentWrites
from ingest.index.records import ID_LISTS, record_from_values
from ingest.models import NOT_INDEXED_OUTCOMES, Record, SourceKey
from ingest.runtime.batch_writer import Coalescer

MAX_BATCH_RECORDS = 100  # in one request


class AzureRecords:
    """The records of one index. Thread-safe."""

    def __init__(self, documents: DocumentClient, lease: Lease, known_roots: AzureRoots) -> None:
        self.documents = documents
        self.lease = lease
        self.known_roots = known_roots
        self.has_new_fields = True  # until a query says otherwise
        self.recent: RecentWrites[Record | None] = RecentWrites()
        # Records are small and many: one request saves the records of all documents under way.
        self.writer = Coalescer(self.save_batch, MAX_BATCH_RECORDS)

    def close(self) -> None:
        """Save the records that are waiting."""
        self.writer.close()

    def list(self, root: str | None = None) -> Iterator[Record]:
        """List the records of a root, or of all, without chunk ids."""
        last: tuple[str, str] | None = None
        while True:
            where = ["kind eq 'source'"]
            if root is not None:
                where.append(f"root eq {quote_odata(root)}")
            if last:
                a, b = map(quote_odata, last)
                where.append(f"(root gt {a} or (root eq {a} and place gt {b}))")
            page = self.list_page(" and ".join(where))
            yield from map(record_from_values, page)
            if len(page) < MAX_PAGE_DOCUMENTS:
                return
            last = (str(page[-1]["root"]), str(page[-1]["place"]))

    def list_page(self, where: str) -> Documents:
        """List one page of records, without chunk ids."""
        query = {
            "search_text": "*",
            "filter": where,
            "order_by": ["root asc", "place asc"],
            "top": MAX_PAGE_DOCUMENTS,
        }
        if self.has_new_fields:
            try:
                return self.documents.search_page(select=[*LISTED_RECORD_FIELDS, "place"], **query)
            except MissingFieldError:
                self.has_new_fields = False  # of an earlier version: ask for all that it has
        page = self.documents.search_page(select=None, **query)
        return [{n: v for n, v in document.items() if n not in ID_LISTS} for document in page]

    def get(self, root: str, source: str, listed: Record | None = None) -> Record | None:
        """Return a whole record; None if there is none, or only one older than the listed one."""
        key = record_key(self.known_roots.key_of(root), source)
        if key in self.recent:
            return self.recent[key]

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
        """Return the errors of those sources that failed or were skipped."""
        failed = " or ".join(f"outcome eq '{outcome}'" for outcome in NOT_INDEXED_OUTCOMES)
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
        """Insert or overwrite a record, with others in one request."""
        return self.writer.submit(replace(record, epoch=self.lease.epoch))

    def save_batch(self, records: Sequence[Record]) -> Sequence[DocumentError | None]:
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
                self.recent.add(document["id"], record)
        return errors

    def delete(self, record: Record) -> None:
        """Delete a record. Raises DocumentError if the index refuses that."""
        key = record_key(self.known_roots.key_of(record.root), record.source)
        for refusal in self.documents.write("delete", [{"id": key}]):
            raise refused_record_error(refusal)
        self.recent.add(key, None)
