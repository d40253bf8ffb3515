"""From settings to what a run works with. The only place that chooses a back end."""

from __future__ import annotations

import logging
import math
import secrets
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from ingest.azure.credential import COGNITIVE_SERVICES_SCOPE, SEARCH_SCOPE, STORAGE_SCOPE
from ingest.azure.token_cache import TokenCache
from ingest.config.connections import Connections, create_connections
from ingest.config.reader import open_document_intelligence, open_reader
from ingest.config.settings import Settings, count_cores
from ingest.embed import Embedder
from ingest.embed.deployments import (
    MODEL_DIMENSIONS,
    Endpoint,
    RequestLimits,
    create_rate_limiter,
    remote_embedder,
)
from ingest.embed.rate_limit.limiter import RateLimiter
from ingest.errors import ConfigError, IngestError
from ingest.extract.ocr.page_cache import InheritedPageCache
from ingest.extract.ocr.rate_limit import OcrRateLimiter
from ingest.index import Index
from ingest.index.generations import Generations, Successor
from ingest.index.schema import additional_fields
from ingest.models import Recipe
from ingest.pipeline.context import Run, Services
from ingest.runtime.bottleneck import Capacity
from ingest.runtime.budget import Budget
from ingest.runtime.cancellation import Cancellation
from ingest.runtime.concurrency import InlineExecutor
from ingest.runtime.prices import FREE_PRICE, Rates, find_price
from ingest.runtime.timing import Stopwatch
from ingest.sources import Root
from ingest.sources.exclude import exclude_globs, without_exclusion
from ingest.sources.folder import Folder
from ingest.sources.folder import parse_folder_roots as folders
from ingest.sources.validation import ValidatedRoot

if TYPE_CHECKING:
    from ingest.index.azure.definition import SearchIndex, Vectorizer
    from ingest.index.azure.index import AzureIndex

T = TypeVar("T")

log = logging.getLogger(__name__)

MAX_CONCURRENT_WRITES = (
    32  # requests to a search service; most are a record each, and wait for a reply
)
KEY_WARNING = (
    "%s is set, so a key is used, which whoever reads it can use for ever: better unset it"
)


@contextmanager
def open_roots(
    arguments: Sequence[str], settings: Settings, connections: Connections
) -> Iterator[list[Root]]:
    """The roots that a command line names: folders, and containers by their URLs.

    Raises ConfigError for one that cannot be meant; nothing is asked of a service yet.
    """
    for argument in arguments:
        if "AccountKey=" in argument:
            raise ConfigError("a root is no connection string: name the container's URL, no key")
    urls = [argument for argument in arguments if "://" in argument]
    found: list[Root] = [*folders(argument for argument in arguments if argument not in urls)]
    with ExitStack() as opened:
        if urls:
            from ingest.sources.azure_blob.client import BlobStorageClient
            from ingest.sources.azure_blob.container import Container, parse_container_urls

            token = TokenCache(connections.credential, STORAGE_SCOPE)
            for place in parse_container_urls(urls):
                storage = opened.enter_context(
                    closing(BlobStorageClient(place.url, token, connections.retry_policy))
                )
                most, wanted = settings.document_megabytes, settings.blob_fields
                found.append(Container(place, storage, most, wanted))
        yield exclude_globs(found, settings.exclude)


# A root on its way to another machine, which opens it in its own name.
PortableRoot: TypeAlias = "Folder | str"


def to_portable(root: Root) -> PortableRoot:
    """A root as another machine can open it. Raises ConfigError for one that only this one has."""
    root = without_exclusion(root)
    if isinstance(root, Folder):
        return root
    if "://" in root.name and not isinstance(root, ValidatedRoot):
        return root.name
    raise ConfigError(f"{root.name}: a root of your own cannot be read on other machines")


@contextmanager
def open_portable(
    portable: PortableRoot, settings: Settings, connections: Connections
) -> Iterator[Root]:
    """A root that another machine has sent. Raises ConfigError for a folder that is not here."""
    if isinstance(portable, str):
        with open_roots([portable], settings, connections) as (found,):
            yield found
    elif portable.folder.is_dir():
        yield portable
    else:
        raise ConfigError(
            f"{portable.folder} is not there on {socket.gethostname()}: mount it at the same path on "
            "every worker, or name a blob container"
        )


def check_root_reachable(name: str, roots: Sequence[Root]) -> None:
    """Whether the name that an index has for a root still leads to it.

    Raises ConfigError if not: it is a link now, or gone, and its letters are taken for a glob.
    """
    if any(root.name == name for root in roots):
        return
    if Path(name).exists():
        raise ConfigError(f"{name} is a link to {Path(name).resolve()} now: check the path")
    raise ConfigError(f"{name}: no such folder or file; check the path")


