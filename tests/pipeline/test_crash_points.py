"""Lives of an index: killed, paused, met by other runs, edited in between, read with a lag.

Invariant 11: after all of it and one run more, every chunk in the index is named by exactly one
record, every record's chunks are there, and nothing stale is found. `benchmarks/crash_points.py`
goes on with other seeds.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from ingest.errors import BusyError
from ingest.index.azure.index import AzureIndex
from ingest.index.azure.owner import local_host
from tests.conftest import DIMENSIONS
from tests.index.foreign_indexes import demo, demo_cloud, demo_full, gpt_rag
from tests.pipeline.worlds import (
    ANOTHER_MACHINE,
    DEAD_PROCESS,
    INDEX,
    LEASE_SECONDS,
    Crash,
    Process,
    World,
    live,
)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_befalls_runs_on_a_service_the_next_one_makes_good(seed: int) -> None:
    """Lags of none to eight seconds, one replica or two."""
    live(World(lag=(0.0, 1.0, 3.0, 8.0)[seed % 4], replicas=1 + seed % 2), seed)


@pytest.mark.parametrize("runs", [1, 55])
def test_a_run_that_slept_while_it_asked_for_its_lease_writes_nothing(runs: int) -> None:
    """The answer was from before other runs; after many of them, their first traces are deleted."""
    world = World(files={"0.pdf": "w0"})
    process = Process()
    index = world.open(process, ANOTHER_MACHINE)
    assert isinstance(index, AzureIndex)
    index.hold("", lambda _: None)

    def sleep(_: int) -> None:
        process.after = lambda _: None
        world.clock.advance(LEASE_SECONDS)
        assert {world.run() for _ in range(runs)} == {0}

    process.after = sleep
    world.clock.advance(2.0)  # the last answer no longer counts
    with pytest.raises(BusyError, match="taken over"):
        index.lease.raise_if_lost()
    world.close(index, is_dead=True)
    world.check()


def test_a_run_that_slept_while_it_took_the_lease_writes_nothing() -> None:
    """Another one took it since, and gave it back."""
    world = World(files={"0.pdf": "w0"})

    def sleep(number: int) -> None:
        if number == 3:  # the one that takes it
            world.clock.advance(LEASE_SECONDS)
            assert world.run() == 0
            world.files["0.pdf"] = "w1"

    assert world.run(sleep) == BusyError.exit_code
    assert list(world.paid) == ["w0"]
    assert not world.orphans()


@pytest.mark.parametrize("seed", range(8))
def test_whatever_befalls_runs_that_fill_an_application_s_index(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Its chunks, the copies of them and the records are in two indexes, and always agree."""
    live(foreign_world(seed, lag=(0.0, 8.0)[seed // 4], replicas=1 + seed % 2), seed)
    assert "lacked" not in caplog.text  # a chunk whose copy was there


def foreign_world(kind: int, **more: Any) -> World:
    """An index that one of four applications made."""
    definition = (demo, demo_cloud, demo_full, gpt_rag)[kind % 4](DIMENSIONS)
    profile = "gpt-rag" if kind % 4 == 3 else "azure-search-openai-demo"
    return World(profile=profile, definition=definition, **more)


@pytest.mark.parametrize("kind", range(4))
def test_an_application_s_index_that_lost_chunks_gets_them_again(kind: int) -> None:
    """Emptied, made anew by its application, or short of one chunk: for nothing."""
    world = foreign_world(kind)
    world.files = {"0.pdf": "w0 w1 w2", "1.pdf": "w3 w4"}
    assert world.run() == 0
    world.check()
    paid = world.paid.copy()

    for keys in (slice(None), slice(1)):
        index = world.service.indexes[INDEX]
        for key in list(index.latest)[keys]:
            index.written(key, None, world.clock.now(), world.service.delays)
        assert world.run() == 0
        world.check()
    definition = world.service.indexes.pop(INDEX).definition
    world.create(definition)
    stranger = {definition["fields"][0]["name"]: "x", "content": "of its own"}
    for n in range(9):
        index = world.service.indexes[INDEX]
        index.written(f"x{n}", stranger, world.clock.now(), world.service.delays)
    assert world.run() == 0
    for n in range(9):
        index.written(f"x{n}", None, world.clock.now(), world.service.delays)
    world.check()
    assert world.paid == paid


def test_a_field_that_an_application_adds_is_filled() -> None:
    """From the copies of the chunks that are there: nothing is read or embedded."""
    world = foreign_world(3)
    definition = world.service.indexes.pop(INDEX).definition
    lacking = [f for f in definition["fields"] if f["name"] != "filepath"]
    world.create(definition | {"fields": lacking})
    world.files = {"0.pdf": "w0 w1 w2"}
    assert world.run() == 0
    paid = world.paid.copy()

    world.create(definition)
    assert world.run() == 0
    found = world.service.indexes[INDEX].latest.values()
    assert [d["filepath"] for d in found] == ["0.pdf"] * 3
    assert world.paid == paid
    world.check()


@pytest.mark.parametrize("seed", range(10))
def test_whatever_befalls_runs_on_this_machine_the_next_one_makes_good(
    seed: int, tmp_path: Path
) -> None:
    """The same with a local index, which its file lock keeps to one run."""
    live(World(folder=tmp_path / "index"), seed)


@pytest.mark.parametrize("place", ["service", "folder"])
def test_a_file_that_comes_back_after_a_removal_that_was_killed_is_whole(
    tmp_path: Path, place: str
) -> None:
    """A share was half mounted for a night: whatever request the run died at, nothing is lost."""
    for at in itertools.count(1):
        folder = tmp_path / str(at) if place == "folder" else None
        made = World(folder, files={"a.pdf": "one", "b.pdf": "two three"})
        assert made.run() == 0
        gone = made.files.pop("b.pdf")

        def kill(number: int, at: int = at) -> None:
            if number == at:
                raise Crash

        code = made.run(kill, f"{local_host()}:{DEAD_PROCESS}")
        made.settle()
        made.files["b.pdf"] = gone
        assert made.run() == 0
        made.check()
        if code == 0:
            break
