"""The order in which the pieces of a page are read: columns one after another. Pure."""

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

MIN_COLUMN_LINES = 3  # lines of a column
MAX_COLUMN_CHANGES = 2  # from one column to the other, where each is drawn in one go: and back
MIN_BESIDE_OVERLAP_HEIGHTS = (
    0.25  # of a line's height, or more: it is beside another, whose base line is elsewhere
)
MIN_DRAWN_COLUMN_LINES = 4  # lines from which the order of drawing says whether there are columns
MAX_COLUMN_DEPTH = 6  # columns within columns
MIN_PROSE_SHARE = 0.5  # share of a column's lines
MIN_COLUMN_GAP_HEIGHTS = 0.6  # heights of white between columns at least


def order_segments(
    segments: Sequence[TextSegment], rulings: Rulings, *, right_to_left: bool, depth: int = 0
) -> Iterator[Band]:
    """The pieces as they are read: what belongs on one line together, tables as one piece.

    `backwards` where the script runs from right to left, and the columns with it.
    """
    height = median_height(segments)
    for region in split_regions(group_bands(segments), MIN_WHITE_HEIGHTS * height):
        parts = split_columns(region, height) if depth < MAX_COLUMN_DEPTH else []
        if len(parts) <= 1:
            yield from replace_tables(region, rulings, right_to_left=right_to_left)
            continue
        for part in reversed(parts) if right_to_left else parts:
            yield from order_segments(part, rulings, right_to_left=right_to_left, depth=depth + 1)


def split_regions(levels: Sequence[Band], min_gap: float) -> Iterator[list[Band]]:
    """Runs of levels: with white between them all the way down, or without."""
    region: list[Band] = []
    spans: list[Extent] = []
    for band in levels:
        wider = add_band(spans, band, min_gap)
        parted = len(spans) > 1
        # A page number may stand in the white between two columns.
        astray = parted and len(band) == 1 and is_outside(band[0], spans)
        bridging = len(wider) < len(spans) and (len(band) == 1 or len(region) >= MIN_COLUMN_LINES)
        if region and not parted and is_beside(region[-1], band):
            yield from split_off_tail(region[:-1])
            region = region[-1:]
            wider = merge_extents(band_extents([*region[-1], *band]), min_gap)
        elif region and (
            astray or (bridging or len(wider) == 1 if parted else has_gap(band, min_gap))
        ):
            yield from split_off_tail(region)
            region, wider = [], merge_extents(band_extents(band), min_gap)
        region.append(band)
        spans = wider
    if region:
        yield from split_off_tail(region)


def is_beside(above: Band, below: Band) -> bool:
    """Whether a band stands rather beside another one than below it."""
    one, other = above[-1], below[0]
    apart = other.u0 > one.u1 or other.u1 < one.u0
    return apart and one.v1 - other.v0 > MIN_BESIDE_OVERLAP_HEIGHTS * (one.v1 - one.v0)


def has_gap(band: Band, min_gap: float) -> bool:
    """Whether there is white within a band."""
    return len(band) > 1 and len(merge_extents(band_extents(band), min_gap)) > 1


def split_off_tail(region: list[Band]) -> Iterator[list[Band]]:
    """A region, with what only seems to go on with its first column put after it.

    That is what stands below all of the other columns, some way off, and is drawn after them.
    """
    if len(region) <= 1:
        yield from [region] if region else ()
        return
    first = merge_extents((span for band in region for span in band_extents(band)), 0.0)[0]
    others = [n for n, band in enumerate(region) if band[-1].u0 > first[1]]
    drawn = max((region[n][-1].drawing_index for n in others), default=0)
    end = len(region)
    for n in range(others[-1] + 1 if others else end, end):
        white = region[n][0].v0 - region[n - 1][0].v1
        late = all(piece.drawing_index > drawn for band in region[n:] for piece in band)
        if late and white > region[n][0].height / 2:
            end = n
            break
    yield region[:end]
    if region[end:]:
        yield region[end:]


def split_columns(region: Sequence[Band], height: float) -> list[list[TextSegment]]:
    """The pieces of each column, from left to right; one column if it has no more."""
    spans = merge_extents(
        (span for band in region for span in band_extents(band)), MIN_WHITE_HEIGHTS * height
    )
    if len(spans) <= 1:
        return [[piece for band in region for piece in band]]
    groups: list[list[TextSegment]] = [[] for _ in spans]
    for band in region:
        for piece in band:
            groups[column_of(piece, spans)].append(piece)
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
    """Whether two groups side by side are two columns of text, and not of a table.

    They are if both are full lines of prose; or if one is drawn after the other, which only tables
    drawn column by column have in common with them.
    """
    if min(len(left), len(right)) < MIN_COLUMN_LINES:
        return False
    if min(prose_share(left, one), prose_share(right, other)) > MIN_PROSE_SHARE:
        return True
    sides = [
        side
        for _, side in sorted(
            [(p.drawing_index, 0) for p in left] + [(p.drawing_index, 1) for p in right]
        )
    ]
    changes = sum(a != b for a, b in pairwise(sides))
    long = min(one[1] - one[0], other[1] - other[0]) >= SHORT_LINE_HEIGHTS * left[0].height
    return (
        min(len(left), len(right)) >= MIN_DRAWN_COLUMN_LINES
        and changes <= MAX_COLUMN_CHANGES
        and long
    )
