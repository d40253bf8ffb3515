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

from ingest.extract.cleaning import WRAPPED, dehyphenated
from ingest.extract.layout.rulings import SAME, Rules
from ingest.extract.layout.segments import Piece, joined
from ingest.extract.layout.whitespace import (
    NARROW,
    Band,
    Span,
    across,
    column_of,
    covered,
    grown,
    outside,
    typical_height,
)

PAIR = 2  # columns: of a list of names and what belongs to each
FEWEST = 3  # rows of a table without rules
DISTANT = 2.0  # heights of white between two rows of one table at most
ALIGNED = 0.6  # share of a column's cells that begin or end at the same place
FILLED = 0.8  # of a column's width: lines of prose reach so far
RAGGED = 0.3  # share of full lines in a column of a table at most
# Heights: lines of text are at least so long, in narrow columns and in others.
SHORT_LINE, LONG_LINE = 8, 12
# A row of a ruled table may be as deep as this many heights.
DEEPEST = 25

PAGE_NUMBER = re.compile(r"[\divxlc]{1,6}", re.IGNORECASE)


@dataclass(slots=True)
class Table:
    """Levels of a page that may be a table."""

    rows: list[list[list[Piece]]]  # of each row its cells, of a cell what stands in it
    columns: list[Span]


def cells(row: Sequence[Band], columns: Sequence[Span]) -> list[list[Piece]]:
    """The pieces of a row, by column, each from top to bottom."""
    found: list[list[Piece]] = [[] for _ in columns]
    for band in row:
        for piece in band:
            found[column_of(piece, columns)].append(piece)
    return found


def with_tables(levels: Sequence[Band], ruled: Rules, *, backwards: bool) -> Iterator[Band]:
    """The levels, with those that are a table replaced by one piece that holds its Markdown."""
    height = typical_height([piece for band in levels for piece in band])
    place = 0
    while place < len(levels):
        table, after = table_at(levels, place, ruled, height)
        if table is None:
            yield from levels[place:after]
            place = after
            continue
        together = [piece for band in levels[place:after] for piece in band]
        yield [joined(together, markdown(table, backwards=backwards), table=True)]
        place = after


def table_at(
    levels: Sequence[Band], start: int, ruled: Rules, height: float
) -> tuple[Table | None, int]:
    """The table that begins with a level, if it is one, and the level after it."""
    if len(levels[start]) == 1 or levels[start][0].table:
        return None, start + 1
    lines = rules_beside(levels[start], ruled)
    rows, columns = extended(levels, start, lines, height)
    if len(columns) <= 1:
        return None, start + 1
    after = start + sum(map(len, rows))
    count = sum(
        rows[0][0][0].v0 - 2 * height < line < rows[-1][-1][0].v1 + 2 * height for line in lines
    )
    framed = count >= FEWEST
    if not framed:
        rows = grouped([band for row in rows for band in row], columns, height)
    elif count <= FEWEST and len(rows) < FEWEST:
        head, *body = rows
        rows = [head, *grouped([band for row in body for band in row], columns, height)]
    table = Table([cells(row, columns) for row in rows], columns)
    return (table if plausible(table, framed=framed) else None), after


def rules_beside(band: Band, ruled: Rules) -> list[float]:
    """How far down the rules are that run as wide as a level, or wider; the nearest kind."""
    left, right = band[0].u0, max(piece.u1 for piece in band)
    fitting = [
        (level, span)
        for level, span in ruled.flat
        if span[0] <= left + SAME and span[1] >= right - SAME
    ]
    below = [(level, span) for level, span in fitting if level >= band[0].middle]
    if not below:
        return []
    _, (u0, u1) = below[0]
    return [
        level for level, span in fitting if abs(span[0] - u0) <= SAME and abs(span[1] - u1) <= SAME
    ]


def extended(
    levels: Sequence[Band], start: int, lines: Sequence[float], height: float
) -> tuple[list[list[Band]], list[Span]]:
    """Rows from a level on downwards, as long as they keep at least two columns."""
    rows: list[list[Band]] = []
    columns: list[Span] = []
    place = start
    bottom = levels[start][0].v0
    narrow = NARROW * height
    while place < len(levels):
        row = unit(levels, place, lines)
        first = row[0][0]
        wider = columns
        for band in row:
            wider = grown(wider, band, narrow)
        if any(band[0].table for band in row) or len(wider) <= 1:
            break
        alone = all(len(band) == 1 for band in row)
        if columns and (
            first.v0 - bottom > DISTANT * height
            or (alone and (len(wider) < len(columns) or outside(first, columns)))
        ):
            break
        rows.append(row)
        columns = wider
        bottom = max(piece.v1 for band in row for piece in band)
        place += len(row)
    while rows and all(len(band) == 1 for band in rows[-1]) and not held(rows, lines, height):
        rows.pop()
    return rows, covered((span for row in rows for band in row for span in across(band)), narrow)


