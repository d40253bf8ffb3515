"""Where the time goes."""

from __future__ import annotations

import pytest

from ingest.times import Times


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_threads_and_the_clock_are_told_apart() -> None:
    """Two threads that wait for the same ten seconds wait twenty together."""
    clock = Clock()
    times = Times(clock)
    with times.of("waiting"):
        clock.now += 5
        with times.of("waiting"):
            clock.now += 10
    clock.now += 100

    assert times.wall("waiting") == 15
    assert times.total("waiting") == 25
    assert times.wall("nothing of the kind") == 0


def test_what_still_goes_on_counts_up_to_now() -> None:
    """A figure asked for in the middle is not an old one."""
    clock = Clock()
    times = Times(clock)
    with times.of("working"):
        clock.now += 3
        assert times.wall("working") == 3


def test_a_call_that_fails_has_taken_its_time() -> None:
    """Errors take time too, and are raised all the same."""
    clock = Clock()
    times = Times(clock)

    def fail() -> None:
        clock.now += 2
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        times.around("failing", fail)()
    assert times.total("failing") == 2


def test_time_that_turns_out_to_be_lost_is_counted_afterwards() -> None:
    """Two readers that hang over the same ten seconds have lost twenty, in fifteen on the clock."""
    clock = Clock()
    times = Times(clock)
    first = clock.now
    clock.now += 5
    second = clock.now
    clock.now += 5
    times.ended("lost", first)
    clock.now += 5
    times.ended("lost", second)

    assert (times.wall("lost"), times.total("lost")) == (15, 20)
