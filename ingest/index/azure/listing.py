"""Read many documents of an index on Azure AI Search, by a filter or by their keys."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, TypeAlias

from ingest.index.azure.client import DocumentClient
from ingest.index.azure.serialize import quote_odata

MAX_PAGE_DOCUMENTS = 1000  # in one answer to a search
MAX_FILTER_IDS = 400  # in one filter

Documents: TypeAlias = list[dict[str, Any]]


def list_pages(
    read: Callable[..., Documents], where: str, size: int = MAX_PAGE_DOCUMENTS
) -> Iterator[Documents]:
    """Yield the pages of all documents that match a filter, in the order of their keys.

    `read` is `search_page` with the fields to select. The next page is read after this one is used.
    """
    last = ""
    while True:
        page = read(filter=f"{where} and id gt {quote_odata(last)}", order_by=["id asc"], top=size)
        yield page
        if len(page) < size:
            return
        last = str(page[-1]["id"])


def list_documents(
    documents: DocumentClient, where: str, select: Sequence[str]
) -> Iterator[Documents]:
    """Yield the pages of all documents that match a filter, with the selected fields."""
    return list_pages(partial(documents.search_page, search_text="*", select=list(select)), where)


def batch_ids(ids: Iterable[str]) -> Iterator[list[str]]:
    """Split ids into lists that fit into one filter."""
    rest = iter(ids)
    while some := list(islice(rest, MAX_FILTER_IDS)):
        yield some


def filter_ids(field: str, ids: Iterable[str]) -> str:
    """Return the filter for documents that have one of these ids in a field."""
    return f"search.in({field}, {quote_odata(','.join(ids))}, ',')"


def find_documents(
    documents: DocumentClient, ids: Collection[str], select: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yield the documents with the given keys, as far as they exist. Queries run in parallel."""

    def ask(some: Sequence[str]) -> Documents:
        return documents.search_page(
            search_text="*",
            filter=filter_ids("id", some),
            select=list(select),
            top=MAX_PAGE_DOCUMENTS,
        )

    for page in documents.threads.map(ask, batch_ids(ids)):
        yield from page
