"""Tables, lists and captions: what belongs together is found together."""

from __future__ import annotations

import re
from hashlib import sha256

import pytest

from ingest.chunk import MAX_OVERLAP_SHARE
from ingest.chunk.chunks import PAGE_BREAK, make_chunks
from ingest.chunk.split import ChunkSpan, split
from ingest.chunk.tables import find_tables, strip_table_marks
from ingest.chunk.tokens import count_tokens
from ingest.models import Document, Recipe, Source
from tests.pdfs import prose

HEADER = "| Item | Price in crowns | Year |\n| --- | --- | --- |\n"
RECIPE = Recipe("auto", 128, 0.12, "hash", 8)
SOURCE = Source("/docs", "prices.pdf", "/docs/prices.pdf", 1, "1")


def format_rows(topic: str, how_many: int, start: int = 1) -> str:
    """Rows of a price list, no two alike."""
    return "\n".join(
        f"| {topic} of kind {n} | {n * 13}.50 | {1900 + n} |"
        for n in range(start, start + how_many)
    )


def format_table(topic: str, how_many: int) -> str:
    return HEADER + format_rows(topic, how_many)


def split_text(text: str, limit: int = 128) -> list[ChunkSpan]:
    """The chunks of a text; checks what must hold for any."""
    chunks = split(text, [], limit, 0.12)
    assert [p.tokens for p in chunks] == count_tokens([p.text_in(text) for p in chunks])
    assert max(p.tokens for p in chunks) <= limit
    return chunks


def test_every_chunk_of_a_long_table_has_its_header() -> None:
    """Whichever row I find, I can read what its columns are."""
    table = format_table("Lathe", 90)
    text = f"{prose('lathes', 6)}\n\nTable 1. Prices\n{table}\n\n{prose('mills', 6)}"

    parts = [p.text_in(text) for p in split_text(text) if "| Lathe of" in p.text_in(text)]

    assert len(parts) > 10
    for part in parts:
        assert part.count(HEADER) == 1
        assert re.fullmatch(r"[^|]*(\|[^\n]*\|\n?)+[^|]*", part)  # whole rows, one after another


@pytest.mark.parametrize("limit", [128, 512])
@pytest.mark.parametrize("sentences", [1, 2, 11])
def test_no_row_is_repeated(limit: int, sentences: int) -> None:
    """Two chunks of a table share only its header, so no row is paid for twice."""
    for start in range(1, 40):
        listed = format_rows("Lathe", 30, start)
        text = f"{prose('saws', sentences)}\n{HEADER}{listed}\n\n{prose('mills', 30)}"

        content = "\n".join(p.text_in(text) for p in split(text, [], limit, MAX_OVERLAP_SHARE))

        assert {content.count(row) for row in listed.split("\n")} == {1}


def test_offsets_are_those_of_the_rows() -> None:
    """A chunk that repeats a header says where its rows are, and on which page."""
    pages = (format_table("Lathe", 30), f"{format_rows('Lathe', 30, 31)}\n\n{prose('mills', 9)}")
    text = PAGE_BREAK.join(pages)

    chunks = list(make_chunks(Document(pages), SOURCE, RECIPE))

    later = [c for c in chunks if c.text.startswith(HEADER) and c.start]
    assert len(later) > 3
    assert all(c.text == HEADER + text[c.start : c.end] for c in later)
    assert all(c.text == text[c.start : c.end] for c in chunks if c not in later)
    assert {c.page_start for c in later} == {1, 2}


@pytest.mark.parametrize(
    "between",
    [
        pytest.param("\n", id="without its header"),
        pytest.param("\n" + HEADER, id="with its header again"),
        pytest.param("\n17\nPrice list, continued\n", id="after a page number and a title"),
        pytest.param("\n\n17\n\n" + HEADER, id="with both"),
    ],
)
def test_a_table_goes_on_on_the_next_page(between: str) -> None:
    """A table over two pages is one table, however the second page begins."""
    text = format_table("Lathe", 40) + between + format_rows("Lathe", 40, 41)

    for chunk in split_text(text):
        first = re.search(r"\| Lathe", chunk.text_in(text))
        assert first
        assert HEADER in chunk.text_in(text)[: first.start()]


