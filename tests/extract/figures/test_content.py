"""By what a figure is known again: the objects that draw it, not their image or their place."""

from __future__ import annotations

import io
from collections.abc import Callable

import msgspec
import pytest
from PIL import Image, ImageDraw
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from ingest.extract.document import ExtractOptions, extract
from ingest.extract.figures.context import add_context
from ingest.models import Figure
from ingest.pipeline.reader.answer import DocumentAnswer, answer_with

BOX = (0.1, 0.1, 0.9, 0.5)


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
    assert (figure.before, figure.after) == ("A paragraph above it.", "A paragraph below it.")
    assert figure.size == pytest.approx((306, 216), abs=3)


TYPED = (
    "A first line\nand a second one.\nFigure 1. Valves\nof the river.\n%sA line below.\nThe end."
)


@pytest.mark.parametrize("gap", ["", "\n"])
@pytest.mark.parametrize("below", ["of the river.", "A line below."])
def test_the_paragraphs_end_at_the_figure(gap: str, below: str) -> None:
    """Most pages have no blank lines: what is below a figure is not sent as what is above it."""
    figure = Figure(1, BOX, caption="Figure 1. Valves", above="and a second one.", below=below)
    (found,) = add_context([figure], [TYPED % gap], [])
    assert found.before == "A first line and a second one."
    assert found.after in {"of the river. A line below. The end.", "A line below. The end."}


def test_a_long_page_is_sent_without_broken_words() -> None:
    """700 characters at most, those next to the figure."""
    page = "\n".join(f"Word{n} is here." for n in range(400))
    figure = Figure(1, BOX, above="Word200 is", below="Word201 is")
    (found,) = add_context([figure], [page], [])
    assert found.before.split()[0] in {"is", "here."} or found.before.startswith("Word1")
    assert found.before.endswith("Word200 is here.")
    assert found.after.startswith("Word201 is here. Word202")
    assert max(len(found.before), len(found.after)) <= 700


def hyphenate(canvas: Canvas) -> None:
    """Lines that end within words."""
    canvas.drawString(30, 660, "The readings were compared with the mea-")
    canvas.drawString(30, 648, "surements of the year.")
    canvas.drawImage(ImageReader(Image.effect_noise((60, 60), 90)), 80, 300, 300, 300)
    canvas.drawString(80, 285, "Figure 1. Gauges and their compari-")
    canvas.drawString(80, 273, "son with others")
    canvas.drawString(30, 200, "All of the sta-")
    canvas.drawString(30, 188, "tion master.")


def draw_tiles(canvas: Canvas) -> None:
    """A picture in 100 tiles."""
    canvas.drawString(30, 660, "A paragraph above it.")
    picture = Image.effect_noise((100, 100), 90)
    for x in range(10):
        for y in range(10):
            part = picture.crop((10 * x, 10 * y, 10 * x + 10, 10 * y + 10))
            canvas.drawImage(ImageReader(part), 80 + 30 * x, 570 - 30 * y, 30, 30)


def draw_overflow(canvas: Canvas) -> None:
    """A chart whose labels are partly beyond the edge of the page."""
    canvas.line(-5, 350, 495, 350)
    canvas.line(20, 350, 20, 520)
    for n in range(5):
        canvas.rect(40 + 90 * n, 350, 30, 30 + 37 * n % 90, fill=1)
        canvas.line(16, 350 + 40 * n, 20, 350 + 40 * n)
        canvas.drawString(-9, 347 + 40 * n, f"{n}000")
    canvas.drawString(30, 660, "A paragraph above it.")


@pytest.mark.parametrize(
    "draw", [hyphenate, draw_tiles, draw_overflow], ids=lambda one: one.__name__
)
def test_a_figure_of_any_maker_gets_out_of_the_sandbox(draw: Callable[[Canvas], None]) -> None:
    """An answer that the parent refuses would lose all figures of the document."""
    out = io.BytesIO()
    canvas = Canvas(out, (500, 700), invariant=True)
    draw(canvas)
    canvas.save()
    document = extract(out.getvalue(), ExtractOptions(describes=True))
    sent = msgspec.msgpack.encode(answer_with("0" * 64, document, "", ()))
    (figure,) = msgspec.msgpack.decode(sent, type=DocumentAnswer).figures
    if draw is hyphenate:
        assert figure.caption == "Figure 1. Gauges and their compari"
        assert figure.before.endswith("compared with the measurements of the year.")
        assert figure.after.endswith("All of the station master.")
