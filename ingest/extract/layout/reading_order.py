"""Put the segments of a page into reading order: one column after another. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from ingest.extract.layout.rulings import Rulings
from ingest.extract.layout.segments import TextSegment
from ingest.extract.layout.tables import SHORT_LINE_HEIGHTS, prose_share, replace_tables
from ingest.extract.layout.whitespace import (
    MIN_WHITE_HEIGHTS,
    Band,
    Extent,
    add_band,
    band_extents,
    column_of,
    group_bands,
    is_outside,
    median_height,
    merge_extents,
)

MIN_COLUMN_LINES = 3
MAX_COLUMN_CHANGES = 2  # in drawing order: from one column to the other, and back
MIN_BESIDE_OVERLAP_HEIGHTS = 0.25  # of lines that are side by side, with different base lines
MIN_DRAWN_COLUMN_LINES = 4  # with fewer, drawing order does not show whether there are columns
MAX_COLUMN_DEPTH = 6  # levels of columns within columns
MIN_PROSE_SHARE = 0.5  # of a column's lines
MIN_COLUMN_GAP_HEIGHTS = 0.6  # white space between two columns, in heights of the type


def order_segments(
    segments: Sequence[TextSegment], rulings: Rulings, *, right_to_left: bool, depth: int = 0
) -> Iterator[Band]:
    """Yield the lines of a page in reading order, each as a band; a table is one segment.

    Args:
        segments: All segments of the page, or of a column.
        rulings: Straight lines of the page, which help to find tables.
        right_to_left: Whether columns are read from right to left, as the script is.
        depth: Number of columns that these segments are inside of.
    """
    height = median_height(segments)
    for region in split_regions(group_bands(segments), MIN_WHITE_HEIGHTS * height):
        parts = split_columns(region, height) if depth < MAX_COLUMN_DEPTH else []
        if len(parts) <= 1:
            yield from replace_tables(region, rulings, right_to_left=right_to_left)
            continue
        for part in reversed(parts) if right_to_left else parts:
            yield from order_segments(part, rulings, right_to_left=right_to_left, depth=depth + 1)


def split_regions(bands: Sequence[Band], min_gap: float) -> Iterator[list[Band]]:
    """Split the bands of a page into regions: with a gap running down through all, or without."""
    region: list[Band] = []
    spans: list[Extent] = []
    for band in bands:
        merged = add_band(spans, band, min_gap)
        has_columns = len(spans) > 1
        # A page number may be in the gap between two columns.
        is_stray = has_columns and len(band) == 1 and is_outside(band[0], spans)
        bridges = len(merged) < len(spans) and (len(band) == 1 or len(region) >= MIN_COLUMN_LINES)
        if region and not has_columns and is_beside(region[-1], band):
            yield from split_off_tail(region[:-1])
            region = region[-1:]
            merged = merge_extents(band_extents([*region[-1], *band]), min_gap)
        elif region and (
            is_stray or (bridges or len(merged) == 1 if has_columns else has_gap(band, min_gap))
        ):
            yield from split_off_tail(region)
            region, merged = [], merge_extents(band_extents(band), min_gap)
        region.append(band)
        spans = merged
    if region:
        yield from split_off_tail(region)


def is_beside(above: Band, below: Band) -> bool:
    """Return whether a band is beside another one rather than below it."""
    one, other = above[-1], below[0]
    apart = other.u0 > one.u1 or other.u1 < one.u0
    return apart and one.v1 - other.v0 > MIN_BESIDE_OVERLAP_HEIGHTS * (one.v1 - one.v0)


def has_gap(band: Band, min_gap: float) -> bool:
    """Return whether there is a gap within a band."""
    return len(band) > 1 and len(merge_extents(band_extents(band), min_gap)) > 1


def split_off_tail(region: list[Band]) -> Iterator[list[Band]]:
    """Split a region where its first column only seems to continue.

    The tail is below all other columns, at a distance, and drawn after them.
    """
    if len(region) <= 1:
        yield from [region] if region else ()
        return
    first = merge_extents((span for band in region for span in band_extents(band)), 0.0)[0]
    others = [n for n, band in enumerate(region) if band[-1].u0 > first[1]]
    drawn = max((region[n][-1].drawing_index for n in others), default=0)
    end = len(region)
    for n in range(others[-1] + 1 if others else end, end):
        gap = region[n][0].v0 - region[n - 1][0].v1
        is_drawn_last = all(s.drawing_index > drawn for band in region[n:] for s in band)
        if is_drawn_last and gap > region[n][0].height / 2:
            end = n
            break
    yield region[:end]
    if region[end:]:
        yield region[end:]


def split_columns(region: Sequence[Band], height: float) -> list[list[TextSegment]]:
    """Return the segments of each column of a region, from left to right; at least one column."""
    spans = merge_extents(
        (span for band in region for span in band_extents(band)), MIN_WHITE_HEIGHTS * height
    )
    if len(spans) <= 1:
        return [[segment for band in region for segment in band]]
    groups: list[list[TextSegment]] = [[] for _ in spans]
    for band in region:
        for segment in band:
            groups[column_of(segment, spans)].append(segment)
    found: list[tuple[list[TextSegment], Extent]] = []
    for group, span in zip(groups, spans, strict=True):
        if found:
            left, before = found[-1]
            narrow = span[0] - before[1] < MIN_COLUMN_GAP_HEIGHTS * height
            if narrow or not are_text_columns(left, group, before, span):
                found[-1] = left + group, (before[0], span[1])
                continue
        found.append((group, span))
    return [group for group, _ in found]


def are_text_columns(
    left: Sequence[TextSegment], right: Sequence[TextSegment], one: Extent, other: Extent
) -> bool:
    """Return whether two groups side by side are columns of text, and not of a table.

    They are if both have full lines of prose; or if one is drawn after the other, as otherwise only
    tables drawn column by column are.
    """
    if min(len(left), len(right)) < MIN_COLUMN_LINES:
        return False
    if min(prose_share(left, one), prose_share(right, other)) > MIN_PROSE_SHARE:
        return True
    sides = [
        side
        for _, side in sorted(
            [(s.drawing_index, 0) for s in left] + [(s.drawing_index, 1) for s in right]
        )
    ]
    changes = sum(a != b for a, b in pairwise(sides))
    is_wide = min(one[1] - one[0], other[1] - other[0]) >= SHORT_LINE_HEIGHTS * left[0].height
    return (
        min(len(left), len(right)) >= MIN_DRAWN_COLUMN_LINES
        and changes <= MAX_COLUMN_CHANGES
        and is_wide
    )
