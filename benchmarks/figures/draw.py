"""Draw charts, diagrams, maps, photographs and screenshots from a seed.

Runs in an environment of its own.
"""

from __future__ import annotations

import io
from html import escape
from pathlib import Path
from random import Random
from typing import Any

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFilter

mpl.use("Agg")
import matplotlib.pyplot as plt

WORDS = [
    *("revenue", "output", "demand", "supply", "north", "south", "energy", "water", "region"),
    *("sample", "growth", "price", "margin", "visits", "users", "storage", "latency", "budget"),
    *("health", "income", "median", "target", "cohort", "harvest", "traffic"),
]
COLOURS = ["#336699", "#cc6633", "#558844", "#884488", "#bb9933", "#3a8f8f", "#777777"]


def words(random: Random, count: int) -> str:
    """Return some words."""
    return " ".join(random.choice(WORDS) for _ in range(count))


def draw_chart(random: Random, kind: str, width: float, height: float, target: Path) -> None:
    """Draw a chart of a size in points; the ending of the file is its format."""
    style = random.choice(["default", "ggplot", "bmh", "fivethirtyeight", "classic", "grayscale"])
    rng = np.random.default_rng(random.randrange(1 << 30))
    with plt.style.context(style):
        mpl.rcParams["svg.fonttype"] = random.choice(["none", "path"])
        mpl.rcParams["font.family"] = "DejaVu Sans"
        mpl.rcParams["font.size"] = random.choice([6, 7, 8, 9])
        mpl.rcParams["axes.titlesize"] = mpl.rcParams["axes.labelsize"] = 8
        mpl.rcParams["xtick.labelsize"] = mpl.rcParams["ytick.labelsize"] = 7
        options = {"projection": "polar"} if kind == "polar" else {}
        figure, axes = plt.subplots(figsize=(width / 72, height / 72), subplot_kw=options)
        CHARTS[kind](axes, rng, random)
        if kind not in {"pie", "polar", "heatmap"}:
            axes.set_xlabel(words(random, 1))
            axes.set_ylabel(words(random, 1))
            if random.random() < 0.3:
                axes.spines[["top", "right"]].set_visible(False)
            if random.random() < 0.4:
                axes.grid(visible=True)
        if random.random() < 0.5:
            axes.set_title(words(random, 3))
        if axes.get_legend_handles_labels()[1] and random.random() < 0.7:
            axes.legend(fontsize=6)
        figure.tight_layout()
        figure.savefig(target, dpi=150)
        plt.close(figure)


def lines(axes: Any, rng: Any, random: Random) -> None:
    """Draw lines."""
    for n in range(random.randint(1, 4)):
        axes.plot(rng.normal(size=random.choice([8, 40, 200])).cumsum(), label=WORDS[n])


def bars(axes: Any, rng: Any, random: Random) -> None:
    """Draw bars."""
    names = [random.choice(WORDS)[:6] + str(n) for n in range(random.randint(3, 8))]
    axes.bar(names, rng.uniform(1, 9, len(names)), label=random.choice(WORDS))


def bars_level(axes: Any, rng: Any, random: Random) -> None:
    """Draw bars level."""
    names = [random.choice(WORDS) + str(n) for n in range(random.randint(3, 8))]
    axes.barh(names, rng.uniform(1, 9, len(names)))


def stacked(axes: Any, rng: Any, random: Random) -> None:
    """Draw stacked."""
    base = np.zeros(5)
    for n in range(3):
        more = rng.uniform(1, 5, 5)
        axes.bar(range(5), more, bottom=base, label=WORDS[n])
        base += more


def scatter(axes: Any, rng: Any, random: Random) -> None:
    """Draw scatter."""
    axes.scatter(rng.normal(size=60), rng.normal(size=60), s=random.choice([4, 12, 40]), label="a")


def pie(axes: Any, rng: Any, random: Random) -> None:
    """Draw pie."""
    parts = rng.uniform(1, 5, random.randint(3, 6))
    axes.pie(parts, labels=[random.choice(WORDS) for _ in parts], autopct="%1.0f%%")


def histogram(axes: Any, rng: Any, random: Random) -> None:
    """Draw histogram."""
    axes.hist(rng.normal(size=500), bins=random.choice([8, 20, 40]))


def area(axes: Any, rng: Any, random: Random) -> None:
    """Draw area."""
    axes.stackplot(range(12), rng.uniform(1, 4, (3, 12)), labels=WORDS[:3])


