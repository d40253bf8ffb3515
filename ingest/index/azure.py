"""An index on Azure AI Search.

Requests are bounded by count and by bytes, and every result is read: a batch can succeed with
documents refused. The SDK's SearchIndexingBufferedSender loses documents, so it is not used; the
SDK's retries are off, the policy is retry.py's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import requests
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest
from azure.search.documents import SearchClient
from azure.search.documents.indexes import SearchIndexClient
from azure.search.documents.models import VectorizedQuery
from requests.adapters import HTTPAdapter

from ingest.auth.token_cache import TokenCache
from ingest.errors import ConfigError, ServiceError
from ingest.index import Totals
from ingest.index.definition import Vectorizer, definition, differences, missing
from ingest.index.lease import Lease
from ingest.index.schema import CHUNK_FIELDS, VECTOR_FIELD, chunk_document
from ingest.index.wire import (
    LISTED,
    bounded,
    groups,
    numbers,
    quoted,
    record_document,
    record_key,
    record_of,
    request_body,
    written,
)
from ingest.model import Entry, Hit, Mode, Record, Refusal
from ingest.retry import PASSING, Again, Patience, floor_of, patiently
from ingest.roles import INDEX_DATA, SEARCH_SERVICE, Role, missing_role

if TYPE_CHECKING:
    from ingest.model import Vectors

T = TypeVar("T")

log = logging.getLogger(__name__)

CONNECTIONS = 64  # kept open; those beyond would be opened and closed for every request
API_VERSION = "2026-04-01"

PAGE = 1000  # documents in one answer to a search, at most
NEAREST = 50  # neighbours that a vector query brings into the fusion
IDS = 400  # in one filter

# Statuses of single documents: these may work in a moment, anything else from 400 on will not.
BUSY = frozenset(
    {
        HTTPStatus.CONFLICT,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.SERVICE_UNAVAILABLE,
    }
)

DENIED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)

COMMON: dict[str, Any] = {"retry_total": 0, "api_version": API_VERSION}


class TooLargeError(Exception):
    """A request has more bytes than the service takes."""


class AzureIndex:
    """An Index on a service. Safe to call from several threads, but for `hold` and `close`."""

    def __init__(
        self,
        endpoint: str,
        name: str,
        key: str | TokenCache,
        patience: Patience,
    ) -> None:
        self.endpoint, self.name, self.key, self.patience = (
            endpoint.rstrip("/"),
            name,
            key,
            patience,
        )
        credential: Any = AzureKeyCredential(key) if isinstance(key, str) else key
        session = requests.Session()
        session.mount("https://", HTTPAdapter(pool_maxsize=CONNECTIONS))
        transport = RequestsTransport(session=session)
        self.documents = SearchClient(
            self.endpoint, name, credential, transport=transport, **COMMON
        )
        self.indexes = SearchIndexClient(self.endpoint, credential, **COMMON)
        self.lease = Lease(self)
        self.threads = ThreadPoolExecutor(4, "upload")

    def hold(self) -> None:
        self.lease.take()

    def close(self) -> None:
        self.lease.give_back()
        self.threads.shutdown()
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
            page = self.found(
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
        found = self.document(record_key(root, source))
        return record_of(found) if found else None

    def save(self, record: Record) -> None:
        self.must(self.acted("upload", [record_document(record)]))

    def forget(self, record: Record) -> None:
        self.must(self.acted("delete", [{"id": record_key(record.root, record.source)}]))

    def held(self, ids: Collection[str]) -> set[str]:
        def ask(some: Sequence[str]) -> set[str]:
            among = quoted(",".join(some))
            page = self.found(
                search_text="*",
                filter=f"search.in(id, {among}, ',')",
                select=["id"],
                top=PAGE,
            )
            return {str(document["id"]) for document in page}

        parts = self.threads.map(ask, groups(ids, IDS))
        return set().union(*parts)

    def upload(self, entries: Sequence[Entry]) -> list[Refusal]:
        new = [written(entry) for entry in entries if entry.vector is not None]
        moved = [chunk_document(entry) for entry in entries if entry.vector is None]
        return self.acted("upload", new) + self.acted("merge", moved)

    def delete(self, ids: Collection[str]) -> list[Refusal]:
        return self.acted("delete", [{"id": id_} for id_ in ids])

    def search(self, text: str, vector: Vectors | None, mode: Mode, top: int) -> list[Hit]:
        near = mode in (Mode.HYBRID, Mode.VECTOR) and vector is not None
        words = text.strip() if mode in (Mode.HYBRID, Mode.TEXT) else None
        if not near and not words:
            return []
        query = VectorizedQuery(
            vector=numbers(vector) if near and vector is not None else [],
            k_nearest_neighbors=max(NEAREST, top),
            fields=VECTOR_FIELD,
        )
        page = self.found(
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

    def totals(self) -> Totals:
        return Totals(self.count("source"), self.count("chunk"), -1)

    def document(self, key: str) -> dict[str, Any] | None:
        """One document by its key, as it was written last."""

        def ask() -> dict[str, Any] | None:
            try:
                return dict(self.documents.get_document(key))
            except HttpResponseError as error:
                # A missing index says so in its body; a missing document has none.
                if (
                    error.status_code == HTTPStatus.NOT_FOUND
                    and "index" not in str(error.message).lower()
                ):
                    return None
                raise

        return self.patiently(ask, INDEX_DATA)

    def found(self, **query: Any) -> list[dict[str, Any]]:
        """One page of a search, and not the pages after it."""

        def ask() -> list[dict[str, Any]]:
            pages = self.documents.search(**query).by_page()
            return [dict(document) for document in islice(next(pages, []), query["top"])]

        return self.patiently(ask, INDEX_DATA)

    def count(self, kind: str) -> int:
        def ask() -> int:
            answer = self.documents.search(
                search_text="*", filter=f"kind eq '{kind}'", include_total_count=True, top=1
            )
            count = answer.get_count()
            if count is None:
                raise Again(f"{self.endpoint} gave no count")
            return int(count)

        return self.patiently(ask, INDEX_DATA)

    def acted(self, action: str, documents: Sequence[dict[str, Any]]) -> list[Refusal]:
        """Every document written or deleted, or refused for good; the busy ones are tried again."""
        requests = list(bounded(documents))
        if len(requests) == 1:
            return self.settled(action, requests[0])
        parts = self.threads.map(lambda some: self.settled(action, some), requests)
        return [refusal for part in parts for refusal in part]

    def settled(self, action: str, documents: Sequence[dict[str, Any]]) -> list[Refusal]:
        """One request, and smaller ones for what the service was too busy for."""
        left = {str(document["id"]): document for document in documents}
        refusals: list[Refusal] = []

        def attempt() -> None:
            busy = "it did not answer for them"
            for result in self.sent(action, list(left.values())):
                key, status = str(result["key"]), int(result["statusCode"])
                if key in left and status in BUSY:
                    busy = f"{status}, {result.get('errorMessage')}"
                elif left.pop(key, None) and status >= HTTPStatus.BAD_REQUEST:
                    refusals.append(Refusal(key, f"{result.get('errorMessage')} ({status})"))
            if left:
                raise Again(f"{self.endpoint} did not take {len(left)} documents yet ({busy})")

        try:
            self.patiently(attempt, INDEX_DATA)
        except TooLargeError:
            return self.halved(action, list(left.values())) + refusals
        return refusals

    def sent(self, action: str, documents: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The answer to one request to write or delete: a result for each document.

        The SDK's own way looks at every component of every vector, which takes ten times as long as
        all the rest; it is the SDK's pipeline all the same.
        """
        request = HttpRequest(
            "POST",
            f"{self.endpoint}/indexes('{self.name}')/docs/search.index?api-version={API_VERSION}",
            headers={
                "Content-Type": "application/json",
                "Accept": "application/json;odata.metadata=none",
            },
            content=request_body(action, documents),
        )
        response = self.documents.send_request(request)
        if response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise TooLargeError(self.endpoint)
        response.raise_for_status()
        results: list[dict[str, Any]] = response.json()["value"]
        return results

    def halved(self, action: str, documents: Sequence[dict[str, Any]]) -> list[Refusal]:
        """What a service takes less of than it says: in two requests, down to single documents."""
        if len(documents) == 1:
            return [Refusal(str(documents[0]["id"]), "it is too large for the service (413)")]
        middle = len(documents) // 2
        return [
            *self.settled(action, documents[:middle]),
            *self.settled(action, documents[middle:]),
        ]

    def must(self, refusals: Iterable[Refusal]) -> None:
        """Raises ServiceError if the index refused a record: then nothing is safe to do."""
        for refusal in refusals:
            raise ServiceError(f"{self.endpoint} refused a record: {refusal.reason}")

    def patiently(self, call: Callable[[], T], role: Role) -> T:
        """One call by the policy."""
        renewals: list[str] = []
        return patiently(call, lambda error: self.judged(error, role, renewals), self.patience)

    def judged(self, error: Exception, role: Role, renewals: list[str]) -> Exception:
        """What to make of what the SDK raised: Again, or the error for whoever must act."""
        where = f"{self.endpoint} (index {self.name})"
        if isinstance(error, TooLargeError):
            return error
        if isinstance(error, HttpResponseError) and error.status_code:
            return self.by_status(error, where, role, renewals)
        if isinstance(error, ServiceRequestError) and unresolvable(error):
            return ConfigError(f"{where} cannot be reached ({short(error)}): check the endpoint")
        if isinstance(error, (ServiceRequestError, ServiceResponseError)):
            return Again(f"the connection to {where} broke ({short(error)})")
        if isinstance(error, (AzureError, ValueError, TypeError, AttributeError, KeyError)):
            # An answer that is empty, cut short or no JSON: a success that cannot be read is none.
            return Again(f"{where} gave an answer that cannot be read")
        return error

    def by_status(
        self, error: HttpResponseError, where: str, role: Role, renewals: list[str]
    ) -> Exception:
        """The same, by the status of the answer; texts of services change, statuses do not."""
        status = error.status_code
        headers: Mapping[str, str] = getattr(error.response, "headers", {})
        floor = floor_of(headers)
        if status in PASSING:
            what = (
                "too many requests to"
                if status == HTTPStatus.TOO_MANY_REQUESTS
                else f"an error of the service ({status})"
            )
            return Again(f"{what} {where}", floor)
        if status is not None and status < HTTPStatus.BAD_REQUEST:
            return Again(f"{where} gave an answer that cannot be read")
        if status == HTTPStatus.UNAUTHORIZED and isinstance(self.key, TokenCache):
            sent: Any = getattr(error.response, "request", None)
            if self.key.retried(sent.headers if sent else {}, renewals):
                return Again(f"{where} did not accept the token")
        if status in DENIED:
            if isinstance(self.key, TokenCache):
                return missing_role(self.key, role, where)
            return ConfigError(f"{where} does not accept the key: check AZURE_SEARCH_KEY")
        if status == HTTPStatus.NOT_FOUND:
            return ConfigError(f"{where} does not exist: run ingest run to create it")
        return ServiceError(f"{where} refused a request ({status}: {short(error)})")