def test_another_table_is_not_taken_for_the_rest_of_the_one_before() -> None:
    """Rows of two columns are not read under a header of three."""
    text = f"{format_table('Lathe', 9)}\n17\n| one | two |\n| three | four |"

    (found,) = find_tables(text)
    assert found.header == HEADER
    assert text[found.end :].startswith("\n17")


def test_the_header_is_not_left_behind() -> None:
    """No chunk ends with column names whose rows are in the next chunk."""
    for sentences in range(1, 9):
        text = f"{prose('lathes', sentences)}\n\nTable 1. Prices\n{format_table('Lathe', 60)}"

        for chunk in split_text(text):
            assert not chunk.text_in(text).rstrip().endswith("| --- |")
            assert not chunk.text_in(text).rstrip().endswith("Prices")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Table 3. Prices of lathes\n", ""),
        ("Tableau II – Prix\n\n", ""),
        ("表1　価格\n", ""),
        ("Table A-1: Prices of lathes\nin crowns\n", ""),
        ("Prices of lathes, in crowns\n\n", ""),
        ("The prices are these:\n", ""),
        ("", "\nTable 3. Prices of lathes"),
        ("", "\n\nTabelle 3: Preise"),
    ],
)
def test_a_caption_stays_with_its_table(before: str, after: str) -> None:
    """I see what a table is about, above it or below."""
    for sentences in range(1, 12):
        captioned = f"{before}{format_table('Lathe', 3)}{after}"
        text = f"{prose('lathes', sentences)}\n\n{captioned}\n\n{prose('saws', 9)}"

        (chunk,) = [p for p in split_text(text, 256) if "Lathe of kind 2" in p.text_in(text)]

        assert (before or after).strip() in chunk.text_in(text)


def test_a_row_that_fits_is_whole() -> None:
    """A row of long cells is not cut, even if the chunk before it stays short."""
    cell = "a cell with a number of words in it. Even two sentences."
    row = "| " + " | ".join(f"{n} {cell}" for n in range(5)) + " |"
    assert 64 < count_tokens([row])[0] < 110
    header = "| A | B | C | D | E |\n| - | - | - | - | - |\n".replace("-", "---")
    text = f"{prose('lathes', 3)}\n\n{header}" + "\n".join(
        row.replace("number", f"number {n}") for n in range(20)
    )

    parts = [p.text_in(text) for p in split_text(text) if "| 0 " in p.text_in(text)]

    assert len(parts) == 20
    assert all(header in part and part.endswith("|") for part in parts)


def test_a_row_that_does_not_fit_is_cut_between_its_cells() -> None:
    """A row of a thousand words is found too, with the header above each of its parts."""
    header = "| A | B |\n| --- | --- |\n"
    long = " | ".join(f"cell {n} of the row" for n in range(300))
    text = f"{header}| one | two |\n| {long} |\n| three | four |"

    chunks = split_text(text)

    assert len(chunks) > 10
    assert all(p.text_in(text).startswith(header) for p in chunks)
    assert sum(p.text_in(text).endswith(("row", "|")) for p in chunks) >= len(chunks) - 1
    assert all(
        f"cell {n} of the row" in "".join(p.text_in(text) for p in chunks) for n in range(300)
    )


def test_a_header_that_is_too_long_is_not_repeated() -> None:
    """A table of a hundred columns leaves room for its rows."""
    names = " | ".join(f"column {n}" for n in range(12))
    text = f"| {names} |\n|{' --- |' * 12}\n" + "\n".join(f"| {'x | ' * 11}x |" for _ in range(9))
    assert 32 < count_tokens([text[: text.index("| x")]])[0] < 128

    chunks = split_text(text)

    assert not any(p.header for p in chunks)
    assert {p.text_in(text).count("| --- | --- |") > 0 for p in chunks} == {True, False}


def measure_kept_share(before: str, after: str) -> float:
    """The share of the chunks of the first text that are chunks of the second."""
    old = {p.text_in(before) for p in split_text(before)}
    return len(old & {p.text_in(after) for p in split_text(after)}) / len(old)