def index_location(settings: Settings) -> str:
    """Where the index is: a folder or an endpoint."""
    return settings.index or settings.search_endpoint or ".ingest"


def embedder_locations(settings: Settings) -> tuple[str, ...]:
    """What embeds: "local" alone, or one or several endpoints."""
    return (settings.embedder,) if settings.embedder else settings.openai_endpoint or ("local",)


def index_name(settings: Settings) -> str:
    """The index, as people are told of it."""
    place = index_location(settings)
    return f"{settings.search_index} on {place}" if "://" in place else place


def create_embedder(
    settings: Settings,
    connections: Connections,
    times: Stopwatch | None = None,
    budget: Budget | None = None,
    rate_limiter: RateLimiter | None = None,
) -> Embedder:
    """What makes the vectors. Raises ConfigError if a setting is missing.

    The budget is asked for what is sent again; for what is sent once, its caller asks. Requests
    wait in a `line`, where they are not the only ones that the quota is for.
    """
    where = embedder_locations(settings)
    if where == ("local",):
        from ingest.embed.minilm import local_embedder

        return local_embedder(count_cores())
    if settings.openai_key:
        log.warning(KEY_WARNING, "AZURE_OPENAI_KEY")
    requests = RequestLimits(
        settings.embed_inputs,
        settings.embed_tokens,
        settings.embed_at_once,
        partial(reserve_resend, budget or Budget()),
    )
    where_to = embedding_endpoints(settings, where)
    key = embedder_key(settings, connections)
    ahead = rate_limiter or create_rate_limiter(where_to, connections.retry_policy.clock)
    return remote_embedder(
        where_to, requests, key, connections.retry_policy, times or Stopwatch(), rate_limiter=ahead
    )


def reserve_resend(budget: Budget, texts: Sequence[str]) -> None:
    """Texts are to be sent once more, and may be paid for twice. Raises StoppedError."""
    from ingest.chunk.tokens import count_tokens

    budget.reserve(sum(count_tokens(texts)))


def create_budget(settings: Settings, stop: Cancellation) -> Budget:
    """What a run may spend. Raises ConfigError for a limit of money where a price is not known."""
    paid = create_rates(settings)
    most = math.inf if settings.max_cost is None else settings.max_cost
    if most < math.inf and paid.embedding is None:
        model = embedding_endpoints(settings, embedder_locations(settings))[0].model
        raise ConfigError(
            f"--max-cost: what does {model} cost for a million tokens? set INGEST_PRICES, as in "
            f"2026-11-01,{model}=0.02"
        )
    return Budget(stop, settings.max_tokens or math.inf, most, paid)


def create_rates(settings: Settings) -> Rates:
    """What embedding and recognising cost; nothing where this machine does it."""
    where = embedder_locations(settings)
    recognises = settings.ocr.startswith("https://")
    return Rates(
        FREE_PRICE
        if where == ("local",)
        else find_price(embedding_endpoints(settings, where)[0].model, settings.prices),
        find_price(settings.ocr_model, settings.prices) if recognises else FREE_PRICE,
    )


def create_recipe(settings: Settings, model: Embedder) -> Recipe:
    """What shapes chunks and vectors, as the settings are."""
    return Recipe(
        extractor=settings.extractor,
        chunk_tokens=settings.chunk_tokens,
        overlap=settings.chunk_overlap,
        model=model.model,
        dimensions=model.dimensions,
    )


def embedder_key(settings: Settings, connections: Connections) -> str | TokenCache:
    """What opens the embedding service: a key where one is set, else tokens."""
    if settings.openai_key:
        return settings.openai_key
    if settings.embedder.endswith("/v1"):
        return "none"  # a service of one's own asks for none, but its protocol does
    return TokenCache(connections.credential, COGNITIVE_SERVICES_SCOPE)


