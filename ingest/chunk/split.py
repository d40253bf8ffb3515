"""Split a text into chunks at the best boundaries: content-defined chunking. Pure.

The text is cut into atomic spans ("atoms"), and a chunk is a sequence of them. A chunk ends at the
best kind of boundary in reach and, of several, at the one whose preceding atom has the highest
hash. That depends on the text near the cut only, not on its offset: within a few chunks after an
edit the cuts are as before, and vectors can be reused.

A chunk that begins with a row of a table repeats the table's header, which counts as its tokens.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ingest.chunk import MAX_OVERLAP_SHARE, MIN_CHUNK_TOKENS
from ingest.chunk.boundaries import AtomicSpans, Boundary, cut_into_spans
from ingest.chunk.tables import table_at
from ingest.chunk.tokens import count_tokens

# A chunk may end at a boundary of this kind from this share of the token limit on; best kind first.
MIN_CHUNK_SHARE = {
    Boundary.HEADING: 0.25,
    Boundary.PARAGRAPH: 0.5,
    Boundary.ROW: 0.6,
    Boundary.SENTENCE: 0.6,
    Boundary.LINE: 0.6,
    Boundary.WORD: 0.6,
    Boundary.INSIDE: 0.6,
}


@dataclass(frozen=True, slots=True)
class ChunkSpan:
    """Offsets of a chunk in the text, in characters, and its tokens."""

    start: int
    end: int
    tokens: int  # including the header
    header: str = ""  # repeated table header, including the line break after it
    sentences: tuple[int, ...] = ()  # offsets inside it at which sentences or table rows begin

    def text_in(self, text: str) -> str:
        """Return the text of the chunk."""
        return self.header + text[self.start : self.end]


def split(text: str, headings: Sequence[int], limit: int, overlap: float) -> list[ChunkSpan]:
    """Split a text into chunks, in reading order.

    Together the chunks hold all of the text except white space. A table row, a list item with its
    bullet, and a table with its caption stay together if they fit.

    Args:
        text: The text to split.
        headings: Offsets at which headings begin, ascending.
        limit: Maximum tokens of a chunk.
        overlap: Share of the limit that a chunk repeats of the one before, approximately. A chunk
            that begins inside a table repeats the table's header instead.

    Raises:
        ValueError: The limit or the overlap is out of range.
    """
    if limit < MIN_CHUNK_TOKENS or not 0 <= overlap <= MAX_OVERLAP_SHARE:
        raise ValueError(f"cannot split into {limit} tokens with an overlap of {overlap}")
    atoms = cut_into_spans(text, headings, limit)
    spans = list(pack_spans(text, atoms, limit, overlap))
    chunks: list[ChunkSpan] = []
    while spans:
        edges = [trim_span(text, atoms.starts[first], atoms.starts[last]) for first, last in spans]
        candidates = [
            ChunkSpan(*edge, 0, atoms.header_for(first))
            for (first, _), edge in zip(spans, edges, strict=True)
        ]
        tokens = count_tokens([chunk.text_in(text) for chunk in candidates])
        chunks += [
            replace(chunk, tokens=n, sentences=atoms.sentences_between(chunk.start, chunk.end))
            for chunk, n in zip(candidates, tokens, strict=True)
            if chunk.start < chunk.end and n <= limit
        ]
        # Where a word had to be cut, a run can have more tokens than its atoms have in total.
        spans = [
            half
            for (first, last), n in zip(spans, tokens, strict=True)
            if n > limit
            for half in ((first, (first + last) // 2), ((first + last) // 2, last))
        ]
    return list(drop_contained(chunks))


def drop_contained(chunks: Sequence[ChunkSpan]) -> Iterator[ChunkSpan]:
    """Sort chunks, and drop those that lie in another: an overlap followed by white space only."""
    end = 0
    for chunk in sorted(chunks, key=lambda chunk: (chunk.start, -chunk.end)):
        if chunk.end > end:
            end = chunk.end
            yield chunk


def pack_spans(
    text: str, atoms: AtomicSpans, limit: int, overlap: float
) -> Iterator[tuple[int, int]]:
    """Yield each chunk as a sequence of atoms: the first one, and the one after the last."""
    first, cut, last = 0, 0, len(atoms.boundaries) - 1
    while atoms.tokens_before[last] - atoms.tokens_before[first] > (
        room := atoms.available_tokens(first, limit)
    ):
        cut = find_best_cut(text, atoms, first, cut, room)
        yield first, cut
        first = find_overlap_start(atoms, cut, overlap * limit)
        # A table row may leave no room for the overlap.
        if cut < last and atoms.tokens_before[cut + 1] - atoms.tokens_before[
            first
        ] > atoms.available_tokens(first, limit):
            first = cut
    if cut < last:
        yield first, last


def find_best_cut(text: str, atoms: AtomicSpans, first: int, after: int, limit: int) -> int:
    """Choose the atom before which a chunk from `first` ends: after `after`, within the limit."""
    base = atoms.tokens_before[first]
    furthest = max(after + 1, bisect_right(atoms.tokens_before, base + limit) - 1)

    def content_hash(cut: int) -> tuple[int, int]:
        return zlib.crc32(text[atoms.starts[cut - 1] : atoms.starts[cut]].encode()), cut

    for kind, share in MIN_CHUNK_SHARE.items():
        nearest = max(after + 1, bisect_left(atoms.tokens_before, base + share * limit))
        reach = atoms.boundaries[nearest : furthest + 1]
        if kind in reach:
            cuts = [cut for cut, found in enumerate(reach, nearest) if found is kind]
            return max(cuts, key=content_hash)
    return furthest


def find_overlap_start(atoms: AtomicSpans, cut: int, room: float) -> int:
    """Choose the first atom of the chunk after `cut`: a whole sentence if `room` tokens hold one.

    The choice depends on the cut alone, so that chunks that end alike are followed by chunks that
    begin alike. Table rows are not repeated, as their header is.
    """
    if atoms.boundaries[cut] is Boundary.HEADING or table_at(atoms.tables, atoms.starts[cut]):
        return cut
    first = bisect_left(atoms.tokens_before, atoms.tokens_before[cut] - room)
    if table := table_at(atoms.tables, atoms.starts[first] + 1):
        first = min(cut, bisect_left(atoms.starts, table.end))
    sentences = (atom for atom in range(first, cut) if atoms.boundaries[atom] >= Boundary.SENTENCE)
    return next(sentences, first)


def trim_span(text: str, start: int, end: int) -> tuple[int, int]:
    """Strip white space from both ends of a span."""
    inside = text[start:end]
    return start + len(inside) - len(inside.lstrip()), start + len(inside.rstrip())
