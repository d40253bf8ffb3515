"""Create the services of a run from its settings: `open_services`.

It calls one opener per role, in the other modules of this package. An opener selects a back end by
the scheme of its location and passes it plain values; no back end sees the settings.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NoReturn

from ingest.config.budget import create_budget
from ingest.config.connections import Connections, create_connections
from ingest.config.embedding import create_account, create_embedder, open_vector_journal
from ingest.config.figures import describes_figures, open_figure_chat
from ingest.config.images import open_images
from ingest.config.index import create_writers, index_location, index_name, open_index
from ingest.config.location import Location
from ingest.config.manifest import check_format, check_recipe, describe_other_recipe
from ingest.config.reader import ReaderServices, open_document_intelligence, open_reader
from ingest.config.recipe import create_recipe
from ingest.config.settings import Settings
from ingest.embed import Embedder
from ingest.embed.account import add_account
from ingest.embed.journal import VectorJournal, add_journal
from ingest.embed.parts import PartwiseEmbedder
from ingest.embed.rate_limit.limiter import EmbeddingRateLimiter
from ingest.errors import ConfigError, IngestError
from ingest.extract.ocr.page_cache import InheritedPageCache
from ingest.index import Index
from ingest.index.generations import Successor
from ingest.index.manifest import create_manifest
from ingest.pipeline.context import Services
from ingest.runtime.budget import Budget
from ingest.runtime.cancellation import SENDER_THREADS, Cancellation
from ingest.runtime.rate_limit import RateLimiter
from ingest.runtime.timing import INDEX_ANSWER

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SharedState:
    """State that a worker shares with the driver, which holds the index lock."""

    rate_limiter: EmbeddingRateLimiter
    budget: Budget
    ocr_rate_limiter: RateLimiter


@dataclass(frozen=True, slots=True)
class Replacements:
    """Services that the caller has opened, used instead of those in the settings."""

    model: Embedder | None = None
    # the index to fill; vectors and recognised pages of the earlier one are reused
    successor: Successor | None = None
    shared: SharedState | None = None  # of a worker: the driver creates and locks the index


@contextmanager
def open_services(  # noqa: PLR0913 - settings, and the ways to use an index
    settings: Settings,
    stop: Cancellation,
    *,
    write: bool,
    embeds: bool = True,
    take_over: bool = False,
    connections: Connections | None = None,
    replacements: Replacements = Replacements(),
) -> Iterator[Services]:
    """Open the services of a run, and close them at the end of the context.

    * `write`: create the index if it does not exist, and hold its lock.
    * `embeds`: False for a caller that embeds nothing, and so accepts an index of any model and
      recipe. Without `write`, any model is accepted too, unless the settings name one.
    * `take_over`: convert an index of another recipe, instead of refusing to write to it.
    * `connections`: created from the settings if None.

    Raises ConfigError, ServiceError, or BusyError if another run holds the index.
    """
    if write:
        check_engine(settings)
    connections = connections or create_connections(settings, stop)
    parts = open_parts(settings, stop, connections, replacements, write=write, embeds=embeds)
    with parts as (services, journal), abandon_on_error(stop):
        if write and services.index.is_new and not settings.engine:
            warm_up(services)
        if not replacements.shared:  # or the driver has done so
            with services.times.wait_for(INDEX_ANSWER):
                begin(services, settings, stop, write=write)
                if write and embeds:
                    take_over |= replacements.successor is not None
                    check_settings(services, settings, take_over=take_over)
        yield services
        if journal and not stop.is_requested() and not services.times.unwritten_tokens():
            journal.delete(partial(find_written, services.index))


@contextmanager
def open_parts(  # noqa: PLR0913 - those of open_services
    settings: Settings,
    stop: Cancellation,
    connections: Connections,
    replacements: Replacements,
    *,
    write: bool,
    embeds: bool,
) -> Iterator[tuple[Services, VectorJournal | None]]:
    """Open the model, the index and the reader, and yield them joined, with the model's journal."""
    shared, successor = replacements.shared, replacements.successor
    earlier = successor.earlier if successor else None
    budget = shared.budget if shared else create_budget(settings, stop)
    model, journal = prepare_model(settings, connections, budget, replacements, write=write)
    names_model = replacements.model or settings.embedder or settings.openai_endpoint
    any_model = not embeds or not (write or names_model)
    with ExitStack() as stack:
        stack.callback(model.close)
        if journal:
            stack.callback(journal.close)
        create = write and not shared
        index = (
            successor.index
            if successor
            else open_index(settings, model, connections, create=create, any_model=any_model)
        )
        stack.callback(index.close)
        model = take_stored_model(model, index) if any_model else model
        recipe = create_recipe(settings, model)
        embed_threads = ThreadPoolExecutor(model.at_once, SENDER_THREADS)
        write_threads, max_writes = create_writers(settings)
        stack.callback(write_threads.shutdown, cancel_futures=True)
        stack.callback(stop_embedding, embed_threads, stop)
        remote = ReaderServices()
        if write:
            opened = open_reader_services(settings, connections, budget, shared)
            remote = stack.enter_context(opened)
        cache = InheritedPageCache(index, earlier) if earlier else index
        reader = open_reader(settings, cache, recipe, connections.times, remote)
        services = Services(
            index=index,
            embedder=model,
            recipe=recipe,
            reader=stack.enter_context(reader),
            embed_threads=embed_threads,
            write_threads=write_threads,
            max_writes=max_writes,
            times=connections.times,
            budget=budget,
            previous_index=earlier,
            images=remote.images,
        )
        yield services, journal


