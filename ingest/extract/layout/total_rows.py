"""Fit the label of a total into one column: it may reach over several. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ingest.extract.layout.pieces import is_value
from ingest.extract.layout.segments import TextSegment
from ingest.extract.layout.whitespace import Band, Extent, add_band, find_columns

MIN_COLUMNS = 3  # of the rows above a total; a label over both of two columns is a line of text
SAME_EDGE_POINTS = 1.0


def clip_labels(bands: Sequence[Band], min_gap: float) -> list[Band]:
    """Return bands with each label of a total in one of the columns that it reaches over.

    Below rows of cells, its values are aligned with those above. Only its box becomes smaller.
    """
    clipped: list[Band] = []
    columns: list[Extent] = []
    start = 0  # of the rows that these are the columns of
    for number, whole in enumerate(bands):
        band = whole
        merged = add_band(columns, band, min_gap)
        if MIN_COLUMNS <= len(columns) > len(merged) and is_total(band, clipped[start:]):
            band = [clip_label(band, columns), *band[1:]]
            merged = add_band(columns, band, min_gap)
        if len(merged) < len(columns) or len(columns) == 1:
            start, merged = number, find_columns([band], min_gap)
        clipped.append(band)
        columns = merged
    return clipped


def is_total(band: Band, rows: Sequence[Band]) -> bool:
    """Return whether a band is a label and values, each aligned with a cell of the rows above."""
    return len(band) > 1 and all(
        is_value(value.text)
        and any(
            min(abs(cell.u0 - value.u0), abs(cell.u1 - value.u1)) <= SAME_EDGE_POINTS
            for row in rows
            for cell in row[1:]
        )
        for value in band[1:]
    )


def clip_label(band: Band, columns: Sequence[Extent]) -> TextSegment:
    """Return the first segment of a band in the column that it is aligned with."""
    label = band[0]
    over = [span for span in columns if span[0] < label.u1 and label.u0 < span[1]]
    if not over:
        return label  # it is between two columns, close to both
    if abs(label.u1 - over[-1][1]) <= SAME_EDGE_POINTS < abs(label.u0 - over[0][0]):
        return replace(label, u0=max(label.u0, over[-1][0]))
    return replace(label, u1=min(label.u1, over[0][1]))
