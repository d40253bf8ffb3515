"""Put the segments of a page into reading order: one column after another. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from ingest.extract.layout.drawing_order import are_drawn_tables, keep_drawing_order
from ingest.extract.layout.rulings import (
    Rulings,
    clip_spanning_cells,
    raise_spanning_cells,
    split_below_grids,
)
from ingest.extract.layout.segments import TextSegment
from ingest.extract.layout.spanning_cells import find_drawn_cells, raise_cells
from ingest.extract.layout.table_checks import (
    LIST_ITEM,
    MIN_TABLE_ROWS,
    PAIR_COLUMNS,
    SHORT_LINE_HEIGHTS,
    flow_share,
    prose_share,
)
from ingest.extract.layout.table_rows import is_value_column
from ingest.extract.layout.tables import MAX_HEADER_BANDS, MAX_ROW_GAP_HEIGHTS, replace_tables
from ingest.extract.layout.total_rows import clip_labels
from ingest.extract.layout.whitespace import (
    MIN_WHITE_HEIGHTS,
    Band,
    Extent,
    add_band,
    find_columns,
    group_bands,
    is_below_header,
    is_outside,
    median_height,
    merge_extents,
    split_by_column,
)

MIN_COLUMN_LINES = 3
MAX_COLUMN_CHANGES = 2  # in drawing order: from one column to the other, and back
MIN_BESIDE_OVERLAP_HEIGHTS = 0.25  # of lines that are side by side, with different base lines
MIN_DRAWN_COLUMN_LINES = 4  # with fewer, drawing order does not show whether there are columns
MIN_SAME_ITEMS = 2  # of two languages side by side
MIN_FLOW_SHARE = 0.6  # of a column's lines in sentences that go on from line to line
MIN_ROW_GAP_HEIGHTS = 0.35  # white space between the rows of a table, in heights of the type
MIN_CROSSING_RULES = 2  # of a table whose columns of text are as wide as those of a page
MAX_CELL_LINES_ABOVE = 4  # lines of a table's first row, of one cell, above its other cells
BOX_WIDTH_SHARE = 0.6  # of the width of the text beside it
HEADING_SIZE_RATIO = 1.15  # of its type to that of most lines
MAX_PASSES = 3  # over a page with cells over several rows
MAX_COLUMN_DEPTH = 6  # levels of columns within columns
MIN_PROSE_SHARE = 0.5  # of a column's lines
MIN_COLUMN_GAP_HEIGHTS = 0.6  # white space between two columns, in heights of the type


def order_page(
    segments: Sequence[TextSegment], rulings: Rulings, *, right_to_left: bool
) -> list[Band]:
    """Return the lines of a page in reading order, each as a band; see order_segments().

    A cell is put into the first of its rows only if a table comes of it. Where rows are drawn from
    right to left, going back to the first cell of the next looks like going down to such a cell.
    """
    raised = [] if right_to_left else find_drawn_cells(segments)
    for _ in range(MAX_PASSES):
        placed = raise_cells(segments, raised)
        bands = list(order_segments(placed, rulings, right_to_left=right_to_left))
        loose = {s.drawing_index for band in bands if not band[0].is_table for s in band}
        tabular = [cell for cell in raised if cell.segment.drawing_index not in loose]
        if len(tabular) == len(raised):
            return bands
        raised = tabular
    return list(order_segments(segments, rulings, right_to_left=right_to_left))


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
    segments = raise_spanning_cells(segments, rulings)
    bands = clip_spanning_cells(group_bands(segments), rulings)
    bands = clip_labels(bands, MIN_WHITE_HEIGHTS * height)
    loose: list[Band] = []  # bands that are neither tables nor columns of text
    regions = (
        region
        for part in split_below_grids(bands, rulings)
        for region in split_regions(part, MIN_WHITE_HEIGHTS * height)
    )
    for region in regions:
        parts = split_columns(region, height, rulings) if depth < MAX_COLUMN_DEPTH else []
        if len(parts) <= 1:
            kept = max(0, len(loose) - MAX_CELL_LINES_ABOVE)
            above, loose = loose[kept:], loose[:kept]
            for band in replace_tables(region, above, rulings, right_to_left=right_to_left):
                if band[0].is_table:
                    yield from keep_drawing_order(loose, right_to_left=right_to_left)
                    yield band
                    loose = []
                else:
                    loose.append(band)
            continue
        yield from keep_drawing_order(loose, right_to_left=right_to_left)
        loose = []
        for part in sort_columns(parts, right_to_left=right_to_left):
            yield from order_segments(part, rulings, right_to_left=right_to_left, depth=depth + 1)
    yield from keep_drawing_order(loose, right_to_left=right_to_left)


def sort_columns(parts: list[list[TextSegment]], *, right_to_left: bool) -> list[list[TextSegment]]:
    """Return columns in the order of reading.

    A narrow one that is drawn before the wide one beside it is a box in the text, and comes first.
    """
    if len(parts) == PAIR_COLUMNS:
        spans = [(min(s.u0 for s in part), max(s.u1 for s in part)) for part in parts]
        widths = [end - start for start, end in spans]
        box = widths.index(min(widths))
        drawn = max(s.drawing_index for s in parts[box])
        if min(widths) < BOX_WIDTH_SHARE * max(widths) and all(
            drawn < s.drawing_index for s in parts[1 - box]
        ):
            return [parts[box], parts[1 - box]]
    return parts[::-1] if right_to_left else parts


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
        # The cells of a column may come to reach its centred header.
        bridges = bridges and not is_below_header(region, band, min_gap)
        if region and not has_columns and is_beside(region[-1], band):
            yield from split_off_tail(region[:-1])
            region = region[-1:]
            merged = find_columns([region[-1], band], min_gap)
        elif region and (
            is_stray
            or (bridges or len(merged) == 1 if has_columns else has_gap(band, min_gap))
            or begins_table(region, spans, band)
        ):
            kept = find_header_start(region, band, min_gap) if bridges else len(region)
            yield from split_off_tail(region[:kept])
            region = region[kept:]
            merged = find_columns([*region, band], min_gap)
        region.append(band)
        spans = merged
    if region:
        yield from split_off_tail(region)


def begins_table(region: Sequence[Band], columns: Sequence[Extent], band: Band) -> bool:
    """Return whether a band below columns of prose, at a distance, has more pieces than these."""
    if not len(band) > len(columns) > 1 or len(region) < MIN_DRAWN_COLUMN_LINES:
        return False
    if band[0].v0 - max(s.v1 for s in region[-1]) <= band[0].height / 2:
        return False
    shares = map(prose_share, split_by_column(region, columns), columns)
    return min(shares) > MIN_PROSE_SHARE


def find_header_start(region: Sequence[Band], below: Band, min_gap: float) -> int:
    """Return where the end of a region begins that has its columns in common with a band below it.

    Such an end is the header of a table: after a wide gap, or with more columns than the rest.
    """
    count, height = len(region), region[-1][0].height
    start = next(
        (
            n
            for n in range(count - 1, max(0, count - MAX_HEADER_BANDS - 1), -1)
            if region[n][0].v0 - region[n - 1][0].v1 > MAX_ROW_GAP_HEIGHTS * height
        ),
        count - 1,
    )
    spans = [find_columns(part, min_gap) for part in (region[:start], [*region[start:], below])]
    widest = max(map(len, region[start:]))
    is_header = widest > PAIR_COLUMNS and len(spans[1]) >= max(widest, len(spans[0]) + 1)
    return start if is_header else count


def is_beside(above: Band, below: Band) -> bool:
    """Return whether a band is beside another one rather than below it."""
    one, other = above[-1], below[0]
    apart = other.u0 > one.u1 or other.u1 < one.u0
    return apart and one.v1 - other.v0 > MIN_BESIDE_OVERLAP_HEIGHTS * (one.v1 - one.v0)


def has_gap(band: Band, min_gap: float) -> bool:
    """Return whether there is a gap within a band."""
    return len(band) > 1 and len(find_columns([band], min_gap)) > 1


def split_off_tail(region: list[Band]) -> Iterator[list[Band]]:
    """Split a region where its first column only seems to continue.

    The tail is below all other columns, at a distance, and drawn after them; or it begins with a
    heading, and is drawn after all that is above.
    """
    if len(region) <= 1:
        yield from [region] if region else ()
        return
    if section := find_section(region):
        yield from split_off_tail(region[:section])
        yield from split_off_tail(region[section:])
        return
    first = find_columns(region, 0.0)[0]
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


def find_section(region: Sequence[Band]) -> int:
    """Return the index of a heading, in larger type, that begins what is drawn after the rest.

    Below it are more columns than above, as those of a table; 0 if there is no such heading.
    """
    usual = median_height([segment for band in region for segment in band])
    for n, (above, band) in enumerate(pairwise(region), 1):
        height = band[0].height
        if (
            len(band) == 1
            and height > HEADING_SIZE_RATIO * usual
            and band[0].v0 - max(s.v1 for s in above) > height / 2
            and max(s.drawing_index for part in region[:n] for s in part) < band[0].drawing_index
            and band[0].drawing_index == min(s.drawing_index for part in region[n:] for s in part)
            and len(find_columns(region[n + 1 :], 0.0)) > len(find_columns(region[:n], 0.0))
        ):
            return n
    return 0


def split_columns(
    region: Sequence[Band], height: float, rulings: Rulings
) -> list[list[TextSegment]]:
    """Return the segments of each column of a region, from left to right; at least one column."""
    spans = find_columns(region, MIN_WHITE_HEIGHTS * height)
    if len(spans) <= 1:
        return [[segment for band in region for segment in band]]
    groups = split_by_column(region, spans)
    found: list[tuple[list[TextSegment], Extent]] = []
    for number, (group, span) in enumerate(zip(groups, spans, strict=True)):
        if found:
            left, before = found[-1]
            if (
                span[0] - before[1] < MIN_COLUMN_GAP_HEIGHTS * height
                or min(len(left), len(group)) < MIN_COLUMN_LINES
                or is_crossed(left + group, (before[1], span[0]), rulings)
                or not (
                    are_text_columns(left, group, before, span)
                    or are_drawn_tables(left, groups[number:])
                )
            ):
                found[-1] = left + group, (before[0], span[1])
                continue
        found.append((group, span))
    return [group for group, _ in found]


def is_crossed(segments: Sequence[TextSegment], gap: Extent, rulings: Rulings) -> bool:
    """Return whether rules run across the gap between two groups of segments: a table's.

    One is enough where another runs down the gap.
    """
    crossing = [
        level for level, (start, end) in rulings.horizontal if start < gap[0] and end > gap[1]
    ]
    if not crossing:
        return False
    top, bottom = min(s.middle for s in segments), max(s.middle for s in segments)
    is_parted = any(
        gap[0] <= u <= gap[1] and above < bottom and below > top
        for above, below, u in rulings.vertical
    )
    return sum(top < level < bottom for level in crossing) >= MIN_CROSSING_RULES - is_parted


def are_text_columns(
    left: Sequence[TextSegment], right: Sequence[TextSegment], one: Extent, other: Extent
) -> bool:
    """Return whether two groups side by side are columns of text, and not of a table.

    They are if both have full lines of prose, or sentences that go on from line to line, or number
    their items alike; or if one is drawn after the other and neither is a column of values.
    """
    # The right one is a single column, and decides in most tables.
    sides = ((right, other), (left, one))
    if all(prose_share(*side) > MIN_PROSE_SHARE for side in sides):
        return True
    if all(flow_share(*side) > MIN_FLOW_SHARE for side in sides) or have_same_items(left, right):
        return True
    is_wide = min(one[1] - one[0], other[1] - other[0]) >= SHORT_LINE_HEIGHTS * left[0].height
    return (
        min(len(left), len(right)) >= MIN_DRAWN_COLUMN_LINES
        and count_side_changes(left, right) <= MAX_COLUMN_CHANGES
        and is_wide
        and not (is_value_column(left) or is_value_column(right) or have_common_rows(left, right))
    )


def have_same_items(left: Sequence[TextSegment], right: Sequence[TextSegment]) -> bool:
    """Return whether two groups number items of several lines alike, as two languages do."""
    one, other = (
        [m[0] for s in side if (m := LIST_ITEM.match(s.text)) and any(map(str.isalnum, m[0]))]
        for side in (left, right)
    )
    return one == other and MIN_SAME_ITEMS <= len(one) <= min(len(left), len(right)) - len(one) / 2


def have_common_rows(left: Sequence[TextSegment], right: Sequence[TextSegment]) -> bool:
    """Return whether the same white space parts both groups, more than once, into rows."""
    gap = MIN_ROW_GAP_HEIGHTS * left[0].height
    rows = merge_extents([(s.v0, s.v1) for s in [*left, *right]], gap)
    filled = [
        row
        for row in rows
        if all(any(row[0] <= s.middle <= row[1] for s in side) for side in (left, right))
    ]
    return MIN_TABLE_ROWS <= len(filled) < max(len(left), len(right))


def count_side_changes(left: Sequence[TextSegment], right: Sequence[TextSegment]) -> int:
    """Count how often the drawing order changes from one group to the other."""
    drawn = sorted([(s.drawing_index, 0) for s in left] + [(s.drawing_index, 1) for s in right])
    return sum(a[1] != b[1] for a, b in pairwise(drawn))
