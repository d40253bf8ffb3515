"""Render charts as SVG for embedding in HTML, without scripts, styles or ids.

The style sheet of the page colours them by class, so they follow its light and dark mode.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pygal
from pygal.style import Style

from ingest.runtime.bottleneck import format_amount

CHART_WIDTH, CHART_HEIGHT = 460, 170  # SVG units; nearly full size on a phone
MAX_VALUE_TICKS, MAX_TIME_TICKS = 3, 6
LABEL_STYLE = Style(label_font_size=13, major_label_font_size=13, font_family="sans-serif")
# Distances between ticks of a time axis: round numbers of seconds, minutes and hours.
CLOCK_STEPS_SECONDS = (
    *(1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 18_000, 36_000, 86_400),
)

DROPPED_TAGS = ("defs", "title", "desc")  # scripts, styles, and texts for tooltips by script

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Chart:
    """Line chart over time, filled down to zero, with an optional limit line."""

    label: str  # text alternative for screen readers
    points: Sequence[Point]
    x_labels: Sequence[float]  # x values that get a label
    format_x: Callable[[float], str]  # formats such a label
    min_top: float = 0.0  # the vertical axis reaches at least this value
    limit: float = 0.0  # y value of the limit line; 0 for none
    dots: bool = False  # mark each point
    is_share: bool = False  # values are from 0 to 1, labelled as percentages


def render_chart(chart: Chart) -> str:
    """Render the chart as an `<svg>` element."""
    highest = max(chart.min_top, chart.limit, *(y for _, y in chart.points)) or 1.0
    y_labels = axis_ticks(highest, MAX_VALUE_TICKS)
    graph: Any = pygal.XY(
        width=CHART_WIDTH,
        height=CHART_HEIGHT,
        margin=0,
        margin_right=12,
        margin_left=8,
        margin_bottom=4,
        spacing=6,
        css=[],
        js=[],
        no_prefix=True,
        disable_xml_declaration=True,
        style=LABEL_STYLE,
        show_legend=False,
        show_dots=chart.dots,
        dots_size=3,
        fill=True,
        range=(0, max(highest, y_labels[-1])),
        xrange=(chart.x_labels[0], max(chart.x_labels[-1], chart.points[-1][0])),
        x_value_formatter=chart.format_x,
        value_formatter=format_percent if chart.is_share else format_number,
    )
    graph.x_labels, graph.y_labels = list(chart.x_labels), y_labels
    graph.add("", list(chart.points))
    if chart.limit:
        ends = [(chart.points[0][0], chart.limit), (chart.points[-1][0], chart.limit)]
        graph.add("", ends, fill=False, show_dots=False)
    graph.add_xml_filter(lambda root: strip_svg(root, chart.label))
    text: str = graph.render()
    return text


def strip_svg(root: Any, label: str) -> Any:
    """Remove all but the drawing, and add the text alternative."""
    for parent in list(root.iter()):
        for child in list(parent):
            tooltip = "tooltip-overlay" in str(child.get("class") or "")
            if not isinstance(child.tag, str) or child.tag in DROPPED_TAGS or tooltip:
                parent.remove(child)
    root.attrib.pop("id", None)
    root.attrib.update({"role": "img", "aria-label": label, "class": "chart"})
    return root


def step_points(values: Sequence[float], every: float, end: float) -> list[Point]:
    """Return the points of a step line; a value holds for `every` seconds, the last until `end`."""
    points: list[Point] = []
    for index, value in enumerate(values):
        start = index * every
        points += [(start, value), (max(start, min(start + every, end)), value)]
    return points


def axis_ticks(highest: float, max_ticks: int) -> list[float]:
    """Return round numbers from 0 to the highest value or just above it."""
    rough = highest / max_ticks
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * n for n in (1, 2, 5, 10) if unit * n >= rough * 0.999)
    return [round(step * n, 10) for n in range(math.ceil(highest / step * 0.999) + 1)]


def clock_ticks(seconds: float) -> list[float]:
    """Return round times, in seconds, from the start of a run to its end."""
    step = next(
        (s for s in CLOCK_STEPS_SECONDS if seconds / s <= MAX_TIME_TICKS), CLOCK_STEPS_SECONDS[-1]
    )
    if seconds < CLOCK_STEPS_SECONDS[0]:
        return [0, seconds]
    return [float(step * n) for n in range(int(seconds / step) + 1)]


def format_elapsed(seconds: float) -> str:
    """Format the seconds since the start of a run: 0, 30 s, 5 min, 2 h."""
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds / unit:.0f} {name}"
    if seconds >= 60:  # noqa: PLR2004 - a minute
        return f"{seconds / 60:g} min"
    return f"{seconds:.3g} s" if seconds else "0"


def format_number(value: float) -> str:
    """Format a number of an axis: 0.5, 20, 350k."""
    return format_amount(value) if value >= 1000 else f"{value:g}"  # noqa: PLR2004 - thousands


def format_percent(share: float) -> str:
    """Format a share, from 0 to 1, as a percentage: 50%."""
    return f"{share:.0%}"
