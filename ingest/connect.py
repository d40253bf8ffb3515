"""From settings to what a run works with. The only place that chooses a back end."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from ingest.embed import Embedder
from ingest.errors import ConfigError
from ingest.extract.worker import Contained, Limits
from ingest.index import Index
from ingest.model import Prepared, Recipe, Source
from ingest.pipeline import Services
from ingest.prepare import Task, prepare, second_chance
from ingest.settings import Settings, cores


def embedder(_: Settings) -> Embedder:
    """What makes the vectors. Raises ConfigError if it is not installed."""
    from ingest.embed.local import local

    return local(cores())


def index(settings: Settings, model: Embedder, *, create: bool = False) -> Index:
    """Where chunks are kept. Without `create`, an index that does not exist yet is an empty one."""
    if "://" in settings.index:
        raise ConfigError(f"--index {settings.index}: this version keeps its index in a folder")
    from ingest.index.local import LocalIndex

    return LocalIndex(Path(settings.index), model.model, model.dimensions, create=create)


@contextmanager
def services(settings: Settings, *, write: bool) -> Iterator[Services]:
    """All that a run needs, closed again after it; with `write`, the index is held meanwhile.

    Raises ConfigError, ServiceError, or BusyError if another run holds the index.
    """
    model = embedder(settings)
    recipe = Recipe(
        extractor=settings.extractor,
        chunk_tokens=settings.chunk_tokens,
        overlap=settings.chunk_overlap,
        model=model.model,
        dimensions=model.dimensions,
    )
    reading = settings.workers or cores()
    children = Contained(prepare, Limits(settings.document_seconds, settings.document_megabytes))
    careful = second_chance(children)

    def prepared(source: Source, known: str) -> Prepared | None:
        return careful(Task(source, known, recipe, settings.extractor))

    where = index(settings, model, create=write)
    readers = ThreadPoolExecutor(reading, "reader")
    senders = ThreadPoolExecutor(model.at_once, "sender")
    try:
        if write:
            where.hold()
        yield Services(where, model, recipe, prepared, readers, reading, senders)
    finally:
        # The children first: threads that wait for them can only then end.
        readers.shutdown(wait=False, cancel_futures=True)
        children.close()
        readers.shutdown()
        senders.shutdown(cancel_futures=True)
        where.close()
