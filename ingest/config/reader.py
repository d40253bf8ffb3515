"""Open the reader of documents: sandboxed processes, OCR, and passwords."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Semaphore
from typing import TYPE_CHECKING

from ingest.azure.token_hosts import COGNITIVE_SERVICES_SCOPE
from ingest.config.capacity import count_workers, document_memory
from ingest.config.connections import Connections
from ingest.config.figures import describes_figures, figures_endpoint
from ingest.config.location import Location
from ingest.config.settings import Settings
from ingest.errors import ConfigError
from ingest.extract.ocr import MAX_CONCURRENT_PAGES, OCR_API_VERSION
from ingest.extract.ocr import local as local_ocr
from ingest.extract.passwords import read_passwords
from ingest.extract.sandbox.pool import SandboxLimits
from ingest.models import Recipe
from ingest.pipeline.context import Reader
from ingest.pipeline.images import ImageStore
from ingest.pipeline.reader.prepare import document_pool, read_document
from ingest.pipeline.reader.read import DocumentReader
from ingest.runtime.bottleneck import PREFETCH_FACTOR
from ingest.runtime.budget import Budget
from ingest.runtime.prices import NO_CHAT
from ingest.runtime.rate_limit import RateLimiter
from ingest.runtime.timing import Stopwatch

if TYPE_CHECKING:
    from ingest.embed.openai_chat import ChatModel
    from ingest.extract.ocr.document_intelligence import DocumentIntelligence
    from ingest.extract.ocr.page_cache import OcrCache
    from ingest.pipeline.reader.figures import FigureDescriber
    from ingest.pipeline.reader.scanned_pages import ScannedPageOcr

MAX_WAITING_FOR_FIGURES = 8  # documents whose figures are being described
# CPU time after which a process that reads is replaced by a new one. That takes 12 to 22 ms; with
# local OCR 1.5 s, to load its models.
GROUP_SECONDS, OCR_GROUP_SECONDS = 0.75, 30.0


@dataclass(frozen=True, slots=True)
class ReaderServices:
    """Services that a reader calls. Without one, it uses the results in the cache only."""

    ocr: DocumentIntelligence | None = None
    chat: ChatModel | None = None  # describes figures
    images: ImageStore | None = None  # keeps their images


@contextmanager
def open_reader(
    settings: Settings,
    cache: OcrCache,
    recipe: Recipe,
    times: Stopwatch,
    remote: ReaderServices,
) -> Iterator[Reader]:
    """Open the reader until the end of the context. Raises ConfigError.

    `cache` has the pages that were recognised, and the figures that were described before.
    """
    at_once, max_waiting = count_workers(settings), count_waiting(settings)
    passwords, engine_name = read_passwords(settings.passwords), ocr_engine_name(settings)
    # More threads than slots: some fetch documents while others are read, or recognised.
    threads = ThreadPoolExecutor(PREFETCH_FACTOR * at_once + max_waiting, "reader")
    with ExitStack() as stack:
        stack.callback(threads.shutdown, cancel_futures=True)
        sandboxes = document_pool(sandbox_limits(settings), read_document)
        stack.callback(sandboxes.close)
        if ocr := scanned_page_ocr(settings, cache, times, remote.ocr):
            stack.callback(ocr.close)
        if describer := figure_describer(settings, cache, times, remote.chat, remote.images):
            stack.callback(describer.close)
        reader = DocumentReader(
            sandboxes,
            Semaphore(at_once),
            times,
            recipe,
            settings.extractor,
            passwords,
            engine_name,
            ocr,
            verify_share=verify_share(settings),
            figure_ocr=figure_ocr_name(settings),
            describer=describer,
            images=remote.images,
        )
        # Cancel calls that have not begun; those that wait for a sandbox end when it closes.
        stack.callback(threads.shutdown, wait=False, cancel_futures=True)
        yield Reader(
            prepare=reader.read,
            threads=threads,
            warm_up=reader.warm_up,
            describe_sandbox=sandboxes.describe,
            at_once=at_once,
            max_waiting=max_waiting,
            ocr=engine_name,
            unsent_pages=ocr.count_unsent if ocr else lambda: (0, 0),
            describes=describer is not None,
            unsent_figures=describer.count_unsent if describer else lambda: (0, NO_CHAT),
        )


def count_waiting(settings: Settings) -> int:
    """Return how many documents may wait for services, besides those that are being read."""
    pages = MAX_CONCURRENT_PAGES if Location.parse(settings.ocr).is_service else 0
    return pages + MAX_WAITING_FOR_FIGURES * describes_figures(settings)


def figure_describer(
    settings: Settings,
    cache: OcrCache,
    times: Stopwatch,
    chat: ChatModel | None,
    images: ImageStore | None,
) -> FigureDescriber | None:
    """Return the describer of figures; None if the settings do not ask for it.

    Without the chat model, it only finds descriptions in the cache. Raises ConfigError.
    """
    if not describes_figures(settings):
        return None
    require_renderer(settings, "INGEST_FIGURES")
    from ingest.pipeline.reader.figures import FigureDescriber

    model = figures_endpoint(settings).model
    return FigureDescriber(cache, chat, model, sandbox_limits(settings), times, images=images)


def require_renderer(settings: Settings, name: str) -> None:
    """Raise ConfigError if the engine cannot render what a setting needs."""
    if settings.extractor == "pypdf":
        raise ConfigError(
            f"INGEST_EXTRACTOR=pypdf cannot render pages: {name} needs auto or pdfium"
        )


def ocr_engine_name(settings: Settings) -> str:
    """Return the OCR engine's name for records; "" without OCR.

    Pages recognised by another engine are read again. Raises ConfigError if the engine cannot run.
    """
    if not settings.ocr:
        return ""
    require_renderer(settings, "OCR")
    if Location.parse(settings.ocr).is_service:
        return f"azure-{settings.ocr_model}"
    return local_engine_name(settings)


def verify_share(settings: Settings) -> float:
    """Return the share of lines to compare with their images.

    Raises ConfigError if the local OCR cannot run here.
    """
    if settings.verify_text:
        require_renderer(settings, "INGEST_VERIFY_TEXT")
        local_engine_name(settings)
    return settings.verify_text


def figure_ocr_name(settings: Settings) -> str:
    """Return the name of the OCR engine that reads words in figures; "" if none does.

    Raises ConfigError if the engine cannot run.
    """
    if settings.figures != "text":
        return ""
    require_renderer(settings, "INGEST_FIGURES")
    return ocr_engine_name(settings) or local_engine_name(settings)


def local_engine_name(settings: Settings) -> str:
    """Return the local OCR engine's name. Raises ConfigError if it cannot run here."""
    local_ocr.check_installed()
    megabytes = document_memory(settings)
    if megabytes < local_ocr.MIN_MEGABYTES:
        cause = "" if settings.document_megabytes else ", by the memory of this container"
        raise ConfigError(
            f"INGEST_DOCUMENT_MEGABYTES={megabytes}{cause}: the local OCR needs "
            f"{local_ocr.MIN_MEGABYTES} or more"
        )
    return local_ocr.ENGINE_NAME


