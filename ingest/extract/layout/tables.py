"""Tables: which levels of a page are rows of one, and their Markdown. Pure.

Precision comes first: prose, columns, forms and lists that happen to align stay what they are.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter

from ingest.extract.cleaning import WRAPPED_CJK, dehyphenate
from ingest.extract.layout.rulings import SAME_EDGE_POINTS, Rulings
from ingest.extract.layout.segments import TextSegment, merge_segments
from ingest.extract.layout.whitespace import (
    MIN_WHITE_HEIGHTS,
    Band,
    Extent,
    add_band,
    band_extents,
    column_of,
    is_outside,
    median_height,
    merge_extents,
)

PAIR_COLUMNS = 2  # columns: of a list of names and what belongs to each
MIN_TABLE_ROWS = 3  # rows of a table without rules
MAX_ROW_GAP_HEIGHTS = 2.0  # heights of white between two rows of one table at most
MIN_ALIGNED_SHARE = 0.6  # share of a column's cells that begin or end at the same place
FULL_LINE_WIDTH_SHARE = 0.8  # of a column's width: lines of prose reach so far
MAX_FULL_LINE_SHARE = 0.3  # share of full lines in a column of a table at most
# Heights: lines of text are at least so long, in narrow columns and in others.
SHORT_LINE_HEIGHTS, LONG_LINE_HEIGHTS = 8, 12
# A row of a ruled table may be as deep as this many heights.
MAX_ROW_BANDS = 25

PAGE_NUMBER = re.compile(r"[\divxlc]{1,6}", re.IGNORECASE)


@dataclass(slots=True)
class TableGrid:
    """Levels of a page that may be a table."""

    rows: list[list[list[TextSegment]]]  # of each row its cells, of a cell what stands in it
    columns: list[Extent]


def split_into_cells(row: Sequence[Band], columns: Sequence[Extent]) -> list[list[TextSegment]]:
    """The pieces of a row, by column, each from top to bottom."""
    found: list[list[TextSegment]] = [[] for _ in columns]
    for band in row:
        for piece in band:
            found[column_of(piece, columns)].append(piece)
    return found


def replace_tables(
    levels: Sequence[Band], rulings: Rulings, *, right_to_left: bool
) -> Iterator[Band]:
    """The levels, with those that are a table replaced by one piece that holds its Markdown."""
    height = median_height([piece for band in levels for piece in band])
    place = 0
    while place < len(levels):
        table, after = detect_table(levels, place, rulings, height)
        if table is None:
            yield from levels[place:after]
            place = after
            continue
        together = [piece for band in levels[place:after] for piece in band]
        yield [
            merge_segments(
                together, format_table(table, right_to_left=right_to_left), is_table=True
            )
        ]
        place = after


def detect_table(
    levels: Sequence[Band], start: int, rulings: Rulings, height: float
) -> tuple[TableGrid | None, int]:
    """The table that begins with a level, if it is one, and the level after it."""
    if len(levels[start]) == 1 or levels[start][0].is_table:
        return None, start + 1
    lines = find_row_rulings(levels[start], rulings)
    rows, columns = collect_rows(levels, start, lines, height)
    if len(columns) <= 1:
        return None, start + 1
    after = start + sum(map(len, rows))
    count = sum(
        rows[0][0][0].v0 - 2 * height < line < rows[-1][-1][0].v1 + 2 * height for line in lines
    )
    framed = count >= MIN_TABLE_ROWS
    if not framed:
        rows = group_table_rows([band for row in rows for band in row], columns, height)
    elif count <= MIN_TABLE_ROWS and len(rows) < MIN_TABLE_ROWS:
        head, *body = rows
        rows = [head, *group_table_rows([band for row in body for band in row], columns, height)]
    table = TableGrid([split_into_cells(row, columns) for row in rows], columns)
    return (table if is_plausible_table(table, framed=framed) else None), after


def find_row_rulings(band: Band, rulings: Rulings) -> list[float]:
    """How far down the rules are that run as wide as a level, or wider; the nearest kind."""
    left, right = band[0].u0, max(piece.u1 for piece in band)
    fitting = [
        (level, span)
        for level, span in rulings.horizontal
        if span[0] <= left + SAME_EDGE_POINTS and span[1] >= right - SAME_EDGE_POINTS
    ]
    below = [(level, span) for level, span in fitting if level >= band[0].middle]
    if not below:
        return []
    _, (u0, u1) = below[0]
    return [
        level
        for level, span in fitting
        if abs(span[0] - u0) <= SAME_EDGE_POINTS and abs(span[1] - u1) <= SAME_EDGE_POINTS
    ]


def collect_rows(
    levels: Sequence[Band], start: int, lines: Sequence[float], height: float
) -> tuple[list[list[Band]], list[Extent]]:
    """Rows from a level on downwards, as long as they keep at least two columns."""
    rows: list[list[Band]] = []
    columns: list[Extent] = []
    place = start
    bottom = levels[start][0].v0
    narrow = MIN_WHITE_HEIGHTS * height
    while place < len(levels):
        row = take_row(levels, place, lines)
        first = row[0][0]
        wider = columns
        for band in row:
            wider = add_band(wider, band, narrow)
        if any(band[0].is_table for band in row) or len(wider) <= 1:
            break
        alone = all(len(band) == 1 for band in row)
        if columns and (
            first.v0 - bottom > MAX_ROW_GAP_HEIGHTS * height
            or (alone and (len(wider) < len(columns) or is_outside(first, columns)))
        ):
            break
        rows.append(row)
        columns = wider
        bottom = max(piece.v1 for band in row for piece in band)
        place += len(row)
    while (
        rows
        and all(len(band) == 1 for band in rows[-1])
        and not is_last_row_attached(rows, lines, height)
    ):
        rows.pop()
    return rows, merge_extents(
        (span for row in rows for band in row for span in band_extents(band)), narrow
    )


def take_row(levels: Sequence[Band], place: int, lines: Sequence[float]) -> list[Band]:
    """The level, with those after it that stand between the same two rules."""
    middle = levels[place][0].middle
    below = bisect_right(lines, middle)
    if below == len(lines) or not lines[0] < middle:
        return [levels[place]]
    found = []
    for band in levels[place : place + MAX_ROW_BANDS]:
        if band[0].middle > lines[below]:
            break
        found.append(band)
    return found


def is_last_row_attached(
    rows: Sequence[Sequence[Band]], lines: Sequence[float], height: float
) -> bool:
    """Whether the last row, of one cell, is held in the table: by a rule, or close to its cell."""
    last = rows[-1][0][0]
    if any(line > rows[-1][-1][0].middle for line in lines):
        return True
    before = max(piece.v1 for band in rows[-2] for piece in band) if len(rows) > 1 else last.v0 - 99
    return last.v0 - before <= 0.5 * height


def group_table_rows(
    levels: Sequence[Band], columns: Sequence[Extent], height: float
) -> list[list[Band]]:
    """The levels of each row: parted by wider white, else where the first column has something."""
    white = [below[0].v0 - max(piece.v1 for piece in above) for above, below in pairwise(levels)]
    wide = (max(white, default=0.0) + min(white, default=0.0)) / 2
    uneven = bool(white) and max(white) - min(white) > height / 4
    rows = [[band] for band in levels[:1]]
    for band, space in zip(levels[1:], white, strict=True):
        begins = len(band) > 1 and column_of(band[0], columns) == 0
        if space > wide if uneven else begins:
            rows.append([band])
        else:
            rows[-1].append(band)
    return rows


def is_plausible_table(table: TableGrid, *, framed: bool) -> bool:
    """Whether all this is a table and not something else that aligns."""
    full = sum(sum(map(bool, row)) > 1 for row in table.rows)
    if framed:
        return full > 1
    columns = [[piece for row in table.rows for piece in row[n]] for n in range(len(table.columns))]
    return (
        full >= MIN_TABLE_ROWS
        and all(len(column) > 1 for column in columns)
        and sum(map(is_aligned, columns)) >= len(columns) - (len(columns) > MIN_TABLE_ROWS)
        and max(
            prose_share(column, span, LONG_LINE_HEIGHTS)
            for column, span in zip(columns, table.columns, strict=True)
        )
        <= MAX_FULL_LINE_SHARE
        and not is_wordy(columns)
        and not is_table_of_contents(table.rows)
        and not is_form(table.rows)
    )


def is_aligned(column: Sequence[TextSegment]) -> bool:
    """Whether most pieces of a column begin, end, or are centred at the same place."""
    enough = MIN_ALIGNED_SHARE * len(column)
    return (
        count_commonest([piece.u0 for piece in column]) >= enough
        or count_commonest([piece.u1 for piece in column]) >= enough
        or count_commonest([(piece.u0 + piece.u1) / 2 for piece in column]) >= enough
    )


def count_commonest(edges: Sequence[float]) -> int:
    """How many are at the commonest place, or beside it: rounding may have parted them."""
    counts = Counter([round(edge / SAME_EDGE_POINTS) for edge in edges])
    place, count = max(counts.items(), key=itemgetter(1))
    return count + max(counts[place - 1], counts[place + 1])


def prose_share(
    column: Sequence[TextSegment], span: Extent, line: float = SHORT_LINE_HEIGHTS
) -> float:
    """The share of a column's lines that are full, and long: at least so many heights."""
    width = FULL_LINE_WIDTH_SHARE * (span[1] - span[0])
    full = sum(piece.u1 - piece.u0 >= max(width, line * (piece.v1 - piece.v0)) for piece in column)
    return full / len(column) if len(column) > MIN_TABLE_ROWS else 0.0


