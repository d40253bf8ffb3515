"""OCR by a service that charges by the page, cached in the index: each page is paid for once.

The id of the operation, and then the text, are saved in the index before anything else happens, so
a run may be killed at any point. Invariant: a page has only one call at a time, which checks the
index before it sends anything.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from ingest.errors import ConfigError, DocumentError, ServiceError
from ingest.extract.ocr import MAX_CONCURRENT_PAGES, PageRejected, ResultLost, SubmittedPage
from ingest.models import CachedPage, OcrResult
from ingest.runtime.timing import RECOGNISING_PAGES, Stopwatch

log = logging.getLogger(__name__)

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


@dataclass(frozen=True, slots=True)
class RecognisedPages:
    """OCR results of the pages of a document."""

    texts: dict[int, OcrResult]  # by page number
    refused: tuple[int, ...] = ()  # numbers of the pages without a result


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
        # What a run would pay for, by key: PAGE, or FIGURE, which costs as much.
        self.unsent: dict[str, str] = {}
        self.lock = threading.Lock()
        self.in_flight: dict[str, Future[OcrResult | None]] = {}
        # Each thread holds one image at most, so their number limits memory too.
        self.threads = ThreadPoolExecutor(MAX_CONCURRENT_PAGES, "recogniser")

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
        """Start the call for a page, or return the one that is under way in any thread."""
        page_hash = pages.page_hashes[page]
        key = hashlib.sha256(f"{self.engine_name}\0{page_hash}".encode()).hexdigest()[:40]
        with self.lock:
            call = self.in_flight.get(key)
            if call is None:
                call = self.threads.submit(self.read_page, key, page, pages)
                self.in_flight[key] = call
        call.add_done_callback(partial(self.end_call, key))
        return call

    def end_call(self, key: str, call: Future[OcrResult | None]) -> None:
        """Forget a finished call: its result is in the cache now."""
        with self.lock:
            if self.in_flight.get(key) is call:
                del self.in_flight[key]

    def read_page(self, key: str, page: int, pages: ScannedPages) -> OcrResult | None:
        """Return the text of a page, cached or paid for; None if there is no service."""
        cached = self.cache.cached_page(key)
        if self.service is None:
            if cached:
                return cached.recognised
            self.unsent[key] = pages.what
            return None
        if cached and (cached.root, cached.source) != (pages.root, pages.source):
            cached = own_page(cached, pages.root, pages.source)
            self.cache.cache_page(cached)
        if cached and cached.recognised:
            return cached.recognised
        with self.times.measure(RECOGNISING_PAGES, (pages.root, pages.source), page=page):
            new = CachedPage(key, pages.root, pages.source, "")
            return self.fetch_text(cached or new, partial(pages.draw, page), self.service)

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
                self.cache.cache_page(replace(page, operation=submitted.operation))
            try:
                text = service.wait_for_result(submitted)
            except ResultLost as error:
                submitted, reason = None, str(error)
            else:
                self.cache.cache_page(replace(page, operation=submitted.operation, recognised=text))
                return text
        raise PageRejected(f"the service failed on it {MAX_SUBMISSIONS} times ({reason})")
