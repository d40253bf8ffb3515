"""Cached pages of an index on Azure AI Search: results of OCR and of models, one document each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property

from ingest.index.azure.client import DocumentClient
from ingest.index.azure.errors import refused_record_error
from ingest.index.azure.listing import list_documents
from ingest.index.azure.serialize import page_key, quote_odata
from ingest.index.azure.visibility import RecentWrites
from ingest.index.schema import (
    SUMMARY_FIELD,
    cached_page_from_json,
    cached_page_to_json,
    inherit_page,
)
from ingest.models import CachedPage, Record, SourceKey


class AzurePageCache:
    """The cached pages of one index. Thread-safe."""

    def __init__(self, documents: DocumentClient) -> None:
        self.documents = documents
        self.recent: RecentWrites[CachedPage] = RecentWrites()

    @cached_property
    def has_pages(self) -> bool:
        """Return whether any page was cached."""
        query = {"search_text": "*", "filter": "kind eq 'page'", "select": ["id"], "top": 1}
        return bool(self.documents.search_page(**query))

    def get(self, key: str) -> CachedPage | None:
        """Return a cached page; None if it is not cached."""
        if key in self.recent:
            return self.recent[key]
        # By key: a search lags more.
        found = self.documents.get_of_source(page_key(key))
        return (
            cached_page_from_json(key, found["root"], found["source"], found[SUMMARY_FIELD])
            if found
            else None
        )

    def add(self, page: CachedPage) -> None:
        """Insert or overwrite a page."""
        self.has_pages = True
        self.write(page_key(page.key), page)
        self.recent.add(page.key, page)

    def sources(self) -> Iterator[SourceKey]:
        """Yield the root and name of the source of each page."""
        for page in list_documents(self.documents, "kind eq 'page'", ["id", "root", "source"]):
            yield from ((str(d["root"]), str(d["source"])) for d in page)

    def delete(self, record: Record, is_known: Callable[[str, str], object]) -> None:
        """Delete the pages of a source, except those that another known source has too."""
        if not self.has_pages:
            return
        root, source = quote_odata(record.root), quote_odata(record.source)
        which = f"kind eq 'page' and root eq {root} and source eq {source}"
        # A query may not show yet that a page has been seen in another source.
        moved = {
            page_key(page.key)
            for page in self.recent.list()
            if (page.root, page.source) != record.key
        }
        for page in list_documents(self.documents, which, ["id", SUMMARY_FIELD]):
            unused = []
            for document in page:
                if document["id"] in moved:
                    continue
                found = cached_page_from_json("", *record.key, document[SUMMARY_FIELD])
                if heir := inherit_page(found, is_known):
                    self.write(document["id"], heir)
                else:
                    unused.append({"id": document["id"]})
            self.documents.raise_if_refused(self.documents.write("delete", unused))
        self.recent.clear()

    def write(self, id_: str, page: CachedPage) -> None:
        """Insert or overwrite the document of a page."""
        document = {"id": id_, "kind": "page", "root": page.root, "source": page.source}
        more = {SUMMARY_FIELD: cached_page_to_json(page)}
        for refusal in self.documents.write("upload", [document | more]):
            raise refused_record_error(refusal)
