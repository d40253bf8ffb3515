"""Pages in Hebrew, Arabic and the scripts of India and Thailand, as programs draw them."""

from __future__ import annotations

import io
import struct
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pypdf
import pytest
import reportlab
from bidi.algorithm import get_display
from hypothesis import example, given
from hypothesis import strategies as st
from pypdf.generic import DictionaryObject, NameObject
from reportlab.pdfbase.ttfonts import TTFontFile

from ingest.extract.document import ExtractOptions, extract
from ingest.extract.engines.font_programs import read_glyph_texts
from ingest.extract.engines.pdfium import Pdfium
from ingest.extract.engines.pdfium_bidi import read_row, reorder_page
from ingest.extract.engines.pdfium_clusters import (
    Cluster,
    ReadCluster,
    order_lam_alef,
    read_clusters,
)
from ingest.extract.engines.pdfium_footnotes import part_clusters
from ingest.extract.engines.pdfium_positions import find_text_positions
from ingest.extract.engines.pdfium_raw import (
    close_page,
    close_text,
    count_characters,
    load_page,
    load_text,
    read_characters,
)
from ingest.extract.engines.pdfium_signs import correct_signs, join_signs
from ingest.extract.engines.pdfium_syllables import GlyphTexts, correct_syllables
from ingest.extract.indic import order_vowels, restore_letters
from ingest.extract.layout.segments import Direction, find_directions, find_gaps
from ingest.extract.layout.word_boxes import WordBoxes
from ingest.extract.layout.words import has_holes
from ingest.extract.thai import NOTHING, correct_am, correct_unmapped
from tests.extract.scripts_pdf import (
    LEADING,
    LEFT,
    TOP,
    WIDTH,
    Shown,
    draw_glyphs,
    draw_page,
    lines,
)
from tests.hostile.writing import pdf as write_pdf
from tests.hostile.writing import stream
from tests.pdfs import pdf, to_bytes

ARABIC = "مدير المكتب الرئيسي"
HEBREW = "שלחו דואר אל office@example.com עד 12.5"
R2L = b"/ViewerPreferences << /Direction /R2L >>"


def read(data: bytes) -> str:
    """The text of a document."""
    return "\n".join(extract(data, ExtractOptions("pdfium")).pages)


def display(*texts: str) -> list[str]:
    """Lines as they are seen from the left."""
    return [get_display(text, base_dir="R") for text in texts]


def test_letters_drawn_one_by_one_are_words() -> None:
    """A print of Chromium, which says for each glyph what it stands for, is read as written."""
    assert read(draw_page(*draw_glyphs(get_display(ARABIC)))) == ARABIC


def test_letters_without_a_replacement_are_words_too() -> None:
    """Where Chromium's font says what a letter is, it says nothing more; the word is whole."""
    assert read(draw_page(*draw_glyphs(get_display(ARABIC), plain="دا "))) == ARABIC


def test_a_space_is_where_there_is_a_gap() -> None:
    """A syllable of several glyphs is given by its first; what follows is no gap in the word."""
    syllable = Shown(LEFT, TOP, "ab", "की", apart=True)
    parts = [
        syllable,
        Shown(LEFT + 2 * WIDTH, TOP, "c", "ल"),
        Shown(LEFT + 4 * WIDTH, TOP, "d", "है"),
    ]
    assert read(draw_page(*parts)) == "कील है"


def test_mixed_lines_are_read_from_the_right() -> None:
    """An address inside of a Hebrew line keeps its order, and so do the words around it."""
    assert read(draw_page(*lines(*display(HEBREW, "הסכם Microsoft Azure בתוקף")))) == (
        f"{HEBREW}\nהסכם Microsoft Azure בתוקף"
    )


