"""Cache of the vectors that a run has embedded, for later copies of their texts."""

from __future__ import annotations

import threading
from collections import OrderedDict

from ingest.models import Vectors

MAX_BYTES = 64 << 20  # 11,000 vectors of 1,536 dimensions
# Of a table that has a bit for each hash that was dropped: 4 MB, and of a million texts, 3 percent
# meet the bit of another one, which costs a look-up that finds nothing.
TABLE_BITS = 1 << 25
HASH_DIGITS = 12  # hexadecimal, from which the place of a bit is computed


class RecentVectors:
    """The latest vectors of a run, by text hash. Thread-safe."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self.lock = threading.Lock()
        self.vectors: OrderedDict[str, Vectors] = OrderedDict()
        self.dropped = bytearray()  # a bit for each text whose vector is only in the index

    def get(self, text_hash: str) -> Vectors | None:
        """Return the vector of a text, if the cache has it."""
        return self.vectors.get(text_hash)

    def add(self, text_hash: str, vector: Vectors) -> None:
        """Add a vector of shape (dimensions,), and drop the oldest ones beyond the limit."""
        with self.lock:
            self.vectors[text_hash] = vector.copy()  # not a view of the whole batch
            while len(self.vectors) * vector.nbytes > self.max_bytes:
                dropped, _ = self.vectors.popitem(last=False)
                self.dropped = self.dropped or bytearray(TABLE_BITS // 8)
                place = table_place(dropped)
                self.dropped[place // 8] |= 1 << place % 8

    def may_have_dropped(self, text_hash: str) -> bool:
        """Return False if the run has certainly not embedded and dropped this text."""
        place = table_place(text_hash)
        return bool(self.dropped) and bool(self.dropped[place // 8] >> place % 8 & 1)


def table_place(text_hash: str) -> int:
    """Return the place of a text's bit."""
    return int(text_hash[:HASH_DIGITS], 16) % TABLE_BITS
