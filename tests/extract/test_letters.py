"""Letters are read as the page shows them, whatever its fonts call them."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping, Sequence

import pypdf
import pytest
from pypdf.generic import ArrayObject, DictionaryObject, NameObject, NumberObject, StreamObject
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

from ingest.extract.document import ExtractOptions, extract
from ingest.extract.engines.font_programs import read_glyph_texts
from ingest.extract.engines.pdfium import Pdfium
from ingest.extract.engines.pdfium_letters import (
    correct_characters,
    correct_reversed,
    correct_symbols,
)
from ingest.extract.engines.pdfium_raw import (
    close_page,
    close_text,
    count_characters,
    load_page,
    load_text,
    read_characters,
)
from ingest.extract.engines.placeholders import Placeholders
from tests.extract import scripts_pdf as scripts
from tests.hostile.writing import page as hostile_page
from tests.hostile.writing import pdf as hostile_pdf
from tests.hostile.writing import stream
from tests.pdfs import pdf, to_bytes

# Codes of a font and the names of their glyphs.
NAMES = {ord("~"): "/f_f_i", ord("|"): "/f_f", ord("{"): "/T_h", ord("}"): "/ffi.alt"}
WRITTEN = "{e di~cult o}ce shut o| again"


def unicode_map(texts: Mapping[int, str]) -> bytes:
    """A ToUnicode map of these codes."""
    pairs = "\n".join(f"<{code:02x}> <{text}>" for code, text in texts.items())
    return f"begincmap\n{len(texts)} beginbfchar\n{pairs}\nendbfchar\nendcmap".encode()


def set_glyph_names(data: bytes, names: Mapping[int, str], texts: Mapping[int, str]) -> bytes:
    """A PDF whose font has these names, and this map if it is not empty."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(data))
    for page in writer.pages:
        for reference in page["/Resources"]["/Font"].values():  # type: ignore[index]
            font = reference.get_object()
            differences = ArrayObject()
            for code, name in names.items():
                differences += [NumberObject(code), NameObject(name)]
            font[NameObject("/Encoding")] = DictionaryObject(
                {
                    NameObject("/Type"): NameObject("/Encoding"),
                    NameObject("/BaseEncoding"): NameObject("/WinAnsiEncoding"),
                    NameObject("/Differences"): differences,
                }
            )
            if texts:
                stream = StreamObject()
                stream.set_data(unicode_map(texts))
                font[NameObject("/ToUnicode")] = writer._add_object(stream)
    return to_bytes(writer)


ASCII = {code: f"{code:04x}" for code in range(32, 123)}


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param({}, id="without a map"),
        pytest.param(ASCII, id="left out of the map"),
        pytest.param(ASCII | dict.fromkeys(NAMES, "0000"), id="mapped to NUL"),
        pytest.param(ASCII | dict.fromkeys(NAMES, "FFFD"), id="mapped to U+FFFD"),
        pytest.param(ASCII | dict.fromkeys(NAMES, "E007"), id="mapped to a private character"),
        pytest.param(ASCII | dict.fromkeys(NAMES, "0001"), id="mapped to a control character"),
    ],
)
def test_the_name_of_a_glyph_tells_its_letters(texts: Mapping[int, str]) -> None:
    """A ligature that the font does not translate is read all the same, on every page."""
    data = set_glyph_names(pdf("plain", WRITTEN, WRITTEN), NAMES, texts)

    assert extract(data, ExtractOptions()).pages[1:] == ("The difficult office shut off again",) * 2


def test_a_map_that_says_something_is_believed() -> None:
    """A glyph's name does not override the font's own translation."""
    data = set_glyph_names(pdf("o~ and }"), NAMES, ASCII | {ord("~"): "006b", ord("}"): "0000"})

    assert extract(data, ExtractOptions()).pages == ("ok and ffi",)


def test_a_locked_document_is_completed_too() -> None:
    """The copy with the letters opens without a password, and nobody else sees it."""
    data = set_glyph_names(pdf(WRITTEN), NAMES, ASCII | dict.fromkeys(NAMES, "0000"))
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(data))
    writer.encrypt("secret", algorithm="AES-256")

    (page,) = extract(to_bytes(writer), ExtractOptions(passwords=("secret",))).pages

    assert page == "The difficult office shut off again"


