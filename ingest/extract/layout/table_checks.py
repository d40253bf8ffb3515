"""Tell tables from prose, forms, lists and tables of contents that happen to align. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from operator import itemgetter

from ingest.extract.layout.pieces import LABEL_ENDS, LIST_MARKER
from ingest.extract.layout.rulings import SAME_EDGE_POINTS
from ingest.extract.layout.segments import TextSegment
from ingest.extract.layout.table_rows import (
    TableGrid,
    could_wrap,
    is_drawn_by_columns,
    is_value_column,
)
from ingest.extract.layout.whitespace import Extent, median_height, merge_extents

PAIR_COLUMNS = 2  # of a form, or of a table of contents
MIN_TABLE_ROWS = 3  # of a table without rules
MIN_ALIGNED_SHARE = 0.6  # of a column's segments, aligned left, right or centred
FULL_LINE_WIDTH_SHARE = 0.8  # of a column's width, from which a line counts as full
MAX_FULL_LINE_SHARE = 0.3  # of full lines in a column of a table
# Minimum length of a line of prose in heights of the type: in narrow columns, and in others.
SHORT_LINE_HEIGHTS, LONG_LINE_HEIGHTS = 8, 12
MIN_APART_HEIGHTS = 0.2  # more white space between rows than within them

LIST_ITEM = re.compile(rf"(?:{LIST_MARKER.pattern})(?:\s|$)")
LEADER = re.compile(r"(?:\. ?){4}\W*\d*$")
PAGE_NUMBER = re.compile(r"[\divxlc]{1,6}", re.IGNORECASE)


def are_table_columns(columns: Sequence[list[TextSegment]], spans: Sequence[Extent]) -> bool:
    """Return whether columns may be those of a table without rules, before its rows are known."""
    return (
        min(map(len, columns)) > 1
        and not is_wordy(columns)
        and max(
            prose_share(column, span, LONG_LINE_HEIGHTS)
            for column, span in zip(columns, spans, strict=True)
        )
        <= MAX_FULL_LINE_SHARE
        and sum(map(is_aligned, columns)) >= len(columns) - (len(columns) > MIN_TABLE_ROWS)
        and not is_list(columns)
    )


def count_full_rows(table: TableGrid) -> int:
    """Count the rows of a grid with more than one filled cell."""
    return sum(sum(map(bool, row)) > 1 for row in table.rows)


def are_table_rows(table: TableGrid) -> bool:
    """Return whether a grid is a table and not something else that happens to align.

    Its columns may be those of a table: see are_table_columns().
    """
    columns = [[s for row in table.rows for s in row[n]] for n in range(len(table.columns))]
    return (
        count_full_rows(table) >= MIN_TABLE_ROWS
        and not is_table_of_contents(table.rows)
        and not is_form(table.rows)
        and not is_numbered(columns)
        and (
            not is_drawn_by_columns(columns)
            or any(map(is_value_column, columns))
            or has_apart_rows(table)
        )
    )


def is_list(columns: Sequence[Sequence[TextSegment]]) -> bool:
    """Return whether most pieces begin with the marker of a list's item, or are one."""
    return all(
        sum(LIST_ITEM.match(s.text) is not None for s in column) > len(column) / 2
        for column in columns[: max(1, len(columns) - 1)]
    )


def is_numbered(columns: Sequence[Sequence[TextSegment]]) -> bool:
    """Return whether the first of two columns counts the lines of the other, as in a listing."""
    numbers = [int(s.text) if s.text.isdecimal() else -1 for s in columns[0]]
    steps = sum(below == above + 1 for above, below in pairwise(numbers))
    return len(columns) == PAIR_COLUMNS and steps > len(numbers) / 2


def has_apart_rows(table: TableGrid) -> bool:
    """Return whether white space runs across a grid between its rows, and not within them."""
    within: list[float] = []
    between: list[float] = []
    bottom = 0.0
    for row in table.rows:
        spans = merge_extents([(s.v0, s.v1) for cell in row for s in cell], 0.0)
        between.append(spans[0][0] - bottom)
        within += [below[0] - above[1] for above, below in pairwise(spans)]
        bottom = spans[-1][1]
    height = median_height([s for cell in table.rows[0] for s in cell])
    return bool(within) and min(between[1:]) > max(within) + MIN_APART_HEIGHTS * height


def is_aligned(column: Sequence[TextSegment]) -> bool:
    """Return whether most segments of a column are aligned left, right or centred."""
    enough = MIN_ALIGNED_SHARE * len(column)
    return (
        count_commonest([segment.u0 for segment in column]) >= enough
        or count_commonest([segment.u1 for segment in column]) >= enough
        or count_commonest([(segment.u0 + segment.u1) / 2 for segment in column]) >= enough
    )


def count_commonest(edges: Sequence[float]) -> int:
    """Count the edges at the commonest position and next to it, as rounding may separate them."""
    counts = Counter([round(edge / SAME_EDGE_POINTS) for edge in edges])
    place, count = max(counts.items(), key=itemgetter(1))
    return count + max(counts[place - 1], counts[place + 1])


def prose_share(
    column: Sequence[TextSegment], span: Extent, line: float = SHORT_LINE_HEIGHTS
) -> float:
    """Return the share of a column's segments that fill it and are at least `line` heights long."""
    width = FULL_LINE_WIDTH_SHARE * (span[1] - span[0])
    full = sum(s.u1 - s.u0 >= max(width, line * (s.v1 - s.v0)) for s in column)
    return full / len(column) if len(column) > MIN_TABLE_ROWS else 0.0


def flow_share(column: Sequence[TextSegment], span: Extent) -> float:
    """Return the share of a column's segments in sentences that go on from line to line.

    A line goes on in the next one if it is as long as a line of prose, the next word had no room on
    it, and that begins with a small letter, or with one of a script without capitals.
    """
    lines = sorted(column, key=lambda segment: segment.v0)
    flowing = set()
    for number, (above, below) in enumerate(pairwise(lines)):
        first = below.text[:1]
        if (
            above.u1 - above.u0 >= SHORT_LINE_HEIGHTS * above.height
            and first.isalpha()
            and first == first.lower()
            and could_wrap(above, below, span)
        ):
            flowing |= {number, number + 1}
    return len(flowing) / len(lines)


def is_wordy(columns: Sequence[Sequence[TextSegment]]) -> bool:
    """Return whether most segments are as long as a line of a narrow column of text."""
    long = sum(s.u1 - s.u0 >= SHORT_LINE_HEIGHTS * (s.v1 - s.v0) for c in columns for s in c)
    return long > sum(map(len, columns)) / 2


def is_table_of_contents(cells: Sequence[Sequence[Sequence[TextSegment]]]) -> bool:
    """Return whether cells are a table of contents: titles and page numbers."""
    numbers = [" ".join(segment.text for segment in row[-1]) for row in cells]
    if sum(LEADER.search(number) is not None for number in numbers) > len(numbers) / 2:
        return True
    return len(cells[0]) == PAIR_COLUMNS and all(
        PAGE_NUMBER.fullmatch(number) for number in numbers
    )


def is_form(cells: Sequence[Sequence[Sequence[TextSegment]]]) -> bool:
    """Return whether cells are a form: names and values, as in "Date: today"."""
    names = [row[0][-1].text for row in cells if row[0]]
    return (
        len(cells[0]) == PAIR_COLUMNS
        and sum(name.endswith(LABEL_ENDS) for name in names) > len(names) / 2
    )
