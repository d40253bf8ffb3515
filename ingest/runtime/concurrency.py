"""Calls that overlap: a few are under way while their results are used. Knows nothing of PDFs."""

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

ROUND_ROBIN_PARTS = 256  # parts of one item, before it is another one's turn
MAX_OPEN_ITEMS = 8  # items with more parts than that

RESULT_POLL_SECONDS = 0.1  # seconds between looks at anything else than the calls under way


def map_concurrent(
    items: Iterable[T],
    start: Callable[[T], Future[R] | None],
    max_in_flight: int | Callable[[], int],
    is_abandoned: Callable[[], bool],
    idle_item: T | None = None,
) -> Iterator[tuple[T, Future[R] | None]]:
    """Each item with its finished call, in the order the calls finish.

    `start` begins the call an item needs; an item that needs none comes at once, with None. Items
    are taken only while fewer than `ahead` calls are under way, which may change with time, so
    neither they nor the results pile up. Once `given_up` answers True, what is under way is left.
    While nothing finishes, `idle` is yielded now and then, so that whoever takes the results can
    look after calls of its own.
    """
    rest = iter(items)
    under_way: dict[Future[R], T] = {}
    finished: SimpleQueue[Future[R]] = SimpleQueue()
    most = max_in_flight if callable(max_in_flight) else lambda: max_in_flight
    more = True
    try:
        while more or under_way:
            while more and len(under_way) < most() and finished.empty():
                for item in islice(rest, 1):
                    call = start(item)
                    if call is None:
                        yield item, None
                    else:
                        under_way[call] = item
                        call.add_done_callback(finished.put)
                    break
                else:
                    more = False
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
    """Items in parts, a share of each in turn, so that a huge one does not hold up the small ones.

    An item that has none, by an answer of None, passes at once. While MOST_OPEN are not at their
    end no more are taken.
    """
    open_: deque[Iterator[P]] = deque()
    for item in items:
        several = parts(item)
        if several is None:
            yield item
        else:
            open_.append(several)
        yield from take_parts_of_each(open_)
        while len(open_) >= MAX_OPEN_ITEMS:
            yield from take_parts_of_each(open_)
    while open_:
        yield from take_parts_of_each(open_)


def take_parts_of_each(iterators: deque[Iterator[P]]) -> Iterator[P]:
    """Some parts of each item; those at their end are left out from then on."""
    for _ in range(len(iterators)):
        several = iterators.popleft()
        some = list(islice(several, ROUND_ROBIN_PARTS))
        yield from some
        if len(some) == ROUND_ROBIN_PARTS:
            iterators.append(several)


class InlineExecutor(Executor):
    """Makes each call where it is submitted: for work that one thread must do."""

    def submit(self, call: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        """The finished call. What it raises is in the future, as with any executor."""
        future: Future[R] = Future()
        try:
            future.set_result(call(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - it is raised by result()
            future.set_exception(error)
        return future
