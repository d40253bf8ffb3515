"""OCR by a service that charges by the page, cached in the index: each page is paid for once.

The id of the operation, and then the text, are saved in the index before anything else happens, so
a run may be killed at any point. Invariant: a page has only one call at a time, which checks the
index before it sends anything.

A document may have compromised the process that hashes its pages, so the hash is not believed when
another document's result has it: see `find_cached_page`.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Generic, Protocol, TypeVar

from ingest.errors import ConfigError, DocumentError, ServiceError
from ingest.extract.ocr import MAX_CONCURRENT_PAGES, PageRejected, ResultLost, SubmittedPage
from ingest.models import CachedPage, OcrResult
from ingest.runtime.timing import RECOGNISING_PAGES, Stopwatch

log = logging.getLogger(__name__)

T = TypeVar("T")

KEY_CHARS = 40
PAGE, FIGURE = "page", "figure"
MAX_OTHERS = 10  # sources, besides the last one, that a page is known to be in
MAX_SUBMISSIONS = 3  # of one page, before it is given up


class OcrCache(Protocol):
    """Storage of pages that have been paid for. An index implements it."""

    # the page, None if it is unknown
    def cached_page(self, key: str) -> CachedPage | None: ...

    # insert or replace
    def cache_page(self, page: CachedPage) -> None: ...


@dataclass(frozen=True, slots=True)
class InheritedPageCache:
    """Cache that copies a missing page from another cache, when it is first asked for."""

    own: OcrCache
    previous: OcrCache

    def cached_page(self, key: str) -> CachedPage | None:
        found = self.own.cached_page(key)
        if found is None and (found := self.previous.cached_page(key)):
            self.own.cache_page(found)
        return found

    def cache_page(self, page: CachedPage) -> None:
        self.own.cache_page(page)


class OcrService(Protocol):
    """OCR service. Raises ServiceError or ConfigError for failures unrelated to the page."""

    # send a page, which is then paid for; raises PageRejected if it will never be accepted
    def submit(self, picture: bytes) -> SubmittedPage: ...

    # wait for its text; raises ResultLost if it must be sent again, PageRejected if there is none
    def wait_for_result(self, submitted: SubmittedPage) -> OcrResult: ...


@dataclass(frozen=True, slots=True)
class ScannedPages:
    """The scanned pages of one document."""

    root: str
    source: str
    page_hashes: Mapping[int, str]  # by page number; without pages that cannot be rendered
    draw: Callable[[int], bytes]  # renders a page as PNG, in any thread; raises DocumentError
    what: str = PAGE  # what the numbers count
    file: str = ""  # SHA-256 of its file, computed by this process; "" if it is unknown

    @property
    def owner(self) -> tuple[str, str]:
        """Root and name of the document."""
        return self.root, self.source


@dataclass(frozen=True, slots=True)
class RecognisedPages:
    """OCR results of the pages of a document."""

    texts: dict[int, OcrResult]  # by page number
    refused: tuple[int, ...] = ()  # numbers of the pages without a result


class SharedCalls(Generic[T]):
    """Calls under way, by key. Thread-safe.

    Calls of one document with one key are one. Those of several documents follow each other: none
    gets the result of another document, but it may find that in the cache.
    """

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self.threads = threads
        self.lock = threading.Lock()
        self.calls: dict[str, tuple[Hashable, Future[T]]] = {}

    def start(self, key: str, owner: Hashable, call: Callable[[], T]) -> Future[T]:
        """Start a call of a document, or return the one that is under way."""
        with self.lock:
            last_owner, before = self.calls.get(key, (owner, None))
            if before and last_owner == owner:
                return before
            future = self.threads.submit(run_after, before, call)
            self.calls[key] = owner, future
        future.add_done_callback(partial(self.end, key))
        return future

    def end(self, key: str, future: Future[T]) -> None:
        """Forget a finished call: its result is in the cache now."""
        with self.lock:
            if key in self.calls and self.calls[key][1] is future:
                del self.calls[key]


def run_after(before: Future[T] | None, call: Callable[[], T]) -> T:
    """Run a call, once one that was started earlier has ended."""
    if before:
        wait([before])
    return call()


def own_page(page: CachedPage, root: str, source: str) -> CachedPage:
    """Return a page as that of another source in which it is seen now.

    A page is deleted with its source, and this source may outlive the other one.
    """
    before = (page.root, page.source), *page.others
    others = tuple(other for other in before if other != (root, source))
    return replace(page, root=root, source=source, others=others[:MAX_OTHERS])


class CachedOcr:
    """OCR service with a cache of the pages it was paid for. Thread-safe, except for `close`.

    Without a service, as in `ingest plan`, only cached texts are returned.
    """

    def __init__(
        self, cache: OcrCache, service: OcrService | None, name: str, times: Stopwatch
    ) -> None:
        self.cache = cache
        self.service = service
        self.engine_name = name  # part of the key, as another engine gives another text
        self.times = times
        # Pages and figures that a run would pay for, by key: PAGE, or FIGURE, which costs as much.
        self.unsent: dict[str, str] = {}
        # Each thread holds one image at most, so their number limits memory too.
        self.threads = ThreadPoolExecutor(MAX_CONCURRENT_PAGES, "recogniser")
        self.calls: SharedCalls[OcrResult | None] = SharedCalls(self.threads)

    def close(self) -> None:
        """Stop the threads; cancel calls that have not started."""
        self.threads.shutdown(cancel_futures=True)

    def recognise(self, pages: ScannedPages) -> RecognisedPages:
        """Recognise pages and wait for the results. Raises ServiceError or ConfigError."""
        calls = {page: self.start_call(page, pages) for page in pages.page_hashes}
        for call in as_completed(set(calls.values())):
            if isinstance(error := call.exception(), (ServiceError, ConfigError)):
                raise error  # at once, as the others would fail as slowly
        texts, refused = {}, []
        for page, call in calls.items():
            try:
                text = call.result()
            except (PageRejected, DocumentError) as error:
                log.warning("%s: %s %d has no text: %s", pages.source, pages.what, page, error)
                refused.append(page)
                continue
            if text:
                texts[page] = text
        return RecognisedPages(texts, tuple(refused))

    def start_call(self, page: int, pages: ScannedPages) -> Future[OcrResult | None]:
        """Start the call for a page, or return the one of this document that is under way."""
        page_hash = pages.page_hashes[page]
        key = hash_bytes(f"{self.engine_name}\0{page_hash}".encode())[:KEY_CHARS]
        return self.calls.start(key, pages.owner, partial(self.read_page, key, page, pages))

    def read_page(self, key: str, page: int, pages: ScannedPages) -> OcrResult | None:
        """Return the text of a page, cached or paid for; None if there is no service."""
        draw = cache(partial(pages.draw, page))
        entry = find_cached_page(
            self.cache, CachedPage(key, *pages.owner, "", file=pages.file), draw
        )
        if self.service is None:
            if not entry.operation:
                self.unsent[entry.key] = pages.what
            return entry.recognised
        seen = replace(own_page(entry, *pages.owner), file=pages.file)
        if seen != entry:
            self.cache.cache_page(seen)
        if seen.recognised:
            return seen.recognised
        with self.times.measure(RECOGNISING_PAGES, pages.owner, page=page):
            return self.fetch_text(seen, draw, self.service)

    def fetch_text(
        self, page: CachedPage, draw: Callable[[], bytes], service: OcrService
    ) -> OcrResult:
        """Fetch the text of a page from the service, submitting the page if necessary.

        Raises PageRejected or DocumentError if there will be none.
        """
        submitted = SubmittedPage(page.operation, 0.0) if page.operation else None
        reason = ""
        for _ in range(MAX_SUBMISSIONS):
            if submitted is None:
                submitted = service.submit(draw())
                # Other documents have the image that was sent before, perhaps not this one.
                picture = hash_bytes(draw())
                page = replace(page, operation=submitted.operation, picture=picture, others=())
                self.cache.cache_page(page)
            try:
                text = service.wait_for_result(submitted)
            except ResultLost as error:
                submitted, reason = None, str(error)
            else:
                self.cache.cache_page(replace(page, recognised=text))
                return text
        raise PageRejected(f"the service failed on it {MAX_SUBMISSIONS} times ({reason})")


def find_cached_page(cache: OcrCache, new: CachedPage, draw: Callable[[], bytes]) -> CachedPage:
    """Return the cached entry of a page; if there is none, `new`, with the key that it must have.

    A cached entry belongs to a page if this process knows it by itself: it is of the same source,
    of a file with the same bytes, or of the same image. If the image differs, one of two documents
    claims the hash of the other one's page; then its image becomes part of the key.
    """
    found = cache.cached_page(new.key)
    if found and not is_same_document(found, new):
        picture = hash_bytes(draw())
        if found.picture != picture:
            new = replace(new, key=hash_bytes(f"{new.key}\0{picture}".encode())[:KEY_CHARS])
            found = cache.cached_page(new.key)
    return found or new


def is_same_document(one: CachedPage, other: CachedPage) -> bool:
    """Return whether two entries are of one document, under one name or two."""
    return (one.root, one.source) == (other.root, other.source) or one.file == other.file != ""


def hash_bytes(data: bytes) -> str:
    """Return the SHA-256 of some bytes."""
    return hashlib.sha256(data).hexdigest()
