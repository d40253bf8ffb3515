"""From settings to what a run works with. The only place that chooses a back end."""

from __future__ import annotations

import logging
import math
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from ingest.auth.credential import COGNITIVE_SERVICES, SEARCH, STORAGE
from ingest.auth.token_cache import TokenCache
from ingest.budget import Budget
from ingest.connections import Connections, connections
from ingest.embed import Embedder
from ingest.embed.endpoint import DIMENSIONS, Endpoint, Requests, paces, remote
from ingest.embed.line import Line
from ingest.errors import ConfigError, IngestError
from ingest.index import Index
from ingest.index.generations import Generations, Successor
from ingest.index.schema import additional
from ingest.model import Recipe
from ingest.ocr.pace import Paced
from ingest.ocr.pages import Inherited
from ingest.overlap import AtOnce
from ingest.prices import FREE, Rates, price
from ingest.reading import document_intelligence, reading
from ingest.services import Services
from ingest.settings import Settings, cores
from ingest.sources import Root
from ingest.sources.custom import Checked
from ingest.sources.exclude import excluding, whole_root
from ingest.sources.folder import Folder
from ingest.sources.folder import roots as folders
from ingest.stop import SENDER, Stop
from ingest.times import Times

if TYPE_CHECKING:
    from ingest.index.azure import AzureIndex
    from ingest.index.definition import SearchIndex, Vectorizer

T = TypeVar("T")

log = logging.getLogger(__name__)

WRITES_AT_ONCE = 32  # requests to a search service; most are a record each, and wait for a reply
KEYED = "%s is set, so a key is used, which whoever reads it can use for ever: better unset it"


@contextmanager
def roots(arguments: Sequence[str], settings: Settings, to: Connections) -> Iterator[list[Root]]:
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
            from ingest.sources.blob import Container, places
            from ingest.sources.storage import Storage

            token = TokenCache(to.login, STORAGE)
            for place in places(urls):
                storage = opened.enter_context(closing(Storage(place.url, token, to.patience)))
                most, wanted = settings.document_megabytes, settings.blob_fields
                found.append(Container(place, storage, most, wanted))
        yield excluding(found, settings.exclude)


# A root on its way to another machine, which opens it in its own name.
Portable: TypeAlias = "Folder | str"


def portable(root: Root) -> Portable:
    """A root as another machine can open it. Raises ConfigError for one that only this one has."""
    root = whole_root(root)
    if isinstance(root, Folder):
        return root
    if "://" in root.name and not isinstance(root, Checked):
        return root.name
    raise ConfigError(f"{root.name}: a root of your own cannot be read on other machines")


@contextmanager
def reopened(where: Portable, settings: Settings, to: Connections) -> Iterator[Root]:
    """A root that another machine has sent. Raises ConfigError for a folder that is not here."""
    if isinstance(where, str):
        with roots([where], settings, to) as (found,):
            yield found
    elif where.folder.is_dir():
        yield where
    else:
        raise ConfigError(
            f"{where.folder} is not there on {socket.gethostname()}: mount it at the same path on "
            "every worker, or name a blob container"
        )


def reached(name: str, found: Sequence[Root]) -> None:
    """Whether the name that an index has for a root still leads to it.

    Raises ConfigError if not: it is a link now, or gone, and its letters are taken for a glob.
    """
    if any(root.name == name for root in found):
        return
    if Path(name).exists():
        raise ConfigError(f"{name} is a link to {Path(name).resolve()} now: check the path")
    raise ConfigError(f"{name}: no such folder or file; check the path")


def index_place(settings: Settings) -> str:
    """Where the index is: a folder or an endpoint."""
    return settings.index or settings.search_endpoint or ".ingest"


def embedder_places(settings: Settings) -> tuple[str, ...]:
    """What embeds: "local" alone, or one or several endpoints."""
    return (settings.embedder,) if settings.embedder else settings.openai_endpoint or ("local",)


def index_name(settings: Settings) -> str:
    """The index, as people are told of it."""
    place = index_place(settings)
    return f"{settings.search_index} on {place}" if "://" in place else place


def embedder(
    settings: Settings,
    to: Connections,
    times: Times | None = None,
    budget: Budget | None = None,
    line: Line | None = None,
) -> Embedder:
    """What makes the vectors. Raises ConfigError if a setting is missing.

    The budget is asked for what is sent again; for what is sent once, its caller asks. Requests
    wait in a `line`, where they are not the only ones that the quota is for.
    """
    where = embedder_places(settings)
    if where == ("local",):
        from ingest.embed.local import local

        return local(cores())
    if settings.openai_key:
        log.warning(KEYED, "AZURE_OPENAI_KEY")
    requests = Requests(
        settings.embed_inputs,
        settings.embed_tokens,
        settings.embed_at_once,
        partial(repeated, budget or Budget()),
    )
    where_to = endpoints(settings, where)
    key = embedder_key(settings, to)
    ahead = line or paces(where_to, to.patience.clock)
    return remote(where_to, requests, key, to.patience, times or Times(), line=ahead)


