"""Contract of every engine: it does what one machine does by itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from ingest.distributed.driver import ClusterEngine
from ingest.errors import RoleError
from ingest.models import SourceResult, Summary
from ingest.pipeline.diff import INTERRUPTED_REASON
from ingest.runtime.timing import EMBEDDING_CHUNKS, READING_DOCUMENTS, WRITING_CHUNKS
from tests.distributed.cluster import run_cluster
from tests.distributed.threads import run_threads
from tests.distributed.world import Engines, Ran, World, create_world
from tests.emulator.identity import OPENAI_USER
from tests.runs import SMALL


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with create_world(tmp_path_factory.mktemp("world")) as made:
        made.first()
        yield made


@pytest.fixture(scope="module")
def alone(here: World) -> list[tuple[Ran, dict[str, Any]]]:
    """Two runs of one machine, and what the index holds after each."""
    here.first()
    one = here.run("alone")
    after = here.contents("alone")
    here.second()
    return [(one, after), (here.run("alone"), here.contents("alone"))]


@pytest.fixture(scope="module", params=["threads", "dask"])
def engines(
    request: pytest.FixtureRequest, here: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engines]:
    """An engine for each run. Add another engine here."""
    if request.param == "threads":
        yield lambda _: run_threads()
        return
    folder = tmp_path_factory.mktemp("cluster")
    with run_cluster(folder, {**here.azure.environment, **SMALL}) as made:
        made.scale(2)
        yield partial(connect_dask, made.address)


def connect_dask(address: str, run: str) -> AbstractContextManager[ClusterEngine]:
    from ingest.distributed.dask import connect_cluster

    return connect_cluster(address, run)


@pytest.fixture
def index(request: pytest.FixtureRequest, here: World) -> str:
    """The name of an index that is not there yet; no text was embedded yet."""
    here.azure.openai.texts.clear()
    return "".join(c for c in request.node.name if c.isalnum())[-60:]


def comparable_totals(summary: Summary | None) -> dict[str, Any]:
    """Parts of a summary that equal runs share; the size of the index is counted late."""
    assert summary
    return {
        "outcomes": summary.outcomes,
        "pages": summary.pages,
        "embedded": summary.chunks_embedded,
        "deleted": summary.chunks_deleted,
        "tokens": summary.tokens_embedded,
    }


def test_it_comes_to_what_one_machine_comes_to(
    here: World, alone: list[tuple[Ran, dict[str, Any]]], engines: Engines, index: str
) -> None:
    """A run on a cluster has the outcomes of a run on one machine."""
    wanted = Counter[str]()
    for change, (ran, contents) in zip((here.first, here.second), alone, strict=True):
        change()
        mine = here.run(index, engines)
        assert [drop_first_run(event) for event in mine.settled] == [
            drop_first_run(e) for e in ran.settled
        ]
        assert comparable_totals(mine.summary) == comparable_totals(ran.summary)
        found, expected = drop_dates(here.contents(index)), drop_dates(contents)
        assert found.keys() == expected.keys()
        for key, document in found.items():
            assert document == expected[key]
        wanted += Counter(mine.outcomes.values())
    assert wanted.keys() == {"new", "changed", "removed", "unchanged", "empty", "failed"}
    assert here.azure.openai.repeated == {}

    again = here.run(index, engines)
    assert set(again.outcomes.values()) == {"unchanged", "failed"}
    assert again.spent == 0


def count_tokens(here: World) -> int:
    """All tokens so far that were paid for."""
    return sum(request.tokens for request in here.azure.openai.requests)


def drop_first_run(event: SourceResult) -> SourceResult:
    """Without the name of the run that first reported what is wrong with a source."""
    first = event.details.since and "a run"
    return replace(event, details=replace(event.details, since=first))


def drop_dates(contents: dict[str, Any]) -> dict[str, Any]:
    """Without the times of the files, which were written anew, and the names of runs."""
    return {
        key: {
            name: re.sub(r'"since":"r\d+"', '"since":"a run"', value or "")
            if name == "details"
            else value
            for name, value in document.items()
            if name != "modified"
        }
        for key, document in contents.items()
    }


def test_progress_goes_on_and_adds_up(here: World, engines: Engines, index: str) -> None:
    """Progress never decreases, and ends at the sum of the outcomes."""
    here.first()
    ran = here.run(index, engines)
    assert all(min(a.pages, a.chunks, a.tokens) >= 0 for a in ran.advanced)
    assert sum(a.pages for a in ran.advanced) == sum(s.pages for s in ran.settled)
    assert sum(a.chunks for a in ran.advanced) == sum(s.embedded for s in ran.settled)
    assert sum(a.tokens for a in ran.advanced) == sum(s.tokens for s in ran.settled) == ran.spent
    assert ran.summary
    assert {READING_DOCUMENTS, EMBEDDING_CHUNKS, WRITING_CHUNKS} <= ran.summary.stages.keys()


def test_a_limit_is_kept_and_the_next_run_goes_on(
    here: World, engines: Engines, index: str
) -> None:
    """All workers together spend up to the limit, and the next run continues."""
    here.first()
    most = 2_500
    limited = replace(here.settings(index), max_tokens=most)
    before = count_tokens(here)
    first = here.run(index, engines, chosen=limited)
    spent = count_tokens(here) - before
    assert most / 2 < spent == first.spent <= most

    second = here.run(index, engines, chosen=replace(limited, max_tokens=100 * most))
    assert here.azure.openai.repeated == {}
    assert second.spent == count_tokens(here) - before - spent
    assert not {"new", "failed"} & {*first.outcomes} & {*second.outcomes}
    assert here.run(index, engines).spent == 0


def test_what_may_have_ended_a_run_is_read_last_and_alone(
    here: World, engines: Engines, index: str
) -> None:
    """Documents that may have killed a run are read after all others, one by one."""
    here.first()
    here.run(index, engines)
    with here.running(index) as (all_, _, _):
        (record,) = (r for r in all_.index.records() if r.source == "4.pdf")
        whole = all_.index.record(record.root, record.source)
        assert whole
        all_.index.save(replace(whole, error=INTERRUPTED_REASON, outcome="failed")).result()
    here.second()
    ran = here.run(index, engines)
    order = [event.source for event in ran.events if isinstance(event, SourceResult)]
    assert order[-2:] == ["4.pdf", "gone.pdf"]  # what vanished is removed after all


def test_an_error_of_a_worker_is_the_runs(here: World, engines: Engines, index: str) -> None:
    """If a worker lacks a role, the run ends with the remedy, and works after it."""
    here.first()
    me = here.azure.identity.default
    me.withdraw(OPENAI_USER)
    try:
        with pytest.raises(RoleError, match="az role assignment create"):
            here.run(index, engines)
    finally:
        me.grant(OPENAI_USER)
    assert here.run(index, engines).outcomes["1.pdf"] == "new"
    assert here.azure.openai.repeated == {}
