"""Small requests that go together: whoever comes while some are under way goes with the next."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Together(Generic[T]):
    """A call for one item that is made for many at once. For any number of threads.

    It returns when the item is done, and raises what the call for its batch raised.
    """

    def __init__(self, call: Callable[[list[T]], None], most: int, at_once: int = 4) -> None:
        self.call = call
        self.most = most  # items in one call
        self.waiting: list[tuple[T, Future[None]]] = []
        self.list_lock = threading.Lock()
        self.turn = threading.Semaphore(at_once)  # calls under way

    def __call__(self, item: T) -> None:
        done: Future[None] = Future()
        with self.list_lock:
            self.waiting.append((item, done))
        with self.turn:
            while batch := self.taken(done):
                self.send(batch)
        done.result()

    def taken(self, mine: Future[None]) -> list[tuple[T, Future[None]]]:
        """Those who wait, if one's own item does; nobody if another thread took it along."""
        with self.list_lock:
            if all(done is not mine for _, done in self.waiting):
                return []
            batch, self.waiting = self.waiting[: self.most], self.waiting[self.most :]
            return batch

    def send(self, batch: list[tuple[T, Future[None]]]) -> None:
        """Make one call for a batch, and tell all in it."""
        try:
            self.call([item for item, _ in batch])
        except BaseException as error:  # noqa: BLE001 - each of those who wait raises it
            for _, done in batch:
                done.set_exception(error)
        else:
            for _, done in batch:
                done.set_result(None)