def test_a_letter_that_nothing_tells_is_not_dropped() -> None:
    """A glyph without a name or translation leaves a replacement character."""
    data = set_glyph_names(
        pdf("an o~ce of the town, and a longer line of text"),
        {ord("~"): "/g17"},
        ASCII | {ord("~"): "0000"},
    )

    assert "an o\ufffdce" in extract(data, ExtractOptions()).pages[0]


def draw(*pieces: tuple[float, float, float, str], font: str = "Helvetica") -> bytes:
    """A PDF with these pieces: x, y, size and text."""
    out = io.BytesIO()
    canvas = Canvas(out, pageCompression=0)
    for x, y, size, text in pieces:
        canvas.setFont(font, size)
        canvas.drawString(x, y, text)
    canvas.save()
    return out.getvalue()


def read(data: bytes) -> str:
    """The text of the only page."""
    (page,) = extract(data, ExtractOptions()).pages
    return page


def width_of(text: str, size: float = 12, font: str = "Helvetica") -> float:
    """The width of a text."""
    return float(stringWidth(text, font, size))


@pytest.mark.parametrize(
    ("parts", "wanted"),
    [
        (("M", "¨", "u", "ller"), "Müller"),
        (("", "¨", "U", "bung"), "Übung"),
        (("caf", "´", "e", ""), "café"),
        (("", "`", "a", " la carte"), "à la carte"),
        (("for", "ˆ", "e", "t"), "forêt"),
        (("Espa", "˜", "n", "a"), "España"),
        (("gar", "¸", "c", "on"), "garçon"),
    ],
)
@pytest.mark.parametrize("first", ["accent", "letter"])
def test_an_accent_is_on_its_letter(
    parts: tuple[str, str, str, str], wanted: str, first: str
) -> None:
    """TeX draws the accent and then the letter below it, others the other way round."""
    before, accent, letter, after = parts
    x, y = 72 + width_of(before), 700
    middle = x + width_of(letter) / 2
    over = (middle - width_of(accent) / 2, y, 12, accent)
    pair = [over, (x, y, 12, letter)]
    data = draw(
        *([(72, y, 12, before)] if before else []),
        *(pair if first == "accent" else pair[::-1]),
        *([(x + width_of(letter), y, 12, after)] if after else []),
        (72, 680, 12, "and another line"),
    )

    assert read(data) == f"{wanted}\nand another line"


def test_an_accent_beside_a_letter_is_a_sign() -> None:
    """Apostrophes, code and footnote signs stay what they are."""
    text = "it´s `code` and x^2 ~user ¨a¨"

    assert read(draw((72, 700, 12, text))) == text


PROSE = ["nce upon a time there was a miller", "had three sons, a mill and a cat.", "They worked."]


@pytest.mark.parametrize("order", ["first", "last"])
@pytest.mark.parametrize(
    ("initial", "rest"), [("O", "nce"), ("O", "NCE"), ("“O", "nce"), ("D", "’une"), ("A", "T THE")]
)
def test_a_drop_cap_is_on_its_word_and_no_heading(order: str, initial: str, rest: str) -> None:
    """Wherever in the file it is drawn, a large initial begins the first word."""
    top, second, third = PROSE
    cap = (72, 676, 40, initial)
    right = 74 + width_of(initial, 40)
    lines = [
        (72, 730, 12, "A tale that is told to children"),
        (right, 696, 12, rest + top[3:]),
        (right, 680, 12, second),
        (72, 664, 12, third),
    ]
    place = {"first": 1, "last": 4}[order]
    document = extract(draw(*lines[:place], cap, *lines[place:]), ExtractOptions())

    assert " ".join(document.pages[0].split()) == (
        f"A tale that is told to children {initial}{rest}{top[3:]} {second} {third}"
    )
    assert [h.title for h in document.headings] == []


def test_a_drop_cap_may_be_a_word() -> None:
    """The page knows whether it says "A long road" or "Along a road"."""
    data = draw(
        (72, 676, 40, "A"),
        (101, 696, 12, "long road leads to the mill, and it"),
        (101, 680, 12, "is as long as the river, where once"),
        (72, 664, 12, "a miller had his home."),
    )

    assert read(data).startswith("A long road leads")