def test_a_latin_word_over_two_lines_keeps_its_hyphen() -> None:
    """Browsers show the hyphen right of the word, as if the Hebrew line did not end there."""
    above, below = display("יש לשלוח מכתב אל", "עד סוף החודש")
    found = read(draw_page(*lines(f"vaad- {above}", f"{below} bait@x.org")))
    assert found == "יש לשלוח מכתב אל vaad-bait@x.org עד סוף החודש"


@pytest.mark.parametrize("mirrored", [True, False])
@pytest.mark.parametrize("line", ["לפי סעיף (ב) לחוק (נטו) אגף", "המקור: (Smith and others)"])
def test_brackets_pair_up(mirrored: bool, line: str) -> None:
    """Brackets are right, whether a document says what they look like or what they are."""
    drawn = get_display(line, base_dir="R")
    if not mirrored:
        drawn = drawn.translate(str.maketrans("()", ")("))
    other = "לפי החוק ולפי הסכם זה"
    assert read(draw_page(*lines(drawn, *display(other)))) == f"{line}\n{other}"


def test_brackets_of_two_kinds_may_differ() -> None:
    """A font says of some brackets what they look like, and of others what they are."""
    line = "סעיף (א) לחוק (ב) [נוסח חדש]"
    drawn = get_display(line, base_dir="R").translate(str.maketrans("[]", "]["))
    assert read(draw_page(*lines(drawn))) == line


def test_a_letter_of_two_halves_stays_whole() -> None:
    """PDFium turns the halves of an emoji or a letter of mathematics around, beside Hebrew."""
    x = LEFT + 3 * WIDTH
    parts = [
        Shown(LEFT, TOP, list("גב")),
        Shown(x, TOP, ["\U0001d450"]),
        Shown(x + 40, TOP, list("א")),
    ]
    assert read(draw_page(*parts)) == "א \U0001d450 בג"


def test_words_stored_in_order_stay_so() -> None:
    """Behind a scan, words are drawn from the right and their letters from the left."""
    words = ["يجب", "على", "المستأجر", "تقديم", "12.50", "إشعار"]
    x, parts = 540.0, []
    for word in words:
        x -= WIDTH * (len(word) + 1)
        parts.append(Shown(x, TOP, word))
    assert read(draw_page(*parts)) == " ".join(words)


def test_mirrored_words_are_in_order() -> None:
    """Text behind a scan may be drawn leftwards, by a matrix that mirrors it."""
    words = ["שלום", "לכולם", "באתר", "example.com", "12.50"]
    x, parts = 540.0, []
    for word in words:
        parts.append(Shown(x, TOP, word, matrix="-1 0 0 1"))
        x -= WIDTH * (len(word) + 1)
    assert read(draw_page(*parts)) == " ".join(words)


def test_a_ligature_is_in_order() -> None:
    """A glyph that stands for several letters gives them in the order of reading."""
    glyphs = ["م", "لا", "س"]  # as seen from the left
    assert read(draw_page(Shown(LEFT, TOP, glyphs))) == "سلام"


def test_an_alef_within_a_lam_follows_it() -> None:
    """The alef of the article stands beside its lam; that of lam and alef is drawn within it."""
    drawn = [("س", 80, 88), ("ل", 88, 94.5), ("ا", 88.1, 94), ("ل", 94.5, 97), ("ا", 97, 100)]
    clusters = [
        Cluster(text, left, right, base=0, size=12, place=-n, item=0, key=left)
        for n, (text, left, right) in enumerate(drawn)
    ]
    assert "".join(cluster.text for cluster in order_lam_alef(clusters)[::-1]) == "اللاس"


def test_words_of_both_directions_are_no_cells() -> None:
    """Words of an English phrase stand left of the word after them; only white space parts."""
    edges = [(80, 100), (10, 28), (32, 48), (52, 76), (-60, -40)]  # in the order of reading
    boxes = np.array([(left, 0, right, 10) for left, right in edges], np.float32)
    gaps = find_gaps(boxes, np.zeros(len(edges), np.intp), mixed=True)
    assert gaps.tolist() == [False, False, False, True]