def repeated(budget: Budget, texts: Sequence[str]) -> None:
    """Texts are to be sent once more, and may be paid for twice. Raises StoppedError."""
    from ingest.chunk.tokens import count

    budget.must(sum(count(texts)))


def limited(settings: Settings, stop: Stop) -> Budget:
    """What a run may spend. Raises ConfigError for a limit of money where a price is not known."""
    paid = rates(settings)
    most = math.inf if settings.max_cost is None else settings.max_cost
    if most < math.inf and paid.embedding is None:
        model = endpoints(settings, embedder_places(settings))[0].model
        raise ConfigError(
            f"--max-cost: what does {model} cost for a million tokens? set INGEST_PRICES, as in "
            f"2026-11-01,{model}=0.02"
        )
    return Budget(stop, settings.max_tokens or math.inf, most, paid)


def rates(settings: Settings) -> Rates:
    """What embedding and recognising cost; nothing where this machine does it."""
    where = embedder_places(settings)
    recognises = settings.ocr.startswith("https://")
    return Rates(
        FREE
        if where == ("local",)
        else price(endpoints(settings, where)[0].model, settings.prices),
        price(settings.ocr_model, settings.prices) if recognises else FREE,
    )


def recipe(settings: Settings, model: Embedder) -> Recipe:
    """What shapes chunks and vectors, as the settings are."""
    return Recipe(
        extractor=settings.extractor,
        chunk_tokens=settings.chunk_tokens,
        overlap=settings.chunk_overlap,
        model=model.model,
        dimensions=model.dimensions,
    )


def embedder_key(settings: Settings, to: Connections) -> str | TokenCache:
    """What opens the embedding service: a key where one is set, else tokens."""
    if settings.openai_key:
        return settings.openai_key
    if settings.embedder.endswith("/v1"):
        return "none"  # a service of one's own asks for none, but its protocol does
    return TokenCache(to.login, COGNITIVE_SERVICES)


def endpoints(settings: Settings, where: Sequence[str]) -> list[Endpoint]:
    """The deployments that the settings mean, of one model.

    Raises ConfigError if they leave it open.
    """
    for url in where:
        if not url.startswith(("https://", "http://")):
            raise ConfigError(f"embedder {url}: expected local, or an endpoint: https://...")
    names = each(
        settings.openai_deployment or (settings.openai_model,),
        where,
        "AZURE_OPENAI_EMBEDDING_DEPLOYMENT",
    )
    if len(set(zip(where, names, strict=True))) < len(where):
        raise ConfigError("AZURE_OPENAI_ENDPOINT names one deployment twice: leave one out")
    model = settings.openai_model or names[0]
    if not model:
        raise ConfigError(
            f"which model of {where[0]} embeds? set AZURE_OPENAI_EMBEDDING_DEPLOYMENT to its name"
        )
    if not settings.openai_model and len(set(names)) > 1:
        raise ConfigError("which model do the deployments have? set AZURE_OPENAI_EMBEDDING_MODEL")
    dimensions = settings.openai_dimensions or DIMENSIONS.get(model)
    if not dimensions:
        raise ConfigError(
            f"how many dimensions do the vectors of {model} have? set "
            "AZURE_OPENAI_EMBEDDING_DIMENSIONS, or AZURE_OPENAI_EMBEDDING_MODEL to a known model"
        )
    return [
        Endpoint(url, name, model, dimensions, settings.openai_api_version, tpm, rpm)
        for url, name, tpm, rpm in zip(
            where,
            names,
            each(settings.openai_tpm or (math.inf,), where, "AZURE_OPENAI_TPM"),
            each(settings.openai_rpm or (math.inf,), where, "AZURE_OPENAI_RPM"),
            strict=True,
        )
    ]


def each(values: Sequence[T], where: Sequence[str], name: str) -> Sequence[T]:
    """A value for each endpoint: its own, or the one for all. Raises ConfigError otherwise."""
    if len(values) == 1:
        return list(values) * len(where)
    if len(values) != len(where):
        raise ConfigError(
            f"{name} has {len(values)} values for {len(where)} endpoints: give one, or one for each"
        )
    return values


def index(settings: Settings, model: Embedder, to: Connections, *, create: bool = False) -> Index:
    """Where chunks are kept. Without `create`, what does not exist yet is an empty one."""
    where = index_place(settings)
    if not where.startswith("https://"):
        if "://" in where:
            raise ConfigError(f"index {where}: a service is reached over https:// only")
        from ingest.index.local import LocalIndex

        return LocalIndex(Path(where), model.model, model.dimensions, create=create)
    service = azure_index(settings, to, may_be_absent=not create)
    if create:
        from ingest.index.ensure import ensure

        ensure(service, wanted_index(settings, model.dimensions))
    return service


def azure_index(settings: Settings, to: Connections, *, may_be_absent: bool) -> AzureIndex:
    """The index on a search service. Nothing is asked of it yet."""
    if settings.search_key:
        log.warning(KEYED, "AZURE_SEARCH_KEY")
    return on_service(settings, to, may_be_absent=may_be_absent)


