"""Tables as a person sees them: a row for each row, whatever the rules and the drawing order."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

from ingest.extract.document import ExtractOptions, extract
from ingest.extract.layout.drawing_order import split_lines
from ingest.extract.layout.pieces import join_markers
from ingest.extract.layout.reading_order import order_page
from ingest.extract.layout.rulings import Rulings
from ingest.extract.layout.segments import TextSegment
from ingest.extract.layout.tables import flatten_cell
from ingest.extract.layout.total_rows import clip_labels
from tests.extract.layout.test_layout import FONT, SIZE, draw_lines, draw_pages, prose, read_pages
from tests.hostile.writing import pdf, stream

Cells = Sequence[Sequence[str]]

CITIES = [
    ["City", "People", "Area", "Founded"],
    ["Ghent", "265,086", "156.2", "650"],
    ["Lille", "236,710", "34.8", "1066"],
    ["Trier", "112,195", "117.1", "16 BC"],
    ["Turin", "841,600", "130.0", "-"],
]
TOTAL = ["Total", "1,455,591", "438.1", ""]
LEAVE = [
    ["Kind", "Who holds it", "Conditions"],
    [
        "Annual leave",
        "Every employee who has worked\nfor at least six months in the\nsame department",
        "Must be asked for four weeks\nahead and may be moved once by\nthe supervisor",
    ],
    [
        "Parental leave",
        "Parents of children below the\nage of three",
        "Up to fourteen months, shared\nbetween both parents",
    ],
    ["Sick leave", "Everyone", "A certificate is due on the third\nday of absence"],
]
FOUR, THREE = (60, 200, 300, 400), (60, 150, 320)


def markdown(rows: Cells) -> list[str]:
    """The lines of a table."""
    head, *body = ["| " + " | ".join(" ".join(c.split("\n")) for c in row) + " |" for row in rows]
    return [head, "|" + " --- |" * len(rows[0]), *body]


def put(
    canvas: Canvas, rows: Cells, places: Sequence[int], top: float = 700, order: str = "rows"
) -> None:
    """Draw cells of one line each."""
    cells = [
        (x, top - 14 * n, cell)
        for n, row in enumerate(rows)
        for x, cell in zip(places, row, strict=True)
    ]
    if order == "columns":
        cells.sort(key=lambda cell: cell[0])
    if order == "any":
        random.Random(1).shuffle(cells)
    for x, y, text in cells:
        if text:
            canvas.drawString(x, y, text)


def put_wrapped(
    canvas: Canvas, rows: Cells, *, gap: float, order: str = "cells", centred: bool = False
) -> None:
    """Draw cells of several lines."""
    lines, top = [], 700.0
    for number, row in enumerate(rows):
        count = max(len(cell.split("\n")) for cell in row)
        for column, cell in enumerate(row):
            parts = cell.split("\n")
            first = top - 6 * (count - len(parts)) * centred
            for place, part in enumerate(parts):
                lines.append((number, column, place, first - 12 * place, part))
        top -= 12 * count + gap
    if order == "columns":
        lines.sort(key=lambda line: (line[1], line[0], line[2]))
    if order == "lines":
        lines.sort(key=lambda line: (-line[3], line[1]))
    for _, column, _, y, part in lines:
        canvas.drawString(THREE[column], y, part)


def rules(canvas: Canvas, *levels: float) -> None:
    for level in levels:
        canvas.line(58, level, 500, level)


@pytest.mark.parametrize(
    "levels",
    [
        pytest.param((712, 696, 626), id="none before the total"),
        pytest.param((712, 696, 640, 626), id="one before the total"),
        pytest.param((712, 696, 668, 640, 626), id="one in the middle too"),
        pytest.param((640,), id="only one before the total"),
        pytest.param((), id="none"),
    ],
)
def test_rows_between_two_rules_are_rows_each(levels: Sequence[float]) -> None:
    """A rule below the header or above the total makes no row of what is between them."""

    def page(canvas: Canvas) -> None:
        put(canvas, [*CITIES, TOTAL], FOUR)
        rules(canvas, *levels)

    assert read_pages(page)[0] == markdown([*CITIES, TOTAL])


def test_rows_of_words_between_two_rules_are_rows_each() -> None:
    """Figures are not needed to tell rows."""
    rows = [
        ["Tree", "Place", "Remark"],
        ["Alder", "Riverside", "Likes wet feet"],
        ["Birch", "Heath", "Grows fast"],
        ["Cedar", "Slope", "Smells good"],
        ["All", "Everywhere", "See below"],
    ]

    def page(canvas: Canvas) -> None:
        put(canvas, rows, THREE)
        rules(canvas, 712, 696, 654, 640)

    assert read_pages(page)[0] == markdown(rows)


def test_a_table_drawn_letter_by_letter_is_a_table() -> None:
    """Browsers print some fonts so, and then no run of text shows where a cell ends."""

    def page(canvas: Canvas) -> None:
        for number, row in enumerate(CITIES):
            for text, x in zip(row, (60, 95, 145, 190), strict=True):
                for place, letter in enumerate(text):
                    left = x + stringWidth(text[:place], FONT, SIZE)
                    canvas.drawString(left, 700 - 14 * number, letter)

    assert read_pages(page)[0] == markdown(CITIES)


def test_a_centred_header_is_above_its_cells() -> None:
    """Browsers centre the names of wide columns, so that some are right of all that they name."""
    rows = [
        ["Description", "Qty", "Unit", "Amount"],
        ["Berth, May", "1", "310.00", "310.00"],
        ["Electricity, kWh", "84", "0.31", "26.04"],
        ["Crane, half hours", "3", "45.00", "135.00"],
    ]

    def page(canvas: Canvas) -> None:
        put(canvas, rows[:1], (140, 298, 368, 460))
        put(canvas, rows[1:], (60, 282, 336, 426), top=686)

    assert read_pages(page)[0] == markdown(rows)


def test_rows_that_run_from_right_to_left_keep_their_first_cells() -> None:
    """A Hebrew timetable has each day in its row, also if two days are written as wide."""
    rows = [
        [(447, 459, "יום"), (270, 291, "שעה"), (115, 134, "חדר")],
        [(506, 532, "ראשון"), (340, 361, "8:30"), (175, 187, "12")],
        [(518, 532, "שני"), (340, 361, "9:15"), (181, 187, "7")],
        [(506, 532, "שלישי"), (334, 361, "10:45"), (181, 187, "3")],
        [(509, 532, "רביעי"), (334, 361, "12:00"), (181, 187, "9")],
    ]
    segments = [
        TextSegment(u0, 21.5 * row, u1, 21.5 * row + 10.5, text, 3 * row + place, row)
        for row, cells in enumerate(rows)
        for place, (u0, u1, text) in enumerate(cells)
    ]
    rules = [(21.5 * row + 16, (100.0, 540.0)) for row in range(5)]
    (table,) = order_page(segments, Rulings(rules, []), right_to_left=True)

    assert table[0].text.split("\n") == markdown([[text for _, _, text in row] for row in rows])


@pytest.mark.parametrize("order", ["cells", "lines"])
def test_a_wrapped_cell_between_two_rules_is_one_cell(order: str) -> None:
    """A row goes on where its cells do."""

    def page(canvas: Canvas) -> None:
        put_wrapped(canvas, LEAVE, gap=0, order=order)
        rules(canvas, 712, 696, 610)

    assert read_pages(page)[0] == markdown(LEAVE)


@pytest.mark.parametrize("place", [60, 176], ids=["left", "right"])
def test_the_label_of_a_total_may_reach_over_columns(place: int) -> None:
    """The rows of an invoice's tax and total are rows of its table."""
    rows = [["No", "Item", "Qty", "Sum"], ["1", "Oak shelf", "2", "280.00"]]
    rows += [["2", "Delivery", "1", "20.00"]]

    def page(canvas: Canvas) -> None:
        canvas.drawString(58, 730, "Invoice for the furniture of the reading room")
        put(canvas, rows, (60, 80, 200, 240))
        for number, (label, value) in enumerate([("VAT 20%", "60.00"), ("To pay", "360.00")]):
            draw = canvas.drawString if place == 60 else canvas.drawRightString
            draw(60 if place == 60 else 216, 655 - 14 * number, label)
            canvas.drawString(240, 655 - 14 * number, value)

    lines = read_pages(page)[0]

    assert [row.count("|") for row in lines if "|" in row] == [5] * 6
    assert lines[-2].endswith("| 60.00 |")


