"""What a check can find, in words, and what it takes to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """In which way an index is not as it should be. Names are for ever."""

    MISSING = "missing"
    EXTRA = "extra"
    TORN = "torn"
    STALE = "stale"
    ORDER = "order"
    VECTOR = "vector"
    WORDS = "words"
    PAGE = "page"
    CHANGED = "changed"
    VANISHED = "vanished"
    NEW = "new"
    ROOT = "root"


REPAIR = "ingest check --repair"
RUN = "ingest run {root}"
FORGET = "ingest check --forget {root}, if it will not come back"

REMEDY = {
    Kind.TORN: RUN,
    Kind.CHANGED: RUN,
    Kind.VANISHED: RUN,
    Kind.NEW: RUN,
    Kind.ROOT: FORGET,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be, of one source, or of a root or the whole index."""

    kind: Kind
    text: str
    root: str = ""
    source: str = ""
    count: int = 1  # chunks; of a root, sources; of pages, pages
    ids: tuple[str, ...] = ()  # of the chunks

    @property
    def remedy(self) -> str:
        """The command that mends it."""
        return REMEDY.get(self.kind, REPAIR).format(root=self.root)