@pytest.mark.parametrize("place", [1, 40, 110])
def test_rows_that_are_added_leave_the_other_chunks_as_they_are(place: int) -> None:
    """I add three rows to a price list and pay for a few chunks, not for the list."""
    lines = [*HEADER.splitlines(), *format_rows("Lathe", 150).split("\n")]
    edited = [*lines[: place + 1], *format_rows("Crane", 3).split("\n"), *lines[place + 1 :]]
    around = prose("mills", 30)

    before = f"{around}\n\n" + "\n".join(lines) + f"\n\n{around}"
    after = f"{around}\n\n" + "\n".join(edited) + f"\n\n{around}"

    assert measure_kept_share(before, after) > 0.8


@pytest.mark.parametrize("bullet", ["•", "-", "–", "1.", "(a)", "iv)"])
@pytest.mark.parametrize("after", [" ", "\n"])
def test_an_item_is_not_cut_from_its_bullet(bullet: str, after: str) -> None:
    """No chunk ends with a bullet, and none begins with an item that has lost it."""
    items = [f"{bullet}{after}Item {n} of the list is a line of text" for n in range(200)]
    text = "Here they are:\n" + "\n".join(items)

    for chunk in split(text, [], 64, 0.0)[1:]:
        assert chunk.text_in(text).startswith(bullet)
        assert not chunk.text_in(text).endswith(f"\n{bullet}")


def test_a_japanese_item_is_not_cut_from_its_bullet_either() -> None:
    """An item without a space in it is cut further on, not behind its bullet."""
    for length in range(40, 90):
        text = "\n".join(f"• {('東京都庁舎建築物語' * 10)[:length]}{n}" for n in range(30))

        assert not [p for p in split(text, [], 64, 0.0) if p.text_in(text).endswith("•")]


def test_lists_are_cut_between_items() -> None:
    """An item of two lines is in one chunk."""
    items = [f"• Item {n} of the list is a line\nand another line" for n in range(200)]

    for chunk in split("\n".join(items), [], 64, 0.0):
        content = chunk.text_in("\n".join(items))
        assert content.startswith("•")
        assert content.endswith("another line")


def test_confidence_is_the_least_of_the_pages() -> None:
    """I see how far a chunk can be trusted that was read from a picture."""
    pages = (prose("lathes"), prose("mills"), prose("saws"))
    document = Document(pages, confidence={2: 0.9, 3: 0.7})

    found = {
        (c.page_start, c.page_end): c.confidence for c in make_chunks(document, SOURCE, RECIPE)
    }

    assert found[1, 1] is None
    assert found[2, 2] == 0.9
    assert found[3, 3] == 0.7
    short = Document(("One.", "Two.", "Three."), confidence={2: 0.9, 3: 0.7})
    assert [c.confidence for c in make_chunks(short, SOURCE, RECIPE)] == [0.7]


def test_a_model_is_given_a_table_without_its_marks() -> None:
    """Bars and dashes of tables are not paid for; bars that are text stay."""
    text = "Caption\n| A | B |  |\n| --- | --- | --- |\n| 1 | x \\| y | 3 |\nA | B is no table"
    assert strip_table_marks(text) == "Caption\nA B\n1 x | y 3\nA | B is no table"
    prose = "either | or\nno table"
    assert strip_table_marks(prose) is prose


def test_the_tokens_of_a_chunk_are_those_of_what_is_embedded() -> None:
    """I pay for the text that is embedded; another such text is another chunk."""
    (chunk,) = make_chunks(Document((format_table("wool", 4),)), SOURCE, RECIPE)
    assert chunk.text.startswith(HEADER)
    assert chunk.text_to_embed.startswith("Item Price in crowns Year\nwool of kind 1 13.50 1901\n")
    assert chunk.tokens == count_tokens([chunk.text_to_embed])[0] < count_tokens([chunk.text])[0]
    before = f"/docs\0prices.pdf\0hash\x008\0{chunk.text}\x001"  # when the marks were embedded
    assert chunk.id != sha256(before.encode()).hexdigest()[:40]


def test_a_table_of_nothing_is_embedded_as_it_stands() -> None:
    """No model takes an empty text."""
    (chunk,) = make_chunks(Document(("|  |  |\n| --- | --- |\n|  |  |",)), SOURCE, RECIPE)
    assert chunk.text_to_embed == chunk.text
    assert chunk.tokens == count_tokens([chunk.text])[0]
