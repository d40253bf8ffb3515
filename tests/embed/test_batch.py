"""Filling batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TypeGuard

from hypothesis import given
from hypothesis import strategies as st

from ingest.embed.batch import MAX_WAIT_FOR_MORE_SECONDS, fill_batches


def is_size(item: object) -> TypeGuard[int]:
    return isinstance(item, int)


@given(
    st.lists(st.one_of(st.integers(1, 50), st.just("event"))), st.integers(1, 8), st.integers(1, 60)
)
def test_batches_keep_order_and_limits(items: list[int | str], inputs: int, limit: int) -> None:
    """No request is too large, none is sent half empty for nothing, and nothing is lost."""
    made: list[list[int] | str] = list(
        fill_batches(items, is_size, lambda size: size, max_items=inputs, max_tokens=lambda: limit)
    )

    full = [batch for batch in made if isinstance(batch, list)]
    assert [size for batch in full for size in batch] == [i for i in items if isinstance(i, int)]
    assert all(len(batch) <= inputs for batch in full)
    assert all(sum(batch) <= limit or len(batch) == 1 for batch in full)
    for this, after in pairwise(full):
        assert len(this) == inputs or sum(this) + after[0] > limit
    assert sum(item == "event" for item in made) == items.count("event")


def test_what_is_not_for_the_model_does_not_wait() -> None:
    """A document that needs no embedding is settled before a batch is full."""
    made: list[list[int] | str] = list(
        fill_batches([1, "event", 2], is_size, lambda size: size, max_items=2, max_tokens=lambda: 9)
    )
    assert made == ["event", [1, 2]]


def arrive_after(gaps: Sequence[float]) -> tuple[Iterator[int], Callable[[], float]]:
    """Items of one token, each so many seconds after it was asked for, and the clock of that."""
    now = [0.0]

    def items() -> Iterator[int]:
        for gap in gaps:
            now[0] += gap
            yield 1

    return items(), lambda: now[0]


def batch_sizes(gaps: Sequence[float]) -> list[int]:
    """Number of texts in each batch of items that arrive like that."""
    items, clock = arrive_after(gaps)
    made: Iterator[list[int] | str] = fill_batches(
        items, is_size, lambda size: size, max_items=99, max_tokens=lambda: 99, clock=clock
    )
    return [len(batch) for batch in made]


def test_a_list_is_not_waited_for_for_ever() -> None:
    """An incomplete batch is embedded after a second or so."""
    assert batch_sizes([0.4] * 9) == [4, 4, 1]
    assert batch_sizes([0.01] * 9) == [9]
    assert batch_sizes([MAX_WAIT_FOR_MORE_SECONDS * 2] * 3) == [2, 1]


def test_a_wait_before_a_list_is_begun_does_not_count() -> None:
    """A large document took long to read: its first chunk is not sent alone."""
    assert batch_sizes([9.0, *[0.01] * 8]) == [9]


def test_the_consumers_time_is_not_a_wait() -> None:
    """While requests are slow, batches are filled completely."""
    now = [0.0]
    made: list[int] = []
    items: list[int | str] = [1, "event"] * 9
    found: Iterator[list[int] | str] = fill_batches(
        items, is_size, lambda size: size, max_items=99, max_tokens=lambda: 99, clock=lambda: now[0]
    )
    for batch in found:
        now[0] += 60
        if isinstance(batch, list):
            made.append(len(batch))
    assert made == [9]


def test_the_room_may_change_from_one_list_to_the_next() -> None:
    """If the quota is raised midway, the next request is larger."""
    rooms = {0: 2, 1: 4, 2: 3}
    made: list[list[int] | str] = []
    for batch in fill_batches(
        [1] * 12,
        is_size,
        lambda size: size,
        max_items=99,
        max_tokens=lambda: rooms.get(len(made), 9),
    ):
        made.append(batch)  # noqa: PERF402 - the room depends on how many there are
    assert [len(batch) for batch in made] == [2, 4, 3, 3]
