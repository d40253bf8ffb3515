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

from ingest.chunk.boundaries import Atoms, Boundary, atomised
from ingest.chunk.limits import FEWEST_TOKENS, MOST_OVERLAP
from ingest.chunk.tables import table_at
from ingest.chunk.tokens import count

# A chunk may end this early, as a share of the limit, for a boundary of this kind; the best first.
EARLIEST = {
    Boundary.HEADING: 0.25,
    Boundary.PARAGRAPH: 0.5,
    Boundary.ROW: 0.6,
    Boundary.SENTENCE: 0.6,
    Boundary.LINE: 0.6,
    Boundary.WORD: 0.6,
    Boundary.INSIDE: 0.6,
}


@dataclass(frozen=True, slots=True)
class Piece:
    """Where one chunk stands in the text, in characters, and how many tokens it is."""

    start: int
    end: int
    tokens: int  # with the header
    header: str = ""  # of the table whose rows it begins with, with the line break after it

    def of(self, text: str) -> str:
        """What the chunk says."""
        return self.header + text[self.start : self.end]


def split(text: str, headings: Sequence[int], limit: int, overlap: float) -> list[Piece]:
    """The chunks of a text in reading order.

    No piece is longer than `limit` tokens; each begins with about the share `overlap` of the one
    before, or with the header of its table; together they hold all of the text but white space.
    A row, a bullet with its item and a caption with its table stay together if they fit. `headings`
    are the offsets, in ascending order, at which headings begin. Raises ValueError for a limit or
    an overlap that cannot work.
    """
    if limit < FEWEST_TOKENS or not 0 <= overlap <= MOST_OVERLAP:
        raise ValueError(f"cannot split into {limit} tokens with an overlap of {overlap}")
    atoms = atomised(text, headings, limit)
    spans = list(runs(text, atoms, limit, overlap))
    pieces: list[Piece] = []
    while spans:
        edges = [trimmed(text, atoms.starts[first], atoms.starts[last]) for first, last in spans]
        made = [
            Piece(*edge, 0, atoms.header(first))
            for (first, _), edge in zip(spans, edges, strict=True)
        ]
        tokens = count([piece.of(text) for piece in made])
        pieces += [
            Piece(piece.start, piece.end, n, piece.header)
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
    return list(advancing(pieces))


def advancing(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """The pieces in order, without one that is part of another: white space beside an overlap."""
    end = 0
    for piece in sorted(pieces, key=lambda piece: (piece.start, -piece.end)):
        if piece.end > end:
            end = piece.end
            yield piece


def runs(text: str, atoms: Atoms, limit: int, overlap: float) -> Iterator[tuple[int, int]]:
    """The chunks as runs of atoms, from the first to before the last."""
    first, cut, last = 0, 0, len(atoms.kinds) - 1
    while atoms.before[last] - atoms.before[first] > (room := atoms.room(first, limit)):
        cut = best_cut(text, atoms, first, cut, room)
        yield first, cut
        first = repeated_from(atoms, cut, overlap * limit)
        # A row may need all of the room.
        if cut < last and atoms.before[cut + 1] - atoms.before[first] > atoms.room(first, limit):
            first = cut
    if cut < last:
        yield first, last


def best_cut(text: str, atoms: Atoms, first: int, after: int, limit: int) -> int:
    """Where a chunk from `first` ends: beyond `after`, and within the limit."""
    base = atoms.before[first]
    furthest = max(after + 1, bisect_right(atoms.before, base + limit) - 1)

    def content(place: int) -> tuple[int, int]:
        return zlib.crc32(text[atoms.starts[place - 1] : atoms.starts[place]].encode()), place

    for kind, share in EARLIEST.items():
        nearest = max(after + 1, bisect_left(atoms.before, base + share * limit))
        reach = atoms.kinds[nearest : furthest + 1]
        if kind in reach:
            places = [place for place, found in enumerate(reach, nearest) if found is kind]
            return max(places, key=content)
    return furthest


def repeated_from(atoms: Atoms, cut: int, room: float) -> int:
    """Where the chunk after `cut` begins: with a whole sentence if `room` tokens hold one.

    It depends on the cut alone, so that chunks which end alike are followed by chunks alike. No
    rows are repeated: their header is.
    """
    if atoms.kinds[cut] is Boundary.HEADING or table_at(atoms.tables, atoms.starts[cut]):
        return cut
    first = bisect_left(atoms.before, atoms.before[cut] - room)
    if table := table_at(atoms.tables, atoms.starts[first] + 1):
        first = min(cut, bisect_left(atoms.starts, table.end))
    sentences = (place for place in range(first, cut) if atoms.kinds[place] >= Boundary.SENTENCE)
    return next(sentences, first)


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """The span without white space at its ends."""
    inside = text[start:end]
    return start + len(inside) - len(inside.lstrip()), start + len(inside.rstrip())
