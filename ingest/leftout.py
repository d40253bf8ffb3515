"""A count of what a run leaves alone in a root: files of other kinds, and what is excluded."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ingest.model import LeftOut, Record, Unread
from ingest.sources import Root
from ingest.sources.exclude import excludes

NAMED = 1000  # names that are remembered, of each sort
NO_EXTENSION = "no extension"
EXTENSION = re.compile(r"\.\w{1,10}")  # what is longer is a part of the name


def kind(name: str) -> str:
    """A file's extension in lower case, with its dot."""
    _, dot, extension = name.rpartition("/")[2].rpartition(".")
    found = dot + extension.lower()
    return found if EXTENSION.fullmatch(found) else NO_EXTENSION


@dataclass(slots=True)
class Aside:
    """The count, of one root."""

    kinds: Counter[str] = field(default_factory=Counter)
    excluded: int = 0
    kept: int = 0
    unread: list[str] = field(default_factory=list)
    kept_names: list[str] = field(default_factory=list)

    def add(self, item: Unread) -> None:
        """A file was listed that is not read."""
        if item.excluded:
            self.excluded += 1
            return
        self.kinds[kind(item.name)] += 1
        if len(self.unread) < NAMED:
            self.unread.append(item.name)

    def covered(self, records: Iterable[Record], root: Root) -> Iterator[Record]:
        """The records of what a run on this root lists; those of excluded sources are counted."""
        for record in records:
            if root.covers(record.source):
                yield record
            elif excludes(root, record.source):
                self.kept += 1
                if len(self.kept_names) < NAMED:
                    self.kept_names.append(record.source)

    def told(self, root: str) -> Iterator[LeftOut]:
        """The event that says so; none where nothing was left alone."""
        if self.kinds or self.excluded or self.kept:
            names = tuple(self.unread), tuple(self.kept_names)
            yield LeftOut(root, dict(self.kinds), self.excluded, self.kept, *names)
