"""Whatever is killed, the run ends with the index of an undisturbed one.

Every part is a process: a scheduler, workers, the driver. Each dies at a moment that is reached for
sure, because a service holds its answers back until then.
"""

from __future__ import annotations

import itertools
import os
import signal
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
    world.made_good(over, "embedding", twice=3 * 6)
    assert readers
    until(lambda: not any(map(alive, readers)))
