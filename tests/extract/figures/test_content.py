"""By what a figure is known again: the objects that draw it, not their image or their place."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageDraw
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from ingest.extract.document import ExtractOptions, extract
from ingest.models import Figure


def only_figure(draw: str, moved: float = 0.0, changed: str = "") -> Figure:
    """The figure of a page, drawn further up or otherwise."""
    out = io.BytesIO()
    canvas = Canvas(out, (500, 700), invariant=True)
    canvas.drawString(30, 660, "A paragraph above it.")
    {"chart": draw_chart, "mask": draw_masked}[draw](canvas, 300 + moved, changed)
    canvas.drawString(80, 245 + moved, "Figure 1. Something that is shown")
    canvas.drawString(30, 100, "A paragraph below it.")
    canvas.save()
    (figure,) = extract(out.getvalue(), ExtractOptions(describes=True)).figures
    return figure


def draw_chart(canvas: Canvas, bottom: float, changed: str) -> None:
    """Axes with ticks, a curve and a label."""
    canvas.line(80, bottom, 380, bottom)
    canvas.line(80, bottom, 80, bottom + 200)
    for n in range(1, 8):
        canvas.line(76, bottom + 25 * n, 80, bottom + 25 * n)
    canvas.setStrokeColorRGB(*((0, 0, 1) if changed == "colour" else (1, 0, 0)))
    curve = canvas.beginPath()
    curve.moveTo(80, bottom + 10)
    for n in range(1, 30):
        value = 37 * n + 40 * (changed == "value" and n == 12)
        curve.lineTo(80 + 10 * n, bottom + 10 + value % 170)
    canvas.drawPath(curve)
    canvas.drawString(180, bottom - 15, "Costs" if changed == "label" else "Sales")


def draw_masked(canvas: Canvas, bottom: float, changed: str) -> None:
    """A picture of one colour, seen through a mask."""
    mask = Image.new("L", (200, 200), 0)
    ImageDraw.Draw(mask).ellipse((20, 20, 180 if changed else 150, 150), fill=255)
    image = Image.new("RGBA", (200, 200), (0, 0, 200, 0))
    image.putalpha(mask)
    canvas.drawImage(ImageReader(image), 80, bottom, 200, 200, mask="auto")


@pytest.mark.parametrize("draw", ["chart", "mask"])
def test_a_figure_that_moved_is_known_again(draw: str) -> None:
    """A paragraph was added above it: nothing is paid again."""
    assert only_figure(draw, moved=13.21).content == only_figure(draw).content != ""


@pytest.mark.parametrize(
    ("draw", "changed"),
    [("chart", "colour"), ("chart", "value"), ("chart", "label"), ("mask", "m")],
)
def test_a_figure_that_changed_is_another_one(draw: str, changed: str) -> None:
    """One value, one colour, one label or only a mask: the old description would be wrong."""
    assert only_figure(draw, changed=changed).content != only_figure(draw).content


def test_the_paragraphs_around_a_figure_are_those_of_its_page() -> None:
    """They are sent with it, so that the model knows what it looks at."""
    figure = only_figure("chart")
    assert figure.before == "A paragraph above it."
    assert figure.after.endswith("A paragraph below it.")
    assert figure.size == pytest.approx((306, 216), abs=3)
