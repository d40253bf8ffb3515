"""Give a table that goes on over a page the header of its first page. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

Extent: TypeAlias = "tuple[float, float]"  # start and end along a line, in points
Columns: TypeAlias = "tuple[Extent, ...]"

MAX_RUNNING_LINES = 3  # between a table and the end of its page: page numbers, notes
SAME_COLUMN_POINTS = 4.0  # edges or middles of columns closer than this are aligned
MIN_FIGURE_SHARE = 0.6  # of the cells of a column of figures

TABLE = re.compile(r"(?:^|(?<=\n))(\|[^\n]*)\n\|(?: --- \|)+((?:\n\|[^\n]*)*)")
BAR = re.compile(r"(?<!\\)\|")
YEAR = re.compile(r"(?:FY ?)?(?:19|20)\d\d")  # may be a header
CAPTION = re.compile(r"(?:tab|abb|fig|表|图|図)\w*\.?\s*\w*\d", re.IGNORECASE)


class ArrangedPage(NamedTuple):
    """The text of a page in reading order, and the columns of its tables."""

    text: str
    tables: tuple[Columns, ...] = ()  # in the order of the text


@dataclass(frozen=True, slots=True)
class OpenTable:
    """A table at the end of a page."""

    header: str  # its first row; empty cells if that is not known
    columns: Columns


def continue_table(page: ArrangedPage, previous: OpenTable | None) -> str:
    """Return the text of a page; a table at its start takes the header of the page before."""
    found = TABLE.search(page.text) if previous and page.tables else None
    if not (found and previous):
        return page.text
    above = page.text[: found.start()].split("\n")
    lines = [line for line in above if line.strip()]
    if len(lines) > MAX_RUNNING_LINES or any(map(CAPTION.match, lines)):
        return page.text
    first, body = found[1], found[2].split("\n")[1:]
    is_same = are_aligned(previous.columns, page.tables[0])
    if first == previous.header or not may_be_data(first, body, is_certain=not is_same):
        return page.text
    count = len(split_row(first))
    header = previous.header if is_same else "|" + "  |" * count
    return (
        page.text[: found.start()]
        + f"{header}\n|{' --- |' * count}\n{first}{found[2]}"
        + page.text[found.end() :]
    )


def find_open_table(text: str, tables: Sequence[Columns]) -> OpenTable | None:
    """Return the table that a page ends with, but for running lines."""
    found = list(TABLE.finditer(text)) if tables else []
    if not found:
        return None
    below = [line for line in text[found[-1].end() :].split("\n") if line.strip()]
    if len(below) > MAX_RUNNING_LINES:
        return None
    return OpenTable(found[-1][1], tables[-1])


def are_aligned(one: Columns, other: Columns) -> bool:
    """Return whether each column of a table is where one of another table is."""
    return len(one) == len(other) and all(
        min(abs(a[0] - b[0]), abs(a[1] - b[1]), abs(a[0] + a[1] - b[0] - b[1]) / 2)
        <= SAME_COLUMN_POINTS
        for a, b in zip(one, other, strict=True)
    )


def may_be_data(first: str, body: Sequence[str], *, is_certain: bool) -> bool:
    """Return whether the first row of a table is like those below it, and not a header.

    `is_certain` asks for proof: figures where those below have figures.
    """
    head, rows = split_row(first), [split_row(line) for line in body]
    figures = [
        number
        for number in range(len(head))
        if sum(has_figure(row[number]) for row in rows if number < len(row))
        >= max(1, MIN_FIGURE_SHARE * len(rows))
    ]
    found = [head[number] for number in figures if has_figure(head[number])]
    if found and not all(map(YEAR.fullmatch, found)):
        return True
    return not is_certain and not (figures and all(head))


def has_figure(cell: str) -> bool:
    """Return whether a cell is a figure, or a dash for none."""
    return any(map(str.isdigit, cell)) or cell in {"-", "–", "—", "−"}


def split_row(line: str) -> list[str]:
    """Return the cells of a row."""
    return [cell.strip() for cell in BAR.split(line)[1:-1]]
