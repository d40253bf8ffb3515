"""Give each kind of document its pages: booklet, sheet, guide in another language, paper."""

from arabic import shape_block, shape_text
from drawing import draw_drift
from fonts import ARABIC, JAPANESE, SANS, SERIF, register_japanese
from reportlab.lib.enums import TA_CENTER, TA_JUSTIFY, TA_RIGHT
from reportlab.lib.pagesizes import A4, A5
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    FrameBreak,
    NextPageTemplate,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
)
from texts import Block, Document, mark_up, parse
from typeset import BLUE, INK, RULE, Heading, Look, build, set_blocks


def make_frame(x: float, y: float, width: float, height: float) -> Frame:
    return Frame(x, y, width, height, 0, 0, 0, 0)


def set_title(document: Document, look: Look) -> list[Flowable]:
    title = [Paragraph(mark_up(document.about["title"]), look.styles["title"])]
    if subtitle := document.about.get("subtitle"):
        title.append(Paragraph(mark_up(subtitle), look.styles["subtitle"]))
    return title


def draw_margins(canvas: Canvas, font: str, header: str, footer: str) -> None:
    """Draw what every page repeats: a line of text above a rule, and the page number below."""
    width, height = canvas._pagesize
    canvas.saveState()
    canvas.setFont(font, 8)
    canvas.setFillColor(INK)
    canvas.setStrokeColor(RULE)
    if header:
        canvas.drawString(18 * mm, height - 13 * mm, header)
        canvas.line(18 * mm, height - 15 * mm, width - 18 * mm, height - 15 * mm)
    canvas.drawCentredString(width / 2, 10 * mm, footer)
    canvas.restoreState()


# The booklet: title page, front matter with roman numbers, contents, chapters.


def typeset_booklet(text: str) -> bytes:
    """Lay out the booklet three times.

    The first time tells which headings there are, the second on which pages they fall once the
    contents have their full length, and the third prints these pages in the contents.
    """
    document = parse(text)
    headings: list[Heading] = []
    for _ in range(3):
        known, headings = headings, []
        pdf = lay_out_booklet(document, known, headings)
    return pdf


def lay_out_booklet(document: Document, known: list[Heading], headings: list[Heading]) -> bytes:
    look = Look(
        size=12,
        leading=17,
        hyphens="en_GB",
        justified=True,
        ligatures=True,
        numbered=True,
        fresh_pages=True,
    )
    width, height = A5
    front_pages = count_front_pages(known)

    def draw_title_page(canvas: Canvas, _template: BaseDocTemplate) -> None:
        canvas.setFillColor(BLUE)
        canvas.rect(0, height - 62 * mm, width, 62 * mm, stroke=0, fill=1)
        canvas.addPageLabel(0, "ROMAN_LOWER", 1)
        canvas.addPageLabel(front_pages, "ARABIC", 1)

    def draw_page(canvas: Canvas, _template: BaseDocTemplate) -> None:
        page = canvas.getPageNumber()
        chapter = [each.text for each in headings if each.level == 0 and 0 < each.page <= page][-1]
        header = f"{document.about['title']}   ·   {chapter}"
        draw_margins(canvas, SANS, header, write_page_number(page, front_pages))

    body = make_frame(18 * mm, 18 * mm, width - 36 * mm, height - 38 * mm)
    templates = [
        PageTemplate("title", [body], onPage=draw_title_page),
        PageTemplate("page", [body], onPageEnd=draw_page),
    ]
    edition = Paragraph(mark_up(document.about["edition"]), look.styles["body"])
    flow = [NextPageTemplate("page"), Spacer(0, 62 * mm), *set_title(document, look), edition]

    first_chapter = [block.kind for block in document.blocks].index("heading")
    front = [*document.blocks[:first_chapter], Block("front", "Contents", 1)]
    flow += set_blocks(front, look, body._width, headings)
    if known:
        flow.append(set_contents(known, front_pages, look, body._width))
    flow += set_blocks(document.blocks[first_chapter:], look, body._width, headings)
    return build(document, flow, templates, A5, SERIF, headings=headings)


def count_front_pages(headings: list[Heading]) -> int:
    """Count the pages before chapter 1, which the arabic page numbers start with."""
    return next((each.page - 1 for each in headings if each.text.startswith("1 ")), 0)


def write_page_number(page: int, front_pages: int) -> str:
    if page <= front_pages:
        return ["i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x"][page - 1]
    return str(page - front_pages)