def boxes(axes: Any, rng: Any, random: Random) -> None:
    """Draw boxes."""
    axes.boxplot([rng.normal(size=40) for _ in range(random.randint(3, 6))])


def heatmap(axes: Any, rng: Any, random: Random) -> None:
    """Draw heatmap."""
    shown = axes.imshow(rng.uniform(size=(8, 10)), aspect="auto")
    if random.random() < 0.6:
        axes.figure.colorbar(shown)


def polar(axes: Any, rng: Any, random: Random) -> None:
    """Draw polar."""
    axes.plot(np.linspace(0, 6.28, 60), rng.uniform(1, 2, 60))


def errors(axes: Any, rng: Any, random: Random) -> None:
    """Draw errors."""
    axes.errorbar(range(7), rng.uniform(2, 6, 7), yerr=rng.uniform(0.2, 1, 7), fmt="o", label="m")


def steps(axes: Any, rng: Any, random: Random) -> None:
    """Draw steps."""
    axes.step(range(20), rng.uniform(size=20), label="s")


CHARTS = {
    "lines": lines, "bars": bars, "bars level": bars_level, "stacked": stacked,
    "scatter": scatter, "pie": pie, "histogram": histogram, "area": area, "boxes": boxes,
    "heatmap": heatmap, "polar": polar, "errors": errors, "steps": steps,
}  # fmt: skip


def draw_diagram(random: Random, kind: str, width: float, height: float) -> str:
    """Return a diagram or a map of a size in points as SVG."""
    parts = DIAGRAMS[kind](random, width, height)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}pt" height="{height}pt" '
        f'viewBox="0 0 {width} {height}" font-family="DejaVu Sans" font-size="8">'
        f'<defs><marker id="arrow" markerWidth="8" markerHeight="8" refX="6" refY="3" '
        f'orient="auto"><path d="M0,0 L6,3 L0,6 z"/></marker></defs>{"".join(parts)}</svg>'
    )


def node(random: Random, place: tuple[float, float, float, float], radius: float) -> str:
    """Return a box with a word as SVG."""
    x, y, w, h = place
    fill = random.choice(["white", "#e8eef7", "#fff2cc", "#d5e8d4"])
    return (
        f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="{radius}" fill="{fill}" '
        f'stroke="#333"/><text x="{x + w / 2}" y="{y + h / 2 + 3}" text-anchor="middle">'
        f"{escape(words(random, 1))}</text>"
    )


def flow(random: Random, width: float, height: float) -> list[str]:
    """Return flow as SVG."""
    count = random.randint(3, 4)
    radius = random.choice([0, 4, 10])
    w, h = width / (count * 1.5), min(34.0, height / 3)
    parts = []
    for row in range(2):
        y = 2 + row * (height - h - 4)
        for n in range(count):
            x = 1 + n * (width - w - 2) / (count - 1)
            parts.append(node(random, (x, y, w, h), radius))
            if n:
                end = x - 1
                start = x - (width - w - 2) / (count - 1) + w
                parts.append(arrow(start, y + h / 2, end, y + h / 2))
    x = 1 + w / 2
    parts.append(arrow(x, 2 + h, x, height - h - 3))
    return parts


def arrow(x: float, y: float, to_x: float, to_y: float) -> str:
    """Return arrow as SVG."""
    return (
        f'<line x1="{x}" y1="{y}" x2="{to_x}" y2="{to_y}" stroke="black" marker-end="url(#arrow)"/>'
    )


def organisation(random: Random, width: float, height: float) -> list[str]:
    """Return organisation as SVG."""
    count = random.randint(3, 5)
    w, h = width / (count * 1.3), 22
    top = width / 2 - w / 2
    parts = [node(random, (top, 1, w, h), 0)]
    middle = height / 2
    parts.append(f'<path d="M{width / 2},{h + 1} V{middle}" stroke="#333" fill="none"/>')
    for n in range(count):
        x = 1 + n * (width - w - 2) / (count - 1)
        parts.append(node(random, (x, height - h - 1, w, h), 0))
        parts.append(
            f'<path d="M{width / 2},{middle} H{x + w / 2} V{height - h - 1}" '
            f'stroke="#333" fill="none"/>'
        )
    return parts


def circles(random: Random, width: float, height: float) -> list[str]:
    """Return circles as SVG."""
    radius = min(width / 3, height / 2) - 2
    parts = []
    for n in range(3):
        x = radius + 1 + n * (width - 2 * radius - 2) / 2
        parts.append(
            f'<circle cx="{x}" cy="{height / 2}" r="{radius}" fill="{COLOURS[n]}" '
            f'fill-opacity="0.3" stroke="#333"/><text x="{x}" y="{height / 2}" '
            f'text-anchor="middle">{words(random, 1)}</text>'
        )
    return parts


