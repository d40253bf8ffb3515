"""Reading order, from lines and where they stand."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from ingest.extract.ocr.line_order import TextLine, arrange_lines


def line(text: str, x: float, y: float, width: float | None = None) -> TextLine:
    """A line 20 pixels high."""
    return TextLine(text, x, y, x + (10 * len(text) if width is None else width), y + 20)


def column(name: str, x: float, y: float) -> list[TextLine]:
    """Eight lines of prose, one below the other."""
    return [line(f"{name}{n}", x, y + 30 * n, 400) for n in range(8)]


def test_columns_are_read_one_after_the_other() -> None:
    """A paper in two columns: its title, all of the left column, then the right one."""
    title = line("title", 100, 0, 850)
    page = [title, *column("left", 100, 60), *column("right", 550, 60)]
    Random(1).shuffle(page)

    words = arrange_lines(page).split()

    assert words == ["title", *(f"left{n}" for n in range(8)), *(f"right{n}" for n in range(8))]


def test_what_stands_across_columns_keeps_its_place() -> None:
    """A figure's caption in the middle of the page: what is above it on both sides comes first."""
    page = [*column("a", 0, 0), *column("b", 450, 0), line("caption", 0, 300, 850)]
    page += [*column("c", 0, 340), *column("d", 450, 340)]

    words = arrange_lines(page).split()

    assert [word for word in words if word[-1] not in "1234567"] == [
        "a0",
        "b0",
        "caption",
        "c0",
        "d0",
    ]


def test_three_columns_are_read_in_order() -> None:
    """A newspaper is read column by column."""
    page = [*column("a", 0, 0), *column("b", 450, 0), *column("c", 900, 0)]

    assert [word[0] for word in arrange_lines(page).split()] == ["a"] * 8 + ["b"] * 8 + ["c"] * 8


def test_the_cells_of_a_row_stay_together() -> None:
    """A table is read row by row, however its cells differ in height by a few pixels."""
    page = [
        line(cell, 300 * place, 40 * row + 3 * (place % 2))
        for row, cells in enumerate([["Item", "Quantity"], ["gauge", "4"], ["bracket", "12"]])
        for place, cell in enumerate(cells)
    ]
    assert arrange_lines(page) == "Item Quantity\ngauge 4\nbracket 12"


def test_a_wider_step_begins_a_paragraph() -> None:
    """What the writer set apart stays apart."""
    page = [line("one", 0, 0), line("two", 0, 30), line("three", 0, 60), line("four", 0, 120)]

    assert arrange_lines(page) == "one\ntwo\nthree\n\nfour"


@given(
    st.lists(
        st.tuples(*[st.floats(0, 2000, width=32)] * 2, *[st.floats(0.125, 900, width=32)] * 2),
        max_size=40,
    )
)
def test_no_line_is_lost_or_said_twice(boxes: list[tuple[float, float, float, float]]) -> None:
    """Wherever lines stand, each is read once."""
    page = [TextLine(str(n), x, y, x + w, y + h) for n, (x, y, w, h) in enumerate(boxes)]

    assert sorted(map(int, arrange_lines(page).split())) == list(range(len(boxes)))
