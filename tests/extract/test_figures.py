"""Figures: what a document says of them, and where they are."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from ingest.extract.document import ExtractOptions, extract
from ingest.extract.engines.chain import EngineChain
from ingest.extract.figures.captions import (
    Caption,
    NumberedLines,
    assign_captions,
    find_caption_lines,
)
from ingest.extract.figures.document import find_figures
from ingest.extract.figures.shapes import Box
from ingest.models import Document, GreyImage, OcrResult
from tests.pdfs import objects_pdf, stream

DATA = Path(__file__).parents[2] / "data"
ABOVE = "Sales grew in every quarter of the year, which nobody had expected so early."
BELOW = "The board therefore decided to keep all of the five sites open until the spring."


def draw_report(draw_figure: Callable[[Canvas], None], caption: str = "", pages: int = 1) -> bytes:
    """Return a report with a figure between two paragraphs on each page."""
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(595, 842), invariant=True)
    for _ in range(pages):
        canvas.setFont("Helvetica", 10)
        for n in range(4):
            canvas.drawString(60, 780 - 14 * n, ABOVE)
        draw_figure(canvas)
        canvas.drawString(60, 485, caption)
        for n in range(4):
            canvas.drawString(60, 450 - 14 * n, BELOW)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def draw_chart(canvas: Canvas) -> None:
    """Draw a line chart with axes, ticks and labels."""
    canvas.line(90, 520, 90, 700)
    canvas.line(90, 520, 330, 520)
    for n in range(5):
        canvas.line(86, 520 + 40 * n, 90, 520 + 40 * n)
        canvas.drawRightString(84, 517 + 40 * n, f"{20 * n} t")
        canvas.line(120 + 45 * n, 516, 120 + 45 * n, 520)
        canvas.drawCentredString(120 + 45 * n, 506, f"Q{n}")
    path = canvas.beginPath()
    path.moveTo(100, 530)
    for n in range(5):
        path.lineTo(120 + 45 * n, 560 + 30 * (n % 3))
    canvas.drawPath(path)
    canvas.drawString(250, 680, "Harbour crane")


def draw_table(canvas: Canvas) -> None:
    """Draw a table with rules round its cells."""
    for row in range(6):
        canvas.line(60, 520 + 30 * row, 360, 520 + 30 * row)
    for column in range(4):
        canvas.line(60 + 100 * column, 520, 60 + 100 * column, 670)
        for row in range(5 if column < 3 else 0):
            canvas.drawString(70 + 100 * column, 530 + 30 * row, f"cell {column} {row}")


def draw_strips(canvas: Canvas) -> None:
    """Draw a photograph that is cut into strips."""
    picture = Image.linear_gradient("L").resize((200, 160)).convert("RGB")
    ImageDraw.Draw(picture).ellipse((40, 20, 150, 130), fill="red")
    for n in range(8):
        strip = ImageReader(picture.crop((0, 20 * n, 200, 20 * n + 20)))
        canvas.drawImage(strip, 60, 670 - 20 * n, 200, 20)


def tagged_report(alternative: str) -> bytes:
    """Return a tagged page whose picture has an alternative text."""
    content = (
        "/P <</MCID 0>> BDC BT /F 11 Tf 72 760 Td (The crane was built in spring.) Tj ET EMC\n"
        "/Figure <</MCID 1>> BDC q 200 0 0 120 72 600 cm /Im Do Q EMC\n"
        "/P <</MCID 2>> BDC BT /F 11 Tf 72 560 Td (It can lift forty tonnes.) Tj ET EMC"
    )
    return objects_pdf(
        "<< /Type /Catalog /Pages 2 0 R /MarkInfo << /Marked true >> /StructTreeRoot 7 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /StructParents 0 /Contents 4 0 R "
        "/Resources << /Font << /F 5 0 R >> /XObject << /Im 6 0 R >> >> >>",
        stream(content),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        stream("\x10\xe0", "/Type /XObject /Subtype /Image /Width 2 /Height 1 "
               "/ColorSpace /DeviceGray /BitsPerComponent 8"),
        "<< /Type /StructTreeRoot /K 8 0 R /ParentTree 12 0 R >>",
        "<< /Type /StructElem /S /Document /P 7 0 R /K [9 0 R 10 0 R 11 0 R] >>",
        "<< /Type /StructElem /S /P /P 8 0 R /Pg 3 0 R /K 0 >>",
        f"<< /Type /StructElem /S /Figure /P 8 0 R /Pg 3 0 R /K 1 /Alt ({alternative}) >>",
        "<< /Type /StructElem /S /P /P 8 0 R /Pg 3 0 R /K 2 >>",
        "<< /Nums [0 [9 0 R 10 0 R 11 0 R]] >>",
    )  # fmt: skip


def read(data: bytes) -> Document:
    """Read a PDF as a run does."""
    return extract(data, ExtractOptions())


def test_the_words_of_a_chart_stay_together_before_its_caption() -> None:
    """Axis labels and legends are one paragraph at their caption, not loose lines in the text."""
    document = read(draw_report(draw_chart, "Abb. 3: Umsatz je Quartal"))
    [page] = document.pages
    paragraphs = page.split("\n\n")
    place = next(n for n, text in enumerate(paragraphs) if text.startswith("Abb. 3"))
    labels = paragraphs[place - 1]
    assert {"Harbour crane", "80 t", "Q4"} <= set(labels.split("\n")) | set(labels.split("  "))
    assert "Harbour" not in "".join(paragraphs[: place - 1] + paragraphs[place:])
    assert document.details.figures == (1,)


def test_a_header_that_counts_the_pages_is_no_caption() -> None:
    """Not from its third page on; captions may count the pages too, but are not in the margin."""
    kept: dict[str, int] = {}
    lines = NumberedLines()
    for page in range(3, 8):
        texts = {f"Harbour Guide {page}": 800.0, f"Plate {page}": 300.0, "Table 2": 500.0}
        texts[f"Figure {page}. Results of gauge {page}"] = 200.0
        found = [Caption(0, text, (60, y, 200, y + 10)) for text, y in texts.items()]
        for line in lines.drop(found, page, 842.0):
            kept[line.text.split()[0]] = kept.get(line.text.split()[0], 0) + 1
    assert kept == {"Harbour": 2, "Plate": 5, "Table": 5, "Figure": 5}


def test_a_figure_stands_at_its_place_in_its_column() -> None:
    """The chart at the foot of a column comes before the next column, though it is drawn last."""
    page = read((DATA / "papers/two-column.pdf").read_bytes()).pages[1]
    assert "more than 15 millimetres.\n\n0\n2\n" in page
    assert (
        "second winter\n\nFigure 1. Mean drift of the gauges over three years.\n\n3.2 Who" in page
    )


def test_a_chart_without_a_caption_is_read_as_before() -> None:
    """Nothing of the text moves where the document says nothing of a figure."""
    document = read(draw_report(draw_chart))
    assert document.details.figures == ()
    assert "Harbour crane" in document.pages[0]


def test_the_text_in_place_of_a_picture_is_read() -> None:
    """A tagged picture's alternative text stands where the picture is."""
    document = read(tagged_report("A red crane lifts a boat"))
    assert document.pages[0].split("\n\n") == [
        "The crane was built in spring.",
        "A red crane lifts a boat",
        "It can lift forty tonnes.",
    ]
    assert document.details.figures == (1,)


