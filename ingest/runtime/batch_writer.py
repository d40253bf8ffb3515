"""Coalescing of single items into batched calls: items that arrive during a call form the next."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")

MAX_CONCURRENT_CALLS = 2  # more would only make the batches smaller


class Coalescer(Generic[T]):
    """Collects items from any thread and makes one call for many of them.

    The call returns an error, or None, for each of its items.
    """

    def __init__(
        self,
        call: Callable[[list[T]], Sequence[Exception | None]],
        max_items: int,
        concurrency: int = MAX_CONCURRENT_CALLS,
    ) -> None:
        self.call = call
        self.max_items = max_items  # per call
        self.waiting: list[tuple[T, Future[None]]] = []
        self.lock = threading.Lock()
        self.threads = ThreadPoolExecutor(concurrency, "coalescer")

    def submit(self, item: T) -> Future[None]:
        """Add an item. The future is done with the item's batch, or has its exception."""
        done: Future[None] = Future()
        with self.lock:
            self.waiting.append((item, done))
        # One task per item; most find that their item has gone with an earlier batch.
        self.threads.submit(self.send_batch)
        return done

    def send_batch(self) -> None:
        """Make one call for waiting items, and complete their futures."""
        with self.lock:
            batch, self.waiting = self.waiting[: self.max_items], self.waiting[self.max_items :]
        batch = [(item, done) for item, done in batch if done.set_running_or_notify_cancel()]
        if not batch:
            return
        try:
            errors = self.call([item for item, _ in batch])
        except BaseException as error:  # noqa: BLE001 - each future of the batch raises it
            for _, done in batch:
                done.set_exception(error)
        else:
            for (_, done), failure in zip(batch, errors, strict=True):
                if failure:
                    done.set_exception(failure)
                else:
                    done.set_result(None)

    def close(self) -> None:
        """Send the waiting items, then end the threads."""
        self.threads.shutdown()
