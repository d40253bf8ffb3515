"""Calls into libraries that read what strangers made."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def try_call(call: Callable[[], T], default: T) -> T:
    """What `call` gives, or `default` if the library chokes on what it read."""
    try:
        return call()
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - on hostile input these libraries raise anything
        return default


def try_call_catching_oom(call: Callable[[], T], default: T) -> T:
    """The same for what a document is not worth failing for, even if it takes all the memory.

    For Python code only: what is native ends its process instead.
    """
    try:
        return try_call(call, default)
    except MemoryError:
        return default
