"""Find text that occurs in several sources: it crowds out other hits and is paid for twice."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ingest.models import RECIPE_DIGEST_CHARS, Record, SourceKey, StoredChunk


@dataclass(slots=True)
class RepeatedText:
    """Text of a chunk that several different documents contain."""

    text: str
    sources: dict[SourceKey, int] = field(default_factory=dict)  # and the page that it is on

    @property
    def wasted_chars(self) -> int:
        """Number of characters that are repeated."""
        return (len(self.sources) - 1) * len(self.text)


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Duplicate documents and texts of an index."""

    copies: Sequence[Sequence[Record]]  # groups of identical files
    repeated: Sequence[
        RepeatedText
    ]  # texts of different documents, the most repeated characters first
    chunk_count: int  # chunks whose text another source has too, copies included


def find_copies(records: Iterable[Record]) -> list[list[Record]]:
    """Group the sources with identical bytes, the largest group first."""
    alike: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if content := record.fingerprint[RECIPE_DIGEST_CHARS:]:
            alike[content].append(record)
    return sorted((group for group in alike.values() if len(group) > 1), key=len, reverse=True)


def find_duplicates(records: Sequence[Record], chunks: Iterable[StoredChunk]) -> Duplicates:
    """Find duplicates. A document and its copies count as one when texts are compared."""
    copies = find_copies(records)
    group_of = {(r.root, r.source): number for number, group in enumerate(copies) for r in group}
    known_keys: dict[SourceKey, SourceKey] = {}  # one object per source saves memory
    first_seen: dict[bytes, tuple[SourceKey, int]] = {}
    repeated: dict[bytes, RepeatedText] = {}
    counts: dict[bytes, int] = defaultdict(int)  # chunks after the first one of each text
    for chunk in chunks:
        digest = hashlib.blake2b(chunk.text.encode(), digest_size=16).digest()
        key = chunk.root, chunk.source
        source = known_keys.setdefault(key, key)
        if digest not in first_seen:
            first_seen[digest] = source, chunk.page_start
            continue
        (other, page), known = first_seen[digest], repeated.get(digest)
        if other == source and not known:
            continue  # repeated within one document only
        counts[digest] += 1
        if known:
            known.sources.setdefault(source, chunk.page_start)
        elif group_of.get(source, source) != group_of.get(other, other):
            repeated[digest] = RepeatedText(chunk.text, {other: page, source: chunk.page_start})
    worst = sorted(repeated.values(), key=lambda text: text.wasted_chars, reverse=True)
    return Duplicates(copies, worst, sum(counts.values()) + len(counts))
