"""Cache of the vectors that a run has embedded, for later copies of their texts."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ingest.models import Vectors

MAX_BYTES = 64 << 20  # 11,000 vectors of 1,536 dimensions


class RecentVectors:
    """The latest vectors of a run, by text hash. Thread-safe."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self.lock = threading.Lock()
        self.vectors: OrderedDict[str, Vectors] = OrderedDict()
        self.has_forgotten = False  # some of the run's vectors are only in the index

    def get(self, text_hash: str) -> Vectors | None:
        """Return the vector of a text, if the cache has it."""
        return self.vectors.get(text_hash)

    def add(self, text_hash: str, vector: Vectors) -> None:
        """Add a vector of shape (dimensions,), and drop the oldest ones beyond the limit."""
        with self.lock:
            self.vectors[text_hash] = vector.copy()  # not a view of the whole batch
            while len(self.vectors) * vector.nbytes > self.max_bytes:
                self.vectors.popitem(last=False)
                self.has_forgotten = True