def test_a_label_between_two_columns_is_in_neither() -> None:
    """A label that only touches the columns beside it costs no page its tables."""
    rows = [[(0, 50, "Oak"), (56, 100, "Large"), (150, 200, "2.00")]] * 2
    drawn = [*rows, [(51, 55, "+"), (150, 200, "4.00")]]
    bands = [
        [TextSegment(u0, v, u1, v + 10, text, v, v) for u0, u1, text in row]
        for v, row in enumerate(drawn)
    ]

    assert clip_labels(bands, min_gap=4) == bands


def test_lines_of_cells_part_close_columns() -> None:
    """Browsers draw the border of each cell: columns may be closer than words of other pages."""
    rows = [["Part", "Qty", "Each", "Sum"], ["Bolt", "120", "17.90", "214.80"]]
    rows += [["Nut", "120", "11.50", "138.00"], ["Total", "240", "", "352.80"]]
    lefts, edges = (60, 105, 128, 160, 200), (100, 124, 156, 194)

    def page(canvas: Canvas) -> None:
        for number, row in enumerate(rows):
            canvas.drawString(62, 700 - 16 * number, row[0])
            for edge, text in zip(edges[1:], row[1:], strict=True):
                canvas.drawRightString(edge, 700 - 16 * number, text)
        for level in (696, 664):
            for left, right in pairwise(lefts):
                canvas.line(left, level, right, level)

    assert read_pages(page)[0] == markdown(rows)


