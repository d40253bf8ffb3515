"""The driver and its workers in one process, without a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path

import pytest

from ingest import __version__
from ingest.config.connections import create_connections
from ingest.config.embedding import embedding_endpoints
from ingest.config.settings import Settings
from ingest.config.sources import PortableRoot, open_portable, to_portable
from ingest.distributed import session
from ingest.distributed.coordinator import Coordinator
from ingest.distributed.messages import (
    Group,
    GroupResult,
    Job,
    WorkerLinks,
    apply_node_settings,
    strip_secrets,
)
from ingest.distributed.worker import settle_group
from ingest.errors import BusyError, ConfigError, ServiceError
from ingest.models import SourceResult
from ingest.pipeline.context import Run, Services
from ingest.pipeline.diff import create_skip_rule
from ingest.pipeline.root import ingest_root
from ingest.runtime.cancellation import Cancellation
from ingest.sources.folder import Folder, parse_folder_roots
from ingest.sources.validation import ValidatedRoot
from tests.distributed.threads import Threads, run_threads
from tests.distributed.world import World, create_world
from tests.emulator.gate import hold_requests
from tests.processes import wait_until
from tests.test_api import Shelf


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with create_world(tmp_path_factory.mktemp("world")) as made:
        made.first()
        yield made


@pytest.fixture
def here(whole: World) -> World:
    """Nothing was embedded yet."""
    whole.azure.openai.texts.clear()
    return whole


def make_job(all_: Services, run: Run, world_: World, index: str) -> tuple[Job, WorkerLinks]:
    """A worker that has a coordinator to itself."""
    chosen = world_.settings(index)
    coordinator = Coordinator(embedding_endpoints(chosen))
    job = Job(
        run.id, __version__, strip_secrets(chosen), create_skip_rule(all_, run), all_.index.holder
    )
    return job, WorkerLinks("w", lambda method, *more: getattr(coordinator, method)(*more))


def make_group(world_: World, number: int, *names: str) -> Group:
    (root,) = parse_folder_roots([str(world_.folder)])
    listed = {source.name: source for source in root.list()}
    return Group(number, to_portable(root), tuple(listed[name] for name in names))  # type: ignore[misc]


def outcomes_of(done: GroupResult) -> dict[str, str]:
    return {event.source: str(event.outcome) for event in done.results}


def test_a_group_that_another_worker_has_done_is_not_done_again(here: World) -> None:
    """A group whose worker died after finishing it is neither repeated nor paid again."""
    with here.running("again") as (all_, run, _):
        job, links = make_job(all_, run, here, "again")
        one = settle_group(make_group(here, 1, "0.pdf", "broken.pdf", "portfolio.pdf"), job, links)
        two = settle_group(
            make_group(here, 2, "0.pdf", "1.pdf", "broken.pdf", "portfolio.pdf"), job, links
        )
        session.end_session(run.id)
        wait_until(lambda: not session.SESSIONS)
    assert here.azure.openai.repeated == {}
    assert (
        outcomes_of(two).items()
        >= {name: o for name, o in outcomes_of(one).items() if o == "new"}.items()
    )
    assert outcomes_of(two)["1.pdf"] == "new"
    first = {s.source: (s.embedded, s.tokens, s.chunks) for s in one.results if s.outcome == "new"}
    second = {s.source: (s.embedded, s.tokens, s.chunks) for s in two.results}
    assert len(first) == 4
    assert all(second[name] == counts for name, counts in first.items())


def test_a_session_ends_with_its_run_and_not_under_a_group(here: World) -> None:
    """A group that arrives while a session closes gets a new one."""
    with here.running("sessions") as (all_, run, _):
        job, links = make_job(all_, run, here, "sessions")
        with session.use_session(1, job, links) as first:
            session.end_session(run.id)
            assert first.finished.is_set()
            assert not first.try_close()
        wait_until(lambda: first.closed)
        with session.use_session(2, job, links) as second:
            assert second is not first
            assert not second.closed
        session.end_session(run.id)
        wait_until(lambda: not session.SESSIONS)


def test_a_worker_that_cannot_begin_says_so_and_tries_again(here: World) -> None:
    """The first group fails with what is wrong; once that is mended, the next one does not."""
    with here.running("begins") as (all_, run, _):
        job, links = make_job(all_, run, here, "begins")
        one = make_group(here, 1, "0.pdf")
        with pytest.raises(ConfigError, match="start the workers from the same image"):
            settle_group(one, replace(job, version="0.0.0"), links)
        with pytest.raises(BusyError, match="another run has taken over the index"):
            settle_group(one, replace(job, lease_holder="0 lease-of-none"), links)
        wait_until(lambda: not session.SESSIONS)
        assert outcomes_of(settle_group(one, job, links)) == {"0.pdf": "new"}
        session.end_session(run.id)
        wait_until(lambda: not session.SESSIONS)


def test_a_run_that_has_lost_the_index_ends_what_its_workers_do(here: World) -> None:
    """If the run loses its lease, the group fails and none of its sources counts as done."""
    with here.running("lost") as (all_, run, _):
        job, links = make_job(all_, run, here, "lost")
        with session.use_session(1, job, links) as session_:
            session_.stop_with_error("its run no longer holds the index")
            with pytest.raises(ServiceError, match="a worker stopped: its run no longer holds"):
                settle_group(make_group(here, 2, "0.pdf", "1.pdf"), job, links)
        wait_until(lambda: not session.SESSIONS)


@contextmanager
def pass_on(engine: Threads) -> Iterator[Threads]:
    yield engine


def test_a_pacing_that_is_lost_is_begun_anew(here: World) -> None:
    """A lost coordinator is replaced in the middle of a run, which continues."""
    with run_threads() as engine:
        engine.after = 2
        ran = here.run("anew", lambda _: pass_on(engine))
        assert engine.begun >= 2
    assert set(ran.outcomes.values()) == {"new", "empty", "failed"}
    assert here.azure.openai.repeated == {}


def test_a_stop_settles_what_is_under_way_and_leaves_the_rest(here: World) -> None:
    """I stop a run after its first document: nothing is lost, and nothing is paid for twice."""
    stop = Cancellation(grace_seconds=20.0)
    with here.running("stop", lambda _: run_threads(), stop=stop) as (all_, run, ran):
        (root,) = parse_folder_roots([str(here.folder)])
        assert all_.remote
        for event in ingest_root(root, all_, run):
            ran.events.append(event)
            if isinstance(event, SourceResult):
                stop.request()
    rest = here.run("stop", lambda _: run_threads())
    assert {*ran.outcomes, *rest.outcomes} == {*here.run("stop").outcomes}
    assert here.azure.openai.repeated == {}


def test_no_time_to_settle_anything_is_kept(here: World) -> None:
    """The service does not answer: a run that is abandoned does not wait for it."""
    stop = Cancellation(grace_seconds=0.0)
    with (
        hold_requests(here.azure, "openai") as gate,
        here.running("overdue", lambda _: run_threads(), stop=stop) as (all_, run, ran),
    ):
        (root,) = parse_folder_roots([str(here.folder)])
        for event in ingest_root(root, all_, run):
            ran.events.append(event)
            if gate.seen:
                stop.request()
        assert not gate.opened.is_set()
        gate.opened.set()
    assert "new" not in ran.outcomes.values()


def test_nothing_that_signs_in_leaves_the_driver(tmp_path: Path) -> None:
    """Keys and identities are not sent to workers, only settings that shape the index."""
    mine = Settings(
        openai_key="secret-1", search_key="secret-2", openai_client_id="me", tenant="here",
        figures_key="secret-3", chunk_tokens=77, workers=3,
    )  # fmt: skip
    away = strip_secrets(mine)
    assert not {"secret-1", "secret-2", "secret-3", "me", "here"} & {
        getattr(away, field.name) for field in fields(away) if isinstance(
            getattr(away, field.name), str)
    }  # fmt: skip
    theirs = apply_node_settings(
        away, Settings(openai_client_id="it", openai_key="theirs"), threads=5
    )
    assert (theirs.openai_client_id, theirs.openai_key) == ("it", "theirs")
    assert (theirs.chunk_tokens, theirs.workers) == (77, 3)
    assert apply_node_settings(strip_secrets(Settings()), Settings(), threads=5).workers == 5
    assert apply_node_settings(away, Settings(workers=2), threads=5).workers == 2


def test_a_root_is_opened_where_it_is_read(tmp_path: Path) -> None:
    """A worker opens a folder that is mounted there, or a container; not a custom root."""
    (root,) = parse_folder_roots([str(tmp_path)])
    to = create_connections(Settings())
    with open_portable(to_portable(root), Settings(), to) as there:
        assert there == root
    gone = Folder(tmp_path / "gone")
    with (
        pytest.raises(ConfigError, match="mount it at the same path on every worker"),
        open_portable(to_portable(gone), Settings(), to),
    ):
        pass
    url = "https://account.blob.core.windows.net/docs"
    with open_portable(PortableRoot(url), Settings(), to) as container:
        assert to_portable(container).place == container.name == url
    with pytest.raises(ConfigError, match="other machines cannot read a user-supplied root"):
        to_portable(ValidatedRoot(Shelf()))
