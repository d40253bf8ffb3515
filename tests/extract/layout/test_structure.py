"""Tagged pages: the structure tree says what is a table, a heading, a list, and the order."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any, NamedTuple, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, BooleanObject, DictionaryObject, NameObject, NumberObject
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

from ingest.extract.document import ExtractOptions, extract
from ingest.extract.engines.pdfium import Pdfium
from ingest.models import Document, Heading
from tests.extract.layout.test_layout import FONT, SIZE, draw_pages
from tests.pdfs import to_bytes

Text: TypeAlias = tuple[float, float, str]  # from the left, from below, and what is there


class Tag(NamedTuple):
    """An element of a structure tree, with what is in it in reading order."""

    kind: str
    children: Sequence[Tag | Text]


def texts_of(tree: Tag) -> list[Text]:
    found: list[Text] = []
    for child in tree.children:
        found += texts_of(child) if isinstance(child, Tag) else [child]
    return found


def draw_tagged(
    tree: Tag,
    *,
    order: Callable[[list[Text]], Iterable[Text]] = list,
    untagged: Sequence[Text] = (),
) -> bytes:
    """A PDF of one page with a structure tree, its texts drawn in some order."""
    texts = texts_of(tree)
    numbers = {text: number for number, text in enumerate(dict.fromkeys(texts))}

    def page(canvas: Canvas) -> None:
        for text in untagged:
            canvas.drawString(*text)
        for text in order(texts):
            canvas._code.append(f"/P <</MCID {numbers[text]}>> BDC")
            canvas.setFont(FONT, SIZE)
            canvas.drawString(*text)
            canvas._code.append("EMC")

    writer = PdfWriter(PdfReader(io.BytesIO(draw_pages(page))))
    sheet = writer.pages[0]
    root = DictionaryObject({NameObject("/Type"): NameObject("/StructTreeRoot")})
    root_reference = writer._add_object(root)
    parents: dict[int, Any] = {}

    def add(tree: Tag, parent: Any) -> Any:
        element = DictionaryObject(
            {
                NameObject("/Type"): NameObject("/StructElem"),
                NameObject("/S"): NameObject(f"/{tree.kind}"),
                NameObject("/P"): parent,
                NameObject("/Pg"): sheet.indirect_reference,
            }
        )
        reference = writer._add_object(element)
        children = ArrayObject()
        for child in tree.children:
            if isinstance(child, Tag):
                children.append(add(child, reference))
            else:
                number = numbers[child]
                parents[number] = reference
                children.append(NumberObject(number))
        element[NameObject("/K")] = children
        return reference

    root[NameObject("/K")] = ArrayObject([add(tree, root_reference)])
    by_number = writer._add_object(ArrayObject([parents[n] for n in sorted(parents)]))
    root[NameObject("/ParentTree")] = DictionaryObject(
        {NameObject("/Nums"): ArrayObject([NumberObject(0), by_number])}
    )
    sheet[NameObject("/StructParents")] = NumberObject(0)
    writer.root_object[NameObject("/StructTreeRoot")] = root_reference
    writer.root_object[NameObject("/MarkInfo")] = DictionaryObject(
        {NameObject("/Marked"): BooleanObject(value=True)}
    )
    return to_bytes(writer)


def read(data: bytes) -> Document:
    return extract(data, ExtractOptions("pdfium"))


def lines(data: bytes) -> list[str]:
    return [line for line in read(data).pages[0].splitlines() if line]


def cell(kind: str, x: float, y: float, *parts: str) -> Tag:
    return Tag(kind, [Tag("P", [(x, y - 12 * n, part) for n, part in enumerate(parts)])])


TABLE: Tag = Tag(
    "Document",
    [
        Tag("P", [(60, 740, "Who may take which leave:")]),
        Tag(
            "Table",
            [
                Tag("TR", [cell("TH", 60, 700, "Kind"), cell("TH", 160, 700, "Holder")]),
                Tag(
                    "TR",
                    [
                        cell("TD", 60, 680, "Annual leave"),
                        cell("TD", 160, 686, "Every employee who has", "worked for six months"),
                    ],
                ),
                Tag("TR", [cell("TD", 60, 656, "Sick leave"), cell("TD", 160, 656, "Everyone")]),
            ],
        ),
        Tag("P", [(60, 600, "Ask early.")]),
    ],
)


@pytest.mark.parametrize("order", [list, reversed], ids=["in order", "backwards"])
def test_a_tagged_table_is_a_table(order: Any) -> None:
    """Two columns of words, drawn in any order: only the tree says that it is a table."""
    assert lines(draw_tagged(TABLE, order=order)) == [
        "Who may take which leave:",
        "| Kind | Holder |",
        "| --- | --- |",
        "| Annual leave | Every employee who has worked for six months |",
        "| Sick leave | Everyone |",
        "Ask early.",
    ]


def test_a_cell_stays_in_its_column_where_the_tree_leaves_out_empty_ones() -> None:
    """Browsers leave out empty cells."""
    rows = [
        Tag("TR", [cell("TH", x, 700, t) for x, t in ((60, "Kind"), (160, "Who"), (300, "When"))]),
        Tag("TR", [cell("TD", 60, 680, "Parental"), cell("TD", 300, 680, "Spring")]),
        Tag("TR", [cell("TD", 160, 660, "Everyone")]),
    ]
    assert lines(draw_tagged(Tag("Document", [Tag("Table", rows)]))) == [
        "| Kind | Who | When |",
        "| --- | --- | --- |",
        "| Parental |  | Spring |",
        "|  | Everyone |  |",
    ]


def test_a_long_tagged_table_is_a_table() -> None:
    """A table is as much of a page as its cells, though it is one element of the tree."""
    rows = [
        Tag("TR", [cell("TD", 60, 800 - 12 * n, f"Item {n}"), cell("TD", 99, 800 - 12 * n, "no")])
        for n in range(40)
    ]
    shown = lines(draw_tagged(Tag("Document", [Tag("Table", rows)])))
    assert shown[-1] == "| Item 39 | no |"


def test_a_tagged_table_may_be_drawn_letter_by_letter() -> None:
    """Browsers draw each letter by itself in fonts whose widths are whole pixels."""

    def letters(x: float, y: float, text: str) -> Tag:
        places = [x + stringWidth(text[:n], FONT, SIZE) for n in range(len(text))]
        return Tag("TD", [(place, y, letter) for place, letter in zip(places, text, strict=True)])

    rows = [
        Tag("TR", [letters(60, 800 - 15 * n, f"Row{n}"), letters(400, 800 - 15 * n, "Yes")])
        for n in range(4)
    ]
    shown = lines(draw_tagged(Tag("Document", [Tag("Table", rows)])))
    assert shown == ["| Row0 | Yes |", "| --- | --- |", *(f"| Row{n} | Yes |" for n in (1, 2, 3))]


def test_tagged_headings_are_headings_in_any_type() -> None:
    """A heading in the size of the text is one if it is tagged so."""
    tree: Tag = Tag(
        "Document",
        [
            Tag("H1", [(60, 740, "Leave of absence"), (60, 728, "in general")]),
            Tag("P", [(60, 700, "Ask your supervisor first.")]),
            Tag(
                "Sect",
                [Tag("H2", [(60, 680, "Sick leave")]), Tag("P", [(60, 660, "Stay at home.")])],
            ),
        ],
    )
    wanted = (Heading(1, "Leave of absence in general", 1), Heading(2, "Sick leave", 1))

    assert read(draw_tagged(tree)).headings == wanted
    assert read(draw_tagged(tree, order=reversed)).headings == wanted


def test_the_tree_gives_the_order() -> None:
    """Boxes side by side are read as their author put them, whichever is drawn first."""
    left = [(60.0, 700.0 - 13 * n, f"left box, line {n}") for n in range(4)]
    right = [(300.0, 700.0 - 13 * n, f"right box, line {n}") for n in range(4)]
    tree: Tag = Tag("Document", [Tag("P", [*right]), Tag("P", [*left])])
    both = [*right, *left]

    found = lines(draw_tagged(tree, order=lambda texts: sorted(texts, key=lambda t: (-t[1], t[0]))))

    assert found == [text for _, _, text in both]


def test_lists_keep_their_markers_and_levels() -> None:
    """Each item is a line of its own, with its marker before it."""

    def item(y: float, marker: str, text: str, *more: Tag) -> Tag:
        return Tag(
            "LI", [Tag("Lbl", [(60, y, marker)]), Tag("LBody", [Tag("P", [(90, y, text)]), *more])]
        )

    inner: Tag = Tag("L", [item(672, "a)", "Name"), item(658, "b)", "Date")])
    tree: Tag = Tag(
        "Document",
        [Tag("P", [(60, 644, "That is all.")]), Tag("L", [item(700, "1.", "Fill in", inner)])],
    )
    found = lines(draw_tagged(tree))

    assert found == ["That is all.", "1. Fill in", "a) Name", "b) Date"]


def test_what_is_outside_of_the_tree_is_kept() -> None:
    """Running lines are not in it: the upper one is read first, the lower one last."""
    untagged = [(60.0, 30.0, "Page 1 of 1"), (60.0, 810.0, "Staff handbook")]
    found = lines(draw_tagged(TABLE, untagged=untagged))

    assert (found[0], found[-1]) == ("Staff handbook", "Page 1 of 1")
    assert len(found) == 8


def test_a_tree_that_covers_little_is_not_believed() -> None:
    """Positions show the order where the tree is silent."""
    tree: Tag = Tag("Document", [Tag("P", [(60, 400, "The only tagged line.")])])
    untagged = [(60.0, 700.0 - 14 * n, f"Line number {n} of the page") for n in range(6)]

    assert lines(draw_tagged(tree, untagged=untagged)) == [
        *[text for _, _, text in untagged],
        "The only tagged line.",
    ]


def test_a_table_of_one_row_is_no_table() -> None:
    """Some put their text side by side in a table."""
    row = Tag("TR", [cell("TD", 60, 700, "Left", "part"), cell("TD", 300, 700, "Right", "part")])
    found = lines(draw_tagged(Tag("Document", [Tag("Table", [row])])))

    assert found == ["Left", "part", "Right", "part"]


KINDS = st.sampled_from(["Document", "Sect", "P", "H1", "Table", "TR", "TD", "L", "LI", "Lbl"])
TEXTS = st.integers(0, 29).map(lambda n: (40.0 + 90 * (n % 5), 700.0 - 20 * n, f"word{n}"))
TREES: st.SearchStrategy[Tag] = st.recursive(
    st.builds(Tag, KINDS, st.lists(TEXTS, max_size=3)),
    lambda inner: st.builds(Tag, KINDS, st.lists(inner | TEXTS, max_size=4)),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(TREES, st.randoms(use_true_random=False))
def test_nothing_of_a_tagged_page_is_lost(tree: Tag, random: Random) -> None:
    """Whatever a tree says, and however often, each word of the page is read once."""
    texts = list(dict.fromkeys(texts_of(tree)))
    data = draw_tagged(tree, order=lambda _: random.sample(texts, len(texts)))

    found = read(data).pages[0].replace("|", " ").replace("---", " ").split()
    assert sorted(found) == sorted(text for _, _, text in texts)


def test_headings_of_a_copy_are_those_of_the_document() -> None:
    """A page that is read from a repaired copy keeps its tagged headings."""
    text = Tag("P", [(60, 700, "It lapses at the end of March.")])
    data = draw_tagged(Tag("Document", [Tag("H1", [(60, 740, "Annual leave")]), text]))
    engine = Pdfium(data, ())

    engine.open_copy(data).text(0)

    assert engine.headings() == [Heading(1, "Annual leave", 1)]