@pytest.mark.parametrize(("size", "count"), [(b"200 0 0 120", 1), (b"020 0 0 012", 0)])
def test_a_tagged_icon_is_read_but_not_described(size: bytes, count: int) -> None:
    """Its text in place of it is free, and a description is not."""
    data = tagged_report("A red crane lifts a boat").replace(b"200 0 0 120", size)
    document = extract(data, ExtractOptions(describes=True))
    assert "A red crane lifts a boat" in document.pages[0]
    assert len(document.figures) == count


@pytest.mark.parametrize("name", ["image1.png", "It can lift forty tonnes.", "-"])
def test_an_alternative_text_that_says_nothing_new_is_left_out(name: str) -> None:
    """The name of a file, or what the page says anyway, adds no text."""
    assert read(tagged_report(name)).pages == (
        "The crane was built in spring.\nIt can lift forty tonnes.",
    )


@pytest.mark.parametrize(
    "line",
    ["Figure 3. Sales", "Abb. 3: Umsatz", "Tabla 2", "図3 売上", "図3売上", "Рис. 1. Выручка",
     "그림 3", "รูปที่ 3 แผน", "شكل 3: رسم", "3. ábra. Forgalom", "2 pav. Augimas",
     "Gráfico N.º 2. Ventas", "FIGURE 3 SALES", "Fig. 2-1 Crane"],
)  # fmt: skip
def test_a_caption_is_known_by_its_form(line: str) -> None:
    """A word and a number make a caption in any language."""
    text = f"The first line.\r\n{line}\r\nThe last line."
    assert [text[start:end] for start, end in find_caption_lines(text)] == [line]


