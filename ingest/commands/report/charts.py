"""Charts as SVG that stands in a page: no script, no style, no id of its own.

The page's style sheet colours them by their classes, so they follow its light and its dark.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pygal
from pygal.style import Style

from ingest.runtime.bottleneck import amount

WIDTH, HEIGHT = 460, 170  # units; a phone shows them nearly as large as they are
FEW, MOST_TICKS = 3, 6
LABELS = Style(label_font_size=13, major_label_font_size=13, font_family="sans-serif")
# Seconds, for a person who reads a clock.
CLOCK = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 18_000, 36_000, 86_400]

UNWANTED = ("defs", "title", "desc")  # scripts, styles and what scripts would show

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Chart:
    """One line over time, filled down to zero, and a limit if there is one."""

    says: str  # the same in words, for who does not see it
    points: Sequence[Point]
    across: Sequence[float]  # labels of the horizontal axis, where they stand
    name: Callable[[float], str]  # of such a label
    top: float = 0.0  # the least that the vertical axis shows
    limit: float = 0.0  # a line across, 0 for none
    dots: bool = False
    share: bool = False  # the values are shares, of 0 to 1


def drawn(chart: Chart) -> str:
    """The chart as an element of HTML."""
    highest = max(chart.top, chart.limit, *(y for _, y in chart.points)) or 1.0
    up = ticks(highest, FEW)
    graph: Any = pygal.XY(
        width=WIDTH,
        height=HEIGHT,
        margin=0,
        margin_right=12,
        margin_left=8,
        margin_bottom=4,
        spacing=6,
        css=[],
        js=[],
        no_prefix=True,
        disable_xml_declaration=True,
        style=LABELS,
        show_legend=False,
        show_dots=chart.dots,
        dots_size=3,
        fill=True,
        range=(0, max(highest, up[-1])),
        xrange=(chart.across[0], max(chart.across[-1], chart.points[-1][0])),
        x_value_formatter=chart.name,
        value_formatter=percent if chart.share else plain_number,
    )
    graph.x_labels, graph.y_labels = list(chart.across), up
    graph.add("", list(chart.points))
    if chart.limit:
        ends = [(chart.points[0][0], chart.limit), (chart.points[-1][0], chart.limit)]
        graph.add("", ends, fill=False, show_dots=False)
    graph.add_xml_filter(lambda root: bare(root, chart.says))
    text: str = graph.render()
    return text


def bare(root: Any, says: str) -> Any:
    """The drawing alone, and what it says for who does not see it."""
    for parent in list(root.iter()):
        for child in list(parent):
            tooltip = "tooltip-overlay" in str(child.get("class") or "")
            if not isinstance(child.tag, str) or child.tag in UNWANTED or tooltip:
                parent.remove(child)
    root.attrib.pop("id", None)
    root.attrib.update({"role": "img", "aria-label": says, "class": "chart"})
    return root


def steps(values: Sequence[float], every: float, end: float) -> list[Point]:
    """Values that each hold for a stretch, as a line of steps that ends where the run did."""
    found: list[Point] = []
    for place, value in enumerate(values):
        begins = place * every
        found += [(begins, value), (max(begins, min(begins + every, end)), value)]
    return found


def ticks(highest: float, most: int) -> list[float]:
    """Round numbers from 0 up to the highest or just above it."""
    rough = highest / most
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * by for by in (1, 2, 5, 10) if unit * by >= rough * 0.999)
    return [round(step * n, 10) for n in range(math.ceil(highest / step * 0.999) + 1)]


def clock(seconds: float) -> list[float]:
    """Round times from the start of a run to its end."""
    step = next((s for s in CLOCK if seconds / s <= MOST_TICKS), CLOCK[-1])
    if seconds < CLOCK[0]:
        return [0, seconds]
    return [float(step * n) for n in range(int(seconds / step) + 1)]


def elapsed(seconds: float) -> str:
    """A time since the start of a run: 0, 30 s, 5 min, 2 h."""
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds / unit:.0f} {name}"
    if seconds >= 60:  # noqa: PLR2004 - a minute
        return f"{seconds / 60:g} min"
    return f"{seconds:.3g} s" if seconds else "0"


def plain_number(value: float) -> str:
    """A number of an axis: 0.5, 20, 350k."""
    return amount(value) if value >= 1000 else f"{value:g}"  # noqa: PLR2004 - thousands


def percent(share: float) -> str:
    """A share of an axis: 50%."""
    return f"{share:.0%}"
