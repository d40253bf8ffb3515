"""Set a document's blocks in type: styles, headings with bookmarks, tables, the PDF itself."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from itertools import count

from fonts import JAPANESE, SANS, SERIF, register_family
from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_JUSTIFY, TA_LEFT
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    PageBreak,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
)
from texts import Block, Document, mark_up

INK = HexColor("#1b2a33")
BLUE = HexColor("#1f5f7a")
PALE = HexColor("#e6eff2")
RULE = HexColor("#a9bcc4")

# Tables with more rows may run over the page; to keep one with its caption would leave a gap.
LONG_TABLE = 14


@dataclass
class Heading:
    """A heading and its page number, which is known only once the page is drawn."""

    text: str
    level: int
    page: int = 0


@dataclass
class Look:
    """Style of a document: the typefaces, the size, the language of hyphenation."""

    body: str = SERIF
    heads: str = SANS
    size: float = 11
    leading: float = 15
    hyphens: str = ""
    wrap: str | None = None
    justified: bool = False
    ligatures: bool = False
    numbered: bool = False
    fresh_pages: bool = False
    styles: dict[str, ParagraphStyle] = field(init=False)

    def __post_init__(self) -> None:
        for family in {self.body, self.heads} - {JAPANESE}:
            register_family(family)
        self.styles = make_styles(self)


def make_styles(look: Look) -> dict[str, ParagraphStyle]:
    size, leading = look.size, look.leading
    body = ParagraphStyle(
        "body",
        fontName=look.body,
        fontSize=size,
        leading=leading,
        spaceAfter=leading * 0.5,
        textColor=INK,
        bulletFontName=look.body,
        hyphenationLang=look.hyphens,
        wordWrap=look.wrap,
        allowWidows=0,
        allowOrphans=0,
        alignment=TA_JUSTIFY if look.justified else TA_LEFT,
    )
    head = ParagraphStyle(
        "head",
        parent=body,
        fontName=f"{look.heads} Bold" if look.heads != JAPANESE else look.heads,
        alignment=TA_LEFT,
        hyphenationLang="",
        textColor=BLUE,
        keepWithNext=1,
    )

    def set_head(name: str, scale: float, above: float, below: float) -> ParagraphStyle:
        return ParagraphStyle(
            name,
            parent=head,
            fontSize=size * scale,
            leading=size * scale * 1.25,
            spaceBefore=leading * above,
            spaceAfter=leading * below,
        )

    caption = ParagraphStyle(
        "caption", parent=head, fontSize=size * 0.9, leading=leading, spaceBefore=leading * 0.4
    )
    return {
        "body": body,
        "title": set_head("title", 2.0, 0, 0.3),
        "subtitle": ParagraphStyle(
            "subtitle",
            parent=body,
            fontSize=size * 1.15,
            alignment=TA_LEFT,
            hyphenationLang="",
            spaceAfter=leading,
        ),
        "h1": set_head("h1", 1.65, 1.0, 0.7),
        "h2": set_head("h2", 1.25, 0.7, 0.35),
        "h3": set_head("h3", 1.05, 0.4, 0.2),
        "caption": caption,
        "loose caption": ParagraphStyle("loose caption", parent=caption, keepWithNext=0),
        "bullet": ParagraphStyle(
            "bullet",
            parent=body,
            leftIndent=size * 1.4,
            bulletIndent=size * 0.3,
            spaceAfter=leading * 0.2,
        ),
        "cell": ParagraphStyle(
            "cell",
            parent=body,
            alignment=TA_LEFT,
            hyphenationLang="",
            fontSize=size * 0.88,
            leading=leading * 0.86,
            spaceAfter=0,
        ),
        "cell head": ParagraphStyle(
            "cell head",
            parent=head,
            fontSize=size * 0.85,
            leading=leading * 0.86,
            keepWithNext=0,
        ),
    }


def set_blocks(
    blocks: list[Block],
    look: Look,
    width: float,
    headings: list[Heading] | None = None,
    figures: dict[str, Flowable] | None = None,
) -> list[Flowable]:
    """Turn blocks into what reportlab can lay out, noting every heading for the outline."""
    numbers = number_headings(blocks) if look.numbered else {}
    highest = min((block.level for block in blocks if block.level), default=1)
    flow: list[Flowable] = []
    for index, block in enumerate(blocks):
        if block.kind in ("heading", "front"):
            if look.fresh_pages and block.level == 1:
                flow.append(PageBreak())
            text = f"{numbers.get(index, '')} {block.text}".strip()
            mark = ""
            if headings is not None:
                mark = f'<onDraw name="note heading" label="{len(headings)}"/>'
                headings.append(Heading(text, block.level - highest))
            flow.append(Paragraph(mark + mark_up(text), look.styles[f"h{block.level}"]))
        elif block.kind == "bullet":
            flow.append(Paragraph(set_body(block.text, look), look.styles["bullet"], "•"))
            if index + 1 == len(blocks) or blocks[index + 1].kind != "bullet":
                flow.append(Spacer(0, look.leading * 0.4))
        elif block.kind == "caption":
            if len(blocks[index + 1].rows) > LONG_TABLE:
                flow.append(CondPageBreak(8 * look.leading))
                flow.append(Paragraph(mark_up(block.text), look.styles["loose caption"]))
            else:
                flow.append(Paragraph(mark_up(block.text), look.styles["caption"]))
        elif block.kind == "figure":
            flow.append((figures or {})[block.text])
        elif block.kind == "table":
            flow += [set_table(block.rows, look, width), Spacer(0, look.leading)]
        else:
            flow.append(Paragraph(set_body(block.text, look), look.styles["body"]))
    return flow


def number_headings(blocks: list[Block]) -> dict[int, str]:
    """Number chapters 1, 2, 3 and their sections 1.1, 1.2; the third level goes without."""
    numbers = {}
    chapters, chapter = count(1), 0
    sections = count(1)
    for index, block in enumerate(blocks):
        if block.kind == "heading" and block.level == 1:
            chapter, sections = next(chapters), count(1)
            numbers[index] = f"{chapter}"
        elif block.kind == "heading" and block.level == 2:
            numbers[index] = f"{chapter}.{next(sections)}"
    return numbers


def set_body(text: str, look: Look) -> str:
    """Mark up running text; with real ligatures where asked, as good typesetters print them."""
    text = mark_up(text)
    return text.replace("fi", "ﬁ").replace("fl", "ﬂ") if look.ligatures else text


def set_table(rows: list[list[str]], look: Look, width: float) -> Table:
    cell, head = look.styles["cell"], look.styles["cell head"]
    cells = [
        [Paragraph(mark_up(text), cell if index else head) for text in row]
        for index, row in enumerate(rows)
    ]
    return Table(
        cells,
        colWidths=share_width(rows, head, width),
        repeatRows=1,
        style=[
            ("FONTNAME", (0, 0), (-1, -1), cell.fontName),
            ("BACKGROUND", (0, 0), (-1, 0), PALE),
            ("LINEBELOW", (0, 0), (-1, -1), 0.4, RULE),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (-1, -1), 5),
            ("RIGHTPADDING", (0, 0), (-1, -1), 5),
            ("TOPPADDING", (0, 0), (-1, -1), 2.5),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 4),
        ],
    )


def share_width(rows: list[list[str]], style: ParagraphStyle, width: float) -> list[float]:
    """Give each column what its longest cell asks for, shrinking only the wide ones to fit."""
    asked = [
        max(stringWidth(text, style.fontName, style.fontSize) for text in column) + 14
        for column in zip(*rows, strict=True)
    ]
    spare = width - sum(asked)
    if spare >= 0:
        return [column + spare / len(asked) for column in asked]
    fair = width / len(asked)
    wide = sum(max(0, column - fair) for column in asked)
    return [column + spare * max(0, column - fair) / wide for column in asked]


def build(
    document: Document,
    flow: list[Flowable],
    templates: list[PageTemplate],
    page_size: tuple[float, float],
    font: str,
    *,
    headings: list[Heading] | None = None,
    language: str = "en",
) -> bytes:
    """Lay out the flow and return the PDF, the same bytes for the same input."""
    file = BytesIO()
    about = document.about
    template = BaseDocTemplate(
        file,
        pagesize=page_size,
        pageTemplates=templates,
        title=about["title"],
        author=about["author"],
        subject=about["subject"],
        keywords=about["keywords"],
        creator="scripts/make_data",
        lang=language,
        initialFontName=font,
        invariant=1,
        pageCompression=1,
    )

    def note_heading(canvas: Canvas, _kind: str, label: str) -> None:
        heading = (headings or [])[int(label)]
        heading.page = canvas.getPageNumber()
        canvas.bookmarkHorizontal(label, 0, 24)
        canvas.addOutlineEntry(heading.text, label, heading.level, closed=heading.level > 0)

    def make_canvas(*arguments: object, **options: object) -> Canvas:
        canvas = Canvas(*arguments, **options)
        canvas.setNamedCB("note heading", note_heading)
        if headings is not None:
            canvas.showOutline()
        return canvas

    with fix_date(document):
        template.build(flow, canvasmaker=make_canvas)
    return file.getvalue()


@contextmanager
def fix_date(document: Document) -> Iterator[None]:
    """Let reportlab write the document's own date instead of the time of the run."""
    os.environ["SOURCE_DATE_EPOCH"] = str(int(document.date.timestamp()))
    try:
        yield
    finally:
        del os.environ["SOURCE_DATE_EPOCH"]
