"""Whatever is killed, the run ends with the index of an undisturbed one.

Every part is a process: a scheduler, workers, the driver. Each dies at a moment that is reached for
sure, because a service holds its answers back until then.
"""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.azure.emulator import Azure, emulator
from tests.azure.identity import BLOB_READER
from tests.cli.test_kill import alive
from tests.conftest import DIMENSIONS
from tests.pdfs import pdf, prose
from tests.scale.cluster import Cluster, cluster, descendants, end, until
from tests.scale.driver import SMALL, Driver, Gate, Over, contents, driver

SOURCES = 24
PAGES = 3
UNDER_WAY = 3 * 6  # texts: requests that a worker has under way at once, and texts in one
names = itertools.count(1)


@dataclass
class World:
    """A cluster, a container of documents, and what an undisturbed run makes of them."""

    azure: Azure
    cluster: Cluster
    folder: Path
    root: str
    wanted: dict[str, Any]
    calm: Over

    @contextmanager
    def run(self, index: str, *arguments: str, **more: str) -> Iterator[Driver]:
        """A run on the cluster, on an index of this name."""
        more = {"AZURE_SEARCH_INDEX": index, **more}
        address = self.cluster.address
        with driver(
            self.azure, self.folder, self.root, *arguments, engine=address, **more
        ) as made:
            yield made

    @contextmanager
    def held(self, *where: str, after: int = 0) -> Iterator[Gate]:
        """While it lasts, requests to a service are held at a gate: from the nth on."""
        gate = Gate()
        planned = self.azure.faults.add(gate.fault(), *where, nth=Beyond(after))
        try:
            yield gate
        finally:
            gate.opened.set()
            self.azure.faults.planned.remove(planned)

    def made_good(self, over: Over, index: str, twice: int = 0) -> None:
        """What must be so of a run that was disturbed."""
        assert over.code == 3, over.err
        assert over.outcomes == self.calm.outcomes
        assert contents(self.azure, index) == self.wanted
        paid = self.azure.openai.repeated
        assert sum(paid.values()) - len(paid) <= twice, paid


class Beyond(frozenset[int]):
    """All numbers above one."""

    def __new__(cls, number: int) -> Beyond:
        return super().__new__(cls, ())

    def __init__(self, number: int) -> None:
        self.number = number

    def __contains__(self, other: object) -> bool:
        return isinstance(other, int) and other > self.number


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("cluster")
    with emulator(dimensions=DIMENSIONS) as azure:
        for n in range(SOURCES):
            pages = (prose(f"topic {n} {page}", 8) for page in range(PAGES))
            azure.blob.put("docs", f"{n:02}.pdf", pdf(*pages))
        azure.blob.put("docs", "broken.pdf", b"%PDF-broken")
        root = f"{azure.blob_endpoint}/docs"
        with driver(azure, folder, root, AZURE_SEARCH_INDEX="calm") as undisturbed:
            calm = undisturbed.over()
        with cluster(folder, {**azure.environment, **SMALL}) as made:
            yield World(azure, made, folder, root, contents(azure, "calm"), calm)


@pytest.fixture(autouse=True)
def counted(world: World) -> None:
    """Each test counts for itself what is embedded."""
    world.azure.openai.texts.clear()


def test_a_worker_that_dies_while_it_embeds_is_made_up_for_by_another(world: World) -> None:
    """Its group is done again elsewhere, and only what was under way is paid for twice."""
    first, _ = world.cluster.living(2)
    with world.run("embedding") as run, world.held("openai", after=4) as gate:
        gate.reached(4)  # so both are in the midst of it: each has three under way at most
        readers = descendants(first.pid)
        end(first)
        gate.opened.set()
        over = run.over()
    world.made_good(over, "embedding", twice=UNDER_WAY)
    assert readers
    until(lambda: not any(map(alive, readers)))


def test_a_whole_node_dies_while_it_reads_and_another_one_joins(world: World) -> None:
    """A nanny, its worker and the readers are gone at once; who comes later gets work."""
    world.cluster.living(0)
    node = world.cluster.worker(nanny=True)
    world.cluster.wait_for(1)
    with world.run("reading") as run, world.held("blob", "GET", "docs/1", after=2) as gate:
        gate.reached()
        end(node)  # the last one there is
        other = world.cluster.worker()
        world.cluster.wait_for(1)
        gate.opened.set()
        over = run.over()
    world.made_good(over, "reading")
    def look(dask_worker):
        import threading, gc
        from ingest.scale import session, dask
        import distributed
        out=[str(session.HERE), [t.name for t in threading.enumerate()]]
        for o in gc.get_objects():
            if isinstance(o, distributed.Client): out.append((str(o), {k:v for k,v in o.refcount.items()}))
            if isinstance(o, dask.Reach): out.append(("reach",o.found,o.missed))
            if isinstance(o, distributed.Future): out.append(("fut",str(o), [type(r).__name__ for r in gc.get_referrers(o)][:4]))
            if isinstance(o, distributed.Actor): out.append(("act",str(o), [type(r).__name__ for r in gc.get_referrers(o)][:4]))
        return out
    time.sleep(2)
    with world.cluster.client() as c:
        for v in c.run(look).values():
            for x in v: print(x)
        print(c.run_on_scheduler(lambda dask_scheduler: {k: [c.client_key for c in t.who_wants] for k,t in dask_scheduler.tasks.items()}))
    assert 0
    assert other.poll() is None


def test_the_worker_that_keeps_the_pace_dies_and_no_limit_is_exceeded(world: World) -> None:
    """Another one keeps it, even where every place is taken by who waits for it; and the quota and
    what may be spent hold through that."""
    world.cluster.living(2)
    total = sum(request.tokens for request in world.azure.openai.requests) // 2
    world.azure.openai.tpm, world.azure.openai.tpm_window = 60_000, 10.0
    try:
        with (
            world.run("pacing", "--max-tokens", str(total)) as run,
            world.held("openai", after=4) as gate,
        ):
            gate.reached(4)
            (keeper,) = world.cluster.holding_actors()
            before = len(world.azure.openai.requests)
            end(next(worker for worker in world.cluster.workers if worker.pid == keeper))
            gate.opened.set()
            over = run.over()
    finally:
        world.azure.openai.tpm = None
    paid = sum(request.tokens for request in world.azure.openai.requests[before:])
    assert over.code == 1, over.err
    assert "--max-tokens" in over.err
    assert paid <= total
    assert len(world.azure.openai.throttled) <= 1


def test_without_a_scheduler_a_run_says_so_in_one_line(world: World) -> None:
    """Nobody at the address: it says what it waits for, and then what to do."""


def test_a_run_whose_scheduler_is_killed_ends_with_one_line(
    world: World, tmp_path: Path
) -> None:
    """Not a traceback and not a hang; and nobody may write until its workers are sure to be gone."""
    with cluster(tmp_path, {**world.azure.environment, **SMALL}) as other:
        other.living(1)
        more = {"AZURE_SEARCH_INDEX": "scheduler"}
        where = world.azure, tmp_path, world.root
        with (
            driver(*where, engine=other.address, **more) as run,
            world.held("openai", after=2) as gate,
        ):
            gate.reached()
            end(other.scheduler)
            began = time.monotonic()
            over = run.over()
            took = time.monotonic() - began
        with driver(*where, **more) as again:
            refused = again.over()
    assert (over.code, took < 15) == (1, True), over.err
    assert over.err.strip().count("\n") == 0, over.err
    assert other.address in over.err
    assert refused.code == 11
    assert "if it was killed" in refused.err
