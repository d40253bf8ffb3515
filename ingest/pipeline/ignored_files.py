"""Count the files of a root that a run ignores: other file types, and excluded sources."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ingest.models import LeftOut, Record, Unread
from ingest.sources import Root
from ingest.sources.exclude import is_excluded

MAX_NAMES = 1000  # kept of each kind
NO_EXTENSION = "no extension"
EXTENSION_PATTERN = re.compile(r"\.\w{1,10}")  # a longer one belongs to the name


def file_extension(name: str) -> str:
    """Return a file's extension in lower case, with its dot."""
    _, dot, extension = name.rpartition("/")[2].rpartition(".")
    found = dot + extension.lower()
    return found if EXTENSION_PATTERN.fullmatch(found) else NO_EXTENSION


@dataclass(slots=True)
class IgnoredFiles:
    """Ignored files of one root."""

    kinds: Counter[str] = field(default_factory=Counter)
    excluded_count: int = 0
    kept_count: int = 0
    unread: list[str] = field(default_factory=list)
    kept_names: list[str] = field(default_factory=list)

    def add(self, item: Unread) -> None:
        """Count a file that is not read."""
        if item.excluded:
            self.excluded_count += 1
            return
        self.kinds[file_extension(item.name)] += 1
        if len(self.unread) < MAX_NAMES:
            self.unread.append(item.name)

    def filter_records(self, records: Iterable[Record], root: Root) -> Iterator[Record]:
        """Yield the records of sources that the root covers, and count those of excluded ones."""
        for record in records:
            if root.covers(record.source):
                yield record
            elif is_excluded(root, record.source):
                self.kept_count += 1
                if len(self.kept_names) < MAX_NAMES:
                    self.kept_names.append(record.source)

    def to_events(self, root: str) -> Iterator[LeftOut]:
        """Yield one event with the counts; none if nothing was ignored."""
        if self.kinds or self.excluded_count or self.kept_count:
            names = tuple(self.unread), tuple(self.kept_names)
            yield LeftOut(root, dict(self.kinds), self.excluded_count, self.kept_count, *names)
