"""Batching of chunks into calls to an embedding model, across documents. Pure."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeGuard, TypeVar, cast

T = TypeVar("T")
P = TypeVar("P")

FIRST_BATCH_TOKENS = 2_000  # a service's first answer may report its quota: all wait for it
MAX_WAIT_FOR_MORE_SECONDS = 1.0  # in total, for more items, before a partial batch is sent


def fill_batches(  # noqa: PLR0913 - the limits of a batch
    items: Iterable[T | P],
    is_wanted: Callable[[object], TypeGuard[T]],
    count_tokens: Callable[[T], int],
    *,
    max_items: int,
    max_tokens: Callable[[], int],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[list[T] | P]:
    """Group wanted items, in order, into batches of at most `max_items` and `max_tokens`.

    The first batch is small. An item that exceeds `max_tokens` makes a batch of its own. Other
    items are yielded at once, ahead of the batch being filled. A batch waits
    MAX_WAIT_FOR_MORE_SECONDS for items at most.
    """
    batch: list[T] = []
    tokens = 0
    waited = 0.0
    most = FIRST_BATCH_TOKENS
    rest = iter(items)
    while True:
        started = clock()
        try:
            item = next(rest)
        except StopIteration:
            break
        if batch:
            waited += clock() - started
        if not is_wanted(item):
            yield cast("P", item)
        else:
            more = count_tokens(item)
            if batch and (len(batch) == max_items or tokens + more > min(most, max_tokens())):
                yield batch
                batch, tokens, waited, most = [], 0, 0.0, sys.maxsize
            batch.append(item)
            tokens += more
        if batch and waited > MAX_WAIT_FOR_MORE_SECONDS:
            yield batch
            batch, tokens, waited, most = [], 0, 0.0, sys.maxsize
    if batch:
        yield batch