def network(random: Random, width: float, height: float) -> list[str]:
    """Return network as SVG."""
    points = [(random.uniform(12, width - 12), random.uniform(12, height - 12)) for _ in range(9)]
    parts = []
    for n, (x, y) in enumerate(points[1:]):
        to = points[random.randint(0, n)]
        parts.append(f'<line x1="{x}" y1="{y}" x2="{to[0]}" y2="{to[1]}" stroke="#555"/>')
    parts += [
        f'<circle cx="{x}" cy="{y}" r="10" fill="#fff" stroke="#333"/>'
        f'<text x="{x}" y="{y + 3}" text-anchor="middle">{n}</text>'
        for n, (x, y) in enumerate(points)
    ]
    return parts


def map_of_regions(random: Random, width: float, height: float) -> list[str]:
    """Return map of regions as SVG."""
    parts = []
    for column in range(4):
        for row in range(3):
            x, y = column * width / 4, row * height / 3
            corners = " ".join(
                f"{x + width / 4 * a + random.uniform(-6, 6) * 0.8:.1f},"
                f"{y + height / 3 * b + random.uniform(-6, 6) * 0.8:.1f}"
                for a, b in (
                    (0.05, 0.05),
                    (0.5, 0),
                    (0.95, 0.05),
                    (1, 0.6),
                    (0.9, 0.95),
                    (0.1, 0.9),
                )
            )
            colour = random.choice(COLOURS)
            parts.append(
                f'<polygon points="{corners}" fill="{colour}" fill-opacity="0.6" stroke="white"/>'
            )
            if random.random() < 0.6:
                parts.append(f'<text x="{x + 10}" y="{y + height / 6}">{words(random, 1)}</text>')
    return parts


def timeline(random: Random, width: float, height: float) -> list[str]:
    """Return timeline as SVG."""
    y = height / 2
    parts = [arrow(2, y, width - 4, y)]
    for n in range(5):
        x = 20 + n * (width - 50) / 4
        parts.append(f'<circle cx="{x}" cy="{y}" r="4" fill="{random.choice(COLOURS)}"/>')
        side = -10 if n % 2 else 16
        parts.append(f'<text x="{x}" y="{y + side}" text-anchor="middle">{2015 + n}</text>')
        parts.append(
            f'<text x="{x}" y="{y + 2.6 * side}" text-anchor="middle">{words(random, 1)}</text>'
        )
    return parts


DIAGRAMS = {
    "flow": flow, "organisation": organisation, "circles": circles, "network": network,
    "map": map_of_regions, "timeline": timeline,
}  # fmt: skip


def draw_photograph(random: Random, width: int, height: int) -> Image.Image:
    """Return a picture with the soft shapes and the grain of a photograph."""
    rng = np.random.default_rng(random.randrange(1 << 30))
    small = rng.uniform(0, 255, (6, 8, 3)).astype(np.uint8)
    picture = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    for _ in range(8):
        x, y = random.randrange(width), random.randrange(height)
        r = random.randrange(5, max(6, width // 5))
        draw.ellipse((x - r, y - r, x + r, y + r), fill=tuple(rng.integers(0, 255, 3).tolist()))
    grain = rng.normal(0, 8, (height, width, 3))
    soft = np.asarray(picture.filter(ImageFilter.GaussianBlur(2)), float) + grain
    return Image.fromarray(np.clip(soft, 0, 255).astype(np.uint8))


def draw_screenshot(random: Random, width: int, height: int) -> Image.Image:
    """Return a picture of a window with text and buttons."""
    picture = Image.new("RGB", (width, height), "#f4f4f4")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, width - 1, height - 1), outline="#888888")
    draw.rectangle((0, 0, width, 24), fill="#3c5a80")
    draw.text((6, 6), words(random, 3), fill="white")
    for y in range(34, height - 30, 22):
        draw.text((10, y), words(random, 4), fill="black")
        if random.random() < 0.4:
            draw.rectangle((width // 2, y - 2, width - 20, y + 14), outline="#555555", fill="white")
    draw.rectangle((width - 90, height - 28, width - 10, height - 6), fill="#2d7d46")
    return picture


def as_jpeg(picture: Image.Image) -> bytes:
    """Encode a picture as JPEG."""
    file = io.BytesIO()
    picture.convert("RGB").save(file, "JPEG", quality=80)
    return file.getvalue()
