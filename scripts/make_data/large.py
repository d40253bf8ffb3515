"""Make one very long PDF out of the handbook's sentences, to measure time and memory with."""

import re
from collections.abc import Iterator
from io import BytesIO
from itertools import cycle, islice
from random import Random

from fonts import SANS, SERIF, register_family
from reportlab.lib.pagesizes import A5
from reportlab.lib.utils import simpleSplit
from reportlab.pdfgen.canvas import Canvas
from texts import parse

PAGES_PER_CHAPTER = 50
PAGES_PER_SECTION = 10
SIZE, LEADING, MARGIN = 11, 15, 50
LINES_PER_PAGE = 29


def typeset_large(text: str, pages: int) -> bytes:
    """Fill the pages with real sentences in a new order, a chapter every fifty pages.

    Sentences are shuffled rather than invented, so that chunks and embeddings cost what they cost
    for a real book; the seed makes every run write the same book.
    """
    register_family(SERIF)
    register_family(SANS)
    random = Random("large")
    blocks = parse(text).blocks
    prose = " ".join(block.text for block in blocks if block.kind == "paragraph")
    sentences = re.split(r"(?<=[.!?]) (?=[A-Z])", prose.replace("**", ""))
    titles = [block.text for block in blocks if block.kind == "heading" and block.level > 1]
    next_title = cycle(random.sample(titles, len(titles)))
    lines = write_lines(random, sentences)

    file = BytesIO()
    canvas = Canvas(file, pagesize=A5, invariant=1, pageCompression=1, initialFontName=SERIF)
    canvas.setTitle("The Long Handbook")
    canvas.setAuthor("Larkfield Instruments")
    canvas.showOutline()
    chapter = ""
    for page in range(pages):
        heading = ""
        if page % PAGES_PER_SECTION == 0:
            heading = next(next_title)
            level = 1
            if page % PAGES_PER_CHAPTER == 0:
                level = 0
                heading = chapter = f"{page // PAGES_PER_CHAPTER + 1} {heading}"
            canvas.bookmarkPage(f"page {page}")
            canvas.addOutlineEntry(heading, f"page {page}", level)
        draw_page(canvas, chapter, heading, page + 1, list(islice(lines, LINES_PER_PAGE)))
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def write_lines(random: Random, sentences: list[str]) -> Iterator[str]:
    """Break paragraphs of shuffled sentences into lines, without end."""
    while True:
        paragraph = " ".join(random.sample(sentences, random.randint(3, 6)))
        yield from simpleSplit(paragraph, SERIF, SIZE, A5[0] - 2 * MARGIN)
        yield ""


def draw_page(canvas: Canvas, chapter: str, heading: str, number: int, lines: list[str]) -> None:
    width, height = A5
    canvas.setFont(SANS, 8)
    canvas.drawString(MARGIN, height - 34, f"The Long Handbook   {chapter}")
    canvas.drawCentredString(width / 2, 28, str(number))
    if heading:
        canvas.setFont(f"{SANS} Bold", 14)
        canvas.drawString(MARGIN, height - 66, heading)
    text = canvas.beginText(MARGIN, height - 90)
    text.setFont(SERIF, SIZE, LEADING)
    text.textLines(lines)
    canvas.drawText(text)
