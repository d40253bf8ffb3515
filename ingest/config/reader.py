"""From settings to what reads documents: children within limits, what recognises scans, passwords.

Nothing outside knows how many processes a document meets, or whether a service has seen a page.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from threading import Semaphore
from typing import TYPE_CHECKING

from ingest.azure.credential import COGNITIVE_SERVICES_SCOPE
from ingest.azure.token_cache import TokenCache
from ingest.config.connections import Connections
from ingest.config.settings import Settings, count_cores
from ingest.errors import ConfigError
from ingest.extract.ocr import MAX_CONCURRENT_PAGES, OCR_API_VERSION
from ingest.extract.ocr import local as local_ocr
from ingest.extract.passwords import read_passwords
from ingest.extract.sandbox.pool import SandboxLimits, SandboxPool
from ingest.models import Recipe
from ingest.pipeline.context import Reader
from ingest.pipeline.reader.prepare import prepare
from ingest.pipeline.reader.read import DocumentReader
from ingest.runtime.bottleneck import PREFETCH_FACTOR
from ingest.runtime.budget import Budget
from ingest.runtime.timing import Stopwatch

if TYPE_CHECKING:
    from ingest.extract.ocr.document_intelligence import DocumentIntelligence
    from ingest.extract.ocr.page_cache import OcrCache
    from ingest.extract.ocr.rate_limit import OcrRateLimiter
    from ingest.pipeline.reader.scanned_pages import ScannedPageOcr


@contextmanager
def open_reader(
    settings: Settings,
    cache: OcrCache,
    recipe: Recipe,
    times: Stopwatch,
    service: DocumentIntelligence | None,
) -> Iterator[Reader]:
    """What reads documents, until the end of the context; `memory` has the pages paid for.

    Without a `service`, no page is sent to be recognised. Raises ConfigError.
    """
    at_once = settings.workers or count_cores()
    keys = read_passwords(settings.passwords)
    name = ocr_engine_name(settings)
    places = Semaphore(at_once)
    waiting = MAX_CONCURRENT_PAGES if settings.ocr.startswith("https://") else 0
    # So that some fetch documents while those of the others are read, or recognised.
    threads = ThreadPoolExecutor(PREFETCH_FACTOR * at_once + waiting, "reader")
    with ExitStack() as opened:
        opened.callback(threads.shutdown, cancel_futures=True)
        children = SandboxPool(prepare, sandbox_limits(settings))
        opened.callback(children.close)
        recognising = scanned_page_ocr(settings, cache, times, service)
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
            warm_up=children.warm_up,
            at_once=at_once,
            max_waiting=waiting,
            ocr=name,
            unsent_pages=recognising.count_unsent_pages if recognising else lambda: 0,
        )


def ocr_engine_name(settings: Settings) -> str:
    """What reads scanned pages, as records have it; "" if nothing does.

    A document that another one has read, or none, is read again. Raises ConfigError if it lacks
    something.
    """
    if settings.ocr and settings.extractor == "pypdf":
        raise ConfigError("INGEST_EXTRACTOR=pypdf draws no pages: OCR needs auto or pdfium")
    if settings.ocr != "local":
        return f"azure-{settings.ocr_model}" if settings.ocr else ""
    local_ocr.check_installed()
    if settings.document_megabytes < local_ocr.MIN_MEGABYTES:
        raise ConfigError(
            f"INGEST_DOCUMENT_MEGABYTES={settings.document_megabytes}: the local OCR needs "
            f"{local_ocr.MIN_MEGABYTES} or more"
        )
    return local_ocr.ENGINE_NAME


def scanned_page_ocr(
    settings: Settings, cache: OcrCache, times: Stopwatch, service: DocumentIntelligence | None
) -> ScannedPageOcr | None:
    """What has scanned pages recognised by a service; None where none is set.

    Without the service it only finds what is in `memory`.
    """
    if not settings.ocr.startswith("https://"):
        return None
    from ingest.extract.ocr.page_cache import CachedOcr
    from ingest.pipeline.reader.scanned_pages import ScannedPageOcr

    pages = CachedOcr(cache, service, f"{ocr_engine_name(settings)} {OCR_API_VERSION}", times)
    return ScannedPageOcr(pages, service, sandbox_limits(settings))


def open_document_intelligence(
    settings: Settings,
    connections: Connections,
    budget: Budget | None = None,
    rate_limiter: OcrRateLimiter | None = None,
) -> DocumentIntelligence:
    """The service that recognises, asked at a `pace` that others share. Nothing is asked yet."""
    from ingest.extract.ocr.document_intelligence import DocumentIntelligence

    token = TokenCache(connections.credential, COGNITIVE_SERVICES_SCOPE)
    model = f"prebuilt-{settings.ocr_model}"
    return DocumentIntelligence(
        settings.ocr, model, token, connections.retry_policy, budget, rate_limiter=rate_limiter
    )


def sandbox_limits(settings: Settings) -> SandboxLimits:
    """What one document may take."""
    return SandboxLimits(
        settings.document_seconds, settings.document_megabytes, settings.page_seconds
    )