def test_a_raised_initial_is_no_heading() -> None:
    """A large first letter on the line of its word makes no title of the line."""
    lines = [(72, 640 - 14 * n, 10, f"Line {n} of a text that goes on and on.") for n in range(9)]
    document = extract(
        draw((72, 700, 24, "T"), (72 + width_of("T", 24), 700, 10, "he quick brown fox"), *lines),
        ExtractOptions(),
    )

    assert document.pages[0].startswith("The quick brown fox")
    assert document.headings == ()


def test_a_letter_over_an_index_is_no_drop_cap() -> None:
    """Letters above the entries of a glossary stay lines of their own."""
    data = draw(
        (72, 700, 24, "A"),
        (72, 680, 10, "adze: a tool for wood"),
        (72, 666, 10, "anvil: a block of iron"),
        (72, 630, 24, "B"),
        (72, 610, 10, "bevel: an edge"),
    )

    assert [line for line in read(data).split("\n") if line] == [
        "A",
        "adze: a tool for wood",
        "anvil: a block of iron",
        "B",
        "bevel: an edge",
    ]


def test_a_footnote_mark_is_parted_from_its_word() -> None:
    """The word is found without the number that is raised behind it."""
    word, line = "three months", "The notice is three months"
    end = 72 + width_of(line)
    data = draw(
        (72, 700, 12, line),
        (end, 705, 7, "12"),
        (end + width_of("12", 7), 700, 12, ", as in COVID19 and H2O."),
        (72, 660, 12, "Notes follow."),
        (72 + width_of("Notes follow."), 665, 7, "3"),
        (72, 620, 12, "It began in 2031."),
        (72 + width_of("It began in 2031."), 628, 7, "4"),
        (76 + width_of("It began in 2031."), 620, 12, " Then 3.5 m were built."),
        (72, 580, 12, "It was 1871"),
        (72 + width_of("It was 1871"), 585, 7, "5"),
        (76 + width_of("It was 1871"), 580, 12, " and no. 18714."),
    )

    assert f"{word} 12, as in COVID19 and H2O.\n" in read(data)
    assert "Notes follow. 3\n" in read(data)
    assert "in 2031. 4" in read(data)
    assert "was 1871 5 and no. 18714." in read(data)


def set_symbols(data: bytes) -> bytes:
    """A PDF whose font has the codes of a symbol font."""
    texts = {code: f"{0xF000 + code:04x}" for code in range(32, 127)}
    return set_glyph_names(data, {}, texts)


@pytest.mark.parametrize(
    ("before", "raised", "after", "wanted"),
    [
        ("20", "th", "", "20th"),
        ("le 1", "er", "", "le 1er"),
        ("the law", "4", "", "the law 4"),
        ("in 1848", "1", "", "in 1848 1"),
        ("by 40%.", "3", "", "by 40%. 3"),
        ("x.", "12", "", "x. 12"),
        ("25 cm", "2", ", dry", "25 cm2, dry"),
    ],
)
def test_a_part_in_smaller_type_is_on_its_line(
    before: str, raised: str, after: str, wanted: str
) -> None:
    """Chromium draws each letter by itself, and PDFium begins a line with raised ones."""
    letters = [(n, 700.0, 12.0, before) for n in range(len(before))]
    letters += [(n, 704.8, 8.0, raised) for n in range(len(raised))]
    letters += [(n, 700.0, 12.0, after) for n in range(len(after))]
    x = 72.0
    pieces = []
    for n, y, size, part in letters:
        pieces.append((x, y, size, part[n]))
        x += width_of(part[n], size)
    data = draw(*pieces)
    engine = Pdfium(data, ())
    page = load_page(engine.address, 0)
    text = load_text(page)
    try:
        read = read_characters(text, count_characters(text))
        known = Placeholders()
        assert "\r\n" in read
        assert known.replace(correct_characters(text, read, known)) == wanted
    finally:
        close_text(text)
        close_page(page)