def test_a_header_of_two_lines_is_one_row() -> None:
    """Units below the names of columns are part of the header, down to its rule."""
    rows = [["", "Sales", "Cost", "Margin"], ["Region", "EUR m", "EUR m", "%"]]
    rows += [["North", "12.1", "8.2", "32"], ["South", "9.0", "7.1", "21"]]

    def page(canvas: Canvas) -> None:
        put(canvas, rows, FOUR)
        rules(canvas, 712, 682, 654)

    header = ["Region", "Sales EUR m", "Cost EUR m", "Margin %"]
    assert read_pages(page)[0] == markdown([header, *rows[2:]])


@pytest.mark.parametrize("top", [700, 706])
def test_a_header_above_the_grid_belongs_to_it(top: float) -> None:
    """Some tables have their frame around the rows only."""

    def page(canvas: Canvas) -> None:
        put(canvas, CITIES[:1], FOUR, top)
        put(canvas, CITIES[1:], FOUR, 686)
        rules(canvas, 696, 682, 668, 654, 640)
        for x in (56, 196, 296, 396, 500):
            canvas.line(x, 696, x, 640)

    assert read_pages(page)[0] == markdown(CITIES)


def test_an_invoice_has_a_header_and_a_total() -> None:
    """A narrow column keeps its header, whatever aligns above; each sum has its own row."""
    rows = [
        ["No.", "Article", "Amount", "EUR"],
        ["1", "Steel screws, a box of one hundred", "2", "12.00"],
        ["2", "Hex key set", "1", "8.50"],
        ["", "", "Net", "20.50"],
        ["", "", "VAT", "3.90"],
        ["", "", "Total", "24.40"],
    ]
    drawn_rows = [
        rows[0],
        ["1", "Steel screws, a box of", "2", "12.00"],
        ["", "one hundred", "", ""],
    ]

    def page(canvas: Canvas) -> None:
        put(canvas, [["Invoice number", "4711"], ["Date", "3 May"], ["Due", "2 June"]], (60, 150))
        put(canvas, [*drawn_rows, *rows[2:]], (60, 84, 300, 400), 620)

    assert read_pages(page)[0][-len(rows) - 1 :] == markdown(rows)


@pytest.mark.parametrize("order", ["columns", "any"])
def test_cells_drawn_in_another_order_keep_their_rows(order: str) -> None:
    """Some programs draw a table column by column."""
    assert read_pages(lambda canvas: put(canvas, CITIES, FOUR, order=order))[0] == markdown(CITIES)


@pytest.mark.parametrize(
    ("order", "centred"),
    [("cells", False), ("lines", False), ("columns", False), ("cells", True), ("lines", True)],
)
def test_wrapped_cells_without_rules_are_whole(order: str, centred: bool) -> None:
    """White space between the rows shows them; in each, a cell may be higher than another."""

    def page(canvas: Canvas) -> None:
        put_wrapped(canvas, LEAVE, gap=8, order=order, centred=centred)

    assert read_pages(page)[0] == markdown(LEAVE)


@pytest.mark.parametrize("dash", ["-", "–", "—"])
def test_a_dash_for_none_is_a_cell(dash: str) -> None:
    """It is no bullet of a list."""
    rows = [["Fund", "2023", "2024"], [dash, "12", "13"], ["Bonds", dash, "7"]]
    rows += [["Shares", "5", dash], ["Cash", dash, dash], ["Sum", "17", "20"]]

    assert read_pages(lambda canvas: put(canvas, rows, THREE))[0] == markdown(rows)


def test_numbers_with_dots_may_be_a_column() -> None:
    """Not only lists are numbered."""
    rows = [["Pos", "Item", "Qty", "Price"], ["1.", "Hammer", "2", "9.50"]]
    rows += [["2.", "Saw", "1", "14.00"], ["3.", "Nails", "11", "3.20"], ["", "", "Sum", "26.70"]]

    assert read_pages(lambda canvas: put(canvas, rows, (60, 90, 300, 400)))[0] == markdown(rows)


@pytest.mark.parametrize("marker", ["-", "\u2022", "1."])
def test_lists_side_by_side_are_no_table(marker: str) -> None:
    """A bullet stays with its item."""
    items = [("passport", "pens"), ("two photographs", "paper"), ("proof of address", "ink")]

    def page(canvas: Canvas) -> None:
        for number, (left, right) in enumerate(items):
            y = 700 - 14 * number
            for x, text in ((60, marker), (75, left), (300, marker), (315, right)):
                canvas.drawString(x, y, text)

    assert read_pages(page)[0] == [f"{marker} {left} {marker} {right}" for left, right in items]


BOXES = [
    ["Strengths", "Known brand and loyal", "customers in the north", "of the country"],
    ["Weaknesses", "Old machines that", "need much repair"],
    ["Openings", "New markets in the", "east and the south"],
    ["Threats", "Rising prices of", "steel and energy"],
]


