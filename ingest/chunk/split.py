"""Splitting a document into chunks at the best boundaries. Pure.

The text is cut into atoms, spans that are never divided, and a chunk is a run of atoms. Where a
chunk ends depends on the text around the cut and not on how far from the start it is: among the
best boundaries in reach, the one whose text hashes highest. So after an edit the cuts fall back
into step within a few chunks, and what was embedded before is not embedded again.

A chunk that begins with a row of a table has the header of the table above it, which counts.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ingest.chunk import MAX_OVERLAP_SHARE, MIN_CHUNK_TOKENS
from ingest.chunk.boundaries import AtomicSpans, Boundary, cut_into_spans
from ingest.chunk.tables import table_at
from ingest.chunk.tokens import count_tokens

# A chunk may end this early, as a share of the limit, for a boundary of this kind; the best first.
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
    """Where one chunk stands in the text, in characters, and how many tokens it is."""

    start: int
    end: int
    tokens: int  # with the header
    header: str = ""  # of the table whose rows it begins with, with the line break after it

    def text_in(self, text: str) -> str:
        """What the chunk says."""
        return self.header + text[self.start : self.end]


def split(text: str, headings: Sequence[int], limit: int, overlap: float) -> list[ChunkSpan]:
    """The chunks of a text in reading order.

    No piece is longer than `limit` tokens; each begins with about the share `overlap` of the one
    before, or with the header of its table; together they hold all of the text but white space.
    A row, a bullet with its item and a caption with its table stay together if they fit. `headings`
    are the offsets, in ascending order, at which headings begin. Raises ValueError for a limit or
    an overlap that cannot work.
    """
    if limit < MIN_CHUNK_TOKENS or not 0 <= overlap <= MAX_OVERLAP_SHARE:
        raise ValueError(f"cannot split into {limit} tokens with an overlap of {overlap}")
    atoms = cut_into_spans(text, headings, limit)
    spans = list(pack_spans(text, atoms, limit, overlap))
    pieces: list[ChunkSpan] = []
    while spans:
        edges = [trim_span(text, atoms.starts[first], atoms.starts[last]) for first, last in spans]
        made = [
            ChunkSpan(*edge, 0, atoms.header_for(first))
            for (first, _), edge in zip(spans, edges, strict=True)
        ]
        tokens = count_tokens([piece.text_in(text) for piece in made])
        pieces += [
            ChunkSpan(piece.start, piece.end, n, piece.header)
            for piece, n in zip(made, tokens, strict=True)
            if piece.start < piece.end and n <= limit
        ]
        # Joined spans can be more tokens than the sum of theirs, where a word had to be cut.
        spans = [
            half
            for (first, last), n in zip(spans, tokens, strict=True)
            if n > limit
            for half in ((first, (first + last) // 2), ((first + last) // 2, last))
        ]
    return list(drop_contained(pieces))


def drop_contained(spans: Sequence[ChunkSpan]) -> Iterator[ChunkSpan]:
    """The pieces in order, without one that is part of another: white space beside an overlap."""
    end = 0
    for piece in sorted(spans, key=lambda piece: (piece.start, -piece.end)):
        if piece.end > end:
            end = piece.end
            yield piece


def pack_spans(
    text: str, atoms: AtomicSpans, limit: int, overlap: float
) -> Iterator[tuple[int, int]]:
    """The chunks as runs of atoms, from the first to before the last."""
    first, cut, last = 0, 0, len(atoms.boundaries) - 1
    while atoms.tokens_before[last] - atoms.tokens_before[first] > (
        room := atoms.available_tokens(first, limit)
    ):
        cut = find_best_cut(text, atoms, first, cut, room)
        yield first, cut
        first = find_overlap_start(atoms, cut, overlap * limit)
        # A row may need all of the room.
        if cut < last and atoms.tokens_before[cut + 1] - atoms.tokens_before[
            first
        ] > atoms.available_tokens(first, limit):
            first = cut
    if cut < last:
        yield first, last


def find_best_cut(text: str, atoms: AtomicSpans, first: int, after: int, limit: int) -> int:
    """Where a chunk from `first` ends: beyond `after`, and within the limit."""
    base = atoms.tokens_before[first]
    furthest = max(after + 1, bisect_right(atoms.tokens_before, base + limit) - 1)

    def content_hash(place: int) -> tuple[int, int]:
        return zlib.crc32(text[atoms.starts[place - 1] : atoms.starts[place]].encode()), place

    for kind, share in MIN_CHUNK_SHARE.items():
        nearest = max(after + 1, bisect_left(atoms.tokens_before, base + share * limit))
        reach = atoms.boundaries[nearest : furthest + 1]
        if kind in reach:
            places = [place for place, found in enumerate(reach, nearest) if found is kind]
            return max(places, key=content_hash)
    return furthest


def find_overlap_start(atoms: AtomicSpans, cut: int, room: float) -> int:
    """Where the chunk after `cut` begins: with a whole sentence if `room` tokens hold one.

    It depends on the cut alone, so that chunks which end alike are followed by chunks alike. No
    rows are repeated: their header is.
    """
    if atoms.boundaries[cut] is Boundary.HEADING or table_at(atoms.tables, atoms.starts[cut]):
        return cut
    first = bisect_left(atoms.tokens_before, atoms.tokens_before[cut] - room)
    if table := table_at(atoms.tables, atoms.starts[first] + 1):
        first = min(cut, bisect_left(atoms.starts, table.end))
    sentences = (
        place for place in range(first, cut) if atoms.boundaries[place] >= Boundary.SENTENCE
    )
    return next(sentences, first)


def trim_span(text: str, start: int, end: int) -> tuple[int, int]:
    """The span without white space at its ends."""
    inside = text[start:end]
    return start + len(inside) - len(inside.lstrip()), start + len(inside.rstrip())
