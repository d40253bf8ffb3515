"""Filling batches."""

from __future__ import annotations

from itertools import pairwise
from typing import TypeGuard

from hypothesis import given
from hypothesis import strategies as st

from ingest.embed.batch import batches


def is_size(item: object) -> TypeGuard[int]:
    return isinstance(item, int)


@given(
    st.lists(st.one_of(st.integers(1, 50), st.just("event"))), st.integers(1, 8), st.integers(1, 60)
)
def test_batches_keep_order_and_limits(items: list[int | str], inputs: int, limit: int) -> None:
    """No request is too large, none is sent half empty for nothing, and nothing is lost."""
    made: list[list[int] | str] = list(
        batches(items, is_size, lambda size: size, inputs=inputs, room=lambda: limit)
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
        batches([1, "event", 2], is_size, lambda size: size, inputs=2, room=lambda: 9)
    )
    assert made == ["event", [1, 2]]
