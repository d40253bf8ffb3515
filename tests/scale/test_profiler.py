"""Dask looks at what its workers do, which is not free of danger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import distributed

from ingest.scale.dask import PROFILING, reaching
from tests.scale.cluster import cluster, until


def test_a_worker_is_not_profiled_from_its_first_group_on(tmp_path: Path) -> None:
    """So no look at its threads can stop it for good, as it can before Python 3.12."""
    with cluster(tmp_path, {}) as made:
        made.worker()
        made.wait_for(1)
        with made.client() as client:
            assert list(client.run(profiled).values()) == [True]
            client.submit(beginning).result()
            until(lambda: list(client.run(profiled).values()) == [False])


def profiled(dask_worker: Any) -> bool:
    """Whether a worker is."""
    return any(dask_worker.periodic_callbacks[name].is_running() for name in PROFILING)


def beginning() -> None:
    """What a group does first."""
    reaching("a run", distributed.get_client())