def test_a_text_in_a_symbol_font_is_read_as_letters() -> None:
    """Words are words though a font numbers its letters as symbols; dingbats are none."""
    assert read(set_symbols(pdf("The notice period, 1990.\n4711"))) == (
        "The notice period, 1990.\n4711"
    )
    assert correct_symbols("ok \uf06c\uf06c\uf06c \uf0b7") == "ok \uf06c\uf06c\uf06c \uf0b7"


def test_a_page_with_mathematical_letters_is_read_from_the_top() -> None:
    """They count as two characters of a page, which is put in order as any other."""
    x, y, lead = scripts.LEFT, scripts.TOP, scripts.LEADING
    below = [scripts.Shown(x, y - lead * n, "MWN") for n in (3, 2, 1)]
    data = scripts.draw_page(*below, scripts.Shown(x, y, ["\U0001d450", "N"]))
    assert extract(data, ExtractOptions()).pages == ("\U0001d450N\nMWN\nMWN\nMWN",)


def test_a_page_with_glyphs_that_stand_for_nothing_is_read_as_any_other() -> None:
    """PDFium leaves notes of a music font out, but counts them."""
    x, y, lead = scripts.LEFT, scripts.TOP, scripts.LEADING
    below = [scripts.Shown(x, y - lead * n, "MWN") for n in (3, 2, 1)]
    data = scripts.draw_page(*below, scripts.Shown(x, y, ["\x05", "\x03", "N"]))
    assert extract(data, ExtractOptions()).pages == ("N\nMWN\nMWN\nMWN",)


def test_a_word_that_begins_a_text_or_a_cell_has_no_space_before_it() -> None:
    """A missing space is put between words, and not before the first."""
    known = Placeholders()
    word = known.standing_for(" A")
    assert known.replace(f"{word}sh\n{word}sh | {word}sh{word}sh") == "Ash\nAsh | Ash Ash"


def test_the_ligatures_of_ghostscript_are_letters() -> None:
    """It reverses the bytes of each letter; Chinese and Korean text has such characters too."""
    known = Placeholders()
    read = "o\u6600\ucf00ce \u6600\u6900re Sta\u6600\u6600 \u6600椀 A\u6600椀物 東\u6600椀"
    found = known.replace(correct_reversed(read, known))
    assert found == "office fire Staff \u6600椀 A\u6600椀物 東\u6600椀"


def read_content(body: str) -> str:
    """The text of a page with this content."""
    data = hostile_pdf({4: stream(f"BT /F 10 Tf 72 720 Td {body} ET".encode())})
    return extract(data, ExtractOptions("pdfium")).pages[0]


def test_a_space_made_of_the_room_between_letters_is_one() -> None:
    """Ghostscript sets letters further apart where a word ends; letters set apart are a word."""
    found = read_content(
        "(The day) Tj 2.6 Tc (,a) Tj 0 Tc [260 (nd follo)] TJ 2.6 Tc (wt) Tj 0 Tc [260 (he end)] TJ"
    )

    assert found == "The day, and follow the end"
    assert read_content("4 Tc (WIDE,TITLE) Tj") == "WIDE,TITLE"


def test_numbers_of_thousands_and_addresses_keep_together() -> None:
    """A comma or a dot without a gap after it is part of what it stands in."""
    assert (
        read_content("(3,300 of a,b at example.Com --all) Tj")
        == "3,300 of a,b at example.Com --all"
    )


@pytest.mark.parametrize(
    ("title", "row"),
    [
        ("時間割3年2組", ["国語", "数学", "英語", "理科"]),
        ("Prices in May", ["Oak", "Elm", "Ash", "Yew"]),
    ],
)
def test_letters_of_a_table_that_are_drawn_one_by_one_are_words(title: str, row: list[str]) -> None:
    """Titles and cells are whole, though PDFium takes a page of columns for vertical text."""
    lines = [
        (0, 0, title),
        *((130 * n, 40 + 22 * y, t) for y in range(4) for n, t in enumerate(row)),
    ]
    data = scripts.draw_page(
        *(
            scripts.Shown(scripts.LEFT + x, scripts.TOP - y, text, apart=True)
            for x, y, text in lines
        )
    )
    read = extract(data, ExtractOptions("pdfium")).pages[0].splitlines()
    assert read[0] == title
    assert read[-1] == f"| {' | '.join(row)} |"


