"""The text of a document is that of any machine, whatever fonts are installed."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from ingest.extract.engines.pdfium import Pdfium
from tests.pdfs import pdf

READ_COUNT = Path("/proc/thread-self/io")


def draw_unembedded() -> bytes:
    """A page in a Japanese and in a Latin font, both of which the viewer has to have."""
    pdfmetrics.registerFont(UnicodeCIDFont("HeiseiMin-W3"))
    out = io.BytesIO()
    canvas = Canvas(out, invariant=True)
    for y, font, text in (
        (700, "HeiseiMin-W3", "水位計の手引き"),
        (650, "Times-Roman", "Plain words"),
    ):
        canvas.setFont(font, 12)
        canvas.drawString(72, y, text)
    canvas.save()
    return out.getvalue()


def bytes_read() -> int:
    """The number of bytes that this thread has read from files."""
    return int(READ_COUNT.read_text().split()[1])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts what a thread reads")
def test_no_font_of_the_machine_is_read() -> None:
    """Fonts are not looked up on this machine, so installing one changes no text."""
    data = draw_unembedded()
    Pdfium(pdf("Loads", "what any page needs"), ()).text(1)
    cost = -bytes_read() + bytes_read()
    before = bytes_read()
    engine = Pdfium(data, ())
    assert engine.text(0).split() == ["水位計の手引き", "Plain", "words"]
    assert bytes_read() - before == cost