@pytest.mark.parametrize(
    "places",
    [
        pytest.param([(60, 600), (320, 594), (60, 500), (320, 497)], id="four"),
        pytest.param([(60, 600), (320, 600), (60, 500), (320, 500)], id="four, level"),
        pytest.param([(60, 600), (190, 600), (320, 600), (450, 600)], id="in a row"),
    ],
)
def test_boxes_side_by_side_are_read_one_by_one(places: list[tuple[int, int]]) -> None:
    """What a page draws box by box is read so; its title comes first and its foot last."""

    def page(canvas: Canvas) -> None:
        canvas.drawString(60, 40, "Confidential")
        for box, (x, y) in zip(BOXES, places, strict=True):
            draw_lines(canvas, box, x, y)
        canvas.drawString(60, 780, "Where we stand")

    wanted = ["Where we stand", *[line for box in BOXES for line in box], "Confidential"]
    assert read_pages(page)[0] == wanted


CLAUSES = [
    ("1. The tenant pays the rent on the", "1. Der Mieter zahlt die Miete am"),
    ("first day of each month.", "ersten Tag jedes Monats."),
    ("2. The landlord keeps the house in", "2. Der Vermieter erhält das Haus auf"),
    ("good repair at his own cost.", "eigene Kosten in gutem Zustand."),
]


SHORT_CLAUSES = [
    ("1. Der Käufer zahlt den", "1. The buyer pays the"),
    ("Preis in zwei Raten.", "price in two parts."),
    ("2. Die Kosten tragen", "2. The costs are borne"),
    ("beide Seiten.", "by both sides."),
]


@pytest.mark.parametrize("clauses", [CLAUSES, SHORT_CLAUSES], ids=["long", "short"])
@pytest.mark.parametrize("order", ["rows", "columns"])
def test_two_languages_side_by_side_are_columns(
    order: str, clauses: Sequence[Sequence[str]]
) -> None:
    """A sentence is not cut by its translation."""
    found = read_pages(lambda canvas: put(canvas, clauses, (60, 320), order=order))[0]

    assert found == [line for column in zip(*clauses, strict=True) for line in column]


@pytest.mark.parametrize("leading", [13, 20, 27, 30])
def test_wide_line_spacing_is_no_paragraph(leading: float) -> None:
    """Only a gap wider than a page's usual one parts paragraphs."""
    first, second = prose(1, 440, 5), prose(2, 440, 4)

    def page(canvas: Canvas) -> None:
        canvas.setFont(FONT, SIZE)
        for number, line in enumerate(first):
            canvas.drawString(60, 760 - leading * number, line)
        for number, line in enumerate(second):
            canvas.drawString(60, 760 - leading * (number + 5.8), line)
        put(canvas, CITIES, FOUR, 400)

    paragraphs = extract(draw_pages(page), ExtractOptions("pdfium")).pages[0].split("\n\n")

    assert paragraphs == ["\n".join(first), "\n".join(second), "\n".join(markdown(CITIES))]


def test_the_heading_of_a_section_is_a_row() -> None:
    """A row of one cell is a row."""
    rows = [CITIES[0], ["North", "", "", ""], *CITIES[1:3], ["South", "", "", ""], *CITIES[3:]]

    assert read_pages(lambda canvas: put(canvas, rows, FOUR))[0] == markdown(rows)


STOCK = [["No.", "Part", "Price"]]
STOCK += [[str(2000 + 7 * n), f"Bracket of size {n}", f"{n * 1.5:.2f}"] for n in range(1, 40)]


def read_two_pages(
    first: Cells, second: Cells, places: Sequence[int], *above: str
) -> list[list[str]]:
    """The lines of two pages with a table each, and running lines."""

    def page(number: int, rows: Cells, columns: Sequence[int]) -> Callable[[Canvas], None]:
        def paint(canvas: Canvas) -> None:
            canvas.drawString(60, 810, "Price list")
            draw_lines(canvas, list(above) if number > 1 else [], 60, 780)
            put(canvas, rows, columns, 740)
            canvas.drawString(300, 30, f"Page {number}")

        return paint

    return read_pages(page(1, first, THREE), page(2, second, places))


def find_header(lines: list[str]) -> str:
    """The header of the only table of a page."""
    return lines[lines.index("| --- | --- | --- |") - 1]


def test_a_table_that_goes_on_has_the_header_of_its_first_page() -> None:
    """Rows on the next page are found by the names of their columns, and none is a header."""
    first, second = read_two_pages(STOCK[:20], STOCK[20:], THREE)

    assert find_header(first) == find_header(second) == "| No. | Part | Price |"
    assert [line for line in second if line.startswith("|")] == markdown([STOCK[0], *STOCK[20:]])


def test_a_table_whose_columns_do_not_align_has_no_header() -> None:
    """Its first row is data all the same."""
    _, second = read_two_pages(STOCK[:20], STOCK[20:], (60, 250, 400))

    assert [line for line in second if line.startswith("|")] == markdown(
        [["", "", ""], *STOCK[20:]]
    )


