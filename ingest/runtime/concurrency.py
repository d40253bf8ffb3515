"""Concurrent calls over streams of items. Knows nothing of PDFs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
P = TypeVar("P")
R = TypeVar("R")

ROUND_ROBIN_PARTS = 256  # parts taken from one item before the next item's turn
MAX_OPEN_ITEMS = 8  # items with more parts than that, at a time

RESULT_POLL_SECONDS = 0.1  # without a result, after which cancellation is checked


def map_concurrent(
    items: Iterable[T],
    start: Callable[[T], Future[R] | None],
    max_in_flight: int | Callable[[], int],
    is_abandoned: Callable[[], bool],
    idle_item: T | None = None,
) -> Iterator[tuple[T, Future[R] | None]]:
    """Start a call for each item; yield items with finished calls, in order of completion.

    Args:
        items: taken only while fewer than `max_in_flight` calls are running, so that neither items
            nor results pile up.
        start: starts the call of an item; None for an item that needs no call, which is yielded
            at once.
        max_in_flight: limit of running calls, or a function that returns the current limit.
        is_abandoned: once it returns True, running calls are not waited for.
        idle_item: yielded while no call finishes, so that the consumer can do other work.
    """
    rest = iter(items)
    under_way: dict[Future[R], T] = {}
    finished: SimpleQueue[Future[R]] = SimpleQueue()
    limit = max_in_flight if callable(max_in_flight) else lambda: max_in_flight
    more = True
    try:
        while more or under_way:
            while more and len(under_way) < limit() and finished.empty():
                try:
                    item = next(rest)
                except StopIteration:
                    more = False
                    break
                call = start(item)
                if call is None:
                    yield item, None
                else:
                    under_way[call] = item
                    call.add_done_callback(finished.put)
            if not under_way:
                continue
            try:
                future = finished.get(timeout=RESULT_POLL_SECONDS)
            except Empty:
                if is_abandoned():
                    return
                if idle_item is not None:
                    yield idle_item, None
            else:
                yield under_way.pop(future), future
    finally:
        for future in under_way:
            future.cancel()


def round_robin(items: Iterable[T], parts: Callable[[T], Iterator[P] | None]) -> Iterator[T | P]:
    """Split items into parts and interleave them, so that a huge item does not delay small ones.

    ROUND_ROBIN_PARTS of each item are taken in turn, and MAX_OPEN_ITEMS items are open at most. An
    item for which `parts` returns None is yielded at once.
    """
    open_: deque[Iterator[P]] = deque()
    for item in items:
        iterator = parts(item)
        if iterator is None:
            yield item
        else:
            open_.append(iterator)
        yield from take_parts_of_each(open_)
        while len(open_) >= MAX_OPEN_ITEMS:
            yield from take_parts_of_each(open_)
    while open_:
        yield from take_parts_of_each(open_)


def take_parts_of_each(iterators: deque[Iterator[P]]) -> Iterator[P]:
    """Yield the next parts of each item; drop exhausted iterators."""
    for _ in range(len(iterators)):
        iterator = iterators.popleft()
        parts = list(islice(iterator, ROUND_ROBIN_PARTS))
        yield from parts
        if len(parts) == ROUND_ROBIN_PARTS:
            iterators.append(iterator)


class InlineExecutor(Executor):
    """Executor that runs each call in the thread that submits it."""

    def submit(self, call: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        """Run a call and return its finished future."""
        future: Future[R] = Future()
        try:
            future.set_result(call(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - it is raised by result()
            future.set_exception(error)
        return future