def embedding_endpoints(settings: Settings, urls: Sequence[str]) -> list[Endpoint]:
    """The deployments that the settings mean, of one model.

    Raises ConfigError if they leave it open.
    """
    for url in urls:
        if not url.startswith(("https://", "http://")):
            raise ConfigError(f"embedder {url}: expected local, or an endpoint: https://...")
    names = one_per_endpoint(
        settings.openai_deployment or (settings.openai_model,),
        urls,
        "AZURE_OPENAI_EMBEDDING_DEPLOYMENT",
    )
    if len(set(zip(urls, names, strict=True))) < len(urls):
        raise ConfigError("AZURE_OPENAI_ENDPOINT names one deployment twice: leave one out")
    model = settings.openai_model or names[0]
    if not model:
        raise ConfigError(
            f"which model of {urls[0]} embeds? set AZURE_OPENAI_EMBEDDING_DEPLOYMENT to its name"
        )
    if not settings.openai_model and len(set(names)) > 1:
        raise ConfigError("which model do the deployments have? set AZURE_OPENAI_EMBEDDING_MODEL")
    dimensions = settings.openai_dimensions or MODEL_DIMENSIONS.get(model)
    if not dimensions:
        raise ConfigError(
            f"how many dimensions do the vectors of {model} have? set "
            "AZURE_OPENAI_EMBEDDING_DIMENSIONS, or AZURE_OPENAI_EMBEDDING_MODEL to a known model"
        )
    return [
        Endpoint(url, name, model, dimensions, settings.openai_api_version, tpm, rpm)
        for url, name, tpm, rpm in zip(
            urls,
            names,
            one_per_endpoint(settings.openai_tpm or (math.inf,), urls, "AZURE_OPENAI_TPM"),
            one_per_endpoint(settings.openai_rpm or (math.inf,), urls, "AZURE_OPENAI_RPM"),
            strict=True,
        )
    ]


def one_per_endpoint(values: Sequence[T], urls: Sequence[str], name: str) -> Sequence[T]:
    """A value for each endpoint: its own, or the one for all. Raises ConfigError otherwise."""
    if len(values) == 1:
        return list(values) * len(urls)
    if len(values) != len(urls):
        raise ConfigError(
            f"{name} has {len(values)} values for {len(urls)} endpoints: give one, or one for each"
        )
    return values


def open_index(
    settings: Settings, model: Embedder, connections: Connections, *, create: bool = False
) -> Index:
    """Where chunks are kept. Without `create`, what does not exist yet is an empty one."""
    where = index_location(settings)
    if not where.startswith("https://"):
        if "://" in where:
            raise ConfigError(f"index {where}: a service is reached over https:// only")
        from ingest.index.sqlite.index import SqliteIndex

        return SqliteIndex(Path(where), model.model, model.dimensions, create=create)
    service = open_azure_index(settings, connections, may_be_absent=not create)
    service.filled_by = (model.model, model.dimensions)
    if create:
        from ingest.index.azure.create import ensure_index

        ensure_index(service, index_definition(settings, model.dimensions))
    return service


def open_azure_index(
    settings: Settings, connections: Connections, *, may_be_absent: bool
) -> AzureIndex:
    """The index on a search service. Nothing is asked of it yet."""
    if settings.search_key:
        log.warning(KEY_WARNING, "AZURE_SEARCH_KEY")
    return connect_azure_index(settings, connections, may_be_absent=may_be_absent)


def connect_azure_index(
    settings: Settings, connections: Connections, *, may_be_absent: bool
) -> AzureIndex:
    """The same, without a warning of a key."""
    from ingest.index.azure.client import DocumentClient
    from ingest.index.azure.index import AzureIndex

    key = settings.search_key or TokenCache(connections.credential, SEARCH_SCOPE)
    where, name = index_location(settings), settings.search_index
    return AzureIndex(
        DocumentClient(where, name, key, connections.retry_policy, may_be_absent=may_be_absent)
    )


def create_generations(
    settings: Settings, model: Embedder, connections: Connections
) -> Generations:
    """The indexes that the name of the index has stood for, and new ones of this model."""
    where = index_location(settings)
    if "://" not in where:
        from ingest.index.sqlite.generations import SqliteGenerations

        return SqliteGenerations(Path(where), model.model, model.dimensions)
    from ingest.index.azure.generations import AzureGenerations

    def with_index_name(name: str) -> Settings:
        return replace(settings, search_index=name)

    if settings.search_key:
        log.warning(KEY_WARNING, "AZURE_SEARCH_KEY")
    return AzureGenerations(
        settings.search_index,
        lambda name: connect_azure_index(with_index_name(name), connections, may_be_absent=False),
        lambda name: index_definition(with_index_name(name), model.dimensions),
        (model.model, model.dimensions),
    )


def index_definition(settings: Settings, dimensions: int) -> SearchIndex:
    """The definition that the settings mean, of an index on a search service."""
    from ingest.index.azure.definition import build_definition

    more = additional_fields(field.name for field in settings.blob_fields)
    name, analyzer = settings.search_index, settings.search_analyzer
    return build_definition(name, dimensions, analyzer, create_vectorizer(settings), more)


def create_vectorizer(settings: Settings) -> Vectorizer | None:
    """What lets the search service embed queries itself, where Azure OpenAI embeds the chunks."""
    if settings.embedder or not settings.openai_endpoint:
        return None
    from ingest.index.azure.definition import Vectorizer

    first = embedding_endpoints(settings, settings.openai_endpoint)[0]
    return Vectorizer(first.url, first.deployment, first.model)


