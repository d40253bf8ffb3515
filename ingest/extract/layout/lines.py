"""What the lines of a page tell, each by its first character: enough for most pages.

This runs for every page, so it counts microseconds: some of the lines are asked for first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from operator import itemgetter

from ingest.extract.engines.pdfium_raw import FIELDS, Text, edges

END = "\r\n"  # of a line, as PDFium writes it

DOWN = 0.25  # in heights: a line that begins so much lower follows the one before
LEAP = 8  # in heights: a line that begins so much lower follows nothing
OVER = 0.3  # in heights: runs may reach so far into each other
COLUMN = 3  # lines at least
RUNS = 6  # of lines: a page with more is looked at word by word

OUTER = 3  # lines at either end of a page that are always asked for
INNER = 4  # of those between, about


@dataclass(slots=True)
class Lines:
    """Some lines of a page, one entry a line, heights in points."""

    starts: Sequence[int]  # in the text; one more, where the next would begin
    lefts: list[float]
    tops: list[float]  # up is positive
    bottoms: list[float]


@dataclass(slots=True)
class Run:
    """Lines that follow each other downwards: their numbers, and how high they reach."""

    first: int
    last: int
    top: float
    bottom: float


def known(handle: Text, starts: Sequence[int]) -> Lines:
    """The lines that start there; the last entry is where the next one would."""
    boxes = edges(handle, starts[:-1])
    return Lines(starts, boxes[::FIELDS], boxes[1::FIELDS], boxes[3::FIELDS])


def every(handle: Text, text: str) -> Lines:
    """All lines of a page."""
    return known(handle, starts_of(text))


def some(handle: Text, starts: Sequence[int]) -> Lines:
    """A few of the lines: the outer ones, and some between; all where there are not many."""
    count = len(starts) - 1
    return known(handle, starts if count <= 2 * OUTER + INNER else chosen(count)(starts))


def starts_of(text: str) -> list[int]:
    """Where each line starts, and where one more would."""
    return list(accumulate([len(line) + len(END) for line in text.split(END)], initial=0))


@lru_cache
def chosen(count: int) -> Callable[[Sequence[int]], tuple[int, ...]]:
    """Takes the starts of some lines of so many, and the last start, which is of no line."""
    step = (count - 2 * OUTER) / (INNER + 1)
    inner = [OUTER + round(number * step) for number in range(1, INNER + 1)]
    return itemgetter(*range(OUTER), *inner, *range(count - OUTER, count + 1))


def by_lines(handle: Text, text: str, lines: Lines, starts: Sequence[int]) -> str | None:
    """The text with its lines in the order in which they are read; None where they do not tell.

    Headers and footers may be drawn before or after what stands between them, and columns one
    after the other. `lines` are some or all of those that start there.
    """
    if descending(lines):
        return text
    count = len(starts) - 1
    found = runs(lines)
    # A run that ends at one of the outer lines ends there for certain.
    inner = range(OUTER, len(lines.tops) - OUTER + 1)
    if len(lines.tops) < count and any(run.first in inner for run in found):
        lines = known(handle, starts)
        found = runs(lines)
    downwards = sorted(found, key=top)
    if not disjoint(downwards):
        if len(lines.tops) < count:
            lines = known(handle, starts)
            found = runs(lines)
        groups = grouped(found)
        if len(found) > RUNS or any(map(cells, groups)):
            return None
        if not all(beside(handle, group, lines) for group in groups):
            return None
        downwards = [run for group in groups for run in group]
    return END.join(
        [text[lines.starts[run.first] : lines.starts[run.last + 1] - 2] for run in downwards]
    )


def top(run: Run) -> float:
    """What runs are sorted by: the highest first."""
    return -run.top


def cells(group: Sequence[Run]) -> bool:
    """Whether runs side by side are too short for columns, and may be the cells of a table."""
    return len(group) > 1 and min(run.last - run.first for run in group) < COLUMN - 1


def grouped(found: Sequence[Run]) -> list[list[Run]]:
    """The runs that stand beside each other, as they are drawn; such groups from the top."""
    groups: list[list[Run]] = []
    bottom = float("inf")
    for run in sorted(found, key=top):
        if groups and run.top > bottom:
            groups[-1].append(run)
            bottom = min(bottom, run.bottom)
        else:
            groups.append([run])
            bottom = run.bottom
    return [sorted(group, key=lambda run: run.first) for group in groups]


def descending(lines: Lines) -> bool:
    """Whether each line begins lower than the one before."""
    before = float("inf")
    for high, low in zip(lines.tops, lines.bottoms, strict=True):
        middle = (high + low) / 2
        if middle >= before - DOWN * (high - low):
            return False
        before = middle
    return True


def runs(lines: Lines) -> list[Run]:
    """The runs of lines, in the order in which they are drawn.

    A wide leap ends a run too: between lines that are known to be neighbours, which are the outer.
    """
    found = []
    inner = range(OUTER, len(lines.tops) - OUTER + 1)
    first, top, bottom = 0, lines.tops[0], lines.bottoms[0]
    before = float("inf")
    for number, (high, low) in enumerate(zip(lines.tops, lines.bottoms, strict=True)):
        middle, height = (high + low) / 2, high - low
        fall = before - middle
        if number and (fall <= DOWN * height or (fall > LEAP * height and number not in inner)):
            found.append(Run(first, number - 1, top, bottom))
            first, top, bottom = number, high, low
        elif low < bottom:
            bottom = low
        before = middle
    return [*found, Run(first, len(lines.tops) - 1, top, bottom)]


def disjoint(downwards: Sequence[Run]) -> bool:
    """Whether each run, from the top, ends where the next one begins, or above."""
    bottom = float("inf")
    for run in downwards:
        if run.top > bottom + OVER * (run.top - run.bottom) / (run.last - run.first + 1):
            return False
        bottom = min(bottom, run.bottom)
    return True


def beside(handle: Text, group: Sequence[Run], lines: Lines) -> bool:
    """Whether runs are read as they are drawn: one below the other, or left before right."""
    if len(group) == 1:
        return True
    rights = {n: edge for run in group for n, edge in ends(handle, lines.starts, run)}
    for place, run in enumerate(group):
        for later in group[place + 1 :]:
            if later.top <= run.bottom:
                continue
            if later.bottom >= run.top:
                return False
            left = max((rights[n] for n in level(lines, run, later)), default=0.0)
            if left > min((lines.lefts[n] for n in level(lines, later, run)), default=left):
                return False
    return True


def ends(handle: Text, starts: Sequence[int], run: Run) -> Iterator[tuple[int, float]]:
    """The numbers of the lines of a run, and how far right they end."""
    numbers = range(run.first, run.last + 1)
    last = [starts[number + 1] - len(END) - 1 for number in numbers]
    yield from zip(numbers, edges(handle, last)[2::FIELDS], strict=True)


def level(lines: Lines, run: Run, other: Run) -> list[int]:
    """The lines of a run that stand beside another."""
    return [
        n
        for n in range(run.first, run.last + 1)
        if lines.bottoms[n] < other.top and other.bottom < lines.tops[n]
    ]
