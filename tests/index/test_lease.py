"""The lease of an index on a service: two runs at once, a pause, clocks, and reads that lag."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ingest.errors import BusyError, ServiceError
from ingest.index.azure import owner
from ingest.index.azure.definition import build_definition
from ingest.index.azure.index import AzureIndex
from ingest.index.azure.lease import LEASE_RENEW_SECONDS
from ingest.index.azure.visibility import SEEN_IN_A_ROW
from ingest.runtime.retry import RetryableError
from tests.conftest import DIMENSIONS
from tests.pipeline.worlds import (
    ANOTHER_MACHINE,
    DEAD_PROCESS,
    INDEX,
    LEASE_SECONDS,
    Crash,
    Direct,
    Process,
    World,
    race,
)

BUSY = BusyError.exit_code


def world(lag: float = 3.0, replicas: int = 2) -> World:
    return World(lag=lag, replicas=replicas, files={"a.pdf": "one two three", "b.pdf": "four"})


def lease_documents(made: World) -> dict[str, Any]:
    """The documents of the lease, as they are."""
    latest = made.service.indexes[INDEX].latest
    return {key: document for key, document in latest.items() if key.startswith("lease")}


def test_a_run_that_was_paused_for_longer_than_its_lease_writes_nothing_more() -> None:
    """Its laptop was closed while it embedded; another run has indexed a newer version since."""
    made = world()
    codes: list[int | None] = []

    def pause(_: int) -> None:
        if made.paid and not codes:
            made.clock.advance(LEASE_SECONDS)
            made.files["a.pdf"] = "one five"
            codes.append(made.run())

    assert made.run(pause) == BUSY
    assert codes == [0]
    assert "while this one was paused or cut off" in str(made.errors[-1])
    made.check()
    assert made.run() == 0
    made.check()


def test_a_run_that_was_paused_goes_on_if_nobody_took_its_lease() -> None:
    """A pause costs nothing but its time."""
    made = world()

    def pause(number: int) -> None:
        if number == 12:
            made.clock.advance(10 * LEASE_SECONDS)

    assert made.run(pause) == 0
    made.check()


def test_a_service_that_always_answers_too_late_ends_a_run() -> None:
    """Each answer may be from before another run. Mine asks as long as a lease lasts, then ends."""
    made = world(lag=0.0)
    late: list[int] = []

    def delay(number: int) -> None:
        if made.paid and len(late) < 99:
            late.append(number)
            made.clock.advance(12.0)

    assert made.run(delay) == ServiceError.exit_code
    assert "took longer than 10 s for each of 9 answers" in str(made.errors[-1])
    assert len(late) < 20
    assert made.run() == 0
    made.check()


def test_writers_that_wait_for_one_answer_share_it() -> None:
    """Answers take two seconds: eight writers do not wait for sixteen."""
    made = world(lag=0.0)
    process = Process(lambda _: made.clock.advance(2.0))
    index = made.open(process, ANOTHER_MACHINE)
    assert isinstance(index, AzureIndex)
    index.hold("", lambda _: None)
    lease = index.lease

    @contextmanager
    def asked_meanwhile() -> Iterator[None]:
        lease.check()
        yield

    asked = process.requests
    lease.check_lock = asked_meanwhile()  # type: ignore[assignment]
    lease.raise_if_lost()
    assert process.requests == asked + 1
    made.close(index, is_dead=True)


def test_a_run_does_not_take_an_index_that_was_made_again_for_its_own() -> None:
    """Somebody deleted mine; another run fills a new one, whose epochs have the same numbers."""
    made = world(lag=0.0)
    mine, other, third = (made.open(Process(), ANOTHER_MACHINE) for _ in range(3))
    mine.hold("", lambda _: None)
    made.service.indexes.clear()
    made.create(build_definition(INDEX, DIMENSIONS, "standard.lucene", None).as_dict())
    made.clock.advance(5)
    other.hold("", lambda _: None)
    assert isinstance(mine, AzureIndex)
    assert mine.holder.partition(" ")[0] == other.holder.partition(" ")[0]
    with pytest.raises(BusyError, match="or it was deleted, while this one was paused"):
        mine.lease.raise_if_lost()
    mine.lease.is_lost = False  # it ends before it has noticed
    mine.close()
    made.clock.advance(5)
    other.join(other.holder)
    with pytest.raises(BusyError, match="is writing to the index"):
        third.hold("", lambda _: None)
    other.close()


@pytest.mark.parametrize("lag", [0.0, 3.0, 45.0])
def test_of_two_runs_at_once_one_does_it_all(lag: float) -> None:
    """Whichever request of one meets which of the other: one steps back, nothing is paid twice."""
    for seed in range(4):
        made = world(lag)
        codes = race(made, seed)
        if codes != [0, 0]:  # they may also come one after the other
            assert sorted(map(str, codes)) == ["0", str(BUSY)]
        assert set(made.paid.values()) == {1}
        made.check()


@pytest.mark.parametrize(("lag", "replicas"), [(0, 1), (3, 2), (45, 1), (45, 2)])
def test_runs_one_right_after_the_other_see_what_was_written(lag: float, replicas: int) -> None:
    """Edited, deleted and added in quick runs, with a lag of none to 45 s: nothing is left over."""
    made = world(lag, replicas)
    texts = {"one", "two", "three", "four", "five"}
    assert made.run() == 0
    assert made.run() == 0
    del made.files["b.pdf"]
    made.files["a.pdf"] = "one three five"
    assert made.run() == 0
    made.files["b.pdf"] = "four"
    assert made.run() == 0
    assert made.run() == 0
    assert made.paid == dict.fromkeys(texts, 1) | {"four": 2}  # it was gone in between
    made.check()


def test_a_killed_run_is_followed_at_once_where_its_process_is_known_to_be_gone() -> None:
    """What it had written is waited for, though nothing tells when that was; none is paid twice."""
    made = world(lag=45.0)

    def kill(_: int) -> None:
        if any(document.get("kind") == "chunk" for document in list_stored(made)):
            raise Crash

    assert made.run(kill, f"{owner.local_host()}:{DEAD_PROCESS}") is None
    assert made.run() == 0
    assert max(made.paid.values()) == 1
    made.check()


def list_stored(made: World) -> list[Any]:
    return list(made.service.indexes[INDEX].latest.values())


def test_a_killed_run_elsewhere_is_waited_for() -> None:
    """Its lease ends by itself; I am told after how long."""
    made = world()

    def kill(_: int) -> None:
        if made.paid:
            raise Crash

    assert made.run(kill) is None
    made.clock.advance(30)
    assert made.run() == BUSY
    assert "(elsewhere:1)" in str(made.errors[-1])
    assert "if it was killed, for" in str(made.errors[-1])
    made.clock.advance(LEASE_SECONDS)
    assert made.run() == 0
    made.check()


def test_a_lost_answer_about_the_lease_costs_seconds() -> None:
    """The run cannot tell its own write from another run's; it waits a little, and goes on."""
    for place in (2, 4, 5):  # the question, the beginning of an epoch, and its owner
        made = world()

        def lose(number: int, place: int = place) -> None:
            if number == place:
                raise RetryableError("no answer")

        started = made.clock.now()
        assert made.run(lose) in (0, None)
        assert made.clock.now() < started + LEASE_SECONDS
        made.check()