def test_a_full_stop_left_of_its_line_turns_no_line_around() -> None:
    """In a Hebrew document the full stop of an English line stands before its first word."""
    text = "שלום end."
    words = WordBoxes(
        *(np.array(places) for places in ([0, 5], [3, 8], [0, 1])),
        *(
            np.array([(u, 0, u + 5, 10) for u in edges], np.float32)
            for edges in ((40, 40), (60, 20))
        ),
    )
    assert find_directions(words, text).tolist() == [Direction.RIGHT] * 2


def test_the_number_of_a_footnote_is_parted_from_its_word() -> None:
    """A raised number follows a word, or begins the note; the power of a unit stays on it."""

    def part(*drawn: tuple[str, float, float]) -> str:
        row = [
            ReadCluster(Cluster(text, n, n + 1, base, size, -1, 0, n), text, leftward=True)
            for n, (text, base, size) in enumerate(drawn)
        ]
        return "".join(read.text for read in part_clusters(0, row))

    word = [(letter, 0.0, 10.0) for letter in "דוח"]
    assert part(*word, ("1", 4, 6)) == "דוח 1"
    assert part(*word, ("1", 0, 10)) == "דוח1"
    assert part(("1", 4, 6), *word) == "1 דוח"
    assert part(("מ", 0, 10), ("2", 4, 6)) == "מ2"

    seen = [("1", 4.0, 6.0), (".", 0.0, 10.0), *((figure, 0.0, 10.0) for figure in "1994")]
    piece = [
        Cluster(text, n, n + 1, base, size, -1, 0, n) for n, (text, base, size) in enumerate(seen)
    ]
    assert "".join(found.text for found in read_row([piece], usual=True)) == "1994.1"


def test_paragraphs_of_thai_are_not_joined() -> None:
    """The lines of a paragraph are one; the next one begins further down, on a line of its own."""
    text = "กขคงจฉชซฌญฎฏฐฑฒณดตถทธนบป"
    drops = [0, 1, 2, 4, 5, 6]
    data = draw_page(*(Shown(LEFT, TOP - LEADING * drop, text) for drop in drops))
    assert read(data).replace("\n\n", "\n") == f"{3 * text}\n{3 * text}"


def test_a_word_on_a_slope_is_on_one_line() -> None:
    """Words in Nastaliq, as Urdu is printed, begin far above the line that they end on."""
    letters = zip(reversed("سکول"), (0, 6, 12, 18), strict=True)
    word = [Shown(LEFT + WIDTH * n, TOP + y, letter) for n, (letter, y) in enumerate(letters)]

    assert read(draw_page(*word)) == "سکول"


def test_vowel_points_stay_on_their_letters() -> None:
    """A point that is drawn over a letter follows it."""
    letters = Shown(LEFT, TOP, get_display("שלום"))
    point = Shown(LEFT + 2 * WIDTH, TOP, "\u05b8")
    assert read(draw_page(letters, point)) == "של\u05b8ום"
    edge = point._replace(x=LEFT + 2.4 * WIDTH)
    assert read(draw_page(letters, edge)) == "של\u05b8ום"


def test_a_syllable_of_several_glyphs_is_read_once() -> None:
    """Some programs give the text of a whole syllable for each of its glyphs."""
    syllable = [Shown(LEFT, TOP, ["दु"]), Shown(LEFT + WIDTH, TOP - 1, ["दु"])]
    assert read(draw_page(*syllable, Shown(LEFT + 2 * WIDTH, TOP, "कान"))) == "दुकान"
    am = [Shown(LEFT + x, TOP + y, ["ชำ"]) for x, y in ((0, 0), (WIDTH, 1), (0, 2))]
    assert read(draw_page(*am, Shown(LEFT + 2 * WIDTH, TOP, "ระ"))) == "ชำระ"
    twice = [Shown(LEFT, TOP, ["दा"]), Shown(LEFT + WIDTH, TOP, ["दा"])]
    assert read(draw_page(*twice)) == "दादा"


