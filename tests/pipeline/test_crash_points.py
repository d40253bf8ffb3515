"""Lives of an index: killed, paused, met by other runs, edited in between, read with a lag.

Invariant 11: after all of it and one run more, every chunk in the index is named by exactly one
record, every record's chunks are there, and nothing stale is found. `benchmarks/crash_points.py`
goes on with other seeds.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline.worlds import World, live


@pytest.mark.parametrize("seed", range(40))
def test_whatever_befalls_runs_on_a_service_the_next_one_makes_good(seed: int) -> None:
    """Lags of none to eight seconds, one replica or two."""
    live(World(lag=(0.0, 1.0, 3.0, 8.0)[seed % 4], replicas=1 + seed % 2), seed)


@pytest.mark.parametrize("seed", range(10))
def test_whatever_befalls_runs_on_this_machine_the_next_one_makes_good(
    seed: int, tmp_path: Path
) -> None:
    """The same with a local index, which its file lock keeps to one run."""
    live(World(folder=tmp_path / "index"), seed)
