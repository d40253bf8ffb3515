"""Small requests that go together: whoever comes while some are under way goes with the next."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")

MAX_CONCURRENT_CALLS = 2  # calls under way: more would only make them smaller


class Coalescer(Generic[T]):
    """A call for one item that is made for many at once. For any number of threads."""

    def __init__(
        self,
        call: Callable[[list[T]], None],
        max_items: int,
        concurrency: int = MAX_CONCURRENT_CALLS,
    ) -> None:
        self.call = call
        self.max_items = max_items  # items in one call
        self.waiting: list[tuple[T, Future[None]]] = []
        self.lock = threading.Lock()
        self.threads = ThreadPoolExecutor(concurrency, "together")

    def submit(self, item: T) -> Future[None]:
        """Done when the item is, or raising what the call for its batch raised."""
        done: Future[None] = Future()
        with self.lock:
            self.waiting.append((item, done))
        # One look for each item, most of which find that it went with another's.
        self.threads.submit(self.send_batch)
        return done

    def send_batch(self) -> None:
        """Make one call for those who wait, and tell them."""
        with self.lock:
            batch, self.waiting = self.waiting[: self.max_items], self.waiting[self.max_items :]
        batch = [(item, done) for item, done in batch if done.set_running_or_notify_cancel()]
        if not batch:
            return
        try:
            self.call([item for item, _ in batch])
        except BaseException as error:  # noqa: BLE001 - each of those who wait raises it
            for _, done in batch:
                done.set_exception(error)
        else:
            for _, done in batch:
                done.set_result(None)

    def close(self) -> None:
        """Give back the threads, when what waits has been sent."""
        self.threads.shutdown()