def on_service(settings: Settings, to: Connections, *, may_be_absent: bool) -> AzureIndex:
    """The same, without a warning of a key."""
    from ingest.index.azure import AzureIndex
    from ingest.index.documents import Documents

    key = settings.search_key or TokenCache(to.login, SEARCH)
    where, name = index_place(settings), settings.search_index
    return AzureIndex(Documents(where, name, key, to.patience, may_be_absent=may_be_absent))


def generations(settings: Settings, model: Embedder, to: Connections) -> Generations:
    """The indexes that the name of the index has stood for, and new ones of this model."""
    where = index_place(settings)
    if "://" not in where:
        from ingest.index.folder import Folder

        return Folder(Path(where), model.model, model.dimensions)
    from ingest.index.alias import Alias

    def named(name: str) -> Settings:
        return replace(settings, search_index=name)

    if settings.search_key:
        log.warning(KEYED, "AZURE_SEARCH_KEY")
    return Alias(
        settings.search_index,
        lambda name: on_service(named(name), to, may_be_absent=False),
        lambda name: wanted_index(named(name), model.dimensions),
    )


def wanted_index(settings: Settings, dimensions: int) -> SearchIndex:
    """The definition that the settings mean, of an index on a search service."""
    from ingest.index.definition import definition

    more = additional(field.name for field in settings.blob_fields)
    name, analyzer = settings.search_index, settings.search_analyzer
    return definition(name, dimensions, analyzer, vectorizer(settings), more)


def vectorizer(settings: Settings) -> Vectorizer | None:
    """What lets the search service embed queries itself, where Azure OpenAI embeds the chunks."""
    if settings.embedder or not settings.openai_endpoint:
        return None
    from ingest.index.definition import Vectorizer

    first = endpoints(settings, settings.openai_endpoint)[0]
    return Vectorizer(first.url, first.deployment, first.model)


@dataclass(frozen=True, slots=True)
class Beside:
    """What a process shares that works for a run of another one, which holds the index for both."""

    line: Line
    budget: Budget
    recognising: Paced


@contextmanager
def services(  # noqa: PLR0913 - settings, and what takes the place of what they say
    settings: Settings,
    stop: Stop,
    *,
    write: bool,
    to: Connections | None = None,
    model: Embedder | None = None,
    successor: Successor | None = None,
    beside: Beside | None = None,
) -> Iterator[Services]:
    """All that a run needs, closed again after it; with `write`, the index is held meanwhile.

    A `model` takes the place of what the settings say. The index is that of the settings, or a
    `successor` of it, which takes from it what it can. What works `beside` another process leaves
    the index to that one to make and to hold. Raises ConfigError, ServiceError, or
    BusyError if another run holds the index.
    """
    if write and settings.engine and "://" not in index_place(settings):
        raise ConfigError(
            f"--engine {settings.engine}: an index in a folder is this machine's only; set "
            "AZURE_SEARCH_ENDPOINT, or leave the engine out"
        )
    to = to or connections(settings, stop)
    times = Times(watch=to.watch)
    budget = beside.budget if beside else limited(settings, stop)
    model = model or embedder(settings, to, times, budget, beside.line if beside else None)
    cut = recipe(settings, model)
    with ExitStack() as opened:
        opened.callback(model.close)
        where = (
            successor.index
            if successor
            else index(settings, model, to, create=write and not beside)
        )
        earlier = successor.earlier if successor else None
        opened.callback(where.close)
        senders = ThreadPoolExecutor(model.at_once, SENDER)
        writers, writing = writing_threads(settings)
        opened.callback(writers.shutdown, cancel_futures=True)
        opened.callback(ended, senders, stop)
        sends = write and settings.ocr.startswith("https://")
        pace = beside.recognising if beside else None
        service = document_intelligence(settings, to, budget, pace) if sends else None
        memory = Inherited(where, earlier) if earlier else where
        reader = opened.enter_context(reading(settings, memory, cut, times, service))
        try:
            if write and where.fresh and not settings.engine:
                # There is much to read and to embed: what takes a while begins meanwhile.
                senders.submit(model.open)
                for _ in range(reader.at_once):
                    reader.threads.submit(reader.warm)
            if write and not beside:
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


def ended(senders: Executor, stop: Stop) -> None:
    """End the threads that embed: without a wait for answers once these are of no use.

    One that is not answered would hold up the end of the run for as long as the request may take.
    """
    senders.shutdown(wait=not stop.overdue(), cancel_futures=True)


def writing_threads(settings: Settings) -> tuple[Executor, int]:
    """Threads that write to the index, and how many writes pay off at once."""
    if index_place(settings).startswith("https://"):
        return ThreadPoolExecutor(WRITES_AT_ONCE, "writer"), WRITES_AT_ONCE
    return AtOnce(), 1  # SQLite's connection belongs to the thread that opened it
