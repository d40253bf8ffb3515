"""The text of scanned pages from a service that is paid by the page: each page is paid for once.

What a page was taken as, and then its text, is in the index before anything else is done with it,
so that a run may die anywhere. What must not be broken: there is one call for a page at a time, and
it looks into the index before it sends anything.
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

MAX_SUBMISSIONS = 3  # operations of one page that come to nothing


class OcrCache(Protocol):
    """Where pages are kept that were paid for: an index."""

    def cached_page(self, key: str) -> CachedPage | None: ...

    def cache_page(self, page: CachedPage) -> None: ...


@dataclass(frozen=True, slots=True)
class InheritedPageCache:
    """A memory that also knows what another one was paid for, and keeps it from then on."""

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
    """What recognises. Raises ServiceError or ConfigError if it fails whatever the page is."""

    # send a page, which is then paid for; raises Refused if it will never be taken
    def submit(self, picture: bytes) -> SubmittedPage: ...

    # wait for its text; raises Gone if it must be sent again, Refused if there will be none
    def wait_for_result(self, submitted: SubmittedPage) -> OcrResult: ...


@dataclass(frozen=True, slots=True)
class ScannedPages:
    """The scanned pages of one document."""

    root: str
    source: str
    page_hashes: Mapping[int, str]  # what each page is; none of a page that cannot be drawn
    draw: Callable[[int], bytes]  # a page as a file, for any thread; raises DocumentError


@dataclass(frozen=True, slots=True)
class RecognisedPages:
    """What came of some pages, by number."""

    texts: dict[int, OcrResult]
    refused: tuple[int, ...] = ()  # that will have no text


class CachedOcr:
    """A service, and a memory of what it was paid for. For any number of threads, but for `close`.

    Without a service, which is how a plan looks, there are only texts from memory.
    """

    def __init__(
        self, cache: OcrCache, service: OcrService | None, name: str, times: Stopwatch
    ) -> None:
        self.cache = cache
        self.service = service
        self.engine_name = name  # of what recognises: by another name the same page is another one
        self.times = times
        self.unsent_keys: set[str] = set()  # keys of the pages that a run would pay for
        self.lock = threading.Lock()
        self.in_flight: dict[str, Future[OcrResult | None]] = {}
        # Each holds a picture at most, so their number bounds the memory too.
        self.threads = ThreadPoolExecutor(MAX_CONCURRENT_PAGES, "recogniser")

    def close(self) -> None:
        """Give back the threads; what waits for them is called off."""
        self.threads.shutdown(cancel_futures=True)

    def recognise(self, pages: ScannedPages) -> RecognisedPages:
        """The texts of the pages, waited for. Raises ServiceError or ConfigError."""
        calls = {page: self.start_call(page, pages) for page in pages.page_hashes}
        for call in as_completed(set(calls.values())):
            if isinstance(error := call.exception(), (ServiceError, ConfigError)):
                raise error  # at once: the others would fail as slowly
        texts, refused = {}, []
        for page, call in calls.items():
            try:
                text = call.result()
            except (PageRejected, DocumentError) as error:
                log.warning("%s: page %d has no text: %s", pages.source, page, error)
                refused.append(page)
                continue
            if text:
                texts[page] = text
        return RecognisedPages(texts, tuple(refused))

    def start_call(self, page: int, pages: ScannedPages) -> Future[OcrResult | None]:
        """The one call for a page, whoever needs it."""
        identity = pages.page_hashes[page]
        key = hashlib.sha256(f"{self.engine_name}\0{identity}".encode()).hexdigest()[:40]
        with self.lock:
            call = self.in_flight.get(key)
            if call is None:
                call = self.threads.submit(self.read_page, key, page, pages)
                self.in_flight[key] = call
        call.add_done_callback(partial(self.end_call, key))
        return call

    def end_call(self, key: str, call: Future[OcrResult | None]) -> None:
        """Whoever needs the page from now on finds it in memory."""
        with self.lock:
            if self.in_flight.get(key) is call:
                del self.in_flight[key]

    def read_page(self, key: str, page: int, pages: ScannedPages) -> OcrResult | None:
        """A page's text, from memory or paid for; None where nothing may be sent."""
        held = self.cache.cached_page(key)
        if self.service is None:
            if held:
                return held.recognised
            self.unsent_keys.add(key)
            return None
        if held and (held.root, held.source) != (pages.root, pages.source):
            # It is forgotten with its source, and this one may outlive the other.
            held = replace(held, root=pages.root, source=pages.source)
            self.cache.cache_page(held)
        if held and held.recognised:
            return held.recognised
        with self.times.measure(RECOGNISING_PAGES, (pages.root, pages.source), page=page):
            new = CachedPage(key, pages.root, pages.source, "")
            return self.fetch_text(held or new, partial(pages.draw, page), self.service)

    def fetch_text(
        self, page: CachedPage, draw: Callable[[], bytes], service: OcrService
    ) -> OcrResult:
        """A page's text from the service, under the operation it was taken as or under a new one.

        Raises Refused or DocumentError if there will be none.
        """
        taken = SubmittedPage(page.operation, 0.0) if page.operation else None
        why = ""
        for _ in range(MAX_SUBMISSIONS):
            if taken is None:
                taken = service.submit(draw())
                self.cache.cache_page(replace(page, operation=taken.operation))
            try:
                text = service.wait_for_result(taken)
            except ResultLost as gone:
                taken, why = None, str(gone)
            else:
                self.cache.cache_page(replace(page, operation=taken.operation, recognised=text))
                return text
        raise PageRejected(f"the service failed on it {MAX_SUBMISSIONS} times ({why})")
