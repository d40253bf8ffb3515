"""What a check can find, in words, and what it takes to mend it."""

from __future__ import annotations

import shlex
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


REPAIR = "ingest check --repair{index}"
RUN = "ingest run {root}{index}"
FORGET = "ingest check --forget {root}{index}, if it will not come back"

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

    def remedy(self, place: str = "") -> str:
        """The command that mends it, in an index that has to be named."""
        index = f" --index {shlex.quote(place)}" if place else ""
        return REMEDY.get(self.kind, REPAIR).format(root=shlex.quote(self.root), index=index)
