"""Workarounds for Dask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import distributed

from ingest.distributed.dask import PROFILER_CALLBACKS, DaskEngine, coordinator_link
from tests.distributed.cluster import cluster
from tests.processes import wait_until


def test_a_worker_is_not_profiled_from_its_first_group_on(tmp_path: Path) -> None:
    """So no look at its threads can stop it for good, as it can before Python 3.12."""
    with cluster(tmp_path, {}) as made:
        made.worker()
        made.wait_for(1)
        with made.client() as client:
            assert list(client.run(profiled).values()) == [True]
            client.submit(beginning).result()
            wait_until(lambda: list(client.run(profiled).values()) == [False])


def test_what_does_not_arrive_is_missed(tmp_path: Path) -> None:
    """A group is done and its result does not come: after a while that is known, not before."""
    with cluster(tmp_path, {}) as made, made.client() as client:
        made.worker()
        hasty = DaskEngine(made.address, client, "a run", result_timeout=0.0)
        patient = DaskEngine(made.address, client, "a run", result_timeout=3600.0)
        done = client.submit(int)
        wait_until(hasty.has_lost_results)
        assert not patient.has_lost_results()
        done.release()
        wait_until(lambda: not hasty.has_lost_results())


def profiled(dask_worker: Any) -> bool:
    """Whether a worker is."""
    return any(dask_worker.periodic_callbacks[name].is_running() for name in PROFILER_CALLBACKS)


def beginning() -> None:
    """What a group does first."""
    coordinator_link("a run", distributed.get_client())