def test_figures_that_are_drawn_one_by_one_are_rows_each() -> None:
    """A price list has a row for each figure, though PDFium ends a line after each digit."""
    rows = [["Depot", "Item", "Pieces"], ["Hull", "Pallets", "120"], ["Leith", "Crates", "64"]]
    cells = [(n, 0, cell) for n, cell in enumerate(rows[0])]
    for number, (depot, *row) in enumerate(rows[1:]):
        top = 22 + 33 * number
        cells += [(0, top + 11, depot)]
        cells += [(n, y, cell) for y in (top, top + 16) for n, cell in enumerate(row, 1)]
    data = scripts.draw_page(
        *(
            scripts.Shown(scripts.LEFT + 130 * n, scripts.TOP - y, cell, apart=True)
            for n, y, cell in cells
        )
    )
    read = extract(data, ExtractOptions("pdfium")).pages[0]
    assert [line.split(" | ", 1)[1] for line in read.splitlines()[2:]] == [
        f"{item} | {pieces} |" for _, item, pieces in rows[1:] for _ in range(2)
    ]


@pytest.mark.parametrize(
    ("drawn", "gap", "wanted"),
    [
        pytest.param(("20", "명"), 4.0, "20명", id="a quarter"),
        pytest.param(("20", "명"), 7.0, "20 명", id="a space"),
        pytest.param(("학년", "ab"), 4.0, "학년ab", id="the other way"),
    ],
)
def test_the_little_space_beside_full_width_letters_is_none(
    drawn: tuple[str, str], gap: float, wanted: str
) -> None:
    """A count and its word are found as they are written, though they are set a little apart."""
    first, second = drawn
    right = scripts.LEFT + scripts.WIDTH * len(first) + gap
    parts = [scripts.Shown(scripts.LEFT, scripts.TOP, first)]
    parts.append(scripts.Shown(right, scripts.TOP, second))
    data = scripts.draw_page(*parts)
    assert extract(data, ExtractOptions("pdfium")).pages[0] == wanted


LIST = ["Before you travel, have:", "a valid passport", "an address", "no fresh fruit"]


def draw_list(side: float, *, places: Sequence[int] = (1, 2, 3), gap: float = 6) -> list[str]:
    """The lines of a page with shapes left of some of them, as they are read."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer)
    canvas.setFont("Helvetica", 11)
    for number, line in enumerate(LIST):
        canvas.drawString(90, 700 - 16 * number, line)
        if number in places:
            x, y = 90 - gap - side / 2, 704 - 16 * number
            canvas.circle(x, y, side / 2, stroke=0, fill=1)
    canvas.save()
    return extract(buffer.getvalue(), ExtractOptions()).pages[0].split("\n")


def test_bullets_that_are_drawn_as_shapes_are_read() -> None:
    """Browsers print the bullets of a list as discs, circles or squares, which are no text."""
    first, *items = LIST

    assert draw_list(4) == [first, *(f"\u2022 {item}" for item in items)]


@pytest.mark.parametrize(
    ("side", "places", "gap"),
    [
        pytest.param(4, (2,), 6, id="a single one"),
        pytest.param(9, (1, 2, 3), 6, id="boxes to tick"),
        pytest.param(1, (1, 2, 3), 6, id="dots"),
        pytest.param(4, (1, 2, 3), 30, id="far away"),
    ],
)
def test_other_shapes_are_no_bullets(side: float, places: Sequence[int], gap: float) -> None:
    """Boxes of a form, points of a chart, or a lone mark are not made text."""
    assert draw_list(side, places=places, gap=gap) == LIST


def test_a_shape_before_a_heading_is_no_bullet() -> None:
    """The square before each title of a brochure is decoration."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer)
    for y, title in ((740, "Parking"), (600, "Meals")):
        canvas.setFont("Helvetica", 20)
        canvas.drawString(90, y, title)
        canvas.rect(78, y + 5, 6, 6, stroke=0, fill=1)
        canvas.setFont("Helvetica", 10)
        for number, line in enumerate(LIST):
            canvas.drawString(90, y - 24 - 14 * number, line)
    canvas.save()
    page = extract(buffer.getvalue(), ExtractOptions()).pages[0]

    assert page.split("\n") == ["Parking", *LIST, "Meals", *LIST]


