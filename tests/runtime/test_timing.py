"""Stopwatch: the time that each activity takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from ingest.models import SourceKey
from ingest.runtime.timing import End, Stopwatch


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_threads_and_the_clock_are_told_apart() -> None:
    """Two threads that wait for the same ten seconds wait twenty together."""
    clock = Clock()
    times = Stopwatch(clock)
    with times.measure("waiting"):
        clock.now += 5
        with times.measure("waiting"):
            clock.now += 10
    clock.now += 100

    assert times.wall_seconds("waiting") == 15
    assert times.thread_seconds("waiting") == 25
    assert times.wall_seconds("nothing of the kind") == 0


def test_what_still_goes_on_counts_up_to_now() -> None:
    """A figure asked for in the middle is not an old one."""
    clock = Clock()
    times = Stopwatch(clock)
    with times.measure("working"):
        clock.now += 3
        assert times.wall_seconds("working") == 3


def test_a_call_that_fails_has_taken_its_time() -> None:
    """Errors take time too, and are raised all the same."""
    clock = Clock()
    times = Stopwatch(clock)

    def fail() -> None:
        clock.now += 2
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        times.wrap("failing", fail)()
    assert times.thread_seconds("failing") == 2


def test_time_that_turns_out_to_be_lost_is_counted_afterwards() -> None:
    """Two readers that hang over the same ten seconds have lost twenty, in fifteen on the clock."""
    clock = Clock()
    times = Stopwatch(clock)
    first = clock.now
    clock.now += 5
    second = clock.now
    clock.now += 5
    times.add_elapsed("lost", first)
    clock.now += 5
    times.add_elapsed("lost", second)

    assert (times.wall_seconds("lost"), times.thread_seconds("lost")) == (15, 20)


class Seen:
    """Observer that records all calls."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def begin(
        self, activity: str, sources: Sequence[SourceKey], facts: Mapping[str, Any], *, inner: bool
    ) -> End:
        self.told.append((activity, *sources, dict(facts), inner))
        return lambda error: self.told.append((activity, error))


def test_who_watches_sees_each_piece_of_work_and_how_it_ended() -> None:
    """What is it about, is it over, and did it fail: nothing of it changes what is counted."""
    seen, failure = Seen(), ValueError("no")
    times = Stopwatch(observer=seen)
    call: Future[int] = Future()

    assert times.wrap("reading", lambda: 7, ("root", "a.pdf"), page=3)() == 7
    times.measure_future("recording", call, ("root", "b.pdf"))
    with pytest.raises(ValueError, match="no"), times.measure("reading"):
        raise failure
    call.set_exception(failure)

    assert seen.told == [
        ("reading", ("root", "a.pdf"), {"page": 3}, True),
        ("reading", None),
        ("recording", ("root", "b.pdf"), {}, False),
        ("reading", {}, True),
        ("reading", failure),
        ("recording", failure),
    ]
    assert times.span("reading").under_way == times.span("recording").under_way == 0


def test_the_times_of_others_are_shown_as_they_are() -> None:
    """What all workers did so far takes the place of what they had done before."""
    times = Stopwatch()
    times.mirror({"reading": (5.0, 9.0)}, {"charged": 70}, "token quota")
    times.mirror({"reading": (6.0, 11.0)}, {"charged": 100}, "token quota")
    assert (times.wall_seconds("reading"), times.thread_seconds("reading")) == (6.0, 11.0)
    assert times.counts["charged"] == 100
    assert times.current_wait() == "token quota"
    times.mirror({}, {}, "")
    assert times.current_wait() == ""
    assert times.wall_seconds("reading") == 6.0


def test_what_hangs_has_a_name_after_five_seconds() -> None:
    """Requests without an answer for minutes are not silence: the progress line says what it is."""
    clock = Clock()
    times = Stopwatch(clock)
    with times.measure("reading"), times.measure("embedding service"):
        clock.now += 4
        assert times.current_wait() == ""
        with times.measure("embedding service"):
            clock.now += 4
        assert times.current_wait() == "a document to be read"  # an answer has just arrived
        clock.now += 50
        assert times.current_wait() == "an answer of the embedding service"
    assert times.current_wait() == ""
    assert times.stalls()["an answer of the embedding service"] == 8 + 50
    assert "nothing of the kind" not in times.stalls()


def test_a_wait_within_another_is_the_one_that_is_named() -> None:
    """The index is asked, and what hangs is the token for it: that is where I have to look."""
    clock = Clock()
    times = Stopwatch(clock)
    with times.wait_for("an answer of the index"):
        clock.now += 1
        with times.wait_for("a token"):
            clock.now += 9
            assert times.current_wait() == "a token"
        assert times.current_wait() == ""
        clock.now += 6
        assert times.current_wait() == "an answer of the index"
    assert times.stalls() == {"an answer of the index": 6, "a token": 9}


def test_a_slow_list_has_a_name() -> None:
    """A listing that takes long is named as what the run waits for."""
    clock = Clock()
    times = Stopwatch(clock)

    def files() -> Iterator[str]:
        for name in ("a.pdf", "b.pdf"):
            clock.now += 8
            seen.append(times.current_wait())
            yield name

    seen: list[str] = []
    for _ in times.wait_for_each("the list of docs", files()):
        clock.now += 20
        seen.append(times.current_wait())
    assert seen == ["the list of docs", "", "the list of docs", ""]
    assert times.stalls() == {"the list of docs": 16}


def test_a_pause_before_another_attempt_has_a_name() -> None:
    """The service fails again and again: that is what the run waits for."""
    times = Stopwatch(Clock())
    with times.measure("retry"):
        assert times.current_wait() == "another attempt at embedding"
