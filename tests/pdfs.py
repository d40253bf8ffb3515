"""Make PDFs."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Sequence
from pathlib import Path

import pypdf
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas


def pdf(*pages: str, title: str = "", outline: Sequence[tuple[int, str, int]] = ()) -> bytes:
    """A PDF with these texts as its pages; `outline` has levels from 1, titles, pages from 1."""
    out = io.BytesIO()
    canvas = Canvas(out, invariant=True, pageCompression=0)
    canvas.setTitle(title)
    for number, text in enumerate(pages, 1):
        for level, entry, page in outline:
            if page == number:
                canvas.bookmarkPage(f"{number} {entry}")
                canvas.addOutlineEntry(entry, f"{number} {entry}", level - 1)
        lines = text.split("\n")
        height = max(A4[1], 12 * len(lines) + 60)  # no line is outside of the page
        canvas.setPageSize((A4[0], height))
        place = canvas.beginText(50, height - A4[1] + 800)
        place.setFont("Helvetica", 10)
        for line in lines:
            place.textLine(line)
        canvas.drawText(place)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def write(path: Path, *pages: str, age: float = 100.0) -> Path:
    """A PDF on disk, old enough that its time can be trusted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pdf(*pages))
    return set_age(path, age)


def to_bytes(writer: pypdf.PdfWriter) -> bytes:
    """The file that a writer of pypdf makes."""
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def set_age(path: Path, age: float = 100.0) -> Path:
    """Set a file's time back by `age` seconds."""
    then = time.time() - age
    os.utime(path, (then, then))
    return path


def prose(topic: str, sentences: int = 40) -> str:
    """Distinct sentences on a topic, a line each."""
    return "\n".join(
        f"Sentence {n} says of {topic} that item {n * 7} costs {n * 13} crowns in year {1900 + n}."
        for n in range(1, sentences + 1)
    )


def objects_pdf(*objects: str) -> bytes:
    """A PDF of these objects, numbered from 1; the first is the catalog."""
    out = b"%PDF-1.7\n"
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content.encode("latin-1"))
    size = len(objects) + 1
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % size
    return (
        out
        + head
        + table
        + b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(out))
    )


def stream(content: str, entries: str = "") -> str:
    """A stream object."""
    return f"<< /Length {len(content)} {entries} >>\nstream\n{content}\nendstream"


def draw_text(text: str, y: int, x: int = 72) -> str:
    """Operators that draw a text in the font F1."""
    return f"BT /F1 12 Tf {x} {y} Td ({text}) Tj ET "