@pytest.mark.parametrize(
    ("header", "above"),
    [
        pytest.param(["No.", "Part", "Price"], (), id="repeated"),
        pytest.param(["Code", "Tool", "Rent"], (), id="its own"),
        pytest.param(["2001", "Tool", "12.50"], ("Table 2: tools",), id="below a caption"),
    ],
)
def test_another_table_keeps_its_own_header(header: list[str], above: tuple[str, ...]) -> None:
    """Only a table without a header goes on from the page before."""
    _, second = read_two_pages(STOCK[:20], [header, *STOCK[20:]], THREE, *above)

    assert find_header(second) == f"| {' | '.join(header)} |"


FIELDS = [("Customer:", "Fairweather"), ("Statement date:", "30 June 2026")]
MORE_FIELDS = [("Account:", "FW-20-8817"), ("Due:", "14 July 2026")]


@pytest.mark.parametrize(("boxes", "drop"), [(True, 13), (False, 13), (True, 17)])
def test_a_label_is_read_with_the_value_below_it(boxes: bool, drop: int) -> None:
    """A form keeps each of its fields together, in boxes or not, and is no part of a table."""

    def page(canvas: Canvas) -> None:
        for row, fields in enumerate((FIELDS, MORE_FIELDS)):
            for x, (label, value) in zip((60, 300), fields, strict=True):
                top = 700 - 40 * row
                canvas.setFont(FONT, 8)
                canvas.drawString(x, top, label)
                canvas.setFont(FONT, SIZE)
                canvas.drawString(x, top - drop, value)
                if boxes:
                    canvas.rect(x - 4, top - 20, 230, 32)
        put(canvas, CITIES, FOUR, 560)
        rules(canvas, 572, 556, 500)

    found = read_pages(page)[0]

    fields = [text for fields in (FIELDS, MORE_FIELDS) for field in fields for text in field]
    words = " ".join(found[: -len(CITIES) - 1]).replace("|", " ").replace("---", " ").split()
    assert words == " ".join(fields).split()
    assert found[-len(CITIES) - 1 :] == markdown(CITIES)


def test_cells_that_hold_a_dash_are_cells() -> None:
    """Dashes for none, next to each other and to a figure, stay in their columns."""
    rows = [CITIES[0], ["Ghent", "265,086", "-", "-"], ["Lille", "-", "-", "1066"], CITIES[3]]
    losses = [*rows, ["Arras", "(75)", "(120)", "-"]]

    assert read_pages(lambda canvas: put(canvas, rows, FOUR))[0] == markdown(rows)
    assert read_pages(lambda canvas: put(canvas, losses, FOUR))[0] == markdown(losses)


def test_a_dash_drawn_after_the_value_above_it_is_a_cell_of_its_own() -> None:
    """PDFium takes it for a hyphen at the end of that value, and no cell is lost for it."""
    rows = [["Ward", "Change", "Cost"], ["Lake", "+3", "8.50"], ["Hill", "-", "4.10"]]
    rows += [["Mill", "+1", "2.25"]]

    assert read_pages(lambda canvas: put(canvas, rows, THREE, order="columns"))[0] == markdown(rows)


def test_columns_are_no_cells_of_a_table_below_them() -> None:
    """The rules of a table further down the page, below a heading, say nothing about columns."""
    left, right = prose(1, 220, 9), prose(2, 220, 5)

    def page(canvas: Canvas) -> None:
        draw_lines(canvas, left, 60, 760)
        draw_lines(canvas, right, 300, 760)
        canvas.setFont(FONT, 14)
        canvas.drawString(60, 620, "Cities")
        canvas.setFont(FONT, SIZE)
        put(canvas, CITIES, FOUR, 590)
        rules(canvas, 602, *(586 - 14 * n for n in range(len(CITIES))))

    assert read_pages(page)[0] == [*left, *right, "Cities", *markdown(CITIES)]


def test_a_table_right_below_columns_is_no_part_of_them() -> None:
    """Columns of text end where a row of more pieces follows at a distance, heading or not."""
    left, right = prose(1, 220, 9), prose(2, 220, 9)

    def page(canvas: Canvas) -> None:
        draw_lines(canvas, left, 60, 760)
        draw_lines(canvas, right, 300, 760)
        put(canvas, CITIES, (60, 180, 340, 420), 610)
        rules(canvas, 622, 606, 550)

    assert read_pages(page)[0] == [*left, *right, *markdown(CITIES)]


def test_bullets_of_lists_side_by_side_stay_with_their_items() -> None:
    """Bullets that are drawn last are each read with the item right of it, in its own box."""
    drawn = [
        (80, 150, "Read the meter"),
        (300, 370, "Sign the form"),
        (71, 75, "•"),
        (291, 295, "•"),
    ]
    segments = [TextSegment(u0, 0, u1, 10, text, n, n) for n, (u0, u1, text) in enumerate(drawn)]

    assert [s.text for s in join_markers(segments)] == ["• Read the meter", "• Sign the form"]