def test_a_vowel_of_hindi_is_the_one_that_its_glyph_draws() -> None:
    """WeasyPrint takes an upright for one with a hook, and a hook with a dot for the dot."""
    flat = Shown(LEFT, TOP - LEADING, "म", matrix="1 0 0 0")
    engine = Pdfium(draw_page(Shown(LEFT, TOP, "मं मो मों"), flat), ())
    page = load_page(engine.address, 0)
    text = load_text(page)
    clusters = read_clusters(page, text, read_characters(text, count_characters(text)))
    found = join_signs("".join(cluster.text for cluster in correct_signs(text, clusters)))
    close_text(text)
    close_page(page)
    assert found.replace(NOTHING, "") == "में मा मोंम"
    assert join_signs("\u0948\u093e") == "\u094c" + NOTHING


def test_glyphs_mapped_to_the_syllable_of_their_first_use_are_read() -> None:
    """WeasyPrint gives all of a syllable to its last glyph, wherever that is used again."""

    def read_glyphs(drawn: str) -> str:
        names = [glyph if glyph[0] == "?" else "" for glyph in drawn.split()]
        clusters = [
            Cluster(text.replace("_", " "), n, n + 1, base=0, size=12, place=-1, item=0, key=n)
            for n, text in enumerate(drawn.split())
        ]
        found = correct_syllables(clusters, names, GlyphTexts(), is_distilled=True)
        text = order_vowels("".join(cluster.text for cluster in found))
        return unicodedata.normalize("NFC", text)

    assert read_glyphs("?1 कि _ कि ा _ ?1 त") == "कि का ति"
    assert read_glyphs("?1 أُ _ ?1 _ أُ ب") == "أُ أ ُب"  # a letter with a vowel of Arabic
    assert read_glyphs("?1 ரே _ ?2 லை _ ?1 லை ரே _ ?3 ப _ பு") == "ரே லை லேர பெ பு"
    assert read_glyphs("?1 যে _ ?1 ক ো _ টি") == "যে কো টি"
    assert read_glyphs("लि ल _ नि ?1 _ ?1 ा _ लि क") == "लि नि ना कि"  # LibreOffice, its first
    assert read_glyphs("नि न _ नि क") == "नि कि"
    assert read_glyphs("ध ा _ ?1 ?2 र्षि _ ?2 ा _ थ र्थी") == "धा र्षि षा र्थी"
    assert read_glyphs("?1 य ा र्थ्यां _ ?1 य") == "र्थ्यां थ्य"  # of Marathi


def test_glyphs_that_a_font_has_letters_for_are_read() -> None:
    """A document may map a glyph to nothing, and its font still say which letter it is."""
    font = (Path(reportlab.__file__).parent / "fonts" / "Vera.ttf").read_bytes()
    capitals = range(ord("A"), ord("Z") + 1)

    letters = read_glyph_texts(font, capitals)

    glyphs = TTFontFile(io.BytesIO(font)).charToGlyph
    assert letters == {glyphs[code]: chr(code) for code in capitals}