def write_lease(made: World, when: datetime, who: str, **more: object) -> None:
    """Write a lease as a version without epochs does."""
    lease = {"id": "lease", "kind": "lease", "run": who, "settled": when.isoformat()}
    Direct(made.service, made.clock, Process()).write_statuses("upload", [lease | more])


@pytest.mark.parametrize("is_renewed", [False, True])
def test_a_lease_dated_in_the_future_blocks_nobody_for_days(*, is_renewed: bool) -> None:
    """A clock was three days fast: a lease that is not renewed is not held."""
    made = world(lag=0.0)
    started, future = made.clock.now(), made.clock_time() + timedelta(days=3)
    write_lease(made, future, f"{ANOTHER_MACHINE}:77")

    def renew(_: int) -> None:
        if is_renewed and made.clock.now() > started + LEASE_RENEW_SECONDS:
            write_lease(made, future + timedelta(seconds=20), f"{ANOTHER_MACHINE}:77")

    assert made.run(renew) == (BUSY if is_renewed else 0)
    assert made.clock.now() < started + LEASE_SECONDS


def test_the_lease_of_an_earlier_version_is_kept_and_followed() -> None:
    """Versions with and without epochs respect each other's lease."""
    made = world()
    write_lease(made, made.clock_time(), "host:77:00aa11bb")
    made.clock.advance(5)
    assert made.run() == BUSY
    assert "another run (host:77) is writing" in str(made.errors[-1])
    write_lease(made, made.clock_time(), "free")
    made.clock.advance(5)
    assert made.run() == 0
    made.check()


