"""Filling calls to an embedding model, across documents. Pure."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeGuard, TypeVar, cast

T = TypeVar("T")
P = TypeVar("P")

MAX_WAIT_FOR_MORE_SECONDS = (
    1.0  # seconds of waiting for more, after which a call is made with what there is
)


def fill_batches(  # noqa: PLR0913 - a batch is just these
    items: Iterable[T | P],
    is_wanted: Callable[[object], TypeGuard[T]],
    count_tokens: Callable[[T], int],
    *,
    max_items: int,
    max_tokens: Callable[[], int],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[list[T] | P]:
    """The wanted items in order, in lists of at most `inputs`, of at most `room` tokens together.

    An item larger than that comes in a list alone. What is not wanted passes at once, ahead of a
    list that is not full yet. A list is not waited for longer than A_LITTLE.
    """
    batch: list[T] = []
    size = 0
    waited = 0.0
    rest = iter(items)
    while True:
        asked = clock()
        try:
            item = next(rest)
        except StopIteration:
            break
        if batch:
            waited += clock() - asked
        if not is_wanted(item):
            yield cast("P", item)
        else:
            more = count_tokens(item)
            if batch and (len(batch) == max_items or size + more > max_tokens()):
                yield batch
                batch, size, waited = [], 0, 0.0
            batch.append(item)
            size += more
        if batch and waited > MAX_WAIT_FOR_MORE_SECONDS:
            yield batch
            batch, size, waited = [], 0, 0.0
    if batch:
        yield batch