def set_contents(headings: list[Heading], front_pages: int, look: Look, width: float) -> Table:
    """List chapters and sections with their printed page numbers."""
    cell = look.styles["cell"]
    right = ParagraphStyle("right", parent=cell, alignment=TA_RIGHT)
    rows = []
    for each in headings:
        if each.level < 2:
            text = mark_up(each.text)
            text = f"<b>{text}</b>" if each.level == 0 else f"&nbsp; &nbsp; {text}"
            number = write_page_number(each.page, front_pages)
            rows.append([Paragraph(text, cell), Paragraph(number, right)])
    return Table(
        rows,
        colWidths=[width - 14 * mm, 14 * mm],
        style=[
            ("FONTNAME", (0, 0), (-1, -1), cell.fontName),
            ("TOPPADDING", (0, 0), (-1, -1), 0),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 1),
        ],
    )


# Sheets in English and guides in other languages: A4, one column.


def typeset_sheet(text: str, size: float = 11, outline: bool = False) -> bytes:
    look = Look(size=size, leading=size * 1.4, hyphens="en_GB", numbered=outline)
    return lay_out_sheet(parse(text), look, "en", headings=[] if outline else None)


def typeset_guide(text: str, language: str) -> bytes:
    document = parse(text)
    if language == "ar":
        look = Look(body=ARABIC, heads=ARABIC, size=14, leading=25)
        return lay_out_arabic(document, look)
    if language == "ja":
        register_japanese(text + "•0123456789")
        look = Look(body=JAPANESE, heads=JAPANESE, size=11, leading=19, wrap="CJK")
    else:
        look = Look(size=11.5, leading=16, hyphens={"de": "de_DE"}.get(language, language))
        look.styles["body"].alignment = TA_JUSTIFY
    return lay_out_sheet(document, look, language)


def lay_out_sheet(
    document: Document, look: Look, language: str, headings: list[Heading] | None = None
) -> bytes:
    width, height = A4

    def draw_page(canvas: Canvas, _template: BaseDocTemplate) -> None:
        font = look.body if look.body == JAPANESE else SANS
        draw_margins(canvas, font, document.about["title"], str(canvas.getPageNumber()))

    body = make_frame(24 * mm, 20 * mm, width - 48 * mm, height - 44 * mm)
    flow = set_title(document, look)
    flow += set_blocks(document.blocks, look, body._width, headings)
    template = PageTemplate("page", [body], onPageEnd=draw_page)
    return build(document, flow, [template], A4, look.body, headings=headings, language=language)


def lay_out_arabic(document: Document, look: Look) -> bytes:
    """Lay out from right to left: lines are shaped and broken before reportlab sees them."""
    width, height = A4

    def draw_page(canvas: Canvas, _template: BaseDocTemplate) -> None:
        draw_margins(canvas, ARABIC, "", str(canvas.getPageNumber()))

    body = make_frame(24 * mm, 20 * mm, width - 48 * mm, height - 44 * mm)
    for style in look.styles.values():
        style.alignment = TA_RIGHT
    title = shape_text(document.about["title"], look.styles["title"], body._width)
    flow = [Paragraph(mark_up(title), look.styles["title"])]
    shaped = [shape_block(block, look.styles, body._width) for block in document.blocks]
    flow += set_blocks(shaped, look, body._width)
    template = PageTemplate("page", [body], onPageEnd=draw_page)
    return build(document, flow, [template], A4, ARABIC, language="ar")


# The paper: two columns under a title that spans them, out of the middle of a journal.

FIRST_PAGE = 41


def typeset_paper(text: str) -> bytes:
    document = parse(text)
    look = Look(size=11.5, leading=17, hyphens="en_GB", justified=True, ligatures=True)
    look.styles["title"].alignment = look.styles["subtitle"].alignment = TA_CENTER
    look.styles["title"].fontSize = 21
    width, height = A4
    gap, side, foot, top = 8 * mm, 26 * mm, 24 * mm, 89 * mm
    column = (width - 2 * side - gap) / 2

    def draw_page(canvas: Canvas, _template: BaseDocTemplate) -> None:
        page = canvas.getPageNumber()
        if page == 1:
            canvas.addPageLabel(0, "ARABIC", FIRST_PAGE)
        header = "Reports from Kelbrook 34 (2024)"
        draw_margins(canvas, SANS, header, str(FIRST_PAGE + page - 1))

    def make_columns(room: float) -> list[Frame]:
        return [make_frame(side + n * (column + gap), foot, column, room) for n in (0, 1)]

    room = height - foot - 24 * mm
    head = make_frame(side, foot + room - top, width - 2 * side, top)
    templates = [
        PageTemplate("first", [head, *make_columns(room - top - 4 * mm)], onPageEnd=draw_page),
        PageTemplate("later", make_columns(room), onPageEnd=draw_page),
    ]
    abstract, *rest = document.blocks
    headings: list[Heading] = []
    flow = [NextPageTemplate("later"), *set_title(document, look)]
    flow += [*set_blocks([abstract], look, head._width), FrameBreak()]
    flow += set_blocks(rest, look, column, headings, {"drift": draw_drift(column)})
    return build(document, flow, templates, A4, SERIF, headings=headings)
