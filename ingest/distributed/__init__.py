"""Several machines: groups of sources settled by the workers of an engine.

An engine is anything with an Executor of concurrent.futures and one object that all of its workers
can call, which keeps the pace. Listing, comparing and removing stay with the process that was
started, the driver; reading, embedding and writing are the same stages as on one machine, run by a
worker on a few sources. No vector and no byte of a document passes through the driver, and no
secret of it reaches a worker.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ingest.config.settings import Settings
from ingest.errors import ConfigError
from ingest.pipeline.context import Run, Services


@contextmanager
def use_engine(settings: Settings, services: Services, run: Run) -> Iterator[Services]:
    """The services of a run on the engine that the settings name; as they are, if none is.

    Raises ConfigError if what speaks to it is not installed, ServiceError if it does not answer.
    """
    if not settings.engine:
        yield services
        return
    try:
        from ingest.distributed.dask import connect_cluster
    except ImportError:
        raise ConfigError(
            f"--engine {settings.engine}: Dask is not installed here: pip install '.[dask]' in the "
            "checkout"
        ) from None
    from ingest.distributed.driver import connect_engine

    with (
        connect_cluster(settings.engine, run.id) as engine,
        connect_engine(engine, settings, services, run) as everywhere,
    ):
        yield everywhere
