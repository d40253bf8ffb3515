"""From settings to what reads documents: children within limits, what recognises scans, passwords.

Nothing outside knows how many processes a document meets, or whether a service has seen a page.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from threading import Semaphore
from typing import TYPE_CHECKING

from ingest.azure.credential import COGNITIVE_SERVICES
from ingest.azure.token_cache import TokenCache
from ingest.config.connections import Connections
from ingest.config.settings import Settings, cores
from ingest.errors import ConfigError
from ingest.extract.ocr import API_VERSION, AT_ONCE
from ingest.extract.ocr import local as local_ocr
from ingest.extract.passwords import passwords
from ingest.extract.sandbox.pool import Contained, Limits
from ingest.models import Recipe
from ingest.pipeline.context import Reader
from ingest.pipeline.reader.prepare import prepare
from ingest.pipeline.reader.read import DocumentReader
from ingest.runtime.bottleneck import FETCHED_AHEAD
from ingest.runtime.budget import Budget
from ingest.runtime.timing import Times

if TYPE_CHECKING:
    from ingest.extract.ocr.document_intelligence import DocumentIntelligence
    from ingest.extract.ocr.page_cache import Memory
    from ingest.extract.ocr.rate_limit import Paced
    from ingest.pipeline.reader.scanned_pages import Recognition


@contextmanager
def reading(
    settings: Settings,
    memory: Memory,
    recipe: Recipe,
    times: Times,
    service: DocumentIntelligence | None,
) -> Iterator[Reader]:
    """What reads documents, until the end of the context; `memory` has the pages paid for.

    Without a `service`, no page is sent to be recognised. Raises ConfigError.
    """
    at_once = settings.workers or cores()
    keys = passwords(settings.passwords)
    name = recogniser(settings)
    places = Semaphore(at_once)
    waiting = AT_ONCE if settings.ocr.startswith("https://") else 0
    # So that some fetch documents while those of the others are read, or recognised.
    threads = ThreadPoolExecutor(FETCHED_AHEAD * at_once + waiting, "reader")
    with ExitStack() as opened:
        opened.callback(threads.shutdown, cancel_futures=True)
        children = Contained(prepare, limits(settings))
        opened.callback(children.close)
        recognising = recognition(settings, memory, times, service)
        if recognising:
            opened.callback(recognising.close)
        reader = DocumentReader(
            children, places, times, recipe, settings.extractor, keys, name, recognising
        )
        # Threads that wait for a child end only once that has; those that have not begun, at once.
        opened.callback(threads.shutdown, wait=False, cancel_futures=True)
        yield Reader(
            prepare=reader.read,
            threads=threads,
            warm=children.prepare,
            at_once=at_once,
            waiting=waiting,
            ocr=name,
            unsent=recognising.unsent if recognising else lambda: 0,
        )


def recogniser(settings: Settings) -> str:
    """What reads scanned pages, as records have it; "" if nothing does.

    A document that another one has read, or none, is read again. Raises ConfigError if it lacks
    something.
    """
    if settings.ocr and settings.extractor == "pypdf":
        raise ConfigError("INGEST_EXTRACTOR=pypdf draws no pages: OCR needs auto or pdfium")
    if settings.ocr != "local":
        return f"azure-{settings.ocr_model}" if settings.ocr else ""
    local_ocr.installed()
    if settings.document_megabytes < local_ocr.MEGABYTES:
        raise ConfigError(
            f"INGEST_DOCUMENT_MEGABYTES={settings.document_megabytes}: the local OCR needs "
            f"{local_ocr.MEGABYTES} or more"
        )
    return local_ocr.NAME


def recognition(
    settings: Settings, memory: Memory, times: Times, service: DocumentIntelligence | None
) -> Recognition | None:
    """What has scanned pages recognised by a service; None where none is set.

    Without the service it only finds what is in `memory`.
    """
    if not settings.ocr.startswith("https://"):
        return None
    from ingest.extract.ocr.page_cache import Recogniser
    from ingest.pipeline.reader.scanned_pages import Recognition

    pages = Recogniser(memory, service, f"{recogniser(settings)} {API_VERSION}", times)
    return Recognition(pages, service, limits(settings))


def document_intelligence(
    settings: Settings, to: Connections, budget: Budget | None = None, pace: Paced | None = None
) -> DocumentIntelligence:
    """The service that recognises, asked at a `pace` that others share. Nothing is asked yet."""
    from ingest.extract.ocr.document_intelligence import DocumentIntelligence

    token = TokenCache(to.login, COGNITIVE_SERVICES)
    model = f"prebuilt-{settings.ocr_model}"
    return DocumentIntelligence(settings.ocr, model, token, to.patience, budget, pace=pace)


def limits(settings: Settings) -> Limits:
    """What one document may take."""
    return Limits(settings.document_seconds, settings.document_megabytes, settings.page_seconds)