def segments(first: int, count: int, glyph: int, *, listed: bool) -> bytes:
    """A font's map, in format 4, of characters to glyphs that are listed or counted."""
    delta, offset = (0, 4) if listed else ((glyph - first) % 0x10000, 0)
    ends, starts = (first + count - 1, 0xFFFF), (first, 0xFFFF)
    lists = *ends, 0, *starts, delta, 1, offset, 0, *(range(glyph, glyph + count) if listed else ())
    return struct.pack(f">7H{len(lists)}H", 4, 0, 0, 4, 0, 0, 0, *lists)


def groups(first: int, count: int, glyph: int) -> bytes:
    """A font's map of characters to glyphs, in format 12."""
    return struct.pack(">HHLLLLLL", 12, 0, 28, 0, 1, first, first + count - 1, glyph)


def font_program(maps: Sequence[tuple[int, bytes]]) -> bytes:
    """A font with these maps of Microsoft's encodings, and nothing else."""
    records, body = b"", b""
    for encoding, mapped in maps:
        records += struct.pack(">HHL", 3, encoding, 4 + 8 * len(maps) + len(body))
        body += mapped
    cmap = struct.pack(">HH", 0, len(maps)) + records + body
    return struct.pack(">4sHHHH4sLLL", b"\0\1\0\0", 1, 0, 0, 0, b"cmap", 0, 28, len(cmap)) + cmap


@pytest.mark.parametrize(
    ("encoding", "mapped"),
    [
        pytest.param(1, segments(0x20, 224, 3, listed=False), id="by counting"),
        pytest.param(1, segments(0x20, 224, 3, listed=True), id="by a list"),
        pytest.param(10, groups(0x20, 224, 3), id="in groups"),
        pytest.param(0, segments(0xF020, 224, 3, listed=False), id="as symbols"),
    ],
)
def test_numbered_glyphs_are_read_by_the_map_of_their_font(encoding: int, mapped: bytes) -> None:
    """Text drawn by numbers of glyphs that nothing in the PDF explains is that of the font."""
    drawn = "".join(f"{ord(char) - 29:04x}" for char in "Öffnet um 9 Uhr")
    data = hostile_pdf(
        {
            3: hostile_page(b"", b"/XObject << /Damaged 9 0 R >>"),
            4: stream(f"BT /F 20 Tf 72 720 Td <{drawn}> Tj ET".encode()),
            5: b"<< /Type /Font /Subtype /Type0 /BaseFont /X /Encoding /Identity-H "
            b"/DescendantFonts [6 0 R] >>",
            6: b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /X /FontDescriptor 7 0 R /DW 600 "
            b"/CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> >>",
            7: b"<< /Type /FontDescriptor /FontName /X /Flags 4 /FontFile2 8 0 R >>",
            8: stream(font_program([(encoding, mapped)])),
            9: b"<< /Resources << /Font << /F << /Subtype /Type0 /Encoding /Identity-H "
            b"/DescendantFonts [] >> >> >> >>",
        }
    )

    assert extract(data, ExtractOptions()).pages == ("Öffnet um 9 Uhr",)


def test_a_font_is_read_no_further_than_its_first_maps() -> None:
    """A hostile font may have thousands of maps, each of all characters."""
    first, last = (1, groups(65, 3, 1)), (10, groups(97, 3, 4))

    letters = dict(zip(range(1, 7), "ABCabc", strict=True))
    assert read_glyph_texts(font_program([first, last])) == letters
    assert "a" not in read_glyph_texts(font_program([*[first] * 50, last])).values()


def test_a_placeholder_may_stand_for_another() -> None:
    """A bullet before a letter that stands for several is replaced with all of them."""
    placeholders = Placeholders()
    ligature = placeholders.standing_for("ffi")

    assert placeholders.replace(placeholders.standing_for(f"\u2022 {ligature}")) == "\u2022 ffi"
