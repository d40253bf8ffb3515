"""Give documents the layouts that are hard to read: columns, tables, pages and lines turned."""

from collections.abc import Callable
from io import BytesIO

from fonts import SANS, SERIF, register_family
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import simpleSplit
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.pdfmetrics import registerFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Paragraph, Table
from texts import Document, parse
from typeset import BLUE, INK, PALE, RULE, fix_date

VERTICAL = "HeiseiMin-W3"  # not embedded: every viewer has one of its kind, in place of it


def draw(
    document: Document,
    paint: Callable[[Canvas], None],
    size: tuple[float, float] = A4,
    font: str = SERIF,
) -> bytes:
    """Let `paint` draw on a canvas, which gets the title, the author and the date."""
    file = BytesIO()
    with fix_date(document):
        canvas = Canvas(file, pagesize=size, invariant=1, pageCompression=1, initialFontName=font)
        canvas.setTitle(document.about["title"])
        canvas.setAuthor(document.about["author"])
        canvas.setSubject(document.about["subject"])
        canvas.setFillColor(INK)
        paint(canvas)
        canvas.save()
    return file.getvalue()


# The house paper: three columns under a title, written line by line across all of them.


def typeset_newsletter(text: str) -> bytes:
    """Draw what stands side by side together, as printers' programs do that sort by height."""
    register_family(SERIF)
    register_family(SANS)
    document = parse(text)
    *stories, note = [block.text for block in document.blocks]
    width, height = A4
    gap, side = 7 * mm, 20 * mm
    column = (width - 2 * side - 2 * gap) / 3

    def paint(canvas: Canvas) -> None:
        canvas.setFont(f"{SANS} Bold", 22)
        canvas.drawString(side, height - 30 * mm, document.about["title"])
        canvas.setFont(SERIF, 11)
        columns = [simpleSplit(story, SERIF, 11, column) for story in stories]
        for number in range(max(map(len, columns))):
            for place, lines in enumerate(columns):
                if number < len(lines):
                    x, y = side + place * (column + gap), height - 42 * mm - 14 * number
                    canvas.drawString(x, y, lines[number])
        canvas.setFont(SERIF, 8.5)
        canvas.drawString(side, 22 * mm, note)

    return draw(document, paint)


# The price list: a table over two pages without a single rule.


def typeset_price_list(text: str) -> bytes:
    register_family(SERIF)
    register_family(SANS)
    document = parse(text)
    before, table, after = document.blocks
    _, height = A4
    places, room = [22 * mm, 42 * mm, 92 * mm, 152 * mm, 186 * mm], [0, 44 * mm, 40 * mm, 0, 0]

    def paint(canvas: Canvas) -> None:
        canvas.setFont(f"{SANS} Bold", 19)
        canvas.drawString(places[0], height - 28 * mm, document.about["title"])
        canvas.setFont(SERIF, 11)
        canvas.drawString(places[0], height - 38 * mm, before.text)
        y = height - 50 * mm
        for number, row in enumerate(table.rows):
            canvas.setFont(f"{SERIF} Bold" if number == 0 else SERIF, 11)
            cells = [
                simpleSplit(cell, SERIF, 11, wide) if wide else [cell]
                for cell, wide in zip(row, room, strict=True)
            ]
            deep = max(map(len, cells))
            if y - 13 * deep < 25 * mm:
                canvas.showPage()
                canvas.setFillColor(INK)
                canvas.setFont(SERIF, 11)
                y = height - 28 * mm
            for place, (x, cell) in enumerate(zip(places, cells, strict=True)):
                for line, words in enumerate(cell):
                    write = canvas.drawRightString if place > 2 else canvas.drawString
                    write(x, y - 13 * line, words)
            y -= 13 * deep + 9
        canvas.drawString(places[0], y - 14, after.text)

    return draw(document, paint)


# The rota: a wide table on a page that is shown turned.


def typeset_rota(text: str) -> bytes:
    register_family(SERIF)
    register_family(SANS)
    document = parse(text)
    before, table = document.blocks
    width, height = A4
    cell = ParagraphStyle("cell", fontName=SERIF, fontSize=11, leading=14, textColor=INK)
    grid = Table(
        [[Paragraph(words, cell) for words in row] for row in table.rows],
        colWidths=[18 * mm, 42 * mm, 42 * mm, 46 * mm, 96 * mm],
        style=[("GRID", (0, 0), (-1, -1), 0.5, RULE), ("BACKGROUND", (0, 0), (-1, 0), PALE)],
    )

    def paint(canvas: Canvas) -> None:
        canvas.setPageRotation(90)
        canvas.translate(width, 0)
        canvas.rotate(90)
        canvas.setFillColor(BLUE)
        canvas.setFont(f"{SANS} Bold", 19)
        canvas.drawString(24 * mm, width - 30 * mm, document.about["title"])
        canvas.setFillColor(INK)
        canvas.setFont(SERIF, 11)
        canvas.drawString(24 * mm, width - 42 * mm, before.text)
        _, deep = grid.wrapOn(canvas, height, width)
        grid.drawOn(canvas, 24 * mm, width - 50 * mm - deep)

    return draw(document, paint)


# The old guide: lines of Japanese from top to bottom, the first one on the right.


def typeset_old_guide(text: str) -> bytes:
    registerFont(UnicodeCIDFont(VERTICAL, isVertical=True))
    document = parse(text)
    width, height = A4
    size, leading, long = 12, 22, 48  # characters to a line

    def paint(canvas: Canvas) -> None:
        x, y = width - 30 * mm, height - 30 * mm
        canvas.setFont(VERTICAL, 16)
        canvas.drawString(x, y, f"{document.about['title']}　{document.about['subject']}")
        canvas.setFont(VERTICAL, size)
        x -= 2 * leading
        for block in document.blocks:
            words = block.text
            for start in range(0, len(words), long):
                canvas.drawString(x, y, words[start : start + long])
                x -= leading
            x -= leading / 2

    return draw(document, paint, font="Helvetica")