@pytest.mark.parametrize("marker", ["1.", "[1]", "•"])
def test_markers_drawn_after_all_items_stay_with_them(marker: str) -> None:
    """Some programs draw the numbers of a list last; each is read with its item."""
    items = ["Read the meter", "Enter the figure", "Sign the form"]
    markers = [marker.replace("1", str(n)) for n in range(1, 4)]

    def page(canvas: Canvas) -> None:
        draw_lines(canvas, items, 80, 700)
        put(canvas, CITIES, FOUR, 600)
        rules(canvas, 612, 596, 540)
        draw_lines(canvas, markers, 64, 700)

    found = read_pages(page)[0]

    assert found[:3] == [f"{one} {item}" for one, item in zip(markers, items, strict=True)]


def test_a_box_drawn_first_is_read_where_it_stands() -> None:
    """A sidebar comes after the text above it, though browsers draw it before all text."""
    above, beside = prose(1, 440, 4), prose(2, 280, 4)
    box = ["Service", "phone 555 0199", "8:00 to 16:00"]

    def page(canvas: Canvas) -> None:
        draw_lines(canvas, box, 400, 636)
        draw_lines(canvas, [*above, *beside], 60, 700)

    assert read_pages(page)[0] == [*above, *box, *beside]


def test_rows_are_found_where_a_font_does_not_say_how_high_it_is() -> None:
    """LibreOffice's fonts have no ascent; letters that hang down are no gap between rows."""
    rows = [
        ["Month", "Work", "Who"],
        ["March", "digging, compost", "Amelia"],
        ["May", "setting of tomatoes", "Jean-Paul"],
        ["September", "harvest and feast", "any"],
    ]
    content = "\n".join(
        f"1 0 0 1 {x} {700 - 21 * n} Tm ({cell}) Tj"
        for n, row in enumerate(rows)
        for x, cell in zip((66, 223, 380), row, strict=True)
    )
    font = (
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Made /FirstChar 32 /LastChar 126 "
        b"/Widths [%b] /FontDescriptor 10 0 R /Encoding /WinAnsiEncoding >>" % (b"500 " * 95)
    )
    descriptor = (
        b"<< /Type /FontDescriptor /FontName /Made /Flags 32 /FontBBox [0 0 1000 714] "
        b"/Ascent 714 /Descent 0 /ItalicAngle 0 /CapHeight 714 /StemV 80 >>"
    )
    body = stream(f"BT /F 10.5 Tf\n{content}\nET".encode())
    found = extract(pdf({4: body, 5: font, 10: descriptor}), ExtractOptions("pdfium")).pages[0]

    assert found.split("\n") == markdown(rows)


@pytest.mark.parametrize(
    ("maker", "last"),
    [
        pytest.param("GPL Ghostscript 10.0", "124 637 Tm [(Candle) -4000 (5.25) 15800 (003)]"),
        pytest.param("gropdf version 1.23", "66 637 Tm [(003) -4000 (Candle) -4000 (5.25)]"),
    ],
)
def test_a_row_drawn_as_one_run_has_cells(maker: str, last: str) -> None:
    """Some programs draw a line of a ruled table at once: gaps are wide, and some go back."""
    rows = [["No.", "Part", "Price"], ["001", "Anchor", "1.75"], ["002", "Barrel", "3.50"]]
    content = "\n".join(
        f"BT /F 10 Tf 1 0 0 1 66 {700 - 21 * n} Tm [({one}) -4000 ({two}) -4000 ({three})] TJ ET"
        for n, (one, two, three) in enumerate(rows)
    )
    content += f"\nBT /F 10 Tf 1 0 0 1 {last} TJ ET"
    rules = "".join(f"60 {714 - 21 * n} m 260 {714 - 21 * n} l S\n" for n in range(5))
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier >>"
    producer = f"<< /Producer ({maker}) >>".encode()
    objects = {4: stream(f"{content}\n{rules}".encode()), 5: font, 10: producer}
    found = extract(pdf(objects, info=b"/Info 10 0 R"), ExtractOptions())

    assert found.pages[0].split("\n") == markdown([*rows, ["003", "Candle", "5.25"]])


def test_framed_boxes_side_by_side_are_no_rows() -> None:
    """Boxes with a frame each are read one by one, and the table below keeps its header."""
    boxes = [
        (60, ["Loans", "Five books for three weeks", "and twice again on request"]),
        (310, ["Fines", "Fifty cents a day is asked", "for each book that is late"]),
    ]
    rows = [["Room", "Floor", "Seats"], ["Reading room", "1", "120"], ["Children", "2", "45"]]

    def page(canvas: Canvas) -> None:
        for x, lines in boxes:
            canvas.rect(x - 6, 665, 220, 50)
            draw_lines(canvas, lines, x, 700)
        put(canvas, [*rows, ["Hall", "3", "18"]], (60, 316, 430), top=650)

    (read,) = read_pages(page)
    assert read[:6] == [line for _, lines in boxes for line in lines]
    assert read[6:9] == markdown(rows)[:3]


