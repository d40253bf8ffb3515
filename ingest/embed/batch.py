"""Filling calls to an embedding model, across documents. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeGuard, TypeVar, cast

T = TypeVar("T")
P = TypeVar("P")


def batches(
    items: Iterable[T | P],
    wanted: Callable[[object], TypeGuard[T]],
    tokens: Callable[[T], int],
    *,
    inputs: int,
    limit: int,
) -> Iterator[list[T] | P]:
    """The wanted items in order, in lists of at most `inputs`, of at most `limit` tokens together.

    An item larger than the limit comes in a list alone. What is not wanted passes at once, ahead of
    a list that is not full yet.
    """
    batch: list[T] = []
    size = 0
    for item in items:
        if not wanted(item):
            yield cast("P", item)
            continue
        more = tokens(item)
        if batch and (len(batch) == inputs or size + more > limit):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += more
    if batch:
        yield batch