def unit(levels: Sequence[Band], place: int, lines: Sequence[float]) -> list[Band]:
    """The level, with those after it that stand between the same two rules."""
    middle = levels[place][0].middle
    below = bisect_right(lines, middle)
    if below == len(lines) or not lines[0] < middle:
        return [levels[place]]
    found = []
    for band in levels[place : place + DEEPEST]:
        if band[0].middle > lines[below]:
            break
        found.append(band)
    return found


def held(rows: Sequence[Sequence[Band]], lines: Sequence[float], height: float) -> bool:
    """Whether the last row, of one cell, is held in the table: by a rule, or close to its cell."""
    last = rows[-1][0][0]
    if any(line > rows[-1][-1][0].middle for line in lines):
        return True
    before = max(piece.v1 for band in rows[-2] for piece in band) if len(rows) > 1 else last.v0 - 99
    return last.v0 - before <= 0.5 * height


def grouped(levels: Sequence[Band], columns: Sequence[Span], height: float) -> list[list[Band]]:
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


def plausible(table: Table, *, framed: bool) -> bool:
    """Whether all this is a table and not something else that aligns."""
    full = sum(sum(map(bool, row)) > 1 for row in table.rows)
    if framed:
        return full > 1
    columns = [[piece for row in table.rows for piece in row[n]] for n in range(len(table.columns))]
    return (
        full >= FEWEST
        and all(len(column) > 1 for column in columns)
        and sum(map(aligned, columns)) >= len(columns) - (len(columns) > FEWEST)
        and max(
            prose(column, span, LONG_LINE)
            for column, span in zip(columns, table.columns, strict=True)
        )
        <= RAGGED
        and not wordy(columns)
        and not contents(table.rows)
        and not form(table.rows)
    )


def aligned(column: Sequence[Piece]) -> bool:
    """Whether most pieces of a column begin, end, or are centred at the same place."""
    enough = ALIGNED * len(column)
    return (
        commonest([piece.u0 for piece in column]) >= enough
        or commonest([piece.u1 for piece in column]) >= enough
        or commonest([(piece.u0 + piece.u1) / 2 for piece in column]) >= enough
    )


def commonest(edges: Sequence[float]) -> int:
    """How many are at the commonest place, or beside it: rounding may have parted them."""
    counts = Counter([round(edge / SAME) for edge in edges])
    place, count = max(counts.items(), key=itemgetter(1))
    return count + max(counts[place - 1], counts[place + 1])


def prose(column: Sequence[Piece], span: Span, line: float = SHORT_LINE) -> float:
    """The share of a column's lines that are full, and long: at least so many heights."""
    width = FILLED * (span[1] - span[0])
    full = sum(piece.u1 - piece.u0 >= max(width, line * (piece.v1 - piece.v0)) for piece in column)
    return full / len(column) if len(column) > FEWEST else 0.0


def wordy(columns: Sequence[Sequence[Piece]]) -> bool:
    """Whether most cells are as long as a line of a narrow column of text."""
    long = sum(
        piece.u1 - piece.u0 >= SHORT_LINE * (piece.v1 - piece.v0) for c in columns for piece in c
    )
    return long > sum(map(len, columns)) / 2


def contents(cells: Sequence[Sequence[Sequence[Piece]]]) -> bool:
    """Whether this is a list of titles and the pages they are on."""
    numbers = [" ".join(piece.text for piece in row[-1]) for row in cells]
    return len(cells[0]) == PAIR and all(PAGE_NUMBER.fullmatch(number) for number in numbers)


def form(cells: Sequence[Sequence[Sequence[Piece]]]) -> bool:
    """Whether this is a list of names and values: "Date: today"."""
    names = [row[0][-1].text for row in cells if row[0]]
    return (
        len(cells[0]) == PAIR and sum(name.endswith((":", "：")) for name in names) > len(names) / 2
    )


def markdown(table: Table, *, backwards: bool) -> str:
    """A table with its first row as the header; `backwards` where the first column is the last."""
    rows = [list(map(cell, row)) for row in table.rows]
    if backwards:
        rows = [row[::-1] for row in rows]
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([head, "|" + " --- |" * len(table.columns), *body])


def cell(pieces: Sequence[Piece]) -> str:
    """The text of one cell on one line."""
    if len(pieces) == 1 and "|" not in pieces[0].text:
        return pieces[0].text
    text = "\n".join(piece.text for piece in pieces)
    text = WRAPPED.sub(lambda match: match.group()[0], dehyphenated(text))
    return text.replace("\n", " ").replace("|", "\\|")
