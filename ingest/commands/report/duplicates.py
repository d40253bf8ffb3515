"""The same text in several sources: answers that crowd out others, and are paid for twice."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ingest.models import Record, StoredChunk

RECIPE_DIGEST_CHARS = 12  # of a fingerprint; those that follow are the hash of the bytes
SourceKey: TypeAlias = tuple[str, str]  # of a source: its root and its name


@dataclass(slots=True)
class RepeatedText:
    """A text that stands in sources that differ."""

    text: str
    sources: dict[SourceKey, int] = field(default_factory=dict)  # and the page it is on there

    @property
    def weight(self) -> int:
        """How many characters are there that need not be."""
        return (len(self.sources) - 1) * len(self.text)


@dataclass(frozen=True, slots=True)
class Duplicates:
    """What stands more than once in an index."""

    copies: Sequence[Sequence[Record]]  # documents equal byte by byte
    repeated: Sequence[RepeatedText]  # texts in other documents, those first that cost most
    chunks: int  # of which there is one of the same text elsewhere, copies included


def find_copies(records: Iterable[Record]) -> list[list[Record]]:
    """The sources that are equal byte by byte, the most copied first."""
    alike: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if content := record.fingerprint[RECIPE_DIGEST_CHARS:]:
            alike[content].append(record)
    return sorted((group for group in alike.values() if len(group) > 1), key=len, reverse=True)


def find_duplicates(records: Sequence[Record], chunks: Iterable[StoredChunk]) -> Duplicates:
    """What stands more than once; a document and its copies count as one for their texts."""
    equal = find_copies(records)
    first = {(r.root, r.source): place for place, group in enumerate(equal) for r in group}
    known_keys: dict[SourceKey, SourceKey] = {}  # each once, however many chunks it has
    met: dict[bytes, tuple[SourceKey, int]] = {}
    repeated: dict[bytes, RepeatedText] = {}
    again: dict[bytes, int] = defaultdict(int)
    for chunk in chunks:
        digest = hashlib.blake2b(chunk.text.encode(), digest_size=16).digest()
        key = chunk.root, chunk.source
        source = known_keys.setdefault(key, key)
        if digest not in met:
            met[digest] = source, chunk.page_start
            continue
        (other, page), known = met[digest], repeated.get(digest)
        if other == source and not known:
            continue  # a text that a document repeats is nobody else's
        again[digest] += 1
        if known:
            known.sources.setdefault(source, chunk.page_start)
        elif first.get(source, source) != first.get(other, other):
            repeated[digest] = RepeatedText(chunk.text, {other: page, source: chunk.page_start})
    heaviest = sorted(repeated.values(), key=lambda found: found.weight, reverse=True)
    return Duplicates(equal, heaviest, sum(again.values()) + len(again))