@pytest.mark.parametrize(
    "line",
    ["In 2019 we grew", "You have 28 days", "May 3 was a Sunday", "half of 3", "Page 3 of 9",
     "The 3 of us", "3 apples are left", "3. Install the crane",
     "それ以外には正解が1個だけあります"],
)  # fmt: skip
def test_a_sentence_is_no_caption(line: str) -> None:
    """A number in running text does not make a caption."""
    assert find_caption_lines(line) == []


@pytest.mark.parametrize(
    ("draw", "boxes"),
    [
        (draw_chart, [(0.1, 0.16, 0.57, 0.41)]),
        (draw_strips, [(0.1, 0.18, 0.44, 0.37)]),
        (draw_table, []),
        (lambda canvas: canvas.rect(50, 480, 500, 180), []),
        (lambda canvas: canvas.drawImage(ImageReader(Image.new("L", (9, 9))), 60, 600, 40, 40), []),
    ],
    ids=["chart", "strips of a photograph", "table", "frame", "small picture"],
)
def test_figures_are_found_and_nothing_else(
    draw: Callable[[Canvas], None], boxes: list[tuple[float, ...]]
) -> None:
    """A chart and a photograph are figures; a table, a frame and an icon are none."""
    found = find_figures(EngineChain(draw_report(draw), ExtractOptions()))
    assert [figure.box for figure in found] == [pytest.approx(box, abs=0.03) for box in boxes]


def test_what_repeats_over_pages_is_no_figure() -> None:
    """A logo on every page is not a figure of each."""
    engines = EngineChain(draw_report(draw_strips, pages=3), ExtractOptions())
    assert find_figures(engines) == []


def draw_plain(canvas: Canvas) -> None:
    """Draw a picture of one colour."""
    canvas.drawImage(ImageReader(Image.new("RGB", (9, 9), "navy")), 60, 510, 300, 150)


def read_figures(data: bytes, answer: OcrResult) -> tuple[Document, int]:
    """Read a PDF with an OCR that answers the same for each figure; count its calls."""
    calls: list[tuple[int, ...]] = []

    def recognise(picture: GreyImage) -> OcrResult:
        calls.append(picture.shape)
        return answer

    options = ExtractOptions(figures=True, recognise_figure=recognise)
    return extract(data, options), len(calls)


def test_the_words_that_an_ocr_reads_in_a_picture_stand_at_its_caption() -> None:
    """A screenshot on a typed page can be found by what it shows."""
    data = draw_report(draw_strips, "Figure 1. The valve")
    document, calls = read_figures(data, OcrResult(f"Open the red valve\n{BELOW}", 0.9))
    assert "\n\nOpen the red valve\n\nFigure 1. The valve\n" in document.pages[0]
    assert document.pages[0].count(BELOW) == 4
    assert calls == 1


@pytest.mark.parametrize("answer", [OcrResult("zx", 0.9), OcrResult("Open the valve", 0.3)])
def test_what_an_ocr_hardly_reads_is_left_out(answer: OcrResult) -> None:
    """A photograph without words adds no text."""
    data = draw_report(draw_strips)
    assert read_figures(data, answer)[0].pages == read(data).pages


@pytest.mark.parametrize("draw", [draw_chart, draw_plain, draw_table], ids=lambda one: one.__name__)
def test_an_ocr_is_spared_what_has_no_words_or_text_of_its_own(
    draw: Callable[[Canvas], None],
) -> None:
    """The text of a chart is read already, and a plain area has none."""
    data = draw_report(draw)
    document, calls = read_figures(data, OcrResult("Open the red valve", 0.9))
    assert (document.pages, calls) == (read(data).pages, 0)


@pytest.mark.parametrize(
    ("caption", "belongs"),
    [
        ((300, 400, 380, 410), True),  # in the margin
        ((300, 350, 310, 480), True),  # turned, as its figure is
        ((300, 400, 540, 410), False),  # in the next column
        ((340, 400, 380, 410), False),  # too far
        ((300, 80, 380, 90), False),  # further down
    ],
)
def test_a_caption_may_stand_at_the_side(caption: Box, belongs: bool) -> None:
    """If no caption is above or below a figure, the one in the margin belongs to it."""
    line = Caption(0, "Figure 1. Valves", caption)
    figure: Box = (50, 300, 290, 500)
    assert assign_captions([line], [figure]) == ({0: line} if belongs else {})
    below = Caption(0, "Figure 2. Pumps", (60, 285, 200, 295))
    assert assign_captions([line, below], [figure]) == {0: below}
