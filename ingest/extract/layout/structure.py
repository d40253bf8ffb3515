"""Order the text of a tagged page by its structure tree: blocks, lists, tables. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ingest.extract.layout.continued import Columns, Extent
from ingest.extract.layout.tables import flatten_cell

# Elements that begin a line. Others are within one, or hold some that begin one.
LINE_KINDS = frozenset(
    {"P", "H", "H1", "H2", "H3", "H4", "H5", "H6", "Title", "LI", "TOCI", "Caption", "BlockQuote"}
    | {"Note", "FENote", "Formula", "Figure", "BibEntry", "Index", "Sect", "Div", "Aside"}
)
HEADING_LEVELS = {"Title": 1, "H": 1} | {f"H{level}": level for level in range(1, 7)}
LINES = re.compile(r"[^\s](?:[^\r\n]*[^\s])?")
NOWHERE = (float("inf"), float("-inf"))  # the extent of a column without text
MAX_MEASURED_CELLS = 8  # of a column, to know where it is
MIN_TABLE_SIZE = 2  # rows, and columns; a smaller table is layout

Cell: TypeAlias = "list[Part]"


@dataclass(slots=True)
class Element:
    """A node of a structure tree: its standard type, and what is in it in reading order.

    Numbers are those of marked content; None is a cell that is empty or on another page.
    """

    kind: str
    children: list[Element | int | None] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Part:
    """Marked content in reading order."""

    content: int
    begins_line: bool
    follows_label: bool = False  # the marker of a list's item


@dataclass(frozen=True, slots=True)
class TaggedTable:
    """Cells by row; None is a cell that is empty or on another page."""

    rows: list[list[Cell | None]]


@dataclass(slots=True)
class Structure:
    """The parts of a page in reading order, and which of them are headings."""

    parts: list[Part | TaggedTable] = field(default_factory=list)
    headings: list[tuple[int, list[int]]] = field(default_factory=list)  # level, contents
    has_tables: bool = False


def find_structure(elements: Sequence[Element]) -> Structure:
    """Return the reading order that a structure tree gives, with its tables and headings."""
    structure = Structure()
    for element in elements:
        add_element(structure, element)
    return structure


def add_element(structure: Structure, element: Element) -> None:
    """Add an element and all in it to a structure."""
    if element.kind == "Table":
        rows = list(find_rows(element))
        width = max((len(row) for row in rows), default=0)
        if min(len(rows), width) >= MIN_TABLE_SIZE:
            for child in element.children:
                if isinstance(child, Element) and child.kind == "Caption":
                    add_element(structure, child)
            structure.parts.append(TaggedTable(rows))
            structure.has_tables = True
            return
    if element.kind in LINE_KINDS and not holds_table(element):
        parts = list(list_parts(element))
        level = HEADING_LEVELS.get(element.kind)
        if level and parts:
            structure.headings.append((level, [part.content for part in parts]))
        structure.parts += parts
        return
    begins = True
    for child in element.children:
        if isinstance(child, Element):
            add_element(structure, child)
        elif child is not None:
            structure.parts.append(Part(child, begins))
            begins = False


def holds_table(element: Element) -> bool:
    """Return whether a table or a heading is somewhere in an element."""
    return any(
        isinstance(child, Element)
        and (child.kind == "Table" or child.kind in HEADING_LEVELS or holds_table(child))
        for child in element.children
    )


def find_rows(table: Element) -> Iterator[list[Cell | None]]:
    """Yield the cells of each row of a table."""
    for child in table.children:
        if not isinstance(child, Element):
            continue
        if child.kind in {"THead", "TBody", "TFoot", "NonStruct"}:
            yield from find_rows(child)
        elif child.kind == "TR":
            row = [
                list(list_parts(cell)) if isinstance(cell, Element) else None
                for cell in child.children
                if not isinstance(cell, int)
            ]
            if any(row):
                yield row


def list_parts(element: Element) -> Iterator[Part]:
    """Yield the marked content of an element, without regard to tables in it."""
    begins, label = element.kind in LINE_KINDS, False
    for child in element.children:
        if child is None:
            continue
        found = [Part(child, begins)] if isinstance(child, int) else list(list_parts(child))
        for number, part in enumerate(found):
            if label and not number:
                yield Part(part.content, begins_line=False, follows_label=True)
            else:
                yield Part(part.content, part.begins_line or begins, part.follows_label)
            begins = False
        label = isinstance(child, Element) and child.kind == "Lbl"


def list_contents(structure: Structure) -> Iterator[int]:
    """Yield the numbers of the marked content of a structure, in reading order."""
    for part in structure.parts:
        if isinstance(part, Part):
            yield part.content
        else:
            for row in part.rows:
                for cell in row:
                    yield from (inner.content for inner in cell or ())


@dataclass(frozen=True, slots=True)
class MarkedRun:
    """Characters of a page that follow each other in the same marked content."""

    number: int
    start: int
    end: int


def split_runs(offsets: Sequence[int], contents: Sequence[int]) -> dict[int, list[MarkedRun]]:
    """Return the runs of each marked content, given that of each character but white space."""
    runs: dict[int, list[MarkedRun]] = {}
    number, start, end, current = 0, 0, 0, -2
    for offset, content in zip(offsets, contents, strict=True):
        if content != current:
            if end:
                runs.setdefault(current, []).append(MarkedRun(number, start, end))
                number += 1
            start, current = offset, content
        end = offset + 1
    if end:
        runs.setdefault(current, []).append(MarkedRun(number, start, end))
    return runs


class TaggedText:
    """Writes the text of a page in the order of its structure tree."""

    def __init__(
        self,
        text: str,
        runs: dict[int, list[MarkedRun]],
        measure: Callable[[Sequence[int]], list[float]] | None = None,
    ) -> None:
        self.text = text
        self.runs = runs
        self.measure = measure  # left, top, right and bottom of each of some characters
        self.written: set[int] = set()  # numbers of marked content
        self.tables: list[Columns] = []  # the columns of each table

    def write(self, structure: Structure) -> str:
        """Return the text of a structure, with tables as Markdown."""
        blocks: list[str] = []
        parts: list[Part] = []
        for part in [*structure.parts, None]:
            if isinstance(part, Part):
                parts.append(part)
                continue
            if parts and (lines := self.join(parts)):
                blocks.append(lines)
            parts = []
            if part and (table := self.format_table(part)):
                blocks.append(table)
        return "\n\n".join(blocks)

    def join(self, parts: Sequence[Part]) -> str:
        """Return the text of parts. White space between them is as drawn if they are neighbours."""
        pieces: list[str] = []
        last: MarkedRun | None = None
        begins, label = False, False
        for part in parts:
            begins |= part.begins_line
            label |= part.follows_label
            if part.content in self.written:
                continue
            self.written.add(part.content)
            for run in self.runs.get(part.content, ()):
                if last:
                    pieces.append(self.space(last, run, begins=begins, label=label))
                pieces.append(self.text[run.start : run.end].replace("\r\n", "\n"))
                last = run
                begins = label = False
        return "".join(pieces)

    def join_line(self, numbers: Sequence[int]) -> str:
        """Return the text of marked content on one line."""
        parts = [Part(number, begins_line=False) for number in numbers]
        return " ".join(self.join(parts).split())

    def space(self, one: MarkedRun, other: MarkedRun, *, begins: bool, label: bool) -> str:
        """Return the white space between two runs."""
        if label and not begins:
            return " "
        if one.number + 1 == other.number:
            drawn = self.text[one.end : other.start].replace("\r\n", "\n")
            return "\n" if begins and "\n" not in drawn else drawn
        return "\n"

    def format_table(self, table: TaggedTable) -> str:
        """Return a table as Markdown; its first row is the header."""
        rows = self.align(table.rows)
        cells = [[" ".join(flatten_cell(self.join(c or [])).split()) for c in row] for row in rows]
        if not any(map(any, cells)):
            return ""
        head, *body = ["| " + " | ".join(row) + " |" for row in cells]
        return "\n".join([head, "|" + " --- |" * len(rows[0]), *body])

    def align(self, rows: Sequence[Sequence[Cell | None]]) -> list[list[Cell | None]]:
        """Return rows of one length, each cell in the column of a whole row that it is below.

        Trees leave out empty cells, or join several to one.
        """
        width = max(map(len, rows))
        columns = self.find_columns([row for row in rows if len(row) == width])
        self.tables.append(tuple(columns))
        if all(len(row) == width for row in rows) or not self.measure:
            return [[*row, *[None] * (width - len(row))] for row in rows]
        return [list(row) if len(row) == width else self.place(row, columns) for row in rows]

    def find_columns(self, rows: Sequence[Sequence[Cell | None]]) -> list[Extent]:
        """Return the extent of each column of some rows of one length."""
        columns = []
        for cells in zip(*rows, strict=True):
            found = [extent for cell in cells[:MAX_MEASURED_CELLS] if (extent := self.extent(cell))]
            columns.append(
                (min(e[0] for e in found), max(e[1] for e in found)) if found else NOWHERE
            )
        return columns

    def place(self, row: Sequence[Cell | None], columns: Sequence[Extent]) -> list[Cell | None]:
        """Return a row with each cell in the column that it overlaps most, in their order."""
        placed: list[Cell | None] = [None] * len(columns)
        least = 0
        for number, cell in enumerate(row):
            extent = self.extent(cell)
            choices = range(least, len(columns) - (len(row) - number) + 1)
            best = max(choices, key=lambda n: (overlap(extent, columns[n]), -n))
            placed[best] = cell
            least = best + 1
        return placed

    def extent(self, cell: Cell | None) -> Extent | None:
        """Return the left and the right edge of a cell's text."""
        offsets = [
            offset
            for part in cell or ()
            for run in self.runs.get(part.content, ())
            for line in LINES.finditer(self.text, run.start, run.end)
            for offset in (line.start(), line.end() - 1)
        ]
        if not offsets or not self.measure:
            return None
        edges = self.measure(offsets)
        return min(edges[::4]), max(edges[2::4])


def overlap(one: Extent | None, other: Extent) -> float:
    """Return by how much two extents overlap; how far they are apart is negative."""
    if not one:
        return float("-inf")
    return min(one[1], other[1]) - max(one[0], other[0])
