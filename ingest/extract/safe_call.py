"""Call libraries that parse untrusted data, and survive their exceptions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def try_call(call: Callable[[], T], default: T) -> T:
    """Return the result of `call`, or `default` if it raises. MemoryError passes through."""
    try:
        return call()
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - on hostile input these libraries raise anything
        return default


def try_call_catching_oom(call: Callable[[], T], default: T) -> T:
    """Return the result of `call`, or `default` if it raises any error, even MemoryError.

    For extras that a document should not fail for, read in pure Python: native code that runs out
    of memory ends the process.
    """
    try:
        return try_call(call, default)
    except MemoryError:
        return default