def test_a_glyph_is_not_read_by_the_map_of_another_font() -> None:
    """Two fonts of a page may have the same number for different letters."""
    font = (Path(reportlab.__file__).parent / "fonts" / "Vera.ttf").read_bytes()
    place = font.index(b"cmap") + 8

    def map_glyph(char: str) -> bytes:
        cmap = struct.pack(">HHHHL", 0, 1, 3, 10, 12)
        cmap += struct.pack(">HHLLLLLL", 12, 0, 28, 0, 1, ord(char), ord(char), 0x25)
        entry = struct.pack(">LL", len(font), len(cmap))
        return font[:place] + entry + font[place + 8 :] + cmap

    shown = b"/%b 20 Tf 0 40 Td <00240025> Tj"
    objects = {
        2: b"<< /Type /Pages /Kids [3 0 R 6 0 R 7 0 R] /Count 3 "
        b"/Resources << /Font << /F 10 0 R /F1 14 0 R >> >> >>",
        5: stream(b"1 beginbfchar <0024> <0915> endbfchar"),
    }
    for number, fonts in {3: [b"F"], 6: [b"F1"], 7: [b"F", b"F1"]}.items():
        objects[number + 20] = stream(b"BT %b ET" % b" ".join(shown % name for name in fonts))
        objects[number] = (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 99 99] /Contents %d 0 R >>"
            % (number + 20)
        )
    for number, char in {10: "ख", 14: "ग"}.items():
        objects |= {
            number: b"<< /Type /Font /Subtype /Type0 /BaseFont /X /Encoding /Identity-H "
            b"/DescendantFonts [%d 0 R] /ToUnicode 5 0 R >>" % (number + 1),
            number + 1: b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /X "
            b"/FontDescriptor %d 0 R /CIDToGIDMap /Identity >>" % (number + 2),
            number + 2: b"<< /Type /FontDescriptor /FontName /X /Flags 4 /FontFile2 %d 0 R >>"
            % (number + 3),
            number + 3: stream(map_glyph(char)),
        }

    pages = extract(write_pdf(objects), ExtractOptions("pdfium")).pages
    assert [one.split() for one in pages] == [["कख"], ["कग"], ["क", "क"]]


def test_consonants_drawn_below_a_syllable_are_read() -> None:
    """In Telugu, WeasyPrint gives all of a syllable to the consonant below it, or a vowel to it."""

    def read_glyphs(drawn: str) -> str:
        names = [glyph if glyph[0] == "?" else "" for glyph in drawn.split()]
        clusters = [
            Cluster(text, n, n + 1, base=0, size=12, place=-1, item=0, key=n)
            for n, text in enumerate(drawn.split())
        ]
        found = correct_syllables(clusters, names, GlyphTexts(known={"?u": "\u0c41"}))
        return order_vowels("".join(cluster.text for cluster in found))

    assert read_glyphs("స ?u ్సు స ్సు") == "స్సుస్స"
    assert read_glyphs("ర ్థు ?u ల ?u") == "ర్థులు"
    assert read_glyphs("లి క లి ల్పి క ?u") == "లికల్పికు"
    assert read_glyphs("?1 ద్యా ?1") == "ద్యాదా"
    assert order_vowels("ਪੜੋ੍ਹ") == "ਪੜ੍ਹੋ"


def test_letters_whose_bytes_ghostscript_mixes_up_are_read() -> None:
    """The map of a glyph that stands for several letters has others in their place."""
    assert [restore_letters(text) for text in ("न⠿", "्䵔", "्䵕", "নি", "லி")] == [
        "नि",
        "त्र",
        "द्य",
        "নি",
        "லி",
    ]


def test_the_sign_of_a_syllable_follows_its_vowel() -> None:
    """A dot that is drawn on the letter is written after the vowel to the right of it."""
    parts = [Shown(LEFT, TOP, "य"), Shown(LEFT, TOP, "\u0902"), Shown(LEFT + WIDTH, TOP, "\u094b")]
    assert read(draw_page(*parts)) == "य\u094b\u0902"


def test_a_space_under_a_letter_is_none() -> None:
    """A line from the right may end with a space that takes no place."""
    line = Shown(LEFT, TOP, get_display("שלום לכולם"))
    assert read(draw_page(line, Shown(LEFT, TOP, " "))) == "שלום לכולם"


