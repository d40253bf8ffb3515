"""Pieces side by side, and the strips of white that run between them down a page. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from ingest.extract.layout.pieces import Piece

Band: TypeAlias = "list[Piece]"  # on one level, from left to right
Span: TypeAlias = "tuple[float, float]"  # from, to; in points

NARROW = 0.4  # in heights of the type: white that is narrower parts nothing


def bands(pieces: Iterable[Piece]) -> list[Band]:
    """The pieces level by level, from the top; what stands on one level from left to right."""
    found: list[Band] = []
    top = bottom = 0.0
    for piece in sorted(pieces, key=lambda piece: piece.middle):
        if found and not piece.table and top <= piece.middle <= bottom:
            found[-1].append(piece)
        else:
            found.append([piece])
            # A table is a level of its own; of other levels the first piece says how high.
            top, bottom = (piece.v0, piece.v1) if not piece.table else (0.0, -1.0)
    for band in found:
        band.sort(key=lambda piece: piece.u0)
    return found


def covered(spans: Iterable[Span], narrow: float) -> list[Span]:
    """The spans joined where they overlap or nearly meet, from left to right."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start < found[-1][1] + narrow:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found


def across(band: Band) -> list[Span]:
    """What the pieces of a band cover."""
    return [(piece.u0, piece.u1) for piece in band]


def typical_height(pieces: Sequence[Piece]) -> float:
    """The median height of the pieces' type."""
    heights = sorted(piece.height for piece in pieces if not piece.table)
    return heights[len(heights) // 2] if heights else 0.0


def column_of(piece: Piece, columns: Sequence[Span]) -> int:
    """The column that a piece overlaps most."""
    return max(
        range(len(columns)),
        key=lambda n: min(piece.u1, columns[n][1]) - max(piece.u0, columns[n][0]),
    )
