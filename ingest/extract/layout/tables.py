"""Detect tables among the bands of a page, and format them as Markdown. Pure.

Precision comes first: prose, columns, forms and lists that happen to align stay as they are.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

from ingest.extract.cleaning import WRAPPED_LINE
from ingest.extract.hyphens import mark_line_ends
from ingest.extract.layout.drawing_order import find_line_below
from ingest.extract.layout.rulings import SAME_EDGE_POINTS, Rulings, find_min_gap, find_row_rulings
from ingest.extract.layout.segments import TextSegment, merge_segments
from ingest.extract.layout.table_checks import (
    MIN_TABLE_ROWS,
    are_table_columns,
    are_table_rows,
    count_full_rows,
)
from ingest.extract.layout.table_rows import RowSplitter, TableGrid
from ingest.extract.layout.whitespace import (
    Band,
    Extent,
    add_band,
    column_of,
    find_headed_columns,
    is_outside,
    median_height,
    split_by_column,
)

MAX_ROW_GAP_HEIGHTS = 2.0  # white space between two rows, in heights of the type
MIN_FRAME_GAP_POINTS = 6.0  # between frames; cells may be as far apart as their borders are thick
MIN_FRAMED_BANDS = 3  # of a box of text; fewer may be those of a form's fields
MAX_HEADER_BANDS = 3  # lines of a table's header
NO_RULINGS = Rulings([], [])
MIN_SIDE_ROWS = 2  # of two tables, one below the other
MAX_HEAD_PIECES = 2  # of a running header: a title and a page number
MAX_ROW_BANDS = 25  # of a row of a ruled table


def replace_tables(
    region: Sequence[Band], above: Sequence[Band], rulings: Rulings, *, right_to_left: bool
) -> Iterator[Band]:
    """Replace the bands of each table by one segment that holds its Markdown.

    The last bands `above` the region may be the first lines of a table's first row.
    """
    bands = [*above, *region]
    height = median_height([segment for band in bands for segment in band])
    start = len(above)
    while start < len(bands):
        table, first, end = detect_table(bands, start, rulings, height)
        if table is None:
            start = end
            continue
        yield from bands[:first]
        segments = [segment for band in bands[first:end] for segment in band]
        markdown = format_table(table, right_to_left=right_to_left)
        yield [merge_segments(segments, markdown, tuple(table.columns))]
        bands, start = bands[end:], 0
    yield from bands


def detect_table(
    bands: Sequence[Band], start: int, rulings: Rulings, height: float
) -> tuple[TableGrid | None, int, int]:
    """Return the table around a band, or None; and the indexes of its first band, and after it."""
    if len(bands[start]) == 1 or bands[start][0].is_table:
        return None, start, start + 1
    if bottom := find_bottom_of_frames(bands[start], rulings):
        end = find_first_below(bands, start, bottom)
        if end - start >= MIN_FRAMED_BANDS:
            return None, start, end
    lines = find_row_rulings(bands[start], rulings)
    end = find_first_below(bands, start, lines[0]) if lines else start
    if end - start > MAX_HEADER_BANDS or (
        end > start and has_other_rules(bands, start, lines, rulings)
    ):
        # The rules are those of another table, further down; a single one is above the total.
        found = detect_table(bands[: end if lines[1:] else None], start, NO_RULINGS, height)
        return found if found[0] else (None, start, start + 1)
    min_gap = find_min_gap(bands[start], rulings, height)
    first = find_row_start(bands, start, lines)
    rows, columns = collect_rows(bands, first, lines, height, min_gap)
    if len(columns) <= 1:
        return None, start, start + 1
    if count := count_rows_above_other_table(rows, columns):
        bands = bands[: first + sum(map(len, rows[:count]))]
        rows, columns = collect_rows(bands, first, lines, height, min_gap)
    after = end = first + sum(map(len, rows))
    count = sum(
        bands[start][0].v0 - 2 * height < line < rows[-1][-1][0].v1 + 2 * height for line in lines
    )
    framed = count >= MIN_TABLE_ROWS
    collected = first, end
    if not framed:
        first, end = find_drawn_with(bands, *collected)
    if (first, end) != collected:
        rows = [[band] for band in bands[first:end]]
        columns = find_headed_columns(bands[first:end], min_gap)
        if len(columns) <= 1:
            return None, start, after
    if not framed and end - first < MIN_TABLE_ROWS:
        return None, start, after
    flat = [band for row in rows for band in row]
    pieces = split_by_column(flat, columns)
    next_start = start + 1 if len(flat) > MIN_TABLE_ROWS and is_apart(flat[0], pieces) else after
    if not framed and not are_table_columns(pieces, columns):
        return None, start, next_start
    if not framed and is_torn(bands, first, end):
        return None, start, after
    splitter = RowSplitter(pieces, columns, height)
    rows = splitter.split_sections(rows) if framed else splitter.split(flat)
    table = TableGrid([split_by_column(row, columns) for row in rows], columns)
    if count_full_rows(table) > 1 if framed else are_table_rows(table):
        return table, first, end
    return None, start, next_start


def is_apart(first: Band, columns: Sequence[Sequence[TextSegment]]) -> bool:
    """Return whether two pieces above a grid, a running header, have a column for themselves."""
    own = set(map(id, first))
    return len(first) == MAX_HEAD_PIECES and any(
        column and own.issuperset(map(id, column)) for column in columns
    )


def find_bottom_of_frames(band: Band, rulings: Rulings) -> float:
    """Return the bottom of frames side by side that a band is in; 0 if it is in none.

    Each has edges of its own, with white space between: these are boxes of text and no cells.
    """
    for left, right in pairwise(band):
        start, end, middle = left.u1 - 1, right.u0 + 1, left.middle
        edges = sorted(
            (u, top, bottom)
            for top, bottom, u in rulings.vertical
            if start < u < end and top < middle < bottom
        )
        for (one, top, bottom), (other, _, _) in pairwise(edges):
            if other - one < MIN_FRAME_GAP_POINTS:
                continue
            near = [
                span
                for level, span in rulings.horizontal
                if top - SAME_EDGE_POINTS <= level <= bottom + SAME_EDGE_POINTS
            ]
            ends = any(abs(span[1] - one) <= SAME_EDGE_POINTS for span in near)
            begins = any(abs(span[0] - other) <= SAME_EDGE_POINTS for span in near)
            if ends and begins:
                return bottom
    return 0.0


def find_first_below(bands: Sequence[Band], start: int, level: float) -> int:
    """Return the index of the first band at or after another that is below a level."""
    below = (n for n in range(start, len(bands)) if bands[n][0].middle > level)
    return next(below, len(bands))


def has_other_rules(
    bands: Sequence[Band], start: int, lines: Sequence[float], rulings: Rulings
) -> bool:
    """Return whether rules of something else are between a band and the first of some lines."""
    band = bands[start]
    return any(
        band[0].middle < level < lines[0] - SAME_EDGE_POINTS
        and u0 < band[-1].u1
        and band[0].u0 < u1
        for level, (u0, u1) in rulings.horizontal
    )


def find_row_start(bands: Sequence[Band], start: int, lines: Sequence[float]) -> int:
    """Return the index of the first band of a row between rules: some cells may begin higher."""
    row = bisect_right(lines, bands[start][0].middle)
    first = start
    while row and first and start - first < MAX_HEADER_BANDS:
        above, below = bands[first - 1], bands[first : start + 2]
        if bisect_right(lines, above[0].middle) != row or not all(
            find_line_below(segment, below) for segment in above
        ):
            break
        first -= 1
    return first


def find_drawn_with(bands: Sequence[Band], start: int, end: int) -> tuple[int, int]:
    """Extend a range of bands by those next to it that are drawn in the midst of it.

    They are further lines of cells in its first or its last row.
    """
    within = bands[start:end]

    def may_join(band: Band) -> bool:
        return not band[0].is_table and is_drawn_within([band], within)

    while start and may_join(bands[start - 1]):
        start -= 1
    while end < len(bands) and may_join(bands[end]):
        end += 1
    return start, end


def is_drawn_within(bands: Sequence[Band], others: Sequence[Band]) -> bool:
    """Return whether bands are drawn in the midst of others: they are lines of the same cells."""
    indexes = [segment.drawing_index for band in others for segment in band]
    low, high = min(indexes), max(indexes)
    return all(low < segment.drawing_index < high for band in bands for segment in band)


def is_torn(bands: Sequence[Band], start: int, end: int) -> bool:
    """Return whether something outside of a range of bands is drawn in the midst of it."""
    indexes = [segment.drawing_index for band in bands[start:end] for segment in band]
    low, high = min(indexes), max(indexes)
    return any(
        low < segment.drawing_index < high
        for band in (*bands[:start], *bands[end:])
        for segment in band
    )


def collect_rows(
    bands: Sequence[Band], start: int, lines: Sequence[float], height: float, min_gap: float
) -> tuple[list[list[Band]], list[Extent]]:
    """Collect rows from a band downwards while they have at least two columns."""
    rows: list[list[Band]] = []
    columns: list[Extent] = []
    place = start
    bottom = bands[start][0].v0
    while place < len(bands):
        row = take_row(bands, place, lines)
        first = row[0][0]
        merged = columns
        for band in row:
            merged = add_band(merged, band, min_gap)
        if any(band[0].is_table for band in row) or len(merged) <= 1:
            break
        is_single = all(len(band) == 1 for band in row)
        if columns and (
            first.v0 - bottom > MAX_ROW_GAP_HEIGHTS * height
            or (is_single and len(merged) < len(columns))
            or (is_single and is_outside(first, columns) and not is_drawn_within(row, rows[-1]))
        ):
            break
        rows.append(row)
        columns = merged
        bottom = max(segment.v1 for band in row for segment in band)
        place += len(row)
    while (
        rows
        and all(len(band) == 1 for band in rows[-1])
        and not is_last_row_attached(rows, lines, height)
    ):
        rows.pop()
    return rows, find_headed_columns([band for row in rows for band in row], min_gap)


def count_rows_above_other_table(rows: Sequence[Sequence[Band]], columns: Sequence[Extent]) -> int:
    """Count the rows above a gap between two tables; 0 if the rows are one table.

    The gap is the widest, and the rows above and below it have only some columns in common.
    """
    flat = [band for row in rows for band in row]
    gaps = [below[0].v0 - max(s.v1 for s in above) for above, below in pairwise(flat)]
    starts = list(accumulate(map(len, rows)))[:-1]
    widest = max(gaps, default=0.0)
    inner = range(MIN_SIDE_ROWS, len(rows) - MIN_SIDE_ROWS + 1)
    counts = [count for count in inner if gaps[starts[count - 1] - 1] >= widest]
    used = [{column_of(s, columns) for band in row for s in band} for row in rows if counts]
    for count in counts:
        above, below = set().union(*used[:count]), set().union(*used[count:])
        if len(above) > 1 and above - below and below - above:
            return count
    return 0


def take_row(bands: Sequence[Band], start: int, lines: Sequence[float]) -> list[Band]:
    """Return a band, and those after it that are between the same two lines."""
    middle = bands[start][0].middle
    below = bisect_right(lines, middle)
    if below == len(lines) or not lines[0] < middle:
        return [bands[start]]
    row = []
    for band in bands[start : start + MAX_ROW_BANDS]:
        if band[0].middle > lines[below]:
            break
        row.append(band)
    return row


def is_last_row_attached(
    rows: Sequence[Sequence[Band]], lines: Sequence[float], height: float
) -> bool:
    """Return whether the last row, of one cell, belongs to the table: a rule follows, or no gap."""
    last = rows[-1][0][0]
    if any(line > rows[-1][-1][0].middle for line in lines):
        return True
    above = max(s.v1 for band in rows[-2] for s in band) if len(rows) > 1 else last.v0 - 99
    return last.v0 - above <= 0.5 * height


def format_table(table: TableGrid, *, right_to_left: bool) -> str:
    """Format a table as Markdown; the first row is the header.

    `right_to_left` reverses the columns.
    """
    cells = table.rows
    if right_to_left:
        cells = [[list(order_from_right(cell)) for cell in row[::-1]] for row in cells]
    rows = [list(map(format_cell, row)) for row in cells]
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([head, "|" + " --- |" * len(table.columns), *body])


def order_from_right(cell: Sequence[TextSegment]) -> Iterator[TextSegment]:
    """Yield the segments of a cell, those on one line from the right."""
    line: list[TextSegment] = []
    for segment in cell:
        if line and not line[0].v0 < segment.middle < line[0].v1:
            yield from reversed(line)
            line = []
        line.append(segment)
    yield from reversed(line)


def format_cell(segments: Sequence[TextSegment]) -> str:
    """Return the text of one cell on one line, with bars escaped."""
    text = "\n".join(segment.text for segment in segments)
    return flatten_cell(text) if "\n" in text or "|" in text else text


def flatten_cell(text: str) -> str:
    """Put the lines of a cell on one line, with bars escaped."""
    text = WRAPPED_LINE.sub(lambda match: match.group()[0], mark_line_ends(text))
    return text.replace("\n", " ").replace("|", "\\|")