@dataclass(frozen=True, slots=True)
class SharedState:
    """What a process shares that works for a run of another one, which holds the index for both."""

    rate_limiter: RateLimiter
    budget: Budget
    ocr_rate_limiter: OcrRateLimiter


@contextmanager
def open_services(  # noqa: PLR0913 - settings, and what takes the place of what they say
    settings: Settings,
    stop: Cancellation,
    *,
    write: bool,
    to: Connections | None = None,
    model: Embedder | None = None,
    successor: Successor | None = None,
    shared: SharedState | None = None,
) -> Iterator[Services]:
    """All that a run needs, closed again after it; with `write`, the index is held meanwhile.

    A `model` takes the place of what the settings say. The index is that of the settings, or a
    `successor` of it, which takes from it what it can. What works `beside` another process leaves
    the index to that one to make and to hold. Raises ConfigError, ServiceError, or
    BusyError if another run holds the index.
    """
    if write and settings.engine and "://" not in index_location(settings):
        raise ConfigError(
            f"--engine {settings.engine}: an index in a folder is this machine's only; set "
            "AZURE_SEARCH_ENDPOINT, or leave the engine out"
        )
    to = to or create_connections(settings, stop)
    times = Stopwatch(observer=to.observer)
    budget = shared.budget if shared else create_budget(settings, stop)
    model = model or create_embedder(
        settings, to, times, budget, shared.rate_limiter if shared else None
    )
    cut = create_recipe(settings, model)
    with ExitStack() as opened:
        opened.callback(model.close)
        where = (
            successor.index
            if successor
            else open_index(settings, model, to, create=write and not shared)
        )
        earlier = successor.earlier if successor else None
        opened.callback(where.close)
        senders = ThreadPoolExecutor(model.at_once, "sender")
        writers, writing = create_writers(settings)
        for threads in (writers, senders):
            opened.callback(threads.shutdown, cancel_futures=True)
        sends = write and settings.ocr.startswith("https://")
        pace = shared.ocr_rate_limiter if shared else None
        service = open_document_intelligence(settings, to, budget, pace) if sends else None
        memory = InheritedPageCache(where, earlier) if earlier else where
        reader = opened.enter_context(open_reader(settings, memory, cut, times, service))
        try:
            if write and where.is_new and not settings.engine:
                # There is much to read and to embed: what takes a while begins meanwhile.
                senders.submit(model.open)
                for _ in range(reader.at_once):
                    reader.threads.submit(reader.warm_up)
            if write and not shared:
                where.hold(settings.engine)
            yield Services(
                where, model, cut, reader, senders, writers, writing, times, budget, earlier
            )
        except BaseException as error:
            # Threads that wait for a quota must not keep the process from saying what is wrong.
            stop.abandon()
            if isinstance(error, IngestError) and stop.fault and stop.fault is not error:
                raise stop.fault from error
            raise


def create_writers(settings: Settings) -> tuple[Executor, int]:
    """Threads that write to the index, and how many writes pay off at once."""
    if index_location(settings).startswith("https://"):
        return ThreadPoolExecutor(MAX_CONCURRENT_WRITES, "writer"), MAX_CONCURRENT_WRITES
    return InlineExecutor(), 1  # SQLite's connection belongs to the thread that opened it


def create_run(settings: Settings, *, retry_failed: bool = False) -> Run:
    """One execution, as the settings want it."""
    return Run(
        id=time.strftime("%Y%m%dT%H%M%SZ-", time.gmtime()) + secrets.token_hex(3),
        prune=settings.prune,
        max_deletes=settings.max_deletes,
        retry_failed=retry_failed,
        has_passwords=bool(settings.passwords),
        exclude=settings.exclude,
        # A deadline that is shorter than the grace still leaves half of it for work.
        stop=Cancellation(min(settings.grace_seconds, (settings.deadline or math.inf) / 2)),
    )


def find_capacity(services: Services, settings: Settings) -> Capacity:
    """How much could be under way at once, and how much the quota allowed."""
    if services.remote:
        return services.remote.capacity()
    model, limits = services.embedder, settings.openai_tpm
    most = sum(limits) * (max(1, len(settings.openai_endpoint)) if len(limits) == 1 else 1)
    allowed = model.allowed()
    return Capacity(
        services.reader.at_once,
        model.at_once,
        services.max_writes,
        allowed,
        is_configured=bool(limits) and allowed >= most,
        recognising=services.reader.max_waiting,
    )