def ensure(
    index: AzureIndex, dimensions: int, analyzer: str, vectorizer: Vectorizer | None
) -> None:
    """The index is there and has our fields: create it, add what is missing, never destroy.

    Raises ConfigError that says exactly what differs and cannot be changed. An identity that may
    only read and write documents passes: then the index must be there already.
    """
    wanted = definition(index.name, dimensions, analyzer, vectorizer)

    def look() -> Any:
        try:
            return index.indexes.get_index(index.name)
        except HttpResponseError as error:
            if error.status_code == HTTPStatus.NOT_FOUND:
                return None
            if error.status_code == HTTPStatus.FORBIDDEN and usable(index):
                return wanted
            raise

    found = index.patiently(look, SEARCH_SERVICE)
    if found is None:
        log.info("creating the index %s", index.name)
        index.patiently(lambda: index.indexes.create_or_update_index(wanted), SEARCH_SERVICE)
        return
    if problems := list(differences(found, wanted)):
        raise ConfigError(
            f"the index {index.name} on {index.endpoint} cannot be used: {'; '.join(problems)}; "
            "choose another AZURE_SEARCH_INDEX, or delete it to start over"
        )
    if more := missing(found, wanted):
        log.info("adding fields to %s: %s", index.name, ", ".join(field.name for field in more))
        found.fields = [*found.fields, *more]
        index.patiently(lambda: index.indexes.create_or_update_index(found), SEARCH_SERVICE)


def usable(index: AzureIndex) -> bool:
    """Whether documents can be asked for, which needs less than looking at the index does."""
    try:
        index.count("source")
    except ConfigError:
        return False
    return True


def short(error: Exception) -> str:
    """What an SDK's error says first."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]


def unresolvable(error: Exception) -> bool:
    """Whether the name of the service does not exist, which waiting does not change."""
    text = str(error).lower()
    return any(sign in text for sign in ("name or service not known", "failed to resolve"))
