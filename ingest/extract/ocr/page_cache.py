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
from ingest.extract.ocr import AT_ONCE, Gone, Refused, Taken
from ingest.models import Paid, Recognised
from ingest.runtime.timing import RECOGNISING, Times

log = logging.getLogger(__name__)

TRIES = 3  # operations of one page that come to nothing


class Memory(Protocol):
    """Where pages are kept that were paid for: an index."""

    def paid(self, key: str) -> Paid | None: ...

    def keep(self, page: Paid) -> None: ...


@dataclass(frozen=True, slots=True)
class Inherited:
    """A memory that also knows what another one was paid for, and keeps it from then on."""

    own: Memory
    earlier: Memory

    def paid(self, key: str) -> Paid | None:
        found = self.own.paid(key)
        if found is None and (found := self.earlier.paid(key)):
            self.own.keep(found)
        return found

    def keep(self, page: Paid) -> None:
        self.own.keep(page)


class Service(Protocol):
    """What recognises. Raises ServiceError or ConfigError if it fails whatever the page is."""

    # send a page, which is then paid for; raises Refused if it will never be taken
    def take(self, picture: bytes) -> Taken: ...

    # wait for its text; raises Gone if it must be sent again, Refused if there will be none
    def answer(self, taken: Taken) -> Recognised: ...


@dataclass(frozen=True, slots=True)
class Scans:
    """The scanned pages of one document."""

    root: str
    source: str
    identities: Mapping[int, str]  # what each page is; none of a page that cannot be drawn
    draw: Callable[[int], bytes]  # a page as a file, for any thread; raises DocumentError


@dataclass(frozen=True, slots=True)
class Found:
    """What came of some pages, by number."""

    texts: dict[int, Recognised]
    refused: tuple[int, ...] = ()  # that will have no text


class Recogniser:
    """A service, and a memory of what it was paid for. For any number of threads, but for `close`.

    Without a service, which is how a plan looks, there are only texts from memory.
    """

    def __init__(self, memory: Memory, service: Service | None, name: str, times: Times) -> None:
        self.memory = memory
        self.service = service
        self.name = name  # of what recognises: by another name the same page is another one
        self.times = times
        self.unsent: set[str] = set()  # keys of the pages that a run would pay for
        self.lock = threading.Lock()
        self.under_way: dict[str, Future[Recognised | None]] = {}
        # Each holds a picture at most, so their number bounds the memory too.
        self.threads = ThreadPoolExecutor(AT_ONCE, "recogniser")

    def close(self) -> None:
        """Give back the threads; what waits for them is called off."""
        self.threads.shutdown(cancel_futures=True)

    def found(self, scans: Scans) -> Found:
        """The texts of the pages, waited for. Raises ServiceError or ConfigError."""
        calls = {page: self.call(page, scans) for page in scans.identities}
        for call in as_completed(set(calls.values())):
            if isinstance(error := call.exception(), (ServiceError, ConfigError)):
                raise error  # at once: the others would fail as slowly
        texts, refused = {}, []
        for page, call in calls.items():
            try:
                text = call.result()
            except (Refused, DocumentError) as error:
                log.warning("%s: page %d has no text: %s", scans.source, page, error)
                refused.append(page)
                continue
            if text:
                texts[page] = text
        return Found(texts, tuple(refused))

    def call(self, page: int, scans: Scans) -> Future[Recognised | None]:
        """The one call for a page, whoever needs it."""
        identity = scans.identities[page]
        key = hashlib.sha256(f"{self.name}\0{identity}".encode()).hexdigest()[:40]
        with self.lock:
            call = self.under_way.get(key)
            if call is None:
                call = self.threads.submit(self.text, key, page, scans)
                self.under_way[key] = call
        call.add_done_callback(partial(self.over, key))
        return call

    def over(self, key: str, call: Future[Recognised | None]) -> None:
        """Whoever needs the page from now on finds it in memory."""
        with self.lock:
            if self.under_way.get(key) is call:
                del self.under_way[key]

    def text(self, key: str, page: int, scans: Scans) -> Recognised | None:
        """A page's text, from memory or paid for; None where nothing may be sent."""
        held = self.memory.paid(key)
        if self.service is None:
            if held:
                return held.recognised
            self.unsent.add(key)
            return None
        if held and (held.root, held.source) != (scans.root, scans.source):
            # It is forgotten with its source, and this one may outlive the other.
            held = replace(held, root=scans.root, source=scans.source)
            self.memory.keep(held)
        if held and held.recognised:
            return held.recognised
        with self.times.of(RECOGNISING, (scans.root, scans.source), page=page):
            new = Paid(key, scans.root, scans.source, "")
            return self.bought(held or new, partial(scans.draw, page), self.service)

    def bought(self, page: Paid, draw: Callable[[], bytes], service: Service) -> Recognised:
        """A page's text from the service, under the operation it was taken as or under a new one.

        Raises Refused or DocumentError if there will be none.
        """
        taken = Taken(page.operation, 0.0) if page.operation else None
        why = ""
        for _ in range(TRIES):
            if taken is None:
                taken = service.take(draw())
                self.memory.keep(replace(page, operation=taken.operation))
            try:
                text = service.answer(taken)
            except Gone as gone:
                taken, why = None, str(gone)
            else:
                self.memory.keep(replace(page, operation=taken.operation, recognised=text))
                return text
        raise Refused(f"the service failed on it {TRIES} times ({why})")
