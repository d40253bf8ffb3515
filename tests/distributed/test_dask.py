"""Workarounds for Dask, which is imported by the tests: it takes half a second."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from ingest.distributed.messages import GroupResult, WorkerStatus
from ingest.errors import RoleError, ServiceError
from ingest.models import RunProgress
from tests.distributed.cluster import run_cluster
from tests.processes import wait_until

DONE = GroupResult(7, (), (), RunProgress(), WorkerStatus("a worker"))


def test_a_worker_is_not_profiled_from_its_first_group_on(tmp_path: Path) -> None:
    """So no look at its threads can stop it for good, as it can before Python 3.12."""
    with run_cluster(tmp_path, {"DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "True"}) as made:
        made.worker()
        made.wait_for(1)
        with made.client() as client:
            assert list(client.run(is_profiled).values()) == [True]
            client.submit(begin_group).result()
            wait_until(lambda: list(client.run(is_profiled).values()) == [False])


@dataclass
class Call:
    """A task of Dask's that is done, and what comes of fetching its result, each time."""

    fetched: Iterator[object]
    status: str = "finished"

    def result(self, timeout: float) -> object:
        assert timeout > 0
        found = next(self.fetched)
        if isinstance(found, BaseException):
            raise found
        return found

    def add_done_callback(self, call: Callable[[Any], None]) -> None:
        call(self)


def deliver_result(call: Call) -> Future[GroupResult]:
    """Fetch what comes of a call, in a time that takes none."""
    from ingest.distributed.dask import Delivery

    seconds = itertools.count(step=10.0)
    result: Future[GroupResult] = Future()
    delivery = Delivery(result, "tcp://scheduler", lambda: next(seconds), lambda _: None)
    delivery.fetch(cast("Any", call))
    return result


@pytest.mark.parametrize("error", [TimeoutError(), OSError("reset by peer"), KeyError("lost")])
def test_a_result_that_could_not_be_fetched_is_fetched_again(error: Exception) -> None:
    """A result is fetched again after a failure of the network."""
    assert deliver_result(Call(iter([error, error, DONE]))).result() == DONE


def test_what_does_not_arrive_is_missed() -> None:
    """If a result does not arrive for a while, an error says so."""
    with pytest.raises(ServiceError, match="do not arrive here: check the network"):
        deliver_result(Call(itertools.repeat(TimeoutError()))).result()
    attempts = [TimeoutError()] * 29
    assert deliver_result(Call(iter([*attempts, DONE]))).result() == DONE


def test_an_error_of_a_group_is_passed_on_and_a_lost_scheduler_is_named() -> None:
    """The first at once, in its own words; the other with its address."""
    with pytest.raises(RoleError, match="a role is missing"):
        deliver_result(Call(iter([RoleError("a role is missing")]), "error")).result()
    with pytest.raises(ServiceError, match="the scheduler at tcp://scheduler is gone"):
        deliver_result(Call(iter([CancelledError()]), "cancelled")).result()


def is_profiled(dask_worker: Any) -> bool:
    """Return whether a worker is profiled."""
    from ingest.distributed.dask_worker import PROFILER_CALLBACKS

    return any(dask_worker.periodic_callbacks[name].is_running() for name in PROFILER_CALLBACKS)


def begin_group() -> None:
    """First call of a group."""
    import distributed

    from ingest.distributed.dask_worker import coordinator_link

    coordinator_link("a run", distributed.get_client())