def find_written(index: Index, hashes: Collection[str]) -> Collection[str]:
    """Return the text hashes that an index has; none if it cannot be asked."""
    try:
        return index.ids_by_text(hashes)
    except IngestError as error:
        log.info("could not ask the index for texts: %s", error)
        return ()


def prepare_model(
    settings: Settings,
    connections: Connections,
    budget: Budget,
    replacements: Replacements,
    *,
    write: bool,
) -> tuple[Embedder, VectorJournal | None]:
    """Return the model, charged to the budget, and the journal of its vectors if the run writes.

    A model that the caller has opened has no journal.
    """
    model, journal = replacements.model, None
    if model is None:
        shared = replacements.shared
        limiter = shared.rate_limiter if shared else None
        model = create_embedder(settings, connections, connections.times, budget, limiter)
        journal = open_journal_of_run(settings, model, shared) if write else None
    return account_for(model, budget, journal), journal


def check_engine(settings: Settings) -> None:
    """Check the workers of an engine. Raises ConfigError if they cannot reach the index."""
    if not settings.engine:
        return
    if index_location(settings).is_local:
        raise ConfigError(
            f"--engine {settings.engine}: workers cannot reach an index in a folder of this "
            "machine: set AZURE_SEARCH_ENDPOINT, or leave the engine out"
        )
    if describes_figures(settings):
        log.warning(
            "the workers of %s describe no figures: they index the text, and a run without "
            "--engine then has the figures described",
            settings.engine,
        )


def open_journal_of_run(
    settings: Settings, model: Embedder, shared: SharedState | None
) -> VectorJournal | None:
    """Open the journal of the vectors that a run, or one of its workers, receives."""
    found = index_location(settings)
    location = str(Path(found.text).absolute()) if found.is_local else found.text
    return open_vector_journal(settings, model, location, is_worker=shared is not None)


def account_for(model: Embedder, budget: Budget, journal: VectorJournal | None) -> Embedder:
    """Wrap a model: charge its requests to the budget, and keep its vectors in the journal."""
    if not isinstance(model, PartwiseEmbedder):  # which pays for its requests itself
        model = add_account(model, create_account(budget))
    return add_journal(model, journal) if journal else model


@contextmanager
def open_reader_services(
    settings: Settings,
    connections: Connections,
    budget: Budget,
    shared: SharedState | None,
) -> Iterator[ReaderServices]:
    """Open the services that the reader of a run may call."""
    ocr = chat = None
    if Location.parse(settings.ocr).is_service:
        limiter = shared.ocr_rate_limiter if shared else None
        ocr = open_document_intelligence(settings, connections, budget, limiter)
    if describes_figures(settings) and not shared:
        chat = open_figure_chat(settings, connections, connections.times, budget)
    with open_images(settings, connections, write=True) as images:
        yield ReaderServices(ocr, chat, images)


def begin(services: Services, settings: Settings, stop: Cancellation, *, write: bool) -> None:
    """Lock the index for a run that writes, and check that this version can use it.

    Raises BusyError if another run holds it, ConfigError if it is of a later version.
    """
    if write:
        stop.is_idle = True  # so that a signal ends the wait for the lock at once
        services.index.hold(settings.engine, stop.fail)
        stop.is_idle = False
    check_format(services.index, index_name(settings))


def check_settings(services: Services, settings: Settings, *, take_over: bool) -> None:
    """Check that the index has this recipe, or convert it. Raises ConfigError."""
    manifest = create_manifest(services.recipe, create_recipe(Settings(), services.embedder))
    name = index_name(settings)
    check_recipe(services.index, manifest, name, services.budget.rates, take_over=take_over)


@contextmanager
def abandon_on_error(stop: Cancellation) -> Iterator[None]:
    """On an error, abandon the work under way and raise the run's first fault."""
    try:
        yield
    except BaseException as error:
        # Threads that wait for a quota must not delay the error message.
        stop.abandon()
        if isinstance(error, IngestError) and stop.fault and stop.fault is not error:
            raise stop.fault from error
        raise


def stop_embedding(embed_threads: ThreadPoolExecutor, stop: Cancellation) -> None:
    """Shut down the embedding threads; once the grace period is over, without waiting for them.

    An unanswered request would delay the end of the run until it times out.
    """
    embed_threads.shutdown(wait=not stop.is_overdue(), cancel_futures=True)


def warm_up(services: Services) -> None:
    """Load the model and start the sandboxes in the background, before a long run."""
    reader = services.reader
    services.embed_threads.submit(services.embedder.open)
    for _ in range(reader.at_once):
        reader.threads.submit(reader.warm_up)


def take_stored_model(model: Embedder, index: Index) -> Embedder:
    """Return the model that filled an index; it cannot embed unless it is this one."""
    name, dimensions = index.vector_space() or ("", 0)
    if not name or (name, dimensions) == (model.model, model.dimensions):
        return model

    def refuse(_: Sequence[str]) -> NoReturn:
        raise ConfigError(
            f"the index holds vectors of {name}: only a program that uses that model can embed"
        )

    log.warning("the index was filled with the model %s, by a program or with other settings", name)
    return replace(model, embed=refuse, embed_query=None, model=name, dimensions=dimensions)


def describe_refusal(services: Services, settings: Settings) -> str:
    """Describe why a run with these settings may not write to the index; "" if it may."""
    manifest = create_manifest(services.recipe, create_recipe(Settings(), services.embedder))
    rates = services.budget.rates
    return describe_other_recipe(services.index, manifest, index_name(settings), rates)