def test_a_cell_over_several_columns_parts_no_table() -> None:
    """A total that reaches over two columns leaves them apart, and is in the first one."""
    rows = [["No.", "Part", "Price"], ["1", "Hose", "18.00"], ["2", "Nozzle", "7.50"]]

    def page(canvas: Canvas) -> None:
        put(canvas, [*rows, ["Total due", "", "25.50"]], (66, 96, 202))
        for n in range(5):
            canvas.line(60, 711 - 14 * n, 260, 711 - 14 * n)
        for x, bottom in ((60, 655), (90, 669), (196, 655), (260, 655)):
            canvas.line(x, 711, x, bottom)

    assert read_pages(page) == [markdown([*rows, ["Total due", "", "25.50"]])]


def test_a_form_above_a_table_is_no_part_of_it() -> None:
    """The fields of a form stand further right than the columns of the table below them."""
    rows = [["Item", "Count", "Price"], ["Pens", "50", "250.00"], ["Paper", "5", "600.00"]]
    fields = [("Number", "Date"), ("QT-014", "2 June"), ("Phone", "Mail"), ("02-123", "a@b.org")]

    def page(canvas: Canvas) -> None:
        for n, row in enumerate(fields):
            put(canvas, [row], (66, 305), top=730 - 14 * n)
        put(canvas, [*rows, ["Total", "-", "850.00"]], (66, 137, 182), top=660)
        for level in (742, 714, 686):
            canvas.line(60, level, 500, level)
        for n in range(5):
            canvas.line(60, 671 - 14 * n, 500, 671 - 14 * n)

    (read,) = read_pages(page)
    assert read[-5:] == markdown([*rows, ["Total", "-", "850.00"]])
    assert not any("Item" in line for line in read[:-5])


def test_tables_side_by_side_are_read_one_by_one() -> None:
    """Of two price lists next to each other, no row is that of both."""
    left, right = [row[:2] for row in CITIES], [[row[0], row[3]] for row in CITIES[:4]]

    def page(canvas: Canvas) -> None:
        put(canvas, left, (60, 150))
        put(canvas, right, (260, 350))

    assert read_pages(page) == [[*markdown(left), *markdown(right)]]


def test_two_tables_are_never_on_one_line() -> None:
    """A price list in two columns is two tables, the second one beside the first."""
    one, other = (
        TextSegment(left, 0, left + 90, 50, "| a | b |", n, n, columns=((left, left + 90),))
        for n, left in enumerate((0.0, 100.0))
    )
    assert list(split_lines([one, other], right_to_left=False)) == [[one], [other]]


def test_a_heading_of_two_lines_in_the_midst_of_a_header_is_one_cell() -> None:
    """Cells that are centred beside it begin lower than its first line and end above its last."""
    head, *rows = [["City", "People", "Share of\nschools", "Founded"], *CITIES[1:]]

    def page(canvas: Canvas) -> None:
        put(canvas, rows, FOUR)
        for x, cell in zip(FOUR, head, strict=True):
            lines = cell.split("\n")
            for n, line in enumerate(lines):
                canvas.drawString(x, 720 + 6 * (len(lines) - 1) - 12 * n, line)

    assert read_pages(page) == [markdown([head, *rows])]


def test_a_cell_that_begins_higher_than_its_row_is_in_it() -> None:
    """A heading of two lines in a grid, with its row centred beside it, is one cell."""
    head, *rows = [["City", "People", "Area", "Founded\nin"], *CITIES[1:]]

    def page(canvas: Canvas) -> None:
        put(canvas, rows, FOUR)
        put(canvas, [head[:3]], FOUR[:3], 723)
        for n, line in enumerate(head[3].split("\n")):
            canvas.drawString(FOUR[3], 730 - 14 * n, line)
        rules(canvas, 742, 711, 697, 683, 669, 655)

    assert read_pages(page) == [markdown([head, *rows])]


@pytest.mark.parametrize("lines", [["Flanders"], ["Flanders", "and beyond"]])
def test_a_cell_over_several_rows_is_in_the_first(lines: list[str]) -> None:
    """The name of a group, in the middle of its rows, belongs to all: it is read before them."""
    rows = [
        ["Region", "City", "People"],
        [" ".join(lines), "Ghent", "265,086"],
        ["", "Bruges", "118,325"],
        ["", "Ypres", "35,039"],
        ["", "Aalst", "88,081"],
        ["France", "Lille", "236,710"],
    ]
    drawn = [[cell if number in (0, 5) or column else "" for column, cell in enumerate(row)]
             for number, row in enumerate(rows)]  # fmt: skip

    def page(canvas: Canvas) -> None:
        put(canvas, drawn, THREE)
        for n, line in enumerate(lines):
            canvas.drawString(60, 665 + 6 * (len(lines) - 1) - 12 * n, line)
        for n in range(7):
            canvas.line(148 if n in (2, 3, 4) else 56, 711 - 14 * n, 400, 711 - 14 * n)
        for x in (56, 148, 316, 400):
            canvas.line(x, 711, x, 627)

    assert read_pages(page) == [markdown(rows)]