def test_numbers_of_a_list_are_read_from_the_left() -> None:
    """The marker of a Hebrew list's item has no letters, and is on the right of it."""
    items = display("ממלאים את הטופס", "מקבלים אישור")
    parts = [Shown(LEFT, TOP - LEADING * n, item) for n, item in enumerate(items)]
    right = LEFT + WIDTH * (max(map(len, items)) + 1)
    marks = [Shown(right, TOP - LEADING * n, f".{n + 1}") for n in range(2)]
    wanted = "1. ממלאים את הטופס 2. מקבלים אישור"
    assert " ".join(read(draw_page(*parts, *marks)).split()) == wanted


@pytest.mark.parametrize(
    ("drawn", "wanted"),
    [
        pytest.param(
            "น\u0e49\u0e33\u0e32ดื่ม", "น\u0e49\u0e33ดื่ม", id="the second half is given twice"
        ),
        pytest.param("น\u0e4d\u0e49\u0e32ดื่ม", "น\u0e49\u0e33ดื่ม", id="both halves are given"),
        pytest.param(
            "น\u0e49<\u0e33 ส<\u0e33 ง\u0e33น",
            "น\u0e49\u0e33 ส\u0e33 ง\u0e32น",
            id="one half is given as whole",
        ),
    ],
)
def test_a_thai_vowel_drawn_in_two_parts_is_whole(drawn: str, wanted: str) -> None:
    """Water and work are found, however a font says what the halves of a vowel are."""
    assert correct_am(drawn).replace("\u2060", "") == wanted
    assert len(correct_am(drawn)) == len(drawn)


def test_a_thai_vowel_mapped_as_a_syllable_is_a_vowel() -> None:
    """A font may give each aa as a tone and am, and read the marks above it as anything."""
    drawn = (
        "\u0e19<2้\u0e33 \u0e17\u0e31้\u0e07 "
        + "\u0e01้\u0e33\u0e01้\u4933\u0e01้\u0e33" * 2
        + "2 \u0e25<้\u0e33"
    )
    flat = {1, 2, drawn.rindex("<")}
    found = correct_am(correct_unmapped(drawn, flat.__contains__)).replace(NOTHING, "")
    assert found == "น้ำ ทั้ง " + "กา" * 6 + "2 ลำ"
    assert correct_am(correct_unmapped("น;า ก;าร", {1}.__contains__)) == f"นำ{NOTHING} ก;าร"


def test_thai_tone_marks_follow_the_vowels() -> None:
    """Marks drawn one above the other are stored from the lower to the upper."""
    parts = [Shown(LEFT, TOP, "ท"), Shown(LEFT, TOP, "\u0e48"), Shown(LEFT, TOP, "\u0e35")]
    assert read(draw_page(*parts)) == "ท\u0e35\u0e48"


def test_a_thai_word_mark_stays() -> None:
    """The mark of no width that parts the words of a Thai text is kept; elsewhere it is not."""
    data = draw_page(*lines("ภาพ\u200bไทย", "ab\u200bcd"))
    assert read(data) == "ภาพ\u200bไทย\nabcd"


@pytest.mark.parametrize("direction", [b"", R2L])
def test_a_document_bound_on_the_right_is_read_as_any_other(direction: bytes) -> None:
    """The direction of the pages turns no line around: neither an English one nor a Hebrew one."""
    english = "The notice period is three months (at least)."
    data = draw_page(*lines(english, *display(HEBREW)), catalog=direction)
    assert read(data) == f"{english}\n{HEBREW}"


