"""Group the bands of a table into rows: a row may have several lines. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ingest.extract.layout.pieces import LABEL_ENDS, is_value
from ingest.extract.layout.segments import TextSegment
from ingest.extract.layout.whitespace import Band, Extent, column_of

MIN_VALUE_SHARE = 0.6  # of the pieces of a column of values, below its header
MAX_HEADER_LINES = 3
MAX_SECTIONS = 3  # between rules: header, body and total; more rules separate the rows
WRAP_WIDTH_SHARE = 0.95  # of a column's width, which the next word would have gone beyond
MIN_CELL_LINES = 2
MAX_LINE_GAP_HEIGHTS = 0.45  # between two lines of a cell
MAX_DRAWN_GAP_HEIGHTS = 1.2  # where the drawing goes up to the next cell
MIN_LONG_LINE_HEIGHTS = 6  # of a line that goes on in the next one, whatever begins that


def is_value_column(column: Sequence[TextSegment]) -> bool:
    """Return whether most of a column below its first piece, which may be a header, are values."""
    body = column[1:]
    return bool(body) and sum(is_value(s.text) for s in body) >= MIN_VALUE_SHARE * len(body)


def is_drawn_by_columns(columns: Sequence[Sequence[TextSegment]]) -> bool:
    """Return whether columns are drawn one after the other."""
    order = sorted((s.drawing_index, n) for n, column in enumerate(columns) for s in column)
    return sum(one[1] != other[1] for one, other in pairwise(order)) < len(columns)


@dataclass(slots=True)
class TableGrid:
    """Segments of a possible table, by row and column."""

    rows: list[list[list[TextSegment]]]  # rows of cells of segments
    columns: list[Extent]


class RowSplitter:
    """Splits the bands of one table into rows, given the pieces of each column."""

    def __init__(
        self, pieces: Sequence[list[TextSegment]], columns: Sequence[Extent], height: float
    ) -> None:
        self.columns = columns
        self.height = height
        self.is_drawn_by_columns = is_drawn_by_columns(pieces)
        self.value_columns = {n for n, column in enumerate(pieces) if is_value_column(column)}

    def split_sections(self, sections: Sequence[Sequence[Band]]) -> list[list[Band]]:
        """Split what is between two rules into rows, section by section."""
        split = self.split_ruled if len(sections) > MAX_SECTIONS else self.split
        head, *body = sections
        has_values = any(is_value(segment.text) for band in head for segment in band)
        # A header of several lines, above rows with values.
        if body and len(head) <= MAX_HEADER_LINES and self.value_columns and not has_values:
            return [list(head), *(row for section in body for row in split(section))]
        return [row for section in sections for row in split(section)]

    def split_ruled(self, bands: Sequence[Band]) -> list[list[Band]]:
        """Split a row of a table with a rule below each row: only values on new levels do."""
        rows = [list(bands[:1])]
        for band in bands[1:]:
            if 2 * len(band) > len(self.columns) and self.has_value_again(band, rows[-1]):
                rows.append([band])
            else:
                rows[-1].append(band)
        return rows

    def split(self, bands: Sequence[Band]) -> list[list[Band]]:
        """Split bands into rows at wider gaps, at filled first columns, and at values."""
        if is_labelled(bands):
            return [list(bands[n : n + 2]) for n in range(0, len(bands), 2)]
        if not self.is_drawn_by_columns and (drawn := self.split_drawn_cells(bands)):
            return drawn
        gaps = [below[0].v0 - max(s.v1 for s in above) for above, below in pairwise(bands)]
        middle = (max(gaps, default=0.0) + min(gaps, default=0.0)) / 2
        is_uneven = bool(gaps) and max(gaps) - min(gaps) > self.height / 4
        least = MAX_LINE_GAP_HEIGHTS * self.height
        rows = [list(bands[:1])]
        for band, gap in zip(bands[1:], gaps, strict=True):
            begins = (
                self.has_value_again(band, rows[-1])
                or (is_uneven and gap > middle)
                or (len(rows) == 1 and gap > least and self.has_values_of_head(band, rows[0]))
                or (
                    gap > -self.height / 4  # else it is beside the lines of a higher cell
                    and column_of(band[0], self.columns) == 0
                    and self.begins_row(band, rows[-1], is_uneven=is_uneven)
                )
            )
            if begins:
                rows.append([band])
            else:
                rows[-1].append(band)
        return rows

    def has_value_again(self, band: Band, row: Sequence[Band]) -> bool:
        """Return whether a band has a value where the row above it has one already."""
        found = {column_of(s, self.columns) for s in band if is_value(s.text)} & self.value_columns
        return bool(found) and any(
            is_value(s.text) and column_of(s, self.columns) in found for above in row for s in above
        )

    def has_values_of_head(self, band: Band, head: Sequence[Band]) -> bool:
        """Return whether a band has the values that a header without any is of."""
        flat = [segment for above in head for segment in above]
        named = {column_of(s, self.columns) for s in flat} & self.value_columns
        values = {column_of(s, self.columns) for s in band if is_value(s.text)}
        return bool(named) and named <= values and not any(is_value(s.text) for s in flat)

    def begins_row(self, band: Band, row: Sequence[Band], *, is_uneven: bool) -> bool:
        """Return whether a band that fills the first column does not go on in the row above it."""
        cells = [s for above in row for s in above if column_of(s, self.columns) == 0]
        if is_uneven:
            return bool(cells) or not any(map(self.is_long, row[-1]))
        return len(band) > 1 or (bool(cells) and not self.goes_on(cells[-1], band[0]))

    def goes_on(self, above: TextSegment, below: TextSegment) -> bool:
        """Return whether one line of a cell goes on in another, by its end and its beginning."""
        return could_wrap(above, below, self.columns[column_of(below, self.columns)]) and (
            is_small(below.text) or (self.is_long(above) and not is_value(below.text))
        )

    def is_long(self, line: TextSegment) -> bool:
        """Return whether a line of a cell is as long as one that goes on in the next one."""
        return line.u1 - line.u0 > MIN_LONG_LINE_HEIGHTS * self.height

    def split_drawn_cells(self, bands: Sequence[Band]) -> list[list[Band]]:
        """Split bands into rows of cells that were drawn one after the other, each as a whole.

        Returns no rows if the drawing order does not show cells of several lines.
        """
        cells = self.list_drawn_cells(bands)
        if all(len(cell) < MIN_CELL_LINES for cell in cells) or self.has_parted_cells(cells):
            return []
        rows: list[list[list[TextSegment]]] = []
        bottom = float("-inf")
        for cell in sorted(cells, key=lambda cell: cell[0].v0):
            if rows and cell[0].v0 < bottom - self.height / 4:
                rows[-1].append(cell)
                bottom = max(bottom, cell[-1].v1)
            else:
                rows.append([cell])
                bottom = cell[-1].v1
        for row in rows:
            row.sort(key=lambda cell: cell[0].drawing_index)
            places = [column_of(cell[0], self.columns) for cell in row]
            if len(places) != len(set(places)):
                return []
            # After a cell that is drawn as a whole, the drawing goes up to the next one.
            if any(
                len(one) >= MIN_CELL_LINES and one[-1].v0 < other[0].middle < one[-1].v1
                for one, other in pairwise(row)
            ):
                return []
        return [[[segment] for cell in row for segment in cell] for row in rows]

    def has_parted_cells(self, cells: Sequence[Sequence[TextSegment]]) -> bool:
        """Return whether the drawing order parts what goes on from one line to the next."""
        columns: list[list[Sequence[TextSegment]]] = [[] for _ in self.columns]
        for cell in sorted(cells, key=lambda cell: cell[0].v0):
            columns[column_of(cell[0], self.columns)].append(cell)
        return any(
            is_small(below[0].text)
            and not below[0].is_raised
            and below[0].v0 - above[-1].v1 < self.height / 2
            and could_wrap(above[-1], below[0], span)
            for column, span in zip(columns, self.columns, strict=True)
            for above, below in pairwise(column)
        )

    def list_drawn_cells(self, bands: Sequence[Band]) -> list[list[TextSegment]]:
        """Group pieces that were drawn one after the other and below each other into cells.

        A drawing that goes up from the end of one cell to the next shows that it is cell by cell.
        Otherwise, the end of each line has to show that it goes on.
        """
        drawn = sorted((s for band in bands for s in band), key=lambda s: s.drawing_index)
        columns = [column_of(segment, self.columns) for segment in drawn]
        goes_up = any(segment.is_raised for segment in drawn) or any(
            one != other and below.middle < above.middle - self.height / 3
            for one, other, (above, below) in zip(
                columns, columns[1:], pairwise(drawn), strict=False
            )
        )
        max_gap = MAX_DRAWN_GAP_HEIGHTS if goes_up else MAX_LINE_GAP_HEIGHTS
        cells: list[list[TextSegment]] = []
        for number, segment in enumerate(drawn):
            above = drawn[number - 1] if number else None
            if (
                above
                and columns[number - 1] == columns[number]
                and segment.middle - above.middle > 0
                and segment.v0 - above.v1 < max_gap * self.height
                and (
                    not (is_value(above.text) and is_value(segment.text))
                    if goes_up
                    else self.goes_on(above, segment)
                )
            ):
                cells[-1].append(segment)
            else:
                cells.append([segment])
        return cells


def is_labelled(bands: Sequence[Band]) -> bool:
    """Return whether every other band holds the labels of what is below them, as in a form."""
    return bool(bands) and all(
        all(s.text.endswith(LABEL_ENDS) for s in band) != bool(number % 2)
        for number, band in enumerate(bands)
    )


def is_small(text: str) -> bool:
    """Return whether a text begins with a letter that is no capital."""
    return text[:1].isalpha() and text[:1] == text[:1].lower()


def could_wrap(above: TextSegment, below: TextSegment, column: Extent) -> bool:
    """Return whether a line of a cell ends where it does because its next word had no room."""
    words = below.text.split(maxsplit=1)
    first = (below.u1 - below.u0) * len(words[0]) / len(below.text) if words else 0.0
    space = (above.v1 - above.v0) / 4
    width = column[1] - column[0]
    return above.u1 - above.u0 + space + first >= WRAP_WIDTH_SHARE * width
