"""A picture of a quota's use: bars of charged tokens over time, refusals, the limit as a line.

An SVG by hand, because it is one kind of picture; it follows the reader's light or dark theme.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

SLOT = 5.0  # seconds of a bar
WIDTH, HEIGHT, LEFT, TOP = 860, 190, 64, 34  # pixels of a panel, and where its bars begin

STYLE = """
text { font: 12px sans-serif; fill: #57606a } .title { font-weight: 600; fill: #24292f }
.ours { fill: #2f81f7 } .others { fill: #d29922 } .limit { stroke: #57606a; stroke-dasharray: 5 4 }
.axis { stroke: #8c959f; stroke-width: 0.5 } .refused { fill: #e5484d }
@media (prefers-color-scheme: dark) {
  text { fill: #9198a1 } .title { fill: #f0f6fc } .limit { stroke: #9198a1 }
}
"""
LEGEND = (
    '<tspan class="ours">■</tspan> this run  <tspan class="others">■</tspan> another client  '
    f'<tspan class="refused">●</tspan> refused  ┄ the limit; tokens in {SLOT:.0f} s'
)


@dataclass(frozen=True, slots=True)
class Use:
    """Charges to a quota in one run; times are seconds from its first request."""

    title: str
    a_minute: float  # tokens: the limit
    ours: Sequence[tuple[float, float]]  # when, tokens
    refused: Sequence[float]
    others: Sequence[tuple[float, float]] = field(default=())


def picture(uses: Sequence[Use]) -> str:
    """The SVG, one panel below the other."""
    high = len(uses) * (HEIGHT + TOP)
    parts = [part for n, use in enumerate(uses) for part in panel(use, n * (HEIGHT + TOP) + TOP)]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {high}">'
    return "\n".join([head, f"<style>{STYLE}</style>", *parts, "</svg>\n"])


def panel(use: Use, top: int) -> Iterator[str]:
    """One run: the title and what is what, the bars, the limit, the minutes, the refusals."""
    slots = int(max(at for at, _ in use.ours) / SLOT) + 1
    wide, high = (WIDTH - LEFT - 10) / slots, HEIGHT - 30
    limit = use.a_minute * SLOT / 60
    bars = [(charged(use.ours, n), charged(use.others, n)) for n in range(slots)]
    scale = high / (1.1 * max(limit, *map(sum, bars)))
    yield f'<text class="title" x="{LEFT}" y="{top - 14}">{use.title}</text>'
    yield f'<text x="{WIDTH - 10}" y="{top - 14}" text-anchor="end">{LEGEND}</text>'
    for n, (ours, others) in enumerate(bars):
        x, level = LEFT + n * wide, float(top + high)
        for kind, amount in (("ours", ours), ("others", others)):
            level -= amount * scale
            shape = f'y="{level:.1f}" width="{wide - 1:.1f}" height="{amount * scale:.1f}"'
            yield f'<rect class="{kind}" x="{x:.1f}" {shape}/>'
    for value, name in ((0.0, "0"), (limit, f"{limit:,.0f}")):
        y, kind = top + high - value * scale, "limit" if value else "axis"
        yield f'<line class="{kind}" x1="{LEFT}" x2="{WIDTH - 10}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{name}</text>'
    for minute in range(int((slots - 2) * SLOT / 60) + 1):
        x = LEFT + minute * 60 / SLOT * wide
        yield f'<text x="{x:.1f}" y="{top + high + 16}" text-anchor="middle">{minute} min</text>'
    for at in use.refused:
        yield f'<circle class="refused" cx="{LEFT + at / SLOT * wide:.1f}" cy="{top + 3}" r="3"/>'


def charged(requests: Sequence[tuple[float, float]], slot: int) -> float:
    """The tokens of a slot."""
    return sum(tokens for at, tokens in requests if slot * SLOT <= at < (slot + 1) * SLOT)
