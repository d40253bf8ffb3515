"""Keep the order in which a page draws its text where that keeps lines together. Pure.

A page may draw in any order. What stands in boxes side by side is drawn box by box as a rule, and
reading it line by line across the boxes would mix them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, pairwise

from ingest.extract.layout.pieces import LABEL_ENDS
from ingest.extract.layout.segments import TextSegment, place_of
from ingest.extract.layout.whitespace import Band, group_bands
from ingest.extract.layout.word_boxes import MIN_SEGMENT_GAP_HEIGHTS

# In heights of the type.
MAX_DROP_HEIGHTS = 8  # a line further down is not the next one
MAX_LINE_GAP_HEIGHTS = 0.6  # between two lines of a piece of text
MIN_WIDER_GAP_HEIGHTS = 0.1  # on average, to be further apart
SAME_EDGE_HEIGHTS = 0.25  # of lines that are aligned

MAX_BANDS_BELOW = 4  # among which the next line is
MAX_PARTED_RUNS = 50  # of a page; more are cells and labels
SAME_SIZE_RATIO = 1.25  # of the type of two lines of a piece
MIN_DRAWN_ROWS = 3  # of cells, of a table beside another
LABEL_SIZE_RATIO = 2  # of the type of a label to that of its value


def keep_drawing_order(bands: Sequence[Band], *, right_to_left: bool) -> Iterator[Band]:
    """Yield the segments of bands in drawing order if that keeps at least as many together.

    Otherwise, bands stay as they are. What is wholly below something else comes after it.
    """
    segments = [segment for band in bands for segment in band]
    if is_drawn_in_order(segments):
        yield from bands
        return
    groups = group_drawn(segments, right_to_left=right_to_left)
    drawn = [segment for group in groups for run in group for segment in run]
    neighbours = list(find_neighbours(bands, right_to_left=right_to_left))
    if len(find_parted(drawn, neighbours)) <= len(find_parted(segments, neighbours)):
        yield from split_lines(drawn, right_to_left=right_to_left)
    else:
        yield from bands


def find_better_drawing_order(bands: Sequence[Band], *, right_to_left: bool) -> list[Band]:
    """Return the lines of a page in drawing order if that keeps more together, else none.

    Columns are found region by region, and a region may cut through boxes that are drawn as a
    whole. If both keep as much together, the drawing order is right if what it parts is further
    apart, or if it goes from left to right.
    """
    segments = [segment for band in bands for segment in band]
    if is_drawn_in_order(segments):
        return []
    groups = group_drawn(segments, right_to_left=right_to_left)
    drawn = [segment for group in groups for run in group for segment in run]
    neighbours = list(find_neighbours(group_bands(segments), right_to_left=right_to_left))
    parted, parted_drawn = find_parted(segments, neighbours), find_parted(drawn, neighbours)
    more = len(parted) - len(parted_drawn)
    if more > 0 or (
        more == 0
        and (
            (
                parted_drawn
                and mean_gap(parted_drawn)
                > mean_gap(parted) + MIN_WIDER_GAP_HEIGHTS * drawn[0].height
            )
            or goes_on_sideways(drawn, right_to_left=right_to_left)
        )
    ):
        return list(split_lines(drawn, right_to_left=right_to_left))
    return []


def is_drawn_in_order(segments: Sequence[TextSegment]) -> bool:
    """Return whether segments are in drawing order."""
    return all(a.drawing_index < b.drawing_index for a, b in pairwise(segments))


def group_drawn(
    segments: Sequence[TextSegment], *, right_to_left: bool
) -> list[list[Sequence[TextSegment]]]:
    """Group segments into runs as they are drawn, and runs into those side by side."""
    drawn = sorted(segments, key=lambda segment: segment.drawing_index)
    runs = split_runs(drawn, right_to_left=right_to_left)
    return group_runs(list(part_from_boxes(runs)) if len(runs) <= MAX_PARTED_RUNS else runs)


def part_from_boxes(runs: Sequence[list[TextSegment]]) -> Iterator[list[TextSegment]]:
    """Split each run where a box that was drawn before it begins beside its later lines.

    Its lines above the box, and over its width, are read before the box.
    """
    for number, run in enumerate(runs):
        rest = run
        for box in (box for box in runs[:number] if len(box) > 1):
            end = find_end_above(rest, box)
            if 0 < end < len(rest):
                yield rest[:end]
                rest = rest[end:]
        yield rest


def find_end_above(run: Sequence[TextSegment], box: Sequence[TextSegment]) -> int:
    """Return where the part of a run ends that is above a box and over its width; 0 if none is.

    Shorter lines that end a paragraph may follow those over the width of the box.
    """
    top = min(s.v0 for s in box)
    highest = next((n for n, s in enumerate(run) if s.v1 > top), len(run))
    if highest == len(run):
        return 0
    counts = range(highest, 0, -1)
    last = next((n for n in counts if any(are_over(run[n - 1], other) for other in box)), 0)
    if not last:
        return 0
    return max(range(last, highest + 1), key=lambda n: run[n].v0 - run[n - 1].v1)


def are_over(above: TextSegment, below: TextSegment) -> bool:
    """Return whether two segments have some of their width in common."""
    return above.u0 < below.u1 and below.u0 < above.u1


def goes_on_sideways(drawn: Sequence[TextSegment], *, right_to_left: bool) -> bool:
    """Return whether each segment that is not below the one before is after it on the line."""
    return all(
        below.middle >= above.v1
        or below.line == above.line
        or (below.u1 <= above.u0 + 1 if right_to_left else above.u1 <= below.u0 + 1)
        for above, below in pairwise(drawn)
    )


def split_runs(drawn: Sequence[TextSegment], *, right_to_left: bool) -> list[list[TextSegment]]:
    """Split segments into runs that go on along the line, or further down."""
    runs: list[list[TextSegment]] = []
    previous: TextSegment | None = None
    for segment in drawn:
        if previous and (
            previous.v1 <= segment.middle <= previous.v1 + MAX_DROP_HEIGHTS * previous.height
            or segment.line == previous.line
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


def is_raised(one: TextSegment, other: TextSegment) -> bool:
    """Return whether two segments touch, one a little higher: a mark, or a part of a formula."""
    gap = max(other.u0 - one.u1, one.u0 - other.u1)
    is_level = one.v0 < other.v1 and other.v0 < one.v1
    return is_level and -1 <= gap <= MIN_SEGMENT_GAP_HEIGHTS * max(one.height, other.height)


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
    bands: Sequence[Band], *, right_to_left: bool
) -> Iterator[tuple[TextSegment, TextSegment]]:
    """Yield each two segments that belong together by their places, the first one first.

    They are on one line with no more than a space between them, or a label and its value beside or
    below it, or two lines of a piece of text. Bands come from the top.
    """
    claimed: set[int] = set()  # lines that are below another one
    for number, band in enumerate(bands):
        valued: set[int] = set()  # labels with a value beside them
        for left, right in pairwise(band):
            first, second = (right, left) if right_to_left else (left, right)
            near = right.u0 - left.u1 <= MIN_SEGMENT_GAP_HEIGHTS * left.height
            is_label = is_label_of(first, second)
            if is_label:
                valued.add(first.drawing_index)
            if near or is_label:
                yield first, second
        lower = bands[number + 1 : number + 1 + MAX_BANDS_BELOW]
        for segment in band:
            if segment.drawing_index in valued:
                continue
            below = find_line_below(segment, lower)
            if below and below.drawing_index not in claimed:
                claimed.add(below.drawing_index)
                yield segment, below


def is_label_of(label: TextSegment, value: TextSegment) -> bool:
    """Return whether a segment is a label, and another one beside it is none."""
    return label.text.endswith(LABEL_ENDS) and not value.text.endswith(LABEL_ENDS)


def find_line_below(above: TextSegment, bands: Sequence[Band]) -> TextSegment | None:
    """Return the next line of the piece of text that a segment is in, out of the bands below."""
    bottom = above.v1 + MAX_LINE_GAP_HEIGHTS * above.height
    for band in bands:
        for segment in band:
            if segment.v0 <= bottom and are_stacked(above, segment):
                return segment
    return None


def are_stacked(above: TextSegment, below: TextSegment) -> bool:
    """Return whether a segment may be the next line of the piece of text that another is in."""
    ratio = LABEL_SIZE_RATIO if is_label_of(above, below) else SAME_SIZE_RATIO
    if below.middle < above.v1 or not (1 / ratio < above.height / max(below.height, 0.1) < ratio):
        return False
    near = SAME_EDGE_HEIGHTS * above.height
    return (
        abs(above.u0 - below.u0) < near
        or abs(above.u1 - below.u1) < near
        or abs(above.u0 + above.u1 - below.u0 - below.u1) < 2 * near
    )


def find_parted(
    ordered: Sequence[TextSegment], neighbours: Sequence[tuple[TextSegment, TextSegment]]
) -> list[tuple[TextSegment, TextSegment]]:
    """Return the neighbours that do not follow each other in an order."""
    places = {segment.drawing_index: place for place, segment in enumerate(ordered)}
    return [
        (one, other)
        for one, other in neighbours
        if places[one.drawing_index] + 1 != places[other.drawing_index]
    ]


def mean_gap(pairs: Sequence[tuple[TextSegment, TextSegment]]) -> float:
    """Return the mean white space between two lines."""
    return sum(below.v0 - above.v1 for above, below in pairs) / len(pairs)


def split_lines(ordered: Sequence[TextSegment], *, right_to_left: bool) -> Iterator[Band]:
    """Yield segments in the given order, those that follow each other on one line together."""
    band: Band = []
    for segment in ordered:
        if band and (
            band[-1].is_table
            or segment.is_table
            or not (
                is_raised(band[-1], segment)
                or is_next_on_line(band[-1], segment, right_to_left=right_to_left)
            )
        ):
            yield sorted(band, key=place_of)
            band = []
        band.append(segment)
    if band:
        yield sorted(band, key=place_of)


def are_drawn_tables(left: Sequence[TextSegment], columns: Sequence[Sequence[TextSegment]]) -> bool:
    """Return whether a table and the columns beside it are drawn one by one, each row by row."""
    right = list(chain.from_iterable(columns))
    last, first = max(s.drawing_index for s in left), min(s.drawing_index for s in right)
    return last < first and has_drawn_rows(left) and has_drawn_rows(right)


def has_drawn_rows(segments: Sequence[TextSegment]) -> bool:
    """Return whether segments are rows of cells that are drawn one below the other."""
    rows = [sorted(s.drawing_index for s in band) for band in group_bands(segments)]
    is_by_rows = all(above[-1] < below[0] for above, below in pairwise(rows))
    return is_by_rows and sum(len(row) > 1 for row in rows) >= MIN_DRAWN_ROWS