def is_wordy(columns: Sequence[Sequence[TextSegment]]) -> bool:
    """Whether most cells are as long as a line of a narrow column of text."""
    long = sum(
        piece.u1 - piece.u0 >= SHORT_LINE_HEIGHTS * (piece.v1 - piece.v0)
        for c in columns
        for piece in c
    )
    return long > sum(map(len, columns)) / 2


def is_table_of_contents(cells: Sequence[Sequence[Sequence[TextSegment]]]) -> bool:
    """Whether this is a list of titles and the pages they are on."""
    numbers = [" ".join(piece.text for piece in row[-1]) for row in cells]
    return len(cells[0]) == PAIR_COLUMNS and all(
        PAGE_NUMBER.fullmatch(number) for number in numbers
    )


def is_form(cells: Sequence[Sequence[Sequence[TextSegment]]]) -> bool:
    """Whether this is a list of names and values: "Date: today"."""
    names = [row[0][-1].text for row in cells if row[0]]
    return (
        len(cells[0]) == PAIR_COLUMNS
        and sum(name.endswith((":", "：")) for name in names) > len(names) / 2
    )


def format_table(table: TableGrid, *, right_to_left: bool) -> str:
    """A table with its first row as the header; `backwards` where the first column is the last."""
    rows = [list(map(format_cell, row)) for row in table.rows]
    if right_to_left:
        rows = [row[::-1] for row in rows]
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([head, "|" + " --- |" * len(table.columns), *body])


def format_cell(pieces: Sequence[TextSegment]) -> str:
    """The text of one cell on one line."""
    if len(pieces) == 1 and "|" not in pieces[0].text:
        return pieces[0].text
    text = "\n".join(piece.text for piece in pieces)
    text = WRAPPED_CJK.sub(lambda match: match.group()[0], dehyphenate(text))
    return text.replace("\n", " ").replace("|", "\\|")
