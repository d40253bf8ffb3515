"""Vectors for tests: cheap, and the same for the same text, here and in every other process."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Vectors: TypeAlias = NDArray[np.float32]
Embed: TypeAlias = Callable[[Sequence[str], int], Vectors]


def hash_texts(texts: Sequence[str], dimensions: int) -> Vectors:
    """Unit vectors of the given length, shape (len(texts), dimensions), without any meaning."""
    noise = b"".join(hashlib.shake_128(t.encode()).digest(dimensions) for t in texts)
    return normalize_rows(
        np.frombuffer(noise, np.uint8).reshape(len(texts), dimensions) - np.float32(127.5)
    )


def normalize_rows(rows: Vectors) -> Vectors:
    """Normalise rows to length one; a row of zeros stays."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    made: Vectors = (rows / np.where(lengths == 0, 1, lengths)).astype(np.float32)
    return made