def test_a_process_id_means_nothing_on_another_machine_or_in_another_container() -> None:
    """A process id of another container does not show that a run is gone."""
    ours = owner.create_owner()
    host = ours.rsplit(":", 2)[0]
    assert not owner.is_owner_gone(ours)
    assert owner.is_owner_gone(f"{host}:{DEAD_PROCESS}:1")
    for other in (f"{host}1", host.replace("/", "1/"), host.partition("@")[0], "", "nobody"):
        assert not owner.is_owner_gone(f"{other}:{DEAD_PROCESS}:1")
        assert not owner.is_owner_gone(other)
    assert owner.describe_owner(ours) == f"{host.partition('@')[0]}:{os.getpid()}"


def test_a_container_that_hides_its_boot_is_like_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of them may have one host name and one network address: each waits for the lease."""
    monkeypatch.setitem(vars(owner), "BOOT_ID_FILE", tmp_path / "none")
    monkeypatch.setitem(vars(owner), "sys", SimpleNamespace(platform="linux"))
    assert not owner.is_owner_gone(f"{owner.local_host()}:{DEAD_PROCESS}:1")


@pytest.mark.parametrize("lease", [{"run": "x:9:1", "settled": "soon"}, {}, {"size": -4}])
def test_a_lease_that_cannot_be_read_blocks_nobody(lease: dict[str, object]) -> None:
    """A lease document that is not ours is ignored."""
    made = world(lag=0.0)
    document = {"id": "lease", "kind": "lease", **lease}
    Direct(made.service, made.clock, Process()).write_statuses("upload", [document])
    assert made.run() == 0
    made.check()


def test_a_run_that_changes_nothing_asks_little() -> None:
    """A run without changes sends few requests."""
    made = world(lag=0.0)
    assert made.run() == 0
    counts = []
    for pause in (86_400.0, 0.0):
        made.clock.advance(pause)
        numbers = [0]
        assert made.run(lambda number, numbers=numbers: numbers.append(number)) == 0  # type: ignore[misc]
        counts.append(numbers[-1])
    assert counts[0] <= 5
    assert counts[1] <= counts[0] + SEEN_IN_A_ROW


def test_old_epochs_are_dropped() -> None:
    """Of a thousand runs, only the last hundred lease documents stay."""
    made = world(lag=0.0)
    for _ in range(70):
        assert made.run() == 0
    assert 100 <= len(lease_documents(made)) <= 110


@pytest.mark.parametrize(
    "spoilt",
    [
        {"size": 10**15},
        {"size": 10**15 + 1},
        {"size": None},
        {"fingerprint": "no key / at all"},
        {"summary": "{"},
        {"run": None, "settled": None},
        {"settled": "9999-12-31T00:00:00+00:00", "run": f"{ANOTHER_MACHINE}:77"},
        None,
    ],
)
def test_a_lease_document_that_another_program_spoilt_is_waited_for_at_most_briefly(
    spoilt: dict[str, object] | None,
) -> None:
    """A made-up epoch, a far date, or none: the next run takes the index; an old one is fenced."""
    made = world(lag=0.0)
    assert made.run() == 0
    held = made.open(Process(), ANOTHER_MACHINE)
    assert isinstance(held, AzureIndex)
    held.hold("", lambda _: None)
    held.lease.stop_renewing()
    made.clock.advance(LEASE_SECONDS + 5)
    direct = Direct(made.service, made.clock, Process())
    if spoilt is None:
        direct.write_statuses("delete", [{"id": "lease"}])
    else:
        direct.write_statuses("merge", [{"id": "lease"} | spoilt])
    started = made.clock.now()
    made.files["a.pdf"] = "one five"
    assert made.run() == 0
    assert made.clock.now() < started + 2 * LEASE_SECONDS
    with pytest.raises(BusyError):
        held.lease.raise_if_lost()
    made.close(held, is_dead=True)
    made.check()


def test_a_lease_document_that_was_deleted_lets_no_two_runs_write() -> None:
    """After many runs, whose first traces are deleted, the run that holds the index is met."""
    made = world(lag=0.0)
    assert {made.run() for _ in range(60)} == {0}
    held = made.open(Process(), ANOTHER_MACHINE)
    assert isinstance(held, AzureIndex)
    held.hold("", lambda _: None)
    held.lease.stop_renewing()
    Direct(made.service, made.clock, Process()).write_statuses("delete", [{"id": "lease"}])
    assert made.run() == BUSY
    made.clock.advance(LEASE_SECONDS)
    assert made.run() == 0
    with pytest.raises(BusyError):
        held.lease.raise_if_lost()
    made.close(held, is_dead=True)
    made.check()
