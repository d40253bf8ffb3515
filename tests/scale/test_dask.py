"""What Dask does that it should not, and what is done about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import distributed

from ingest.scale.dask import PROFILING, Dask, reaching
from tests.processes import wait_until
from tests.scale.cluster import cluster


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
        hasty = Dask(made.address, client, "a run", arriving=0.0)
        patient = Dask(made.address, client, "a run", arriving=3600.0)
        done = client.submit(int)
        wait_until(hasty.stuck)
        assert not patient.stuck()
        done.release()
        wait_until(lambda: not hasty.stuck())


def profiled(dask_worker: Any) -> bool:
    """Whether a worker is."""
    return any(dask_worker.periodic_callbacks[name].is_running() for name in PROFILING)


def beginning() -> None:
    """What a group does first."""
    reaching("a run", distributed.get_client())
