"""Distributed runs: workers of a cluster settle groups of sources.

A cluster engine is anything with an Executor of concurrent.futures and one object that all of its
workers can call, which is the coordinator. The driver is the process that was started; it lists,
compares and removes. Workers read, embed and write a few sources at a time, by the stages that run
on one machine. No vector and no byte of a document passes through the driver, and none of its
secrets reach a worker.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ingest.config.settings import Settings
from ingest.errors import ConfigError
from ingest.pipeline.context import Run, Services


@contextmanager
def use_engine(settings: Settings, services: Services, run: Run) -> Iterator[Services]:
    """Connect the services of a run to the engine in the settings; unchanged if there is none.

    Raises ConfigError if Dask is not installed, ServiceError if the scheduler does not answer.
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
        connect_engine(engine, settings, services, run) as remote_services,
    ):
        yield remote_services