def test_a_locked_document_bound_on_the_right_is_read() -> None:
    """A password does not keep the direction of the pages from being ignored."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf("Plain words in order")))
    writer.root_object[NameObject("/ViewerPreferences")] = DictionaryObject(
        {NameObject("/Direction"): NameObject("/R2L")}
    )
    writer.encrypt("geheim", algorithm="AES-256")
    document = extract(to_bytes(writer), ExtractOptions("pdfium", passwords=("geheim",)))
    assert document.pages == ("Plain words in order",)


@pytest.mark.parametrize("matrix", ["0 1 -1 0", "0 -1 1 0"])
def test_a_turned_page_is_read_from_the_right_too(matrix: str) -> None:
    """A landscape page that is stored sideways has its Hebrew lines in order."""
    line = get_display("שלום לכולם באתר example.com היום", base_dir="R")
    parts = [Shown(300, 400, line, matrix=matrix)]
    assert read(draw_page(*parts)) == "שלום לכולם באתר example.com היום"


def test_the_columns_of_a_line_are_read_apart() -> None:
    """Cells side by side keep their own order; the right one comes first."""
    right, left = display("מחיר ABC", "כמות XYZ")
    data = draw_page(
        *(
            Shown(x, TOP - LEADING * row, text)
            for row in range(2)
            for x, text in ((LEFT, left), (400, right))
        )
    )
    assert read(data).split("\n")[-1].replace("|", " ").split() == ["מחיר", "ABC", "כמות", "XYZ"]


def test_a_line_is_found_on_the_picture_of_its_page() -> None:
    """The inspector marks an Arabic line where it is drawn, though its letters are turned."""
    engine = Pdfium(draw_page(*draw_glyphs(get_display(ARABIC))), ())
    (found,) = find_text_positions(engine, 0, [ARABIC], (842, 595))
    assert found.left == pytest.approx(LEFT, abs=2)
    assert found.width == pytest.approx(WIDTH * len(ARABIC), abs=WIDTH)


TURNED = ["-1 0 0 1", "0 1 -1 0"]
PARTS = st.lists(
    st.builds(
        Shown,
        st.integers(0, 550).map(float),
        st.integers(0, 60).map(lambda place: 100.0 + place * 12),
        st.text("אבםןلاةmn1٣-.(\u05b8\u0e48ทकि \u200b", min_size=1, max_size=8),
        replaced=st.none(),
        apart=st.just(False),
        matrix=st.sampled_from(
            ["1 0 0 1", "1 0 0 1", "-1 0 0 1", "0 1 -1 0", "1 0 0 -1", "0 0 0 0"]
        ),
    ),
    min_size=1,
    max_size=8,
)


@given(PARTS)
@example([Shown(2.0 * n, 100.0, "1ि", None, False, turn) for n, turn in enumerate(TURNED)])
def test_no_letter_of_a_page_is_lost(parts: list[Shown]) -> None:
    """However letters of many scripts are strewn over a page, each of them is read once."""
    engine = Pdfium(draw_page(*parts), ())
    page = load_page(engine.address, 0)
    text = load_text(page)
    try:
        drawn = read_characters(text, count_characters(text))
        _, read_text = reorder_page(page, text, drawn, GlyphTexts())
    finally:
        close_text(text)
        close_page(page)
    assert letters(read_text) == letters(drawn)


def letters(text: str) -> Counter[str]:
    """The characters of a text that are not white space; a bracket is as good as its other."""
    return Counter("".join(text.split()).replace(")", "(").replace("\ufffe", "-"))


def test_small_lines_close_below_a_large_one_are_lines() -> None:
    """A subtitle close below a title is not mixed up with its letters."""
    large = "1.5 0 0 1.5"
    title, below = Shown(LEFT, TOP, "הולצ", matrix=large), Shown(LEFT, TOP - 17, "לכה")

    assert read(draw_page(title, below)) == "צלוה\nהכל"


@pytest.mark.parametrize("step", [6, -6], ids=["rightward", "leftward"])
def test_cells_drawn_letter_by_letter_are_apart(step: int) -> None:
    """A row of a table has holes, from whichever side the letters of its cells are drawn."""
    cells = [(60 + 90 * column, 700 - 20 * row) for row in range(2) for column in range(3)]
    letters = [(x + 30 + step * n, y) for x, y in cells for n in range(4)]
    boxes = np.array([(x, y + 7, x + 5, y) for x, y in letters], np.float32)

    assert has_holes(boxes, by_letters=True)
