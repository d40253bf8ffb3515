"""The order in which the pieces of a page are read: columns one after another. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from ingest.extract.layout.rulings import Rules
from ingest.extract.layout.segments import Piece
from ingest.extract.layout.tables import SHORT_LINE, prose, with_tables
from ingest.extract.layout.whitespace import (
    NARROW,
    Band,
    Span,
    across,
    bands,
    column_of,
    covered,
    grown,
    outside,
    typical_height,
)

FEWEST = 3  # lines of a column
CHANGES = 2  # from one column to the other, where each is drawn in one go: and back
OVER = 0.25  # of a line's height, or more: it is beside another, whose base line is elsewhere
STEADY = 4  # lines from which the order of drawing says whether there are columns
DEEPEST = 6  # columns within columns
MOSTLY = 0.5  # share of a column's lines
WIDE = 0.6  # heights of white between columns at least


def in_order(
    pieces: Sequence[Piece], ruled: Rules, *, backwards: bool, depth: int = 0
) -> Iterator[Band]:
    """The pieces as they are read: what belongs on one line together, tables as one piece.

    `backwards` where the script runs from right to left, and the columns with it.
    """
    height = typical_height(pieces)
    for region in regions(bands(pieces), NARROW * height):
        parts = columns(region, height) if depth < DEEPEST else []
        if len(parts) <= 1:
            yield from with_tables(region, ruled, backwards=backwards)
            continue
        for part in reversed(parts) if backwards else parts:
            yield from in_order(part, ruled, backwards=backwards, depth=depth + 1)


def regions(levels: Sequence[Band], narrow: float) -> Iterator[list[Band]]:
    """Runs of levels: with white between them all the way down, or without."""
    region: list[Band] = []
    spans: list[Span] = []
    for band in levels:
        wider = grown(spans, band, narrow)
        parted = len(spans) > 1
        # A page number may stand in the white between two columns.
        astray = parted and len(band) == 1 and outside(band[0], spans)
        bridging = len(wider) < len(spans) and (len(band) == 1 or len(region) >= FEWEST)
        if region and not parted and beside(region[-1], band):
            yield from ended(region[:-1])
            region = region[-1:]
            wider = covered(across([*region[-1], *band]), narrow)
        elif region and (
            astray or (bridging or len(wider) == 1 if parted else several(band, narrow))
        ):
            yield from ended(region)
            region, wider = [], covered(across(band), narrow)
        region.append(band)
        spans = wider
    if region:
        yield from ended(region)


def beside(above: Band, below: Band) -> bool:
    """Whether a band stands rather beside another one than below it."""
    one, other = above[-1], below[0]
    apart = other.u0 > one.u1 or other.u1 < one.u0
    return apart and one.v1 - other.v0 > OVER * (one.v1 - one.v0)


def several(band: Band, narrow: float) -> bool:
    """Whether there is white within a band."""
    return len(band) > 1 and len(covered(across(band), narrow)) > 1


def ended(region: list[Band]) -> Iterator[list[Band]]:
    """A region, with what only seems to go on with its first column put after it.

    That is what stands below all of the other columns, some way off, and is drawn after them.
    """
    if len(region) <= 1:
        yield from [region] if region else ()
        return
    first = covered((span for band in region for span in across(band)), 0.0)[0]
    others = [n for n, band in enumerate(region) if band[-1].u0 > first[1]]
    drawn = max((region[n][-1].place for n in others), default=0)
    end = len(region)
    for n in range(others[-1] + 1 if others else end, end):
        white = region[n][0].v0 - region[n - 1][0].v1
        late = all(piece.place > drawn for band in region[n:] for piece in band)
        if late and white > region[n][0].height / 2:
            end = n
            break
    yield region[:end]
    if region[end:]:
        yield region[end:]


def columns(region: Sequence[Band], height: float) -> list[list[Piece]]:
    """The pieces of each column, from left to right; one column if it has no more."""
    spans = covered((span for band in region for span in across(band)), NARROW * height)
    if len(spans) <= 1:
        return [[piece for band in region for piece in band]]
    groups: list[list[Piece]] = [[] for _ in spans]
    for band in region:
        for piece in band:
            groups[column_of(piece, spans)].append(piece)
    found: list[tuple[list[Piece], Span]] = []
    for group, span in zip(groups, spans, strict=True):
        if found:
            left, before = found[-1]
            narrow = span[0] - before[1] < WIDE * height
            if narrow or not divided(left, group, before, span):
                found[-1] = left + group, (before[0], span[1])
                continue
        found.append((group, span))
    return [group for group, _ in found]


def divided(left: Sequence[Piece], right: Sequence[Piece], one: Span, other: Span) -> bool:
    """Whether two groups side by side are two columns of text, and not of a table.

    They are if both are full lines of prose; or if one is drawn after the other, which only tables
    drawn column by column have in common with them.
    """
    if min(len(left), len(right)) < FEWEST:
        return False
    if min(prose(left, one), prose(right, other)) > MOSTLY:
        return True
    sides = [
        side for _, side in sorted([(p.place, 0) for p in left] + [(p.place, 1) for p in right])
    ]
    changes = sum(a != b for a, b in pairwise(sides))
    long = min(one[1] - one[0], other[1] - other[0]) >= SHORT_LINE * left[0].height
    return min(len(left), len(right)) >= STEADY and changes <= CHANGES and long