def scanned_page_ocr(
    settings: Settings, cache: OcrCache, times: Stopwatch, service: DocumentIntelligence | None
) -> ScannedPageOcr | None:
    """Return the OCR of scanned pages by a service; None if the settings name no service.

    Without the service, it only finds pages in the cache.
    """
    if not Location.parse(settings.ocr).is_service:
        return None
    from ingest.extract.ocr.page_cache import CachedOcr
    from ingest.pipeline.reader.scanned_pages import ScannedPageOcr

    pages = CachedOcr(cache, service, f"{ocr_engine_name(settings)} {OCR_API_VERSION}", times)
    return ScannedPageOcr(pages, service, sandbox_limits(settings))


def open_document_intelligence(
    settings: Settings,
    connections: Connections,
    budget: Budget | None = None,
    rate_limiter: RateLimiter | None = None,
) -> DocumentIntelligence:
    """Connect to Azure Document Intelligence. Sends no request.

    Other processes may share the budget and the rate limiter.
    """
    from ingest.extract.ocr.document_intelligence import DocumentIntelligence

    token = connections.token_for(settings.ocr, COGNITIVE_SERVICES_SCOPE)
    model = f"prebuilt-{settings.ocr_model}"
    return DocumentIntelligence(
        settings.ocr, model, token, connections.retry_policy, budget, rate_limiter=rate_limiter
    )


def sandbox_limits(settings: Settings) -> SandboxLimits:
    """Return the limits for reading one document."""
    reads_scans = settings.verify_text or (settings.ocr and not Location.parse(settings.ocr).scheme)
    return SandboxLimits(
        settings.document_seconds,
        document_memory(settings),
        settings.page_seconds,
        require_layers=settings.sandbox == "require",
        group_seconds=OCR_GROUP_SECONDS if reads_scans else GROUP_SECONDS,
    )
