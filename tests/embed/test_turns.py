"""Turns at one or several deployments: which of them, and threads that wait."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from ingest.embed.line import AILING, Paces, Turns
from ingest.embed.pace import Pace
from ingest.embed.quota import Share
from ingest.errors import ServiceError
from ingest.retry import Patience
from ingest.times import TOKENS, Times
from tests.embed.simulated import REMAINING, Hurried, Quota, Slept

TPM = 60_000
SIZE = 500.0  # tokens of a request


def alone(paces: Sequence[Pace]) -> tuple[Turns, Slept]:
    """The turns of a single thread, whose time passes by sleeping alone."""
    slept = Slept()
    patience = Patience(clock=slept.clock, sleep=slept.sleep)
    return Turns(Paces(paces, slept.clock), patience, Times(slept.clock)), slept


def paces(turns: Turns) -> Paces:
    """The paces behind some turns."""
    assert isinstance(turns.line, Paces)
    return turns.line


def used(turns: Turns, slept: Slept, minutes: int, idle: float = 0.0) -> list[float]:
    """The share of each deployment's quota that one thread uses, idle for a while each time.

    Fails if anything is refused.
    """
    quotas = [Quota(lambda _: TPM, told=REMAINING) for _ in paces(turns).each]
    tokens: Counter[int] = Counter()
    while slept.now < minutes * 60:
        turn = turns.take(SIZE)
        accepted, headers = quotas[turn.place].ask(SIZE, slept.now)
        assert accepted
        tokens[turn.place] += int(SIZE)
        turns.line.answered(turn, headers)
        slept.now += idle
    return [tokens[place] / (TPM * minutes) for place in range(len(quotas))]


def test_each_deployment_has_a_pace_of_its_own() -> None:
    """Three resources are three quotas, and all of each is used."""
    turns, slept = alone([Pace(), Pace(), Pace()])
    assert all(share >= 0.97 for share in used(turns, slept, 10))


def test_the_first_deployment_is_filled_before_the_next_is_asked() -> None:
    """What is paid for anyway comes first; the others take what it has no room for."""
    half = SIZE / (0.5 * TPM / 60)  # seconds between requests that take half of a quota
    first, second = used(*alone([Pace(Share(TPM)), Pace(Share(TPM))]), 10, idle=half)
    assert first == pytest.approx(0.5, abs=0.05)
    assert second == 0

    first, second = used(*alone([Pace(Share(TPM)), Pace(Share(TPM))]), 10, idle=half / 3)
    assert first >= 0.95
    assert second == pytest.approx(0.5, abs=0.1)


def test_a_deployment_that_fails_is_passed_over_for_a_while() -> None:
    """One region is down: the other does the work, and the first is tried again in a moment."""
    turns, slept = alone([Pace(Share(TPM)), Pace(Share(TPM))])
    turn = turns.take(SIZE)
    assert turn.place == 0
    turns.line.failed(turn, ailing=True)
    places = []
    while slept.now < 2 * AILING:
        turn = turns.take(SIZE)
        places.append((slept.now, turn.place))
        turns.line.answered(turn, {})
    assert {place for at, place in places if at < AILING - 1} == {1}
    assert {place for at, place in places if at > AILING} == {0, 1}


def test_the_only_deployment_is_not_passed_over() -> None:
    """Where there is no other, a failure is no reason to wait."""
    turns, slept = alone([Pace(Share(TPM))])
    turns.line.failed(turns.take(SIZE), ailing=True)
    turns.take(SIZE)
    assert slept.now < AILING


def test_a_deployment_that_refuses_leaves_the_work_to_the_others() -> None:
    """One of two has nothing for 20 seconds: the other goes on, nobody waits."""
    turns, slept = alone([Pace(Share(TPM)), Pace(Share(TPM))])
    turn = turns.take(SIZE)
    assert turns.line.refused(turn, {"retry-after": "20"}) == 20
    places = set()
    while slept.now < 19:
        turn = turns.take(SIZE)
        places.add(turn.place)
        turns.line.answered(turn, {})
    assert places == {1}


def test_a_request_is_as_large_as_the_smallest_deployment_likes() -> None:
    """It may go to any of them."""
    turns, _ = alone([Pace(Share(TPM)), Pace(Share(TPM / 10))])
    assert turns.line.known().room == TPM // 10 // 150
    assert turns.line.known().tokens == TPM * 1.1


def together(count: int, work: Callable[[int], None]) -> None:
    """Several threads; raises what one of them raised."""
    with ThreadPoolExecutor(count) as threads:
        list(threads.map(work, range(count)))


def test_threads_send_one_after_another_at_the_pace() -> None:
    """Twelve threads share one quota as if they were one, and all of them get on."""
    hurried = Hurried(20)
    pace = Pace(Share(TPM))
    turns = Turns(
        Paces([pace], hurried.clock),
        Patience(clock=hurried.clock, sleep=hurried.sleep),
        Times(hurried.clock),
    )
    sent: list[float] = []
    began = hurried.clock()

    def work(_: int) -> None:
        for _ in range(3):
            turn = turns.take(SIZE)
            sent.append(hurried.clock())
            hurried.sleep(1)
            turns.line.answered(turn, {})

    together(12, work)
    spaced = SIZE / (TPM / 60)
    assert len(sent) == 36
    assert max(sent) - began >= 35 * spaced - 1
    assert turns.times.wall(TOKENS) > 0


def test_a_stop_ends_every_wait() -> None:
    """^C while eight threads wait for a quota: all are free in a moment, none sends."""
    stopped = threading.Event()
    frozen = Patience(stopped=stopped.is_set, clock=lambda: 0.0)  # the quota never comes
    turns = Turns(Paces([Pace(Share(TPM))], frozen.clock), frozen, Times())
    turn = turns.take(SIZE)
    turns.line.refused(turn, {"retry-after": "100"})
    outcomes: list[str] = []

    def work(_: int) -> None:
        with pytest.raises(ServiceError, match="stopped"):
            turns.take(SIZE)
        outcomes.append("stopped")

    threading.Timer(0.3, stopped.set).start()
    together(8, work)
    assert len(outcomes) == 8
    assert paces(turns).each[0].under_way == 0


def test_an_answer_is_noticed_by_who_waits() -> None:
    """Nothing is known yet, and all wait for the first answer: it sets them free."""
    hurried = Hurried(10)
    turns = Turns(
        Paces([Pace()], hurried.clock), Patience(clock=hurried.clock, sleep=hurried.sleep), Times()
    )
    turn = turns.take(SIZE)
    freed: list[float] = []

    def work(thread: int) -> None:
        if thread == 0:
            hurried.sleep(3)
            freed.append(hurried.clock())
            turns.line.answered(turn, {})
        else:
            turns.take(SIZE)
            freed.append(hurried.clock())

    together(4, work)
    assert freed == sorted(freed)
    assert freed[-1] - freed[0] < 20


def test_the_quotas_of_several_deployments_add_up() -> None:
    """A plan goes by all of them together; one that has no known limit leaves it open."""
    two = Paces([Pace(Share(60e3), Share(100)), Pace(Share(40e3), Share(50))]).known()
    assert two.tokens == 100e3
    assert two.requests == pytest.approx(135)  # a tenth is left free
    one = Paces([Pace(Share(60e3)), Pace()]).known()
    assert (one.tokens, one.requests) == (math.inf, math.inf)
