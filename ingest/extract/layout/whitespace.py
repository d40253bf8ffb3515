"""Pieces side by side, and the strips of white that run between them down a page. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from ingest.extract.layout.segments import Piece

Band: TypeAlias = "list[Piece]"  # on one level, from left to right
Span: TypeAlias = "tuple[float, float]"  # from, to; in points

NARROW = 0.4  # in heights of the type: white that is narrower parts nothing


def bands(pieces: Iterable[Piece]) -> list[Band]:
    """The pieces level by level, from the top; what stands on one level from left to right."""
    found: list[Band] = []
    top, bottom = 1.0, 0.0
    for piece in sorted(pieces, key=middle):
        # A table is a level of its own; of other levels the first piece says how high.
        if top <= middle(piece) <= bottom and not piece.table:
            found[-1].append(piece)
        else:
            found.append([piece])
            top, bottom = (1.0, 0.0) if piece.table else (piece.v0, piece.v1)
    for band in found:
        if len(band) > 1:
            band.sort()
    return found


def middle(piece: Piece) -> float:
    """Half way down a piece."""
    return (piece.v0 + piece.v1) / 2


def covered(spans: Iterable[Span], narrow: float) -> list[Span]:
    """The spans joined where they overlap or nearly meet, from left to right."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start < found[-1][1] + narrow:
            if end > found[-1][1]:
                found[-1] = found[-1][0], end
        else:
            found.append((start, end))
    return found


def grown(spans: list[Span], band: Band, narrow: float) -> list[Span]:
    """The spans and what a band covers, joined."""
    for piece in band:
        for start, end in spans:
            if start <= piece.u0 and piece.u1 <= end:
                break
        else:
            return covered([*spans, *across(band)], narrow)
    return spans


def across(band: Band) -> list[Span]:
    """What the pieces of a band cover."""
    return [(piece.u0, piece.u1) for piece in band]


def outside(piece: Piece, columns: Sequence[Span]) -> bool:
    """Whether a piece stands in none of the columns."""
    return all(piece.u1 < start or end < piece.u0 for start, end in columns)


def column_of(piece: Piece, columns: Sequence[Span]) -> int:
    """The column that a piece stands in: columns are what the pieces cover."""
    return bisect_right(columns, (piece.u0, float("inf"))) - 1


def typical_height(pieces: Sequence[Piece]) -> float:
    """The median height of the pieces' type."""
    heights = sorted(piece.v1 - piece.v0 for piece in pieces if not piece.table)
    return heights[len(heights) // 2] if heights else 0.0
