"""Whatever is killed, the run ends with the index of an undisturbed one.

Every part is a process: a scheduler, workers, the driver. Each dies at a moment that is reached for
sure, because a service holds its answers back until then.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ingest.distributed.coordinator import DRIVER_TIMEOUT_SECONDS
from ingest.distributed.session import LEASE_CHECK_SECONDS, LEASE_LATE_SECONDS
from ingest.index.azure.lease import LEASE_SECONDS
from ingest.pipeline.diff import MAX_ATTEMPTS
from ingest.runtime.cancellation import Cancellation
from tests.conftest import DIMENSIONS
from tests.distributed.cluster import Cluster, find_descendants, kill, run_cluster
from tests.distributed.driver import Driver, FinishedRun, read_contents, start_driver
from tests.emulator.emulator import Azure, run_emulator
from tests.emulator.faults import Fault
from tests.emulator.gate import Gate, hold_requests
from tests.emulator.server import Request, Response, Service
from tests.pdfs import pdf, prose
from tests.processes import is_alive, wait_until
from tests.runs import SMALL

SOURCES = 40  # more than two workers take at once
PAGES = 2
UNDER_WAY = 3 * 6  # texts: requests that a worker has under way at once, and texts in one


@dataclass
class World:
    """A cluster, a container of documents, and what an undisturbed run makes of them."""

    azure: Azure
    cluster: Cluster
    folder: Path
    root: str
    wanted: dict[str, Any]
    calm: FinishedRun
    calls: int  # for embeddings, of that run

    @contextmanager
    def run(self, index: str, *arguments: str, root: str = "", **more: str) -> Iterator[Driver]:
        """A run on the cluster, on an index of this name."""
        more = {"AZURE_SEARCH_INDEX": index, **more}
        where, address = root or self.root, self.cluster.address
        with start_driver(
            self.azure, self.folder, where, *arguments, engine=address, **more
        ) as made:
            yield made

    @contextmanager
    def quota(self, tpm: int) -> Iterator[None]:
        """While it lasts, so many tokens a minute."""
        self.azure.openai.tpm, self.azure.openai.tpm_window = tpm, 10.0
        try:
            yield
        finally:
            self.azure.openai.tpm = None

    def secrets(self) -> list[str]:
        """Texts that must not be sent: tokens, the secret for them, and the text of documents."""
        identity = self.azure.identity
        return [*identity.issued, identity.secret, "crowns in year"]

    def age_lease(self, index: str, seconds: float) -> None:
        """As if an index had been held by its run for the last time so long ago."""
        where = self.azure.search.indexes[index]
        with where.lock:
            then = datetime.now(UTC) - timedelta(seconds=seconds)
            for key in [key for key in where.latest if key.startswith("lease")]:
                lease = where.latest[key] | {"settled": then.isoformat(timespec="seconds")}
                where.written(key, lease, self.azure.clock.now(), self.azure.search.delays)

    def held(self, service: str, path: str = "", after: int = 0) -> AbstractContextManager[Gate]:
        """Hold requests to a service, except the first ones, until the context ends."""
        return hold_requests(self.azure, service, path, after)

    def assert_recovered(self, finished: FinishedRun, index: str, twice: int = 0) -> None:
        """Assert that a disturbed run has the results of an undisturbed one."""
        assert finished.code == 3, finished.err
        assert finished.outcomes == self.calm.outcomes
        assert read_contents(self.azure, index) == self.wanted
        paid = self.azure.openai.repeated
        assert sum(paid.values()) - len(paid) <= twice, paid


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("cluster")
    with run_emulator(dimensions=DIMENSIONS) as azure:
        for n in range(SOURCES):
            pages = (prose(f"topic {n} {page}", 8) for page in range(PAGES))
            azure.blob.put("docs", f"{n:02}.pdf", pdf(*pages))
        azure.blob.put("docs", "broken.pdf", b"%PDF-broken")
        root = f"{azure.blob_endpoint}/docs"
        with start_driver(azure, folder, root, AZURE_SEARCH_INDEX="calm") as undisturbed:
            calm = undisturbed.wait()
        calls = len(azure.openai.requests)
        with run_cluster(folder, {**azure.environment, **SMALL}) as made:
            yield World(azure, made, folder, root, read_contents(azure, "calm"), calm, calls)


@pytest.fixture(autouse=True)
def counted(world: World) -> None:
    """Each test counts for itself what is embedded."""
    world.azure.openai.texts.clear()


def test_workers_that_die_while_they_embed_and_write_are_made_up_for(world: World) -> None:
    """Groups of killed workers are done again by others; only their last texts are paid twice."""
    world.cluster.scale(0)
    first, second = (world.cluster.worker(REAL_READERS="1") for _ in range(2))
    world.cluster.wait_for(2)
    with world.run("dying") as run:
        with world.held("openai", after=4) as gate:
            gate.reached(4)  # so both are in the midst of it: each has three under way at most
            readers = find_descendants(first.pid)
            kill(first)
            joined = world.cluster.worker()
        before = world.azure.openai.texts.total()
        with world.held("search", "docs/search.index", after=20) as gate:
            gate.reached(2)
            readers += find_descendants(second.pid)
            kill(second)
            unwritten = world.azure.openai.texts.total() - before
        finished = run.wait()
    world.assert_recovered(finished, "dying", twice=2 * UNDER_WAY + unwritten)
    assert joined.poll() is None
    assert len(readers) >= 2
    wait_until(lambda: not any(map(is_alive, readers)), "no reader is left")


def test_a_whole_node_dies_while_it_reads_and_another_one_joins(world: World) -> None:
    """If a node is killed with all its processes, a node that joins later gets its work."""
    world.cluster.scale(0)
    node = world.cluster.worker(nanny=True)
    world.cluster.wait_for(1)
    with world.run("reading") as run, world.held("blob", "docs/") as gate:
        gate.reached()  # nothing is read yet, so nothing can have been paid for
        kill(node)  # the last one there is
        other = world.cluster.worker()
        world.cluster.wait_for(1)
        gate.opened.set()
        finished = run.wait()
    world.assert_recovered(finished, "reading")
    assert other.poll() is None


def test_the_worker_that_keeps_the_pace_dies_and_no_limit_is_exceeded(world: World) -> None:
    """If the worker with the coordinator dies, another one takes over; the limits hold."""
    world.cluster.scale(2)
    most = sum(request.tokens for request in world.azure.openai.requests[: world.calls]) // 2
    before = len(world.azure.openai.requests)
    with (
        world.quota(120_000),
        world.run("coordinator", "--max-tokens", str(most)) as run,
        world.held("openai", after=4) as gate,
    ):
        gate.reached(4)
        (keeper,) = world.cluster.holding_actors()
        kill(world.cluster.owner(keeper))
        gate.opened.set()
        finished = run.wait()
    paid = sum(request.tokens for request in world.azure.openai.requests[before:])
    assert finished.code == 1, finished.err
    assert "--max-tokens" in finished.err
    assert most / 3 < paid <= most
    assert len(world.azure.openai.throttled) <= 1


def test_a_stopped_run_settles_what_is_under_way_and_the_next_one_goes_on(world: World) -> None:
    """^C, then SIGTERM without time: the workers stop, and serve the next run at once."""
    world.cluster.scale(2)
    with (
        world.held("blob", "docs/", after=SOURCES // 2) as unread,  # some are still to be read
        world.held("openai", after=4) as gate,  # the first request goes alone, to learn the quota
        world.run("stopped") as run,
    ):
        gate.reached(2)
        seen = world.cluster.tasks()
        run.kill(signal.SIGINT)
        world.cluster.stopping()
        gate.opened.set()
        unread.opened.set()
        interrupted = run.wait()
    assert interrupted.code == 130, interrupted.err
    assert 0 < interrupted.outcomes["new"] < world.calm.outcomes["new"]
    assert 0 < max(map(len, seen)) < 20_000, "what a scheduler holds of a group is small"
    assert not any(secret.encode() in task for task in seen for secret in world.secrets())

    more = {"INGEST_GRACE_SECONDS": "0.5"}
    with world.held("openai") as gate, world.run("stopped", **more) as run:
        gate.reached()
        run.kill(signal.SIGTERM)
        ended = run.wait()
    assert ended.code == 143, ended.err
    assert not ended.outcomes["new"]

    with world.run("stopped") as run:
        finished = run.wait()
    assert finished.code == 3, finished.err
    assert read_contents(world.azure, "stopped") == world.wanted
    world.cluster.empty()


# A worker runs it first, and then finds a silent driver lost in a third of the time.
SHORT_TIMEOUTS = f"""
from ingest.distributed import coordinator, session
coordinator.DRIVER_TIMEOUT_SECONDS = {DRIVER_TIMEOUT_SECONDS / 3}
session.LEASE_LATE_SECONDS = {LEASE_LATE_SECONDS / 3}
session.LEASE_CHECK_SECONDS = {LEASE_CHECK_SECONDS / 3}
"""


def test_a_killed_driver_leaves_nobody_at_work(world: World) -> None:
    """After the driver is killed, its workers stop before another run may take the index."""
    preload = world.folder / "short_timeouts.py"
    preload.write_text(SHORT_TIMEOUTS)
    world.cluster.scale(0)
    for _ in range(2):
        world.cluster.worker(DASK_DISTRIBUTED__WORKER__PRELOAD=str(preload))
    world.cluster.wait_for(2)
    with world.run("killed") as run, world.held("openai", after=6) as gate:
        gate.reached(2)
        run.kill()
        run.process.wait()
        gate.opened.set()
        with world.run("killed") as early:
            refused = early.wait()
    assert refused.code == 11
    assert "if it was killed, for" in refused.err

    world.cluster.empty()
    silence = max(DRIVER_TIMEOUT_SECONDS, LEASE_LATE_SECONDS + LEASE_CHECK_SECONDS)
    assert silence + Cancellation().grace_seconds < LEASE_SECONDS, (
        "the workers are gone before the lease is"
    )

    world.cluster.scale(0)
    world.cluster.scale(2)
    world.age_lease("killed", 100)
    with world.run("killed") as run:
        finished = run.wait()
    assert finished.code == 3, finished.err
    assert read_contents(world.azure, "killed") == world.wanted


def test_a_document_that_ends_its_worker_is_given_up_and_no_other_is(world: World) -> None:
    """A document that kills its worker three times is reported, and no other one is."""
    world.cluster.scale(0)
    workers = [world.cluster.worker()]
    world.cluster.wait_for(1)
    for n in range(6):
        world.azure.blob.put("poisoned", f"{n}.pdf", pdf(prose(f"topic {n}", 8)))
    world.azure.blob.put("poisoned", "3 bad.pdf", pdf(prose("bad", 8)))
    deaths = list[int]()

    def act(request: Request, service: Service) -> Response:
        deaths.append(1)
        kill(workers[-1])
        workers.append(world.cluster.worker())
        return service(request)

    planned = world.azure.faults.add(Fault("ends its reader", act), "blob", path="3 bad")
    with world.run("poisoned", root=f"{world.azure.blob_endpoint}/poisoned") as run:
        finished = run.wait()
    world.azure.faults.planned.remove(planned)
    assert finished.code == 3, finished.err
    assert finished.outcomes == {"new": 6, "failed": 1}
    # A look-up that lags may hide one attempt from the next worker.
    assert MAX_ATTEMPTS <= len(deaths) <= MAX_ATTEMPTS + 1


# A worker's Python runs it first; the environment of the tests may find ingest by itself.
WITHOUT_INGEST = """
import os, sys
sys.path[:] = [place for place in sys.path if not os.path.isdir(os.path.join(place, "ingest"))]
"""


def run_on_stranger(world: World, **environment: str) -> FinishedRun:
    """A run whose only worker has an environment of its own."""
    world.cluster.scale(0)
    world.cluster.worker(nanny=False, threads=1, **environment)
    world.cluster.wait_for(1)
    with world.run("strange") as run:
        finished = run.wait()
    world.cluster.scale(0)
    return finished


def test_a_worker_that_cannot_work_is_named(world: World) -> None:
    """One line says which and why: it lacks a role, an identity, or the program."""
    stranger = world.azure.identity.principal("stranger")
    finished = run_on_stranger(world, AZURE_OPENAI_CLIENT_ID=stranger.client_id)
    assert finished.code == 2, finished.err
    assert re.search(r"\(worker w\d+ at \S+:\d+\)", finished.err)
    assert "Traceback" not in finished.err

    finished = run_on_stranger(world, IDENTITY_ENDPOINT="http://127.0.0.1:9/token")
    assert finished.code == 2, finished.err
    assert re.search(r"no token for .*\(worker w\d+ at \S+:\d+\)", finished.err)

    (world.folder / "sitecustomize.py").write_text(WITHOUT_INGEST)
    finished = run_on_stranger(world, PYTHONPATH=str(world.folder))
    assert finished.code == 2, finished.err
    assert "has no ingest" in finished.err
    assert finished.err.count("\n") == 1


def test_a_run_without_a_scheduler_says_so(world: World) -> None:
    """What it waits for, and then what to do; as long as Dask's settings say."""
    soon = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "6s", "AZURE_SEARCH_INDEX": "none"}
    with start_driver(
        world.azure, world.folder, world.root, engine="tcp://127.0.0.1:9", **soon
    ) as run:
        finished = run.wait()
    assert finished.code == 1
    waiting, gone = finished.err.splitlines()
    assert waiting.endswith("Z ingest: waiting for the scheduler at tcp://127.0.0.1:9")
    assert "no scheduler answers at tcp://127.0.0.1:9" in gone


def test_a_run_whose_scheduler_is_killed_ends_with_one_line(world: World, tmp_path: Path) -> None:
    """The run ends with one line, and the index is free once its workers must have stopped."""
    world.cluster.scale(0)
    index = {"AZURE_SEARCH_INDEX": "scheduler"}
    with run_cluster(tmp_path, {**world.azure.environment, **SMALL}) as other:
        other.scale(1)
        with (
            start_driver(world.azure, tmp_path, world.root, engine=other.address, **index) as run,
            world.held("openai", after=2) as gate,
        ):
            gate.reached()
            kill(other.scheduler)
            finished = run.wait()  # while what its workers asked for is not answered
    with start_driver(world.azure, tmp_path, world.root, **index) as again:
        refused = again.wait()
    assert finished.code == 1, finished.err
    assert finished.err.count("\n") == 1, finished.err
    assert other.address in finished.err
    assert refused.code == 11
