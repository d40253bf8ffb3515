"""Make PDFs with figures whose boxes are known. Runs in its own environment.

    make.py FOLDER COUNT

Each document is printed twice: as it is, and with a plain rectangle of a colour of its own in place
of each figure. Where that colour is, the figure is; its box is that of its ink there. `truth.json`
has the boxes as shares of the page, from the upper left.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np
import pypdfium2
from draw import (
    CHARTS,
    COLOURS,
    DIAGRAMS,
    as_jpeg,
    draw_chart,
    draw_diagram,
    draw_photograph,
    draw_screenshot,
    words,
)
from PIL import Image, ImageDraw

TIMEOUT = 180  # seconds, for one document
SCALE = 2  # pixels per point, to look for boxes
RASTERS = {"photo", "screen"}
CAPTIONS = (
    "Figure {}. ",
    "Fig. {}: ",
    "Abb. {}: ",
    "Figura {}. ",
    "Рис. {}. ",
    "Obr. {}: ",
    "図{} ",
)


@dataclass(slots=True)
class Builder:
    """One document that is being made."""

    random: Random
    folder: Path
    name: str
    keys: bool = False  # rectangles in place of figures
    figures: list[str] = field(default_factory=list)  # their kinds

    def key(self, kind: str) -> tuple[int, int, int]:
        """Count a figure; return its colour."""
        self.figures.append(kind)
        return (255, 0, 8 + 16 * (len(self.figures) - 1))

    def file(self, ending: str) -> Path:
        """Return the path of a picture; the two prints do not share any."""
        part = "key" if self.keys else "shown"
        return self.folder / "parts" / f"{self.name}.{len(self.figures)}.{part}.{ending}"

    def figure(self, width: float, height: float, kinds: str = "any") -> Path:
        """Draw a figure of a size in points, or its rectangle; return the file."""
        random = self.random
        kind = random.choice(["chart", "chart", "chart", "diagram", "diagram", "photo", "screen"])
        if kinds != "any":
            kind = kinds
        which = random.choice(list(CHARTS if kind == "chart" else DIAGRAMS))
        vector = random.random() < 0.75
        seed = random.randrange(1 << 30)
        named = f"{kind} {which}" if kind in {"chart", "diagram"} else kind
        is_raster = kind in RASTERS or (kind == "chart" and not vector)
        colour = self.key(f"{named}, raster" if is_raster else named)
        if self.keys:
            Image.new("RGB", (8, 8), colour).save(path := self.file("png"))
            return path
        draw = Random(seed)
        if kind == "chart":
            draw_chart(draw, which, width, height, path := self.file("svg" if vector else "png"))
        elif kind == "diagram":
            (path := self.file("svg")).write_text(draw_diagram(draw, which, width, height))
        elif kind == "photo":
            picture = draw_photograph(draw, int(width * 1.5), int(height * 1.5))
            (path := self.file("jpg")).write_bytes(as_jpeg(picture))
        else:
            draw_screenshot(draw, int(width * 1.6), int(height * 1.6)).save(
                path := self.file("png")
            )
        return path

    def size(self) -> tuple[float, float]:
        """Return a size for a figure in points."""
        return self.random.choice([160, 220, 300, 400]), self.random.choice([110, 140, 180, 230])


def paragraph(random: Random) -> str:
    """Return a paragraph."""
    return " ".join(words(random, random.randint(7, 14)).capitalize() + "." for _ in range(4))


def caption(random: Random, number: int) -> str:
    """Return a caption, or "" for none."""
    return (
        random.choice(CAPTIONS).format(number) + words(random, 6) if random.random() < 0.7 else ""
    )


def logo(random: Random) -> str:
    """Return a logo as SVG."""
    one, other = random.choice(COLOURS), random.choice(COLOURS)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="70pt" height="60pt" viewBox="0 0 70 60">'
        f'<circle cx="30" cy="30" r="28" fill="{one}"/><path d="M5,50 L35,5 L65,50 z" '
        f'fill="{other}"/><path d="M20,45 Q35,10 50,45" fill="none" stroke="white"/></svg>'
    )


def table_html(random: Random) -> str:
    """Return a table in one of several styles."""
    style = random.choice(["ruled", "ends", "striped", "round", "coloured"])
    rows, columns = random.randint(3, 9), random.randint(2, 5)
    lines = []
    for r in range(rows):
        tag = "td" if r else "th"
        cells = "".join(
            f"<{tag}>{words(random, 1) if not c or not r else random.randint(1, 9999)}</{tag}>"
            for c in range(columns)
        )
        lines.append(f"<tr>{cells}</tr>")
    return f'<table class="{style}">{"".join(lines)}</table>'


ICON = (
    '<svg width="24" height="24"><circle cx="12" cy="12" r="10" fill="#c33"/>'
    '<path d="M6,12 L18,12 M12,6 L12,18" stroke="white"/></svg>'
)


def badges(random: Random) -> str:
    """Return words with rounded backgrounds."""
    return "".join(f"<span>{words(random, 1)}</span>" for _ in range(6))


def decoy_html(random: Random) -> str:
    """Return something that is no figure."""
    text = paragraph(random)
    return random.choice(
        [
            f'<div class="note">{text}</div>',
            f'<div class="bar">{text}</div>',
            f'<div class="round"><b>{words(random, 2)}</b><br>{text}</div>',
            f"<pre>{chr(10).join(words(random, 5) for _ in range(6))}</pre>",
            "<hr>",
            f"<p>{text[:60]} <u>{words(random, 4)}</u> <mark>{words(random, 5)}</mark></p>",
            f'<div class="badges">{badges(random)}</div>',
            '<div class="plain"></div>',
            f'<div class="icon">{ICON} {text}</div>',
            "<ul>" + "".join(f"<li>{words(random, 4)}</li>" for _ in range(5)) + "</ul>",
            '<div class="form">'
            + "".join(f"<p>{words(random, 1)} <span></span></p>" for _ in range(4))
            + "</div>",
        ]
    )


STYLE = """
@page { size: A4; margin: 70pt 56pt 60pt 56pt; @top-left { content: element(head) } }
body { font: 10pt 'DejaVu Serif', serif; } table { border-collapse: collapse; margin: 8pt 0; }
td, th { padding: 3pt 8pt } .ruled td, .ruled th { border: 0.6pt solid #333 }
.ends { border-top: 1pt solid; border-bottom: 1pt solid } .ends th { border-bottom: 0.5pt solid }
.striped tr:nth-child(odd) { background: #dde6f0 } .round td { border-bottom: 0.5pt solid #999 }
.coloured th { background: #336699; color: white } .coloured td { background: #f3f3e8 }
.note { border: 0.8pt solid #555; padding: 6pt; margin: 8pt 0 }
.bar { border-left: 4pt solid #cc6633; background: #fbf3ec; padding: 6pt; margin: 8pt 0 }
.round.round, div.round { border: 1pt solid #669; border-radius: 8pt; padding: 8pt; margin: 8pt 0 }
pre { background: #eee; padding: 6pt; font-size: 8pt } .badges span { background: #cde;
border-radius: 7pt; padding: 2pt 7pt; margin-right: 6pt } .plain { background: #dfe7ef;
height: 90pt; margin: 8pt 0 } .form span { display: inline-block; border: 0.6pt solid #555;
width: 180pt; height: 12pt } figure { margin: 10pt 0; break-inside: avoid } figcaption {
font-size: 9pt; break-inside: avoid } .pair { display: flex; gap: 24pt } header { position: fixed;
top: -56pt; left: 0 } .watermark { position: fixed; top: 250pt; left: 40pt; font-size: 90pt;
color: #eeeeee; transform: rotate(-40deg); z-index: -1 }
header img { height: 40pt }
"""


def html(doc: Builder) -> str:
    """Write a report as HTML."""
    random = doc.random
    parts = []
    mark = ""
    if random.random() < 0.6:
        data = base64.b64encode(logo(random).encode()).decode()
        mark = f'<img src="data:image/svg+xml;base64,{data}" height="46">'
        if ".weasyprint." in doc.name:
            parts.append(f"<header>{mark}</header>")
            mark = ""
    if random.random() < 0.3:
        parts.append('<div class="watermark">DRAFT</div>')
    number = 0
    for _ in range(random.randint(3, 5)):
        parts.append(f"{mark}<h2>{words(random, 3)}</h2><p>{paragraph(random)}</p>")
        for _ in range(random.randint(1, 2)):
            what = random.random()
            if what < 0.5:
                number += 1
                width, height = doc.size()
                path = doc.figure(width, height)
                shown = caption(random, number)
                image = f'<img src="{path.as_uri()}" style="width:{width}pt;height:{height}pt">'
                above = random.random() < 0.15
                label = f"<figcaption>{shown}</figcaption>" if shown else ""
                parts.append(
                    f"<figure>{label if above else ''}{image}{'' if above else label}</figure>"
                )
            elif what < 0.58:
                cells = []
                for _ in range(2):
                    number += 1
                    path = doc.figure(210, 140)
                    cells.append(
                        f'<figure><img src="{path.as_uri()}" style="width:210pt;height:140pt">'
                        f"<figcaption>Figure {number}. {words(random, 3)}</figcaption></figure>"
                    )
                parts.append(f'<div class="pair">{"".join(cells)}</div>')
            elif what < 0.75:
                parts.append(table_html(random))
            else:
                parts.append(decoy_html(random))
            parts.append(f"<p>{paragraph(random)}</p>")
    return f"<!DOCTYPE html><meta charset=utf-8><style>{STYLE}</style>{''.join(parts)}"


def print_weasyprint(doc: Builder, target: Path) -> None:
    """Print a report with WeasyPrint."""
    from weasyprint import HTML

    HTML(string=html(doc), base_url=str(doc.folder)).write_pdf(str(target))


def print_chromium(doc: Builder, target: Path) -> None:
    """Print a report with Chromium."""
    source = doc.folder / "parts" / f"{target.stem}.html"
    source.write_text(html(doc), "utf-8")
    chromium = shutil.which("chromium") or shutil.which("google-chrome") or "chromium"
    run(
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer",
        f"--user-data-dir={doc.folder / 'chromium'}", f"--print-to-pdf={target}", source.as_uri(),
    )  # fmt: skip


def print_typst(doc: Builder, target: Path) -> None:
    """Compile an article of one or two columns with Typst."""
    import typst

    random = doc.random
    columns = random.choice([1, 2])
    wide = 480 if columns == 1 else 225
    parts = [
        f'#set page("a4", margin: 56pt, columns: {columns})\n',
        "#set text(9pt)\n#set par(justify: true)\n",
    ]
    for _ in range(random.randint(4, 6)):
        parts.append(f"= {words(random, 3)}\n\n{paragraph(random)}\n\n{paragraph(random)}\n")
        what = random.random()
        if what < 0.6:
            width, height = min(wide, doc.size()[0]), doc.size()[1]
            path = doc.figure(width, height)
            size = f'width: {width}pt, height: {height}pt, fit: "stretch"'
            image = f'image("/{path.relative_to(doc.folder)}", {size})'
            if random.random() < 0.7:
                parts.append(f"#figure({image}, caption: [{words(random, 6)}])\n")
            else:
                parts.append(f"#{image}\n")
        elif what < 0.75:
            cells = ", ".join(f"[{words(random, 1)}]" for _ in range(12))
            stroke = random.choice(["0.5pt", "none", "(y: 0.5pt)"])
            fill = random.choice(["none", "(x, y) => if calc.odd(y) { luma(230) }"])
            parts.append(f"#table(columns: 3, stroke: {stroke}, fill: {fill}, {cells})\n")
        elif what < 0.9:
            parts.append(f"#rect(inset: 8pt, radius: 4pt, fill: luma(240))[{paragraph(random)}]\n")
        else:
            parts.append("#line(length: 100%)\n$ sum_(k=1)^n k = (n(n+1)) / 2 $\n")
    source = doc.folder / "parts" / f"{target.stem}.typ"
    source.write_text("\n".join(parts), "utf-8")
    typst.compile(str(source), output=str(target), root=str(doc.folder))


def print_slides(doc: Builder, target: Path) -> None:
    """Export decorated slides with LibreOffice."""
    from pptx import Presentation
    from pptx.chart.data import CategoryChartData
    from pptx.dml.color import RGBColor
    from pptx.enum.chart import XL_CHART_TYPE
    from pptx.enum.shapes import MSO_CONNECTOR, MSO_SHAPE
    from pptx.util import Pt

    random = doc.random
    show = Presentation()
    show.slide_width, show.slide_height = Pt(720), Pt(random.choice([405, 540]))
    colour = RGBColor.from_string(random.choice(COLOURS)[1:])
    decoration = random.choice(["band", "wave", "triangle", "none"])
    for _ in range(random.randint(3, 5)):
        slide = show.slides.add_slide(show.slide_layouts[6])
        add = slide.shapes
        if decoration != "none":
            for shape, box in {
                "band": [(MSO_SHAPE.RECTANGLE, (0, 0, 720, 40))],
                "wave": [(MSO_SHAPE.WAVE, (0, 340, 720, 60)), (MSO_SHAPE.OVAL, (640, -30, 90, 90))],
                "triangle": [
                    (MSO_SHAPE.RIGHT_TRIANGLE, (0, 250, 120, 150)),
                    (MSO_SHAPE.RECTANGLE, (0, 398, 720, 7)),
                ],
            }[decoration]:
                made = add.add_shape(shape, *map(Pt, box))
                made.fill.solid()
                made.fill.fore_color.rgb = colour
                made.line.fill.background()
        title = add.add_textbox(Pt(40), Pt(6), Pt(600), Pt(40))
        title.text_frame.text = words(random, 4)
        what = random.choice(["chart", "chart", "picture", "diagram", "bullets", "table", "drawn"])
        left = random.random() < 0.5
        box = (60 if left else 370, 80, 300, 200)
        bullets = add.add_textbox(Pt(390 if left else 40), Pt(80), Pt(280), Pt(200))
        bullets.text_frame.text = "\n".join("• " + words(random, 4) for _ in range(4))
        if what == "table":
            made = add.add_table(4, 3, *map(Pt, box)).table
            for cell in made.iter_cells():
                cell.text = words(random, 1)
        elif what == "bullets":
            continue
        elif what == "picture" or (what == "drawn" and doc.keys is None):
            add.add_picture(
                str(doc.figure(300, 200, random.choice(["photo", "screen"]))), *map(Pt, box)
            )
        else:
            seed = random.randrange(1 << 30)
            key = doc.key(f"slide {what}")
            if doc.keys:
                made = add.add_shape(MSO_SHAPE.RECTANGLE, *map(Pt, box))
                made.fill.solid()
                made.fill.fore_color.rgb = RGBColor(*key)
                made.line.fill.background()
            elif what == "chart":
                own = Random(seed)
                data = CategoryChartData()
                data.categories = [words(own, 1) for _ in range(own.randint(3, 6))]
                for _ in range(own.randint(1, 3)):
                    values = [own.uniform(1, 9) for _ in data.categories]
                    data.add_series(words(own, 1), values)
                kind = own.choice(
                    [
                        XL_CHART_TYPE.COLUMN_CLUSTERED,
                        XL_CHART_TYPE.LINE,
                        XL_CHART_TYPE.PIE,
                        XL_CHART_TYPE.BAR_STACKED,
                        XL_CHART_TYPE.AREA,
                    ]
                )
                chart = add.add_chart(kind, *map(Pt, box), data).chart
                chart.has_legend = own.random() < 0.6
                chart.font.size = Pt(9)
            else:
                own = Random(seed)
                count = own.randint(3, 4)
                form = own.choice(
                    [MSO_SHAPE.RECTANGLE, MSO_SHAPE.ROUNDED_RECTANGLE, MSO_SHAPE.OVAL]
                )
                places = []
                for n in range(count):
                    x, y = box[0] + n * (230 / (count - 1)), box[1] + (0 if n % 2 else 150)
                    made = add.add_shape(form, Pt(x), Pt(y), Pt(68), Pt(48))
                    made.text_frame.text = words(own, 1)[:6]
                    made.text_frame.paragraphs[0].runs[0].font.size = Pt(9)
                    places.append(made)
                for n in range(count - 1):
                    line = add.add_connector(MSO_CONNECTOR.STRAIGHT, 0, 0, 0, 0)
                    line.begin_connect(places[n], 3)
                    line.end_connect(places[n + 1], 1)
    source = doc.folder / "parts" / f"{target.stem}.pptx"
    show.save(source)
    convert(doc, source, target)


def print_sheet(doc: Builder, target: Path) -> None:
    """Export a spreadsheet with its table and a chart with LibreOffice."""
    from openpyxl import Workbook
    from openpyxl.chart import AreaChart, BarChart, LineChart, PieChart, Reference
    from openpyxl.drawing.image import Image as Picture
    from openpyxl.styles import Border, Side

    random = doc.random
    book = Workbook()
    sheet = book.active
    count = random.randint(4, 8)
    sheet.append(["", *(words(random, 1) for _ in range(3))])
    for _ in range(count):
        sheet.append([words(random, 1), *(random.randint(5, 90) for _ in range(3))])
    if random.random() < 0.5:
        edge = Side(style="thin")
        for row in sheet.iter_rows(max_row=count + 1, max_col=4):
            for cell in row:
                cell.border = Border(edge, edge, edge, edge)
    for n in range(random.randint(1, 2)):
        place = f"A{count + 4 + 18 * n}"
        kind = random.choice([BarChart, LineChart, PieChart, AreaChart])
        key = doc.key(f"sheet {kind.__name__}")
        if doc.keys:
            Image.new("RGB", (8, 8), key).save(path := doc.file("png"))
            picture = Picture(path)
            picture.width, picture.height = 15 / 2.54 * 96, 7.5 / 2.54 * 96
            sheet.add_image(picture, place)
            continue
        chart = kind()
        chart.width, chart.height = 15, 7.5
        last = 2 if kind is PieChart else 4
        chart.add_data(
            Reference(sheet, min_col=2, max_col=last, min_row=1, max_row=count + 1),
            titles_from_data=True,
        )
        chart.set_categories(Reference(sheet, min_col=1, min_row=2, max_row=count + 1))
        chart.title = words(Random(count), 2)
        sheet.add_chart(chart, place)
    source = doc.folder / "parts" / f"{target.stem}.xlsx"
    book.save(source)
    convert(doc, source, target)


def print_writer(doc: Builder, target: Path) -> None:
    """Export a letter with pictures and a drawing with LibreOffice."""
    random = doc.random
    body = []
    for n in range(random.randint(2, 4)):
        body.append(f"<text:h text:outline-level='1'>{words(random, 3)}</text:h>")
        body += [f"<text:p>{paragraph(random)}</text:p>" for _ in range(2)]
        width, height = doc.size()
        path = doc.figure(width, height)
        data = base64.b64encode(path.read_bytes()).decode()
        body.append(
            f"<text:p><draw:frame text:anchor-type='as-char' svg:width='{width}pt' "
            f"svg:height='{height}pt'><draw:image><office:binary-data>{data}</office:binary-data>"
            "</draw:image></draw:frame></text:p>"
        )
        if shown := caption(random, n + 1):
            body.append(f"<text:p>{shown}</text:p>")
        body.append(f"<text:p>{paragraph(random)}</text:p>")
        cells = "".join(
            "<table:table-row>"
            + "".join(
                f"<table:table-cell table:style-name='c'><text:p>{words(random, 1)}</text:p>"
                "</table:table-cell>"
                for _ in range(3)
            )
            + "</table:table-row>"
            for _ in range(4)
        )
        body.append(f"<table:table>{'<table:table-column/>' * 3}{cells}</table:table>")
    names = " ".join(
        f'xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for prefix, name in {
            "office": "office", "style": "style", "text": "text", "table": "table",
            "draw": "drawing", "fo": "xsl-fo-compatible", "svg": "svg-compatible",
        }.items()
    )  # fmt: skip
    source = doc.folder / "parts" / f"{target.stem}.fodt"
    source.write_text(
        f'<?xml version="1.0"?><office:document {names} office:version="1.3" '
        'office:mimetype="application/vnd.oasis.opendocument.text"><office:automatic-styles>'
        '<style:style style:name="c" style:family="table-cell"><style:table-cell-properties '
        'fo:border="0.5pt solid #000000" fo:padding="3pt"/></style:style>'
        f"</office:automatic-styles><office:body><office:text>{''.join(body)}"
        "</office:text></office:body></office:document>",
        "utf-8",
    )
    convert(doc, source, target)


def print_reportlab(doc: Builder, target: Path) -> None:
    """Write a report with ReportLab: pictures in strips and with masks, its charts, a scan."""
    from reportlab.graphics.charts.barcharts import VerticalBarChart
    from reportlab.graphics.charts.lineplots import LinePlot
    from reportlab.graphics.charts.piecharts import Pie
    from reportlab.graphics.renderPDF import draw
    from reportlab.graphics.shapes import Drawing
    from reportlab.lib.colors import Color
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfgen.canvas import Canvas

    random = doc.random
    canvas = Canvas(str(target), pagesize=(595, 842))
    mark = ImageReader(draw_photograph(Random(1), 90, 60))
    with_logo = random.random() < 0.7
    for page in range(random.randint(3, 5)):
        if page == 2 and random.random() < 0.6:
            scan = Image.new("L", (1240, 1754), 250)
            lines = ImageDraw.Draw(scan)
            for y in range(150, 1600, 40):
                lines.text((150, y), words(random, 14), fill=10)
            canvas.drawInlineImage(scan, 0, 0, 595, 842)
            canvas.showPage()
            continue
        if with_logo:
            canvas.drawImage(mark, 450, 770, 90, 60)
        y = 740
        for _ in range(2):
            for _ in range(5):
                canvas.drawString(60, y, words(random, 12)[:88])
                y -= 14
            kind = random.choice(["strips", "tiles", "mask", "bars", "lines", "pie", "none", "box"])
            height, width = random.choice([150, 180]), random.choice([200, 280, 360])
            y -= height + 8
            seed = random.randrange(1 << 30)
            if kind in {"none", "box"}:
                if kind == "box":
                    canvas.rect(60, y, width + 100, height)
                    for n in range(9):
                        canvas.drawString(66, y + height - 18 - 14 * n, words(random, 9)[:52])
                y -= 30
                continue
            key = doc.key(f"reportlab {kind}")
            if doc.keys:
                canvas.setFillColor(Color(*(part / 255 for part in key)))
                canvas.rect(60, y, width, height, stroke=0, fill=1)
                canvas.setFillColor(Color(0, 0, 0))
            elif kind in {"strips", "tiles", "mask"}:
                picture = draw_photograph(Random(seed), 400, 240)
                if kind == "mask":
                    alpha = Image.new("L", picture.size, 0)
                    ImageDraw.Draw(alpha).ellipse((2, 2, 398, 238), fill=255)
                    picture.putalpha(alpha)
                    canvas.drawImage(ImageReader(picture), 60, y, width, height, mask="auto")
                rows, columns = {"strips": (8, 1), "tiles": (4, 5), "mask": (0, 0)}[kind]
                for r in range(rows):
                    for c in range(columns):
                        part = picture.crop(
                            (
                                400 * c // columns,
                                240 * r // rows,
                                400 * (c + 1) // columns,
                                240 * (r + 1) // rows,
                            )
                        )
                        canvas.drawImage(
                            ImageReader(part), 60 + width * c / columns,
                            y + height - height * (r + 1) / rows, width / columns, height / rows,
                        )  # fmt: skip
            else:
                own = Random(seed)
                drawing = Drawing(width, height)
                chart = {"bars": VerticalBarChart, "lines": LinePlot, "pie": Pie}[kind]()
                chart.x, chart.y = 30, 22
                chart.width, chart.height = width - 40, height - 34
                if kind == "pie":
                    chart.width = chart.height
                    chart.data = [own.uniform(1, 5) for _ in range(4)]
                    chart.labels = [words(own, 1) for _ in range(4)]
                elif kind == "bars":
                    chart.data = [[own.uniform(1, 9) for _ in range(5)] for _ in range(2)]
                    chart.categoryAxis.categoryNames = [words(own, 1)[:6] for _ in range(5)]
                else:
                    chart.data = [[(n, own.uniform(1, 9)) for n in range(9)] for _ in range(2)]
                drawing.add(chart)
                draw(drawing, canvas, 60, y)
            y -= 14
            if random.random() < 0.7:
                canvas.drawString(60, y, f"Fig. {len(doc.figures)}: {words(random, 5)}")
            y -= 26
        canvas.showPage()
    canvas.save()


def convert(doc: Builder, source: Path, target: Path) -> None:
    """Convert a document to PDF with LibreOffice."""
    office = shutil.which("soffice") or shutil.which("libreoffice") or "soffice"
    run(
        office, f"-env:UserInstallation={(doc.folder / 'libreoffice').as_uri()}", "--headless",
        "--convert-to", "pdf", "--outdir", str(target.parent), str(source),
    )  # fmt: skip


def run(*command: str) -> None:
    """Run a program. Ends with its messages if it fails."""
    done = subprocess.run(command, capture_output=True, check=False, timeout=TIMEOUT)
    if done.returncode:
        sys.exit(f"{command[0]} failed, exit {done.returncode}:\n{done.stderr.decode()}")


MAKERS: dict[str, Callable[[Builder, Path], None]] = {
    "weasyprint": print_weasyprint,
    "chromium": print_chromium,
    "typst": print_typst,
    "slides": print_slides,
    "sheet": print_sheet,
    "writer": print_writer,
    "reportlab": print_reportlab,
}


def find_boxes(shown: Path, keys: Path, kinds: list[str]) -> list[dict[str, object]]:
    """Return the box of each figure: of its ink, where the other print has its colour."""
    found = []
    pages = pypdfium2.PdfDocument(shown)
    for index, page in enumerate(pypdfium2.PdfDocument(keys)):
        plain = page.render(scale=SCALE).to_pil().convert("RGB")
        colours = np.asarray(plain).astype(int)
        if not (colours[..., 1] < 40).any():
            continue
        drawn = np.asarray(pages[index].render(scale=SCALE).to_pil().convert("RGB")).astype(int)
        for number, kind in enumerate(kinds):
            key = np.array([255, 0, 8 + 16 * number])
            mask = (np.abs(colours - key) <= 5).all(axis=-1)
            if mask.sum() < 400:
                continue
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
            part = drawn[top:bottom, left:right]
            ink = (np.abs(part - np.median(part[:1].reshape(-1, 3), axis=0)) > 12).any(axis=-1)
            if "raster" in kind or kind in {"reportlab strips", "reportlab tiles"}:
                ink[:] = True  # an image ends where its pixels do, white ones too
            if not ink.any():
                sys.exit(f"{shown}: no ink in figure {number} ({kind})")
            rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
            height, width = drawn.shape[:2]
            box = [
                (left + columns[0]) / width, (top + rows[0]) / height,
                (left + columns[-1] + 1) / width, (top + rows[-1] + 1) / height,
            ]  # fmt: skip
            found.append(
                {"page": index + 1, "kind": kind, "box": [round(float(x), 4) for x in box]}
            )
    return found


def main(folder: Path, count: int) -> None:
    """Make what is missing: `count` documents by each maker for either half."""
    (folder / "parts").mkdir(parents=True, exist_ok=True)
    truth_file = folder / "truth.json"
    truth = json.loads(truth_file.read_text()) if truth_file.exists() else {}
    missing: set[str] = set()
    for half in ("tuning", "unseen"):
        for maker, print_pdf in MAKERS.items():
            for number in range(count):
                name = f"{half}.{maker}.{number}"
                if name in truth or maker in missing:
                    continue
                kinds: list[str] = []
                for keys in (False, True):
                    doc = Builder(Random(f"{half} {maker} {number}"), folder, name, keys)
                    target = folder / (f"{name}.keys.pdf" if keys else f"{name}.pdf")
                    try:
                        print_pdf(doc, target)
                    except FileNotFoundError as error:
                        print(f"{maker}: {error.filename} is not installed; left out")
                    if not target.exists():
                        missing.add(maker)
                    kinds = doc.figures
                if maker in missing:
                    print(f"{maker}: no PDF was made; its documents are left out")
                    continue
                truth[name] = find_boxes(folder / f"{name}.pdf", folder / f"{name}.keys.pdf", kinds)
                if len(truth[name]) != len(kinds):
                    print(f"{name}: {len(kinds)} figures, {len(truth[name])} found by colour")
                truth_file.write_text(json.dumps(truth))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), int(sys.argv[2]))
