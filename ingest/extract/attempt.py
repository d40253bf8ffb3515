"""Calls into libraries that read what strangers made."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def attempted(call: Callable[[], T], default: T) -> T:
    """What `call` gives, or `default` if the library chokes on what it read."""
    try:
        return call()
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - on hostile input these libraries raise anything
        return default
