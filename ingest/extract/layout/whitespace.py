"""Group segments into bands, and find the gaps that run down a page between them. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import TypeAlias

from ingest.extract.layout.segments import TextSegment, place_of

Band: TypeAlias = "list[TextSegment]"  # segments side by side, from left to right
Extent: TypeAlias = "tuple[float, float]"  # start and end along a line, in points

MIN_WHITE_HEIGHTS = 0.4  # in heights of the type; narrower white space is no gap
MAX_SIDE_PIECES = 2  # of a line of columns of text; a table may have more


def group_bands(segments: Iterable[TextSegment]) -> list[Band]:
    """Group segments into bands, from top to bottom."""
    bands: list[Band] = []
    top, bottom = 1.0, 0.0
    for segment in sorted(segments, key=attrgetter("middle")):
        v0, v1 = segment.v0, segment.v1
        # The height of a band is that of its first segment. A table is a band by itself.
        if top <= (v0 + v1) / 2 <= bottom and not segment.columns:
            bands[-1].append(segment)
        else:
            bands.append([segment])
            top, bottom = (1.0, 0.0) if segment.columns else (v0, v1)
    for band in bands:
        if len(band) > 1:
            band.sort(key=place_of)
    return bands


def merge_extents(extents: Iterable[Extent], min_gap: float) -> list[Extent]:
    """Merge extents that overlap or are closer than `min_gap`; returns them from left to right."""
    rest = iter(sorted(extents))
    first = next(rest, None)
    if first is None:
        return []
    found: list[Extent] = []
    start, end = first
    for left, right in rest:
        if left < end + min_gap:
            end = max(end, right)
        else:
            found.append((start, end))
            start, end = left, right
    found.append((start, end))
    return found


def add_band(extents: list[Extent], band: Band, min_gap: float) -> list[Extent]:
    """Merge the extents of a band's segments into sorted extents."""
    for segment in band:
        for start, end in extents:
            if start <= segment.u0 and segment.u1 <= end:
                break
        else:
            return merge_extents([*extents, *((s.u0, s.u1) for s in band)], min_gap)
    return extents


def find_columns(bands: Iterable[Band], min_gap: float) -> list[Extent]:
    """Return the extents that bands cover, with white space running down between them."""
    return merge_extents([(s.u0, s.u1) for band in bands for s in band], min_gap)


def find_headed_columns(bands: Sequence[Band], min_gap: float) -> list[Extent]:
    """Return the columns of a table's bands; a centred header may be beside the cells it names."""
    for head in bands[:1]:
        columns = find_columns(bands[1:], min_gap)
        if len(head) == len(columns):
            both = zip(head, columns, strict=True)
            widened = [(min(s.u0, start), max(s.u1, end)) for s, (start, end) in both]
            if all(left[1] + min_gap <= right[0] for left, right in pairwise(widened)):
                return widened
    return find_columns(bands, min_gap)


def split_by_column(bands: Iterable[Band], columns: Sequence[Extent]) -> list[list[TextSegment]]:
    """Return the segments of bands in each column, from top to bottom."""
    found: list[list[TextSegment]] = [[] for _ in columns]
    for band in bands:
        for segment in band:
            found[column_of(segment, columns)].append(segment)
    return found


def is_below_header(bands: Sequence[Band], band: Band, min_gap: float) -> bool:
    """Return whether a band has the cells of those above it, below a header beside some of them."""
    start = len(bands)
    while start and has_same_cells(bands[start - 1], bands[start] if bands[start:] else band):
        start -= 1
    if not 0 < start < len(bands) or len(band) <= MAX_SIDE_PIECES:
        return False
    rows = [*bands[start - 1 :], band]
    return len(rows[0]) == len(band) == len(find_headed_columns(rows, min_gap))


def has_same_cells(above: Band, below: Band) -> bool:
    """Return whether each piece of a band is below one of the band above it."""
    return len(above) == len(below) and all(
        one.u0 < other.u1 and other.u0 < one.u1 for one, other in zip(above, below, strict=True)
    )


def is_outside(segment: TextSegment, columns: Sequence[Extent]) -> bool:
    """Return whether a segment is outside of all columns."""
    return all(segment.u1 < start or end < segment.u0 for start, end in columns)


def column_of(segment: TextSegment, columns: Sequence[Extent]) -> int:
    """Return the index of the column that a segment is in, of columns that cover it."""
    return bisect_right(columns, (segment.u0, float("inf"))) - 1


def median_height(segments: Sequence[TextSegment]) -> float:
    """Return the median height of the segments' type; 0 if all are tables."""
    heights = sorted([s.v1 - s.v0 for s in segments if not s.columns])
    return heights[len(heights) // 2] if heights else 0.0
