"""The driver, and what a worker does, in one process: what no cluster is needed for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import fields, replace
from pathlib import Path

import pytest

from ingest import __version__
from ingest.connect import embedder_places, endpoints, portable, reopened
from ingest.connections import connections
from ingest.errors import ConfigError, ServiceError
from ingest.model import Settled
from ingest.pipeline import ingest, terms
from ingest.scale import session
from ingest.scale.pacing import Pacing
from ingest.scale.settle import settle
from ingest.scale.work import Done, Group, Job, Links, at_home, sent
from ingest.services import Run, Services
from ingest.settings import Settings
from ingest.sources.custom import Checked
from ingest.sources.folder import Folder, roots
from ingest.stop import Stop
from tests.azure.gate import held
from tests.processes import wait_until
from tests.scale.threads import Threads, threads
from tests.scale.world import World, world
from tests.test_library import Shelf


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("world")) as made:
        made.first()
        yield made


@pytest.fixture
def here(whole: World) -> World:
    """Nothing was embedded yet."""
    whole.azure.openai.texts.clear()
    return whole


def worker(all_: Services, run: Run, world_: World, index: str) -> tuple[Job, Links]:
    """A worker that speaks to a pacing of its own."""
    chosen = world_.settings(index)
    pacing = Pacing(endpoints(chosen, embedder_places(chosen)))
    job = Job(run.id, __version__, sent(chosen), terms(all_, run), all_.index.holder)
    return job, Links("w", lambda method, *more: getattr(pacing, method)(*more))


def group(world_: World, number: int, *names: str) -> Group:
    (root,) = roots([str(world_.folder)])
    listed = {source.name: source for source in root.listed()}
    return Group(number, portable(root), tuple(listed[name] for name in names))  # type: ignore[misc]


def what(done: Done) -> dict[str, str]:
    return {event.source: str(event.outcome) for event in done.settled}


def test_a_group_that_another_worker_has_done_is_not_done_again(here: World) -> None:
    """It died before it could say so: the outcomes are the same, and nothing is paid for twice."""
    with here.running("again") as (all_, run, _):
        job, links = worker(all_, run, here, "again")
        one = settle(group(here, 1, "0.pdf", "broken.pdf", "portfolio.pdf"), job, links)
        two = settle(group(here, 2, "0.pdf", "1.pdf", "broken.pdf", "portfolio.pdf"), job, links)
        session.end(run.id)
        wait_until(lambda: not session.HERE)
    assert here.azure.openai.repeated == {}
    assert what(two).items() >= {name: o for name, o in what(one).items() if o == "new"}.items()
    assert what(two)["1.pdf"] == "new"
    first = {s.source: (s.embedded, s.tokens, s.chunks) for s in one.settled if s.outcome == "new"}
    second = {s.source: (s.embedded, s.tokens, s.chunks) for s in two.settled}
    assert len(first) == 4
    assert all(second[name] == counts for name, counts in first.items())


def test_a_session_ends_with_its_run_and_not_under_a_group(here: World) -> None:
    """Whichever comes first: a group that comes while one is closed has a new one."""
    with here.running("sessions") as (all_, run, _):
        job, links = worker(all_, run, here, "sessions")
        with session.working(1, job, links) as first:
            session.end(run.id)
            assert first.over.is_set()
            assert not first.close()
        wait_until(lambda: first.closed)
        with session.working(2, job, links) as second:
            assert second is not first
            assert not second.closed
        session.end(run.id)
        wait_until(lambda: not session.HERE)


def test_a_worker_that_cannot_begin_says_so_and_tries_again(here: World) -> None:
    """The first group fails with what is wrong; once that is mended, the next one does not."""
    with here.running("begins") as (all_, run, _):
        job, links = worker(all_, run, here, "begins")
        one = group(here, 1, "0.pdf")
        with pytest.raises(ConfigError, match="start the workers from the same image"):
            settle(one, replace(job, version="0.0.0"), links)
        with pytest.raises(ServiceError, match="does not hold the index any more"):
            settle(one, replace(job, holder="another:1:run"), links)
        wait_until(lambda: not session.HERE)
        assert what(settle(one, job, links)) == {"0.pdf": "new"}
        session.end(run.id)
        wait_until(lambda: not session.HERE)


def test_a_run_that_has_lost_the_index_ends_what_its_workers_do(here: World) -> None:
    """Another one may write to it now: the group fails, none of its sources counts as done."""
    with here.running("lost") as (all_, run, _):
        job, links = worker(all_, run, here, "lost")
        with session.working(1, job, links) as session_:
            session_.leave("its run does not hold the index any more")
            with pytest.raises(ServiceError, match="a worker stopped, as its run does not hold"):
                settle(group(here, 2, "0.pdf", "1.pdf"), job, links)
        wait_until(lambda: not session.HERE)


@contextmanager
def watched(engine: Threads) -> Iterator[Threads]:
    yield engine


def test_a_pacing_that_is_lost_is_begun_anew(here: World) -> None:
    """In the middle of a run, which goes on as if nothing had been."""
    with threads() as engine:
        engine.after = 2
        ran = here.run("anew", lambda _: watched(engine))
        assert engine.begun >= 2
    assert set(ran.outcomes.values()) == {"new", "empty", "failed"}
    assert here.azure.openai.repeated == {}


def test_a_stop_settles_what_is_under_way_and_leaves_the_rest(here: World) -> None:
    """I stop a run after its first document: nothing is lost, and nothing is paid for twice."""
    stop = Stop(grace=20.0)
    with here.running("stop", lambda _: threads(), stop=stop) as (all_, run, ran):
        (root,) = roots([str(here.folder)])
        assert all_.elsewhere
        for event in ingest(root, all_, run):
            ran.events.append(event)
            if isinstance(event, Settled):
                stop.request()
    rest = here.run("stop", lambda _: threads())
    assert {*ran.outcomes, *rest.outcomes} == {*here.run("stop").outcomes}
    assert here.azure.openai.repeated == {}


def test_no_time_to_settle_anything_is_kept(here: World) -> None:
    """The service does not answer: a run that is abandoned does not wait for it."""
    stop = Stop(grace=0.0)
    with (
        held(here.azure, "openai") as gate,
        here.running("overdue", lambda _: threads(), stop=stop) as (all_, run, ran),
    ):
        (root,) = roots([str(here.folder)])
        for event in ingest(root, all_, run):
            ran.events.append(event)
            if gate.seen:
                stop.request()
        assert not gate.opened.is_set()
        gate.opened.set()
    assert "new" not in ran.outcomes.values()


def test_results_that_do_not_arrive_end_the_run(here: World) -> None:
    """Rather than to wait for them for ever: the next run sees what is there."""
    with (
        threads() as engine,
        here.running("silent", lambda _: nullcontext(engine)) as (all_, run, _),
    ):
        engine.silent = True
        (root,) = roots([str(here.folder)])
        with pytest.raises(ServiceError, match="does not arrive"):
            list(ingest(root, all_, run))


def test_nothing_that_signs_in_leaves_the_driver(tmp_path: Path) -> None:
    """Keys and identities are each machine's own; what shapes the index is the driver's."""
    mine = Settings(
        openai_key="secret-1", search_key="secret-2", openai_client_id="me", tenant="here",
        chunk_tokens=77, workers=3,
    )  # fmt: skip
    away = sent(mine)
    assert not {"secret-1", "secret-2", "me", "here"} & {
        getattr(away, field.name) for field in fields(away) if isinstance(
            getattr(away, field.name), str)
    }  # fmt: skip
    theirs = at_home(away, Settings(openai_client_id="it", openai_key="theirs"), threads=5)
    assert (theirs.openai_client_id, theirs.openai_key) == ("it", "theirs")
    assert (theirs.chunk_tokens, theirs.workers) == (77, 3)
    assert at_home(sent(Settings()), Settings(), threads=5).workers == 5
    assert at_home(away, Settings(workers=2), threads=5).workers == 2


def test_a_root_is_opened_where_it_is_read(tmp_path: Path) -> None:
    """A folder must be mounted there, a container is there by itself, one of mine is nowhere."""
    (root,) = roots([str(tmp_path)])
    to = connections(Settings())
    with reopened(portable(root), Settings(), to) as there:
        assert there == root
    gone = Folder(tmp_path / "gone")
    with (
        pytest.raises(ConfigError, match="mount it at the same path on every worker"),
        reopened(portable(gone), Settings(), to),
    ):
        pass
    url = "https://127.0.0.1:1/devstoreaccount1/docs"
    with reopened(url, Settings(), to) as container:
        assert portable(container) == container.name == url
    with pytest.raises(ConfigError, match="cannot be read on other machines"):
        portable(Checked(Shelf()))
