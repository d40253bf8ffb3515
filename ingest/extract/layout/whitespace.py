"""Pieces side by side, and the strips of white that run between them down a page. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from ingest.extract.layout.segments import TextSegment

Band: TypeAlias = "list[TextSegment]"  # on one level, from left to right
Extent: TypeAlias = "tuple[float, float]"  # from, to; in points

MIN_WHITE_HEIGHTS = 0.4  # in heights of the type: white that is narrower parts nothing


def group_bands(segments: Iterable[TextSegment]) -> list[Band]:
    """The pieces level by level, from the top; what stands on one level from left to right."""
    found: list[Band] = []
    top, bottom = 1.0, 0.0
    for piece in sorted(segments, key=middle_of):
        # A table is a level of its own; of other levels the first piece says how high.
        if top <= middle_of(piece) <= bottom and not piece.is_table:
            found[-1].append(piece)
        else:
            found.append([piece])
            top, bottom = (1.0, 0.0) if piece.is_table else (piece.v0, piece.v1)
    for band in found:
        if len(band) > 1:
            band.sort()
    return found


def middle_of(segment: TextSegment) -> float:
    """Half way down a piece."""
    return (segment.v0 + segment.v1) / 2


def merge_extents(extents: Iterable[Extent], min_gap: float) -> list[Extent]:
    """The spans joined where they overlap or nearly meet, from left to right."""
    found: list[Extent] = []
    for start, end in sorted(extents):
        if found and start < found[-1][1] + min_gap:
            if end > found[-1][1]:
                found[-1] = found[-1][0], end
        else:
            found.append((start, end))
    return found


def add_band(extents: list[Extent], band: Band, min_gap: float) -> list[Extent]:
    """The spans and what a band covers, joined."""
    for piece in band:
        for start, end in extents:
            if start <= piece.u0 and piece.u1 <= end:
                break
        else:
            return merge_extents([*extents, *band_extents(band)], min_gap)
    return extents


def band_extents(band: Band) -> list[Extent]:
    """What the pieces of a band cover."""
    return [(piece.u0, piece.u1) for piece in band]


def is_outside(segment: TextSegment, columns: Sequence[Extent]) -> bool:
    """Whether a piece stands in none of the columns."""
    return all(segment.u1 < start or end < segment.u0 for start, end in columns)


def column_of(segment: TextSegment, columns: Sequence[Extent]) -> int:
    """The column that a piece stands in: columns are what the pieces cover."""
    return bisect_right(columns, (segment.u0, float("inf"))) - 1


def median_height(segments: Sequence[TextSegment]) -> float:
    """The median height of the pieces' type."""
    heights = sorted(piece.v1 - piece.v0 for piece in segments if not piece.is_table)
    return heights[len(heights) // 2] if heights else 0.0
