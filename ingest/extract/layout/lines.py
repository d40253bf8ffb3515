"""What the lines of a page tell, each by its first character: enough for most pages.

This runs for every page, so it counts microseconds: some of the lines are asked for first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from operator import itemgetter

from ingest.extract.engines.pdfium_raw import BOX_FIELDS, TextHandle, list_char_edges

LINE_END = "\r\n"  # of a line, as PDFium writes it

MIN_DROP_HEIGHTS = 0.25  # in heights: a line that begins so much lower follows the one before
MAX_DROP_HEIGHTS = 8  # in heights: a line that begins so much lower follows nothing
MAX_OVERLAP_HEIGHTS = 0.3  # in heights: runs may reach so far into each other
MIN_COLUMN_RUN_LINES = 3  # lines at least
MAX_LINE_RUNS = 6  # of lines: a page with more is looked at word by word

OUTER_LINES = 3  # lines at either end of a page that are always asked for
INNER_LINES = 4  # of those between, about


@dataclass(slots=True)
class PageLines:
    """Some lines of a page, one entry a line, heights in points."""

    starts: Sequence[int]  # in the text; one more, where the next would begin
    lefts: list[float]
    tops: list[float]  # up is positive
    bottoms: list[float]


@dataclass(slots=True)
class LineRun:
    """Lines that follow each other downwards: their numbers, and how high they reach."""

    first: int
    last: int
    top: float
    bottom: float


def measure_lines(handle: TextHandle, starts: Sequence[int]) -> PageLines:
    """The lines that start there; the last entry is where the next one would."""
    boxes = list_char_edges(handle, starts[:-1])
    return PageLines(starts, boxes[::BOX_FIELDS], boxes[1::BOX_FIELDS], boxes[3::BOX_FIELDS])


def measure_all_lines(handle: TextHandle, text: str) -> PageLines:
    """All lines of a page."""
    return measure_lines(handle, find_line_starts(text))


def measure_some_lines(handle: TextHandle, starts: Sequence[int]) -> PageLines:
    """A few of the lines: the outer ones, and some between; all where there are not many."""
    count = len(starts) - 1
    return measure_lines(
        handle,
        starts if count <= 2 * OUTER_LINES + INNER_LINES else make_line_sampler(count)(starts),
    )


def find_line_starts(text: str) -> list[int]:
    """Where each line starts, and where one more would."""
    return list(accumulate([len(line) + len(LINE_END) for line in text.split(LINE_END)], initial=0))


@lru_cache
def make_line_sampler(count: int) -> Callable[[Sequence[int]], tuple[int, ...]]:
    """Takes the starts of some lines of so many, and the last start, which is of no line."""
    step = (count - 2 * OUTER_LINES) / (INNER_LINES + 1)
    inner = [OUTER_LINES + round(number * step) for number in range(1, INNER_LINES + 1)]
    return itemgetter(*range(OUTER_LINES), *inner, *range(count - OUTER_LINES, count + 1))


def arrange_by_lines(
    handle: TextHandle, text: str, lines: PageLines, starts: Sequence[int]
) -> str | None:
    """The text with its lines in the order in which they are read; None where they do not tell.

    Headers and footers may be drawn before or after what stands between them, and columns one
    after the other. `lines` are some or all of those that start there.
    """
    if is_descending(lines):
        return text
    count = len(starts) - 1
    found = split_runs(lines)
    # A run that ends at one of the outer lines ends there for certain.
    inner = range(OUTER_LINES, len(lines.tops) - OUTER_LINES + 1)
    if len(lines.tops) < count and any(run.first in inner for run in found):
        lines = measure_lines(handle, starts)
        found = split_runs(lines)
    downwards = sorted(found, key=by_top)
    if not are_disjoint(downwards):
        if len(lines.tops) < count:
            lines = measure_lines(handle, starts)
            found = split_runs(lines)
        groups = group_runs(found)
        if len(found) > MAX_LINE_RUNS or any(map(may_be_cells, groups)):
            return None
        if not all(is_read_as_drawn(handle, group, lines) for group in groups):
            return None
        downwards = [run for group in groups for run in group]
    return LINE_END.join(
        [text[lines.starts[run.first] : lines.starts[run.last + 1] - 2] for run in downwards]
    )


def by_top(run: LineRun) -> float:
    """What runs are sorted by: the highest first."""
    return -run.top


def may_be_cells(group: Sequence[LineRun]) -> bool:
    """Whether runs side by side are too short for columns, and may be the cells of a table."""
    return len(group) > 1 and min(run.last - run.first for run in group) < MIN_COLUMN_RUN_LINES - 1


def group_runs(runs: Sequence[LineRun]) -> list[list[LineRun]]:
    """The runs that stand beside each other, as they are drawn; such groups from the top."""
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
    """Whether each line begins lower than the one before."""
    before = float("inf")
    for high, low in zip(lines.tops, lines.bottoms, strict=True):
        middle = (high + low) / 2
        if middle >= before - MIN_DROP_HEIGHTS * (high - low):
            return False
        before = middle
    return True


def split_runs(lines: PageLines) -> list[LineRun]:
    """The runs of lines, in the order in which they are drawn.

    A wide leap ends a run too: between lines that are known to be neighbours, which are the outer.
    """
    found = []
    inner = range(OUTER_LINES, len(lines.tops) - OUTER_LINES + 1)
    first, top, bottom = 0, lines.tops[0], lines.bottoms[0]
    before = float("inf")
    for number, (high, low) in enumerate(zip(lines.tops, lines.bottoms, strict=True)):
        middle, height = (high + low) / 2, high - low
        fall = before - middle
        if number and (
            fall <= MIN_DROP_HEIGHTS * height
            or (fall > MAX_DROP_HEIGHTS * height and number not in inner)
        ):
            found.append(LineRun(first, number - 1, top, bottom))
            first, top, bottom = number, high, low
        elif low < bottom:
            bottom = low
        before = middle
    return [*found, LineRun(first, len(lines.tops) - 1, top, bottom)]


def are_disjoint(downwards: Sequence[LineRun]) -> bool:
    """Whether each run, from the top, ends where the next one begins, or above."""
    bottom = float("inf")
    for run in downwards:
        if run.top > bottom + MAX_OVERLAP_HEIGHTS * (run.top - run.bottom) / (
            run.last - run.first + 1
        ):
            return False
        bottom = min(bottom, run.bottom)
    return True


def is_read_as_drawn(handle: TextHandle, group: Sequence[LineRun], lines: PageLines) -> bool:
    """Whether runs are read as they are drawn: one below the other, or left before right."""
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
    """The numbers of the lines of a run, and how far right they end."""
    numbers = range(run.first, run.last + 1)
    last = [starts[number + 1] - len(LINE_END) - 1 for number in numbers]
    yield from zip(numbers, list_char_edges(handle, last)[2::BOX_FIELDS], strict=True)


def lines_beside(lines: PageLines, run: LineRun, other: LineRun) -> list[int]:
    """The lines of a run that stand beside another."""
    return [
        n
        for n in range(run.first, run.last + 1)
        if lines.bottoms[n] < other.top and other.bottom < lines.tops[n]
    ]
