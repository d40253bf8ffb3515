"""Order the lines of a page by the box of each one's first character: enough for most pages.

This runs for every page, where microseconds count: only some of the lines are measured at first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from operator import itemgetter

from ingest.extract.engines.pdfium_raw import BOX_FIELDS, TextHandle, list_char_edges
from ingest.extract.engines.placeholders import NOTHING

LINE_END = "\r\n"  # as PDFium writes it

# In heights of a line.
MIN_DROP_HEIGHTS = 0.25  # from one line to the next of a run
MAX_DROP_HEIGHTS = 8  # a line further down begins another run
MAX_OVERLAP_HEIGHTS = 0.3  # of runs that are one below the other

MIN_COLUMN_RUN_LINES = 3  # shorter runs side by side may be the cells of a table
MAX_LINE_RUNS = 6  # a page with more is analysed word by word

MIN_TABLE_RUNS = 3  # level columns of text are as many as a table's; prose has two as a rule
MIN_LEVEL_SHARE = 0.7  # of a run's lines, level with those of another run
LETTERS_OF_VALUES = "0123456789.,'’:/%+-–—−()$€£¥ "

OUTER_LINES = 3  # lines at either end of a page that are always measured
INNER_LINES = 4  # lines between them that are measured at first, approximately


@dataclass(slots=True)
class PageLines:
    """Measured lines of a page: one entry per line, in points; up is positive."""

    starts: Sequence[int]  # offsets in the text; the last one is where the next line would begin
    lefts: list[float]
    tops: list[float]
    bottoms: list[float]


@dataclass(slots=True)
class LineRun:
    """Lines that follow each other downwards."""

    first: int  # number of the line
    last: int
    top: float
    bottom: float


def measure_lines(handle: TextHandle, starts: Sequence[int]) -> PageLines:
    """Measure the lines that start at offsets; the last offset is where the next would begin."""
    boxes = list_char_edges(handle, starts[:-1])
    return PageLines(starts, boxes[::BOX_FIELDS], boxes[1::BOX_FIELDS], boxes[3::BOX_FIELDS])


def measure_all_lines(handle: TextHandle, text: str) -> PageLines:
    """Measure all lines of a page."""
    return measure_lines(handle, find_line_starts(text))


def measure_some_lines(handle: TextHandle, starts: Sequence[int]) -> PageLines:
    """Measure the outer lines of a page and some between them; all lines if there are few."""
    count = len(starts) - 1
    return measure_lines(
        handle,
        starts if count <= 2 * OUTER_LINES + INNER_LINES else make_line_sampler(count)(starts),
    )


def find_line_starts(text: str) -> list[int]:
    """Return the offset of each line, and where the next would begin."""
    starts = list(
        accumulate([len(line) + len(LINE_END) for line in text.split(LINE_END)], initial=0)
    )
    if text.startswith(NOTHING):  # an initial that was put back on its word
        starts[0] = len(text) - len(text.lstrip(NOTHING))
    return starts


@lru_cache
def make_line_sampler(count: int) -> Callable[[Sequence[int]], tuple[int, ...]]:
    """Return a function that picks the starts of some of `count` lines, and the last offset."""
    step = (count - 2 * OUTER_LINES) / (INNER_LINES + 1)
    inner = [OUTER_LINES + round(number * step) for number in range(1, INNER_LINES + 1)]
    return itemgetter(*range(OUTER_LINES), *inner, *range(count - OUTER_LINES, count + 1))


def arrange_by_lines(
    handle: TextHandle, text: str, lines: PageLines, starts: Sequence[int]
) -> str | None:
    """Put the lines of a page into reading order; None if the lines alone do not show it.

    Headers and footers may be drawn before or after the text between them, and columns one after
    the other. `lines` are some or all of the lines that begin at `starts`.
    """
    if is_descending(lines):
        return text
    count = len(starts) - 1
    runs = split_runs(lines)
    # Between the outer lines, a run may end at a line that was not measured.
    inner = range(OUTER_LINES, len(lines.tops) - OUTER_LINES + 1)
    if len(lines.tops) < count and any(run.first in inner for run in runs):
        lines = measure_lines(handle, starts)
        runs = split_runs(lines)
    downwards = sorted(runs, key=by_top)
    if not are_disjoint(downwards):
        if len(lines.tops) < count:
            lines = measure_lines(handle, starts)
            runs = split_runs(lines)
        groups = group_runs(runs)
        if len(runs) > MAX_LINE_RUNS or any(
            may_be_cells(group) or may_be_table_columns(group, lines, text) for group in groups
        ):
            return None
        if not all(is_read_as_drawn(handle, group, lines) for group in groups):
            return None
        downwards = [run for group in groups for run in group]
    return LINE_END.join(
        [text[lines.starts[run.first] : lines.starts[run.last + 1] - 2] for run in downwards]
    )


def by_top(run: LineRun) -> float:
    """Sort key of runs: the highest first."""
    return -run.top


def may_be_cells(group: Sequence[LineRun]) -> bool:
    """Return whether runs side by side are too short for columns, and may be cells of a table."""
    return len(group) > 1 and min(run.last - run.first for run in group) < MIN_COLUMN_RUN_LINES - 1


def may_be_table_columns(group: Sequence[LineRun], lines: PageLines, text: str) -> bool:
    """Return whether runs side by side may be columns of a table, drawn one after the other.

    They are level, line by line, and either short or mostly figures.
    """
    one, *others = [
        [lines.tops[n] for n in range(run.first, run.last + 1)]
        for run in sorted(group, key=lambda run: run.last - run.first)[::-1]
    ]
    levels = {round(top) for top in one}
    for tops in others:
        level = sum(not levels.isdisjoint((round(t) - 1, round(t), round(t) + 1)) for t in tops)
        if level < MIN_LEVEL_SHARE * len(tops):
            return False
    if len(group) >= MIN_TABLE_RUNS:
        return True
    return any(
        sum(
            not text[lines.starts[n] : lines.starts[n + 1] - 2].strip(LETTERS_OF_VALUES)
            for n in range(run.first, run.last + 1)
        )
        > (run.last - run.first) / 2
        for run in group
        if len(group) > 1
    )


def group_runs(runs: Sequence[LineRun]) -> list[list[LineRun]]:
    """Group runs that are side by side, from the top; each group is in drawing order."""
    groups: list[list[LineRun]] = []
    bottom = float("inf")
    for run in sorted(runs, key=by_top):
        if groups and run.top > bottom:
            groups[-1].append(run)
            bottom = min(bottom, run.bottom)
        else:
            groups.append([run])
            bottom = run.bottom
    return [sorted(group, key=lambda run: run.first) for group in groups]


def is_descending(lines: PageLines) -> bool:
    """Return whether each line is lower than the one before."""
    previous = float("inf")
    for top, bottom in zip(lines.tops, lines.bottoms, strict=True):
        middle = (top + bottom) / 2
        if middle >= previous - MIN_DROP_HEIGHTS * (top - bottom):
            return False
        previous = middle
    return True


def split_runs(lines: PageLines) -> list[LineRun]:
    """Split lines into runs, in drawing order.

    A wide gap ends a run too, between outer lines only: inner lines may not be neighbours.
    """
    runs = []
    inner = range(OUTER_LINES, len(lines.tops) - OUTER_LINES + 1)
    first, top, bottom = 0, lines.tops[0], lines.bottoms[0]
    previous = float("inf")
    for number, (high, low) in enumerate(zip(lines.tops, lines.bottoms, strict=True)):
        middle, height = (high + low) / 2, high - low
        drop = previous - middle
        if number and (
            drop <= MIN_DROP_HEIGHTS * height
            or (drop > MAX_DROP_HEIGHTS * height and number not in inner)
        ):
            runs.append(LineRun(first, number - 1, top, bottom))
            first, top, bottom = number, high, low
        elif low < bottom:
            bottom = low
        previous = middle
    return [*runs, LineRun(first, len(lines.tops) - 1, top, bottom)]


def are_disjoint(downwards: Sequence[LineRun]) -> bool:
    """Return whether each run, from the top, ends above the next one."""
    bottom = float("inf")
    for run in downwards:
        if run.top > bottom + MAX_OVERLAP_HEIGHTS * (run.top - run.bottom) / (
            run.last - run.first + 1
        ):
            return False
        bottom = min(bottom, run.bottom)
    return True


def is_read_as_drawn(handle: TextHandle, group: Sequence[LineRun], lines: PageLines) -> bool:
    """Return whether a group's drawing order is its reading order: top to bottom, left to right."""
    if len(group) == 1:
        return True
    rights = {n: edge for run in group for n, edge in iter_right_edges(handle, lines.starts, run)}
    for place, run in enumerate(group):
        for later in group[place + 1 :]:
            if later.top <= run.bottom:
                continue
            if later.bottom >= run.top:
                return False
            left = max((rights[n] for n in lines_beside(lines, run, later)), default=0.0)
            if left > min((lines.lefts[n] for n in lines_beside(lines, later, run)), default=left):
                return False
    return True


def iter_right_edges(
    handle: TextHandle, starts: Sequence[int], run: LineRun
) -> Iterator[tuple[int, float]]:
    """Yield the number and the right edge of each line of a run."""
    numbers = range(run.first, run.last + 1)
    last = [starts[number + 1] - len(LINE_END) - 1 for number in numbers]
    yield from zip(numbers, list_char_edges(handle, last)[2::BOX_FIELDS], strict=True)


def lines_beside(lines: PageLines, run: LineRun, other: LineRun) -> list[int]:
    """Return the numbers of those lines of a run that are beside another run."""
    return [
        n
        for n in range(run.first, run.last + 1)
        if lines.bottoms[n] < other.top and other.bottom < lines.tops[n]
    ]
