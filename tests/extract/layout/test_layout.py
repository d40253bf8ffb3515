"""Pages in the order in which a person reads them."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdfium2 import PdfDocument
from reportlab.lib.utils import simpleSplit
from reportlab.pdfgen.canvas import Canvas

from ingest.extract.document import ExtractOptions, extract
from ingest.extract.engines.pdfium import Pdfium
from ingest.models import Heading
from tests.conftest import ROOT
from tests.hostile.writing import pdf, stream

DATA = ROOT / "data"
TEXTS = ROOT / "scripts" / "make_data" / "texts"
FONT, SIZE, LEADING = "Helvetica", 10, 13


def draw_pages(*paint: Callable[[Canvas], None]) -> bytes:
    """A PDF with a page for each painter."""
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(595, 842), invariant=True, pageCompression=0)
    for each in paint:
        canvas.setFont(FONT, SIZE)
        each(canvas)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def read_pages(*paint: Callable[[Canvas], None]) -> list[list[str]]:
    """The lines of each page as they are read, those without text left out."""
    document = extract(draw_pages(*paint), ExtractOptions("pdfium"))
    return [[line for line in page.splitlines() if line] for page in document.pages]


def prose(seed: int, width: float, count: int = 14) -> list[str]:
    """Lines of running text that fill a column."""
    handbook = (TEXTS / "handbook.md").read_text().split("\n\n")
    text = " ".join(block for block in handbook[4:] if block[0].isalpha())
    return list(simpleSplit(text[seed * 1500 :], FONT, SIZE, width))[1 : count + 1]


def draw_lines(canvas: Canvas, lines: list[str], x: float, y: float) -> None:
    for number, line in enumerate(lines):
        canvas.drawString(x, y - LEADING * number, line)


LEFT, RIGHT, THIRD = prose(1, 220), prose(2, 220), prose(3, 140)


def draw_rowwise(canvas: Canvas) -> None:
    for number, (left, right) in enumerate(zip(LEFT, RIGHT, strict=True)):
        draw_lines(canvas, [left], 60, 700 - LEADING * number)
        draw_lines(canvas, [right], 310, 700 - LEADING * number)


def draw_right_first(canvas: Canvas) -> None:
    draw_lines(canvas, RIGHT, 310, 700)
    draw_lines(canvas, LEFT, 60, 700)


def draw_left_first(canvas: Canvas) -> None:
    draw_lines(canvas, LEFT, 60, 700)
    draw_lines(canvas, RIGHT, 310, 700)


def draw_uneven(canvas: Canvas) -> None:
    draw_lines(canvas, RIGHT, 310, 706)
    draw_lines(canvas, LEFT, 60, 700)


@pytest.mark.parametrize("paint", [draw_rowwise, draw_right_first, draw_left_first, draw_uneven])
def test_the_left_column_is_read_before_the_right(paint: Callable[[Canvas], None]) -> None:
    """Two columns are two texts, whatever the order in which the page draws them."""

    def page(canvas: Canvas) -> None:
        paint(canvas)
        canvas.setFont(FONT, 16)
        canvas.drawString(60, 760, "A title that stands above both of the columns")
        canvas.setFont(FONT, 8)
        canvas.drawString(60, 300, "1 A note at the foot of the page that runs below both columns.")

    title, *columns, note = read_pages(page)[0]

    assert title.startswith("A title")
    assert columns == [*LEFT, *RIGHT]
    assert note.startswith("1 A note")


def test_three_columns_are_three_texts() -> None:
    """A leaflet is read column by column."""

    def page(canvas: Canvas) -> None:
        for number, line in enumerate(THIRD):
            for place in range(3):
                canvas.drawString(60 + 165 * place, 700 - LEADING * number, f"{line}")

    assert read_pages(page)[0] == THIRD * 3


def test_text_drawn_from_the_bottom_is_read_from_the_top() -> None:
    """Some programs write a page backwards; I do not read it so."""

    def page(canvas: Canvas) -> None:
        for number, line in reversed(list(enumerate(LEFT))):
            canvas.drawString(60, 700 - LEADING * number, line)

    assert read_pages(page)[0] == LEFT


@pytest.mark.parametrize("unit", [str.split, list], ids=["words", "characters"])
def test_words_drawn_one_by_one_are_lines(unit: Callable[[str], list[str]]) -> None:
    """A page whose every word, or character, is placed by itself is plain text."""

    def page(canvas: Canvas) -> None:
        for number, line in enumerate(LEFT):
            x = 60.0
            for part in unit(line):
                if part.strip():
                    canvas.drawString(x, 700 - LEADING * number, part)
                x += canvas.stringWidth(part, FONT, SIZE)
                x += (
                    canvas.stringWidth(" ", FONT, SIZE) if len(part) > 1 or unit is str.split else 0
                )

    assert read_pages(page)[0] == LEFT


ROWS = [
    ["Part", "Material", "Remark", "Price"],
    ["Housing", "Stainless steel", "Turned from one piece", "1,240.00"],
    ["Cable", "", "With a vent tube", "85.50"],
    ["Cartridge", "Polymer", "", "12.00"],
    ["Staff", "Enamel", "Read twice a month", "150.00"],
]


def table(canvas: Canvas, top: float = 600) -> None:
    for number, row in enumerate(ROWS):
        for place, cell in enumerate(row):
            x, y = 60 + 120 * place, top - 14 * number
            if place == 3:
                canvas.drawRightString(x + 60, y, cell)
            else:
                canvas.drawString(x, y, cell)


MARKDOWN = [
    "| Part | Material | Remark | Price |",
    "| --- | --- | --- | --- |",
    "| Housing | Stainless steel | Turned from one piece | 1,240.00 |",
    "| Cable |  | With a vent tube | 85.50 |",
    "| Cartridge | Polymer |  | 12.00 |",
    "| Staff | Enamel | Read twice a month | 150.00 |",
]


def test_a_table_without_rules_keeps_its_rows() -> None:
    """What stands in a row stays together, empty cells and numbers at the right included."""
    before, after = prose(1, 440, 4), prose(2, 440, 4)

    def page(canvas: Canvas) -> None:
        draw_lines(canvas, before, 60, 700)
        table(canvas)
        draw_lines(canvas, after, 60, 500)

    assert read_pages(page)[0] == [*before, *MARKDOWN, *after]


def test_a_table_is_a_paragraph_of_its_own() -> None:
    """Its caption and the text around it are not part of it."""

    def page(canvas: Canvas) -> None:
        draw_lines(canvas, ["Table 1. Parts"], 60, 620)
        table(canvas)

    text = extract(draw_pages(page), ExtractOptions("pdfium")).pages[0]

    assert text.split("\n\n") == ["Table 1. Parts", "\n".join(MARKDOWN)]


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_a_table_on_a_turned_page_keeps_its_rows(angle: int) -> None:
    """A wide table that was put on a page sideways reads like any other."""

    def page(canvas: Canvas) -> None:
        canvas.setPageRotation(angle)
        canvas.translate(*{90: (595, 0), 180: (595, 842), 270: (0, 595)}[angle])
        canvas.rotate(angle)
        table(canvas, 400)

    assert read_pages(page)[0] == MARKDOWN


def test_a_stamp_up_the_margin_does_not_interrupt() -> None:
    """Text written sideways along a page comes after what the page says."""

    def page(canvas: Canvas) -> None:
        canvas.saveState()
        canvas.translate(30, 300)
        canvas.rotate(90)
        canvas.drawString(0, 0, "Received on 3 January")
        canvas.restoreState()
        draw_lines(canvas, LEFT, 60, 700)

    assert read_pages(page)[0] == [*LEFT, "Received on 3 January"]


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([("Name:", "Ida"), ("Date:", "3 May"), ("Place:", "Kelbrook")], id="a form"),
        pytest.param([("Contents", "3"), ("Welcome", "5"), ("Leave", "17")], id="contents"),
    ],
)
def test_what_aligns_is_not_always_a_table(lines: list[tuple[str, str]]) -> None:
    """Forms and contents stay lines."""

    def page(canvas: Canvas) -> None:
        for number, (name, value) in enumerate(lines):
            canvas.drawString(60, 700 - 14 * number, name)
            canvas.drawString(300, 700 - 14 * number, value)

    assert read_pages(page)[0] == [f"{name} {value}" for name, value in lines]


def test_a_list_keeps_its_bullets() -> None:
    """An item begins with its bullet, on a line of its own."""

    def page(canvas: Canvas) -> None:
        for number in range(5):
            canvas.drawString(60, 700 - 14 * number, "\u2022")
            canvas.drawString(90, 700 - 14 * number, f"item {number} of a list")

    assert read_pages(page)[0] == [f"\u2022 item {number} of a list" for number in range(5)]


def cells(name: str) -> list[list[str]]:
    """The rows of the table in the text that a sample was made from."""
    lines = (TEXTS / name).read_text().splitlines()
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines
        if line.startswith("|")
    ]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("benefits/benefits-plan.pdf", "benefits-plan.md"),
        ("benefits/rota.pdf", "rota.md"),
        ("products/price-list.pdf", "price-list.md"),
        ("products/product-sheet.pdf", "product-sheet.md"),
        ("papers/two-column.pdf", "two-column.md"),
    ],
)
def test_the_tables_of_the_samples_are_whole(file: str, text: str) -> None:
    """Every row of every table, with all its cells in their places."""
    document = extract((DATA / file).read_bytes(), ExtractOptions())
    read = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for page in document.pages
        for line in page.splitlines()
        if line.startswith("|") and "---" not in line
    ]

    wanted = [[cell.replace("'", "’") for cell in row] for row in cells(text)]
    assert [row for row in wanted if row not in read] == []
    assert [row for row in read if row not in wanted] == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("papers/newsletter.pdf", "newsletter.md"),
        ("languages/水位計の手引き.pdf", "old-guide.ja.md"),
    ],
)
def test_the_paragraphs_of_the_samples_are_in_order(file: str, text: str) -> None:
    """Three columns written across, and lines from top to bottom, read as they were meant."""
    document = extract((DATA / file).read_bytes(), ExtractOptions())
    paragraphs = (TEXTS / text).read_text().strip().split("\n\n")[1:]

    assert "".join("".join(document.pages).split()).endswith("".join("".join(paragraphs).split()))


def test_headings_come_from_type_sizes_where_there_is_no_outline() -> None:
    """Larger lines are headings by their size, a bold one below them; a running head is none."""

    def page(number: int) -> Callable[[Canvas], None]:
        def paint(canvas: Canvas) -> None:
            canvas.setFont(FONT, 14)
            canvas.drawString(60, 810, "The Running Head")
            canvas.setFont(FONT, 20 if number == 1 else 15)
            canvas.drawString(60, 760, f"Part {number}")
            canvas.setFont("Helvetica-Bold", SIZE)
            canvas.drawString(60, 730, f"A bold line {number}")
            canvas.setFont(FONT, SIZE)
            draw_lines(canvas, prose(number, 440), 60, 710)

        return paint

    document = extract(draw_pages(*map(page, range(1, 5))), ExtractOptions("pdfium"))

    wanted = [Heading(1, "Part 1", 1), Heading(3, "A bold line 1", 1)]
    for number in range(2, 5):
        wanted += [
            Heading(2, f"Part {number}", number),
            Heading(3, f"A bold line {number}", number),
        ]
    assert list(document.headings) == wanted


def test_short_lines_are_no_headings_because_a_regular_font_has_broad_stems() -> None:
    """Chromium overrates the stems of some fonts, whose name says that they are not bold."""
    lines = ["Mill Lane 4", *["The ferry to the islands runs every hour from June on. " * 2] * 9]
    content = "".join(f"1 0 0 1 40 {700 - 14 * n} Tm ({line}) Tj " for n, line in enumerate(lines))
    font = (
        b"<< /Type /Font /Subtype /TrueType /BaseFont /AAAAAA+NotoSerif-Regular /FirstChar 32 "
        b"/LastChar 126 /Widths [%b] /FontDescriptor 10 0 R >>" % (b"500 " * 95)
    )
    descriptor = (
        b"<< /Type /FontDescriptor /FontName /AAAAAA+NotoSerif-Regular /Flags 4 /StemV 141 "
        b"/FontBBox [0 0 1000 800] /Ascent 800 /Descent -200 /ItalicAngle 0 /CapHeight 700 >>"
    )
    data = pdf({4: stream(f"BT /F 9 Tf {content} ET".encode()), 5: font, 10: descriptor})

    assert extract(data, ExtractOptions("pdfium")).headings == ()


def test_the_names_of_columns_are_no_heading() -> None:
    """Names, far apart in one bold line, head columns; a number before a title may be far off."""

    def page(canvas: Canvas) -> None:
        canvas.setFont("Helvetica-Bold", SIZE)
        for x, y, text in ((60, 740, "PACK(1)"), (240, 740, "Commands"), (460, 740, "PACK(1)")):
            canvas.drawString(x, y, text)
        canvas.drawString(60, 720, "4.")
        canvas.drawString(90, 720, "Return codes")
        canvas.setFont(FONT, SIZE)
        draw_lines(canvas, prose(1, 440), 60, 700)

    headings = extract(draw_pages(page), ExtractOptions("pdfium")).headings

    assert [heading.title for heading in headings] == ["4. Return codes"]


def test_ordinary_text_has_no_headings() -> None:
    """Nothing stands out in a letter."""
    data = draw_pages(lambda canvas: draw_lines(canvas, prose(1, 440), 60, 700))
    assert extract(data, ExtractOptions("pdfium")).headings == ()


def test_a_sentence_among_programs_is_no_heading() -> None:
    """Most of a runbook is commands in small type; what stands between them is its text."""

    def page(canvas: Canvas) -> None:
        canvas.setFont(FONT, 20)
        canvas.drawString(60, 780, "Rotate the key")
        canvas.setFont(FONT, 12)
        canvas.drawString(60, 740, "Set the days and start the pods again when they are idle.")
        canvas.setFont("Courier", 8)
        draw_lines(canvas, prose(1, 440), 60, 700)

    headings = extract(draw_pages(page), ExtractOptions("pdfium")).headings
    assert [heading.title for heading in headings] == ["Rotate the key"]


def test_a_bold_sentence_in_larger_type_is_a_heading() -> None:
    """The titles of a guide may be whole sentences."""
    titles = ["3. What to do if the boiler does not start in winter.", "4. Who pays for repairs."]

    def page(canvas: Canvas) -> None:
        for y, title in zip((780, 460), titles, strict=True):
            canvas.setFont("Helvetica-Bold", 16)
            canvas.drawString(60, y, title)
            canvas.setFont(FONT, 10)
            draw_lines(canvas, LEFT[:18], 60, y - 30)

    headings = extract(draw_pages(page), ExtractOptions("pdfium")).headings
    assert [heading.title for heading in headings] == titles


def letters(text: str) -> Counter[str]:
    """Characters that must never be lost: all but white space, and what Markdown adds."""
    return Counter(c for c in text if not c.isspace() and c not in "|-\\\ufffe")


WORDS = st.lists(
    st.tuples(
        st.integers(0, 10),
        st.integers(0, 20),
        st.sampled_from(["a", "lathe", "12.50", "a longer cell of a table", "\u2022", "x|y"]),
        st.sampled_from([0, 0, 0, 0, 90, 180]),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=150)
@given(WORDS, st.sampled_from([0, 90]))
def test_nothing_is_lost(words: list[tuple[int, int, str, int]], turn: int) -> None:
    """However a page is laid out, and whatever is made of it, all of its text is there."""

    def page(canvas: Canvas) -> None:
        canvas.setPageRotation(turn)
        share = 0.7 if turn else 1.0  # a page that is turned is 595 points high
        for column, line, word, angle in words:
            canvas.saveState()
            canvas.translate(40 + 48 * column, share * (800 - 14 * line))
            canvas.rotate(angle)
            canvas.drawString(0, 0, word)
            canvas.restoreState()

    data = draw_pages(page)
    with PdfDocument(data) as document:
        plain = document[0].get_textpage().get_text_range()
    assert letters(Pdfium(data, ()).text(0)) == letters(plain)


def test_nothing_of_the_samples_is_lost() -> None:
    """Every sample keeps every character, page by page."""
    paths = sorted(Path(DATA).rglob("*.pdf"))
    assert len(paths) > 10
    for path in paths:
        data = path.read_bytes()
        with PdfDocument(path, password="") as document:
            plain = [page.get_textpage().get_text_range() for page in document]
        # Read alone, as a table that goes on over a page repeats its header there.
        found = [letters(Pdfium(data, ()).text(index)) for index in range(len(plain))]
        assert found == [letters(page) for page in plain], path.name