@pytest.mark.parametrize(
    ("column", "rows"), [(0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (2, 2), (2, 4)]
)
def test_a_cell_over_several_rows_without_rules_is_in_the_first(column: int, rows: int) -> None:
    """Where a table has no rules, the drawing shows it: it goes down to the cell, and up again."""
    cities = [
        ["Ghent", "265,086"],
        ["Lille", "236,710"],
        ["Trier", "112,195"],
        ["Turin", "841,600"],
    ]
    table = [["City", "People"]] + [cities[n % 4] for n in range(2 * rows)]
    spans = ["Region", "Flanders", *[""] * (rows - 1), "Elsewhere", *[""] * (rows - 1)]
    whole = [[*row[:column], span, *row[column:]] for row, span in zip(table, spans, strict=True)]

    def page(canvas: Canvas) -> None:
        for n, row in enumerate(whole):
            for number, (x, cell) in enumerate(zip(THREE, row, strict=True)):
                down = (rows - 1) / 2 if n and number == column else 0
                canvas.drawString(x, 700 - 20 * (n + down), cell)

    assert read_pages(page) == [markdown(whole)]


def test_narrow_columns_beside_each_other_are_parted() -> None:
    """Headers as wide as their columns have only the padding of the cells between them."""
    rows = [["Item", "Count", "Unitprice", "Amount"], ["Oak sill", "4", "38.50", "154.00"]]
    rows += [["Assembly", "1", "220.00", "220.00"], ["Delivery", "1", "15.00", "15.00"]]

    def page(canvas: Canvas) -> None:
        places = [60, 200]
        for head in rows[0][1:3]:
            places.append(places[-1] + round(canvas.stringWidth(head, FONT, SIZE)) + 6)
        put(canvas, rows, places)

    assert read_pages(page) == [markdown(rows)]


def test_a_dash_at_a_line_end_of_a_cell_breaks_no_row() -> None:
    """A dash for none is no hyphen, and a row of a table has one line."""
    assert flatten_cell("7:19 -\n8:47") == "7:19 - 8:47"


def grid(canvas: Canvas, places: Sequence[int], levels: Sequence[tuple[float, int]]) -> None:
    """Draw the rules of a grid, each at a level and from one of the edges of its columns on."""
    for level, column in levels:
        canvas.line(places[column] - 4, level, places[-1], level)
    for x in [*(place - 4 for place in places[:-1]), places[-1]]:
        canvas.line(x, levels[0][0], x, levels[-1][0])


def test_rows_beside_a_cell_over_several_rows_are_rows_each() -> None:
    """The rules between them end at that cell, and part them as any other rule does."""
    rows = [["Branch", "Day", "Hours"], ["Riverside", "Weekdays", "all day"]]
    rows += [
        ["", "Saturday", "mornings"],
        ["", "Sunday", "closed"],
        ["Old Town", "daily", "all day"],
    ]
    drawn = [*rows[:1], ["", *rows[1][1:]], ["Riverside", *rows[2][1:]], *rows[3:]]

    def page(canvas: Canvas) -> None:
        put(canvas, drawn, THREE)
        grid(canvas, (*THREE, 400), [(711, 0), (697, 0), (683, 1), (669, 1), (655, 0), (641, 0)])

    assert read_pages(page) == [markdown(rows)]


def test_a_line_between_two_grids_is_in_neither() -> None:
    """A sentence right below a table is no row of it, nor is another table below that."""
    rows = [["Kind", "Who"], ["Annual leave", "all"], ["Sick leave", "all"], ["None", "guests"]]

    def page(canvas: Canvas) -> None:
        for top, places in ((700, (60, 300)), (626, (60, 200))):
            put(canvas, rows, places, top)
            grid(canvas, (*places, 400), [(top + 11 - 14 * n, 0) for n in range(5)])
            canvas.drawString(60, top - 56, "As agreed.")

    assert read_pages(page) == [[*markdown(rows), "As agreed."] * 2]


def test_a_small_grid_of_words_is_no_text_in_columns() -> None:
    """Two columns of phrases with a rule between them and one below their header are a table."""
    rows = [["matrix", "response to"], ["mean after the impulse", "a positive impulse to EPS"]]
    rows += [["mean after no impulse", "a negative impulse to EPS"]]
    rows += [["mean after both of them", "positive impulses to both"]]

    def page(canvas: Canvas) -> None:
        put(canvas, rows, (200, 320))
        grid(canvas, (200, 320, 440), [(711, 0), (697, 0), (655, 0)])

    assert read_pages(page) == [markdown(rows)]
