"""Keep the order in which a page draws its text where that keeps lines together. Pure.

A page may draw in any order. What stands in boxes side by side is drawn box by box as a rule, and
reading it line by line across the boxes would mix them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ingest.extract.layout.segments import MIN_SEGMENT_GAP_HEIGHTS, TextSegment
from ingest.extract.layout.whitespace import Band

# In heights of the type.
MAX_LINE_GAP_HEIGHTS = 0.6  # between two lines of a piece of text
SAME_EDGE_HEIGHTS = 0.25  # of lines that are aligned

SAME_SIZE_RATIO = 1.25  # of the type of two lines of a piece
LABEL_ENDS = (":", "：")


def keep_drawing_order(bands: Sequence[Band], *, right_to_left: bool) -> Iterator[Band]:
    """Yield the segments of bands in drawing order if that keeps at least as many together.

    Otherwise, bands stay as they are. What is wholly below something else comes after it.
    """
    segments = [segment for band in bands for segment in band]
    drawn = sorted(segments, key=lambda segment: segment.drawing_index)
    if drawn == segments:
        yield from bands
        return
    drawn = [
        segment
        for group in group_runs(split_runs(drawn, right_to_left=right_to_left))
        for run in group
        for segment in run
    ]
    neighbours = list(find_neighbours(segments, right_to_left=right_to_left))
    if count_parted(drawn, neighbours) <= count_parted(segments, neighbours):
        yield from split_lines(drawn, right_to_left=right_to_left)
    else:
        yield from bands


def split_runs(drawn: Sequence[TextSegment], *, right_to_left: bool) -> list[list[TextSegment]]:
    """Split segments into runs that go on along the line, or further down."""
    runs: list[list[TextSegment]] = []
    previous: TextSegment | None = None
    for segment in drawn:
        if previous and (
            segment.middle >= previous.v1
            or is_next_on_line(previous, segment, right_to_left=right_to_left)
        ):
            runs[-1].append(segment)
        else:
            runs.append([segment])
        previous = segment
    return runs


def is_next_on_line(above: TextSegment, below: TextSegment, *, right_to_left: bool) -> bool:
    """Return whether a segment is level with another one and after it."""
    is_after = below.u1 <= above.u0 + 1 if right_to_left else above.u1 <= below.u0 + 1
    return is_after and above.v0 < below.middle < above.v1


def group_runs(runs: Sequence[Sequence[TextSegment]]) -> list[list[Sequence[TextSegment]]]:
    """Group runs that are side by side, from the top; each group is in drawing order."""
    groups: list[list[Sequence[TextSegment]]] = []
    bottom = float("-inf")
    for run in sorted(runs, key=lambda run: min(s.v0 for s in run)):
        if groups and min(s.middle for s in run) < bottom:
            groups[-1].append(run)
            bottom = max(bottom, *(s.middle for s in run))
        else:
            groups.append([run])
            bottom = max(s.middle for s in run)
    return [sorted(group, key=lambda run: run[0].drawing_index) for group in groups]


def find_neighbours(
    segments: Sequence[TextSegment], *, right_to_left: bool
) -> Iterator[tuple[TextSegment, TextSegment]]:
    """Yield each two segments that belong together by their places, the first one first.

    They are on one line with no more than a space between them, or a label and its value, or two
    lines of a piece of text.
    """
    downwards = sorted(segments, key=lambda segment: segment.v0)
    claimed: set[int] = set()  # lines that are below another one
    for number, segment in enumerate(downwards):
        height = segment.height
        beside: TextSegment | None = None
        below: TextSegment | None = None
        for other in downwards[number + 1 :]:
            if other.v0 > segment.v1 + MAX_LINE_GAP_HEIGHTS * height:
                break
            if below is None and are_stacked(segment, other):
                below = other
        is_label = segment.text.endswith(LABEL_ENDS)
        for other in downwards[max(0, number - 30) : number + 30]:
            if is_next_on_line(segment, other, right_to_left=right_to_left):
                gap = max(other.u0 - segment.u1, segment.u0 - other.u1)
                if gap <= MIN_SEGMENT_GAP_HEIGHTS * height or is_label:
                    nearest = beside.u0 if beside else other.u0
                    if (other.u0 < nearest) != right_to_left or beside is None:
                        beside = other
        if beside:
            yield segment, beside
        if below and not is_label and below.drawing_index not in claimed:
            claimed.add(below.drawing_index)
            yield segment, below


def are_stacked(above: TextSegment, below: TextSegment) -> bool:
    """Return whether a segment may be the next line of the piece of text that another is in."""
    if below.middle < above.v1 or not (
        1 / SAME_SIZE_RATIO < above.height / max(below.height, 0.1) < SAME_SIZE_RATIO
    ):
        return False
    near = SAME_EDGE_HEIGHTS * above.height
    return (
        abs(above.u0 - below.u0) < near
        or abs(above.u1 - below.u1) < near
        or abs(above.u0 + above.u1 - below.u0 - below.u1) < 2 * near
    )


def count_parted(
    ordered: Sequence[TextSegment], neighbours: Sequence[tuple[TextSegment, TextSegment]]
) -> int:
    """Count the neighbours that do not follow each other in an order."""
    places = {segment.drawing_index: place for place, segment in enumerate(ordered)}
    return sum(
        places[one.drawing_index] + 1 != places[other.drawing_index] for one, other in neighbours
    )


def split_lines(ordered: Sequence[TextSegment], *, right_to_left: bool) -> Iterator[Band]:
    """Yield segments in the given order, those that follow each other on one line together."""
    band: Band = []
    for segment in ordered:
        if band and not is_next_on_line(band[-1], segment, right_to_left=right_to_left):
            yield sorted(band)
            band = []
        band.append(segment)
    if band:
        yield sorted(band)
