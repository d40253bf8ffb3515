"""Requests that go together: nobody is forgotten, and everybody learns how it went."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ingest.runtime.batch_writer import Coalescer


def test_everything_is_done_once_and_together() -> None:
    """Thirty-two documents at once do not cost thirty-two requests for their records."""
    calls: list[list[int]] = []
    ready = threading.Barrier(32)

    def slow(items: list[int]) -> list[None]:
        time.sleep(0.2)
        calls.append(items)
        return [None] * len(items)

    together = Coalescer(slow, max_items=20, concurrency=1)

    def one(item: int) -> None:
        ready.wait()
        together.submit(item).result()

    with ThreadPoolExecutor(32) as threads:
        list(threads.map(one, range(32)))

    assert sorted(item for call in calls for item in call) == list(range(32))
    assert len(calls) < 16
    assert max(map(len, calls)) <= 20


def test_it_returns_only_when_the_item_is_done() -> None:
    """Invariant 2: an intent is in the index before anything that follows it."""
    done: set[int] = set()

    def add(items: list[int]) -> list[None]:
        done.update(items)
        return [None] * len(items)

    together = Coalescer(add, max_items=3)

    def one(item: int) -> bool:
        together.submit(item).result()
        return item in done

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(one, range(200)))


def test_a_failure_reaches_all_who_were_in_it_and_nobody_else() -> None:
    """What a request says is said to each document in it; the next request is a new one.

    Of a request that succeeds, only the documents that were refused fail.
    """
    begun, release = threading.Event(), threading.Event()

    def failing(items: list[str]) -> list[Exception | None]:
        if "first" in items:
            begun.set()
            release.wait(10)
        elif "bad" in items:
            raise ValueError("refused")
        return [KeyError(item) if item == "refused" else None for item in items]

    together = Coalescer(failing, max_items=10, concurrency=1)
    first = together.submit("first")
    assert begun.wait(10)
    later = [together.submit(item) for item in ("bad", "with it")]
    release.set()
    first.result()
    for future in later:
        with pytest.raises(ValueError, match="refused"):
            future.result()
    good, refused = together.submit("good"), together.submit("refused")
    good.result()
    with pytest.raises(KeyError):
        refused.result()
    together.close()
