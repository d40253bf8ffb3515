"""Text that is not what the page shows: decoded otherwise, recognised, or reported."""

from __future__ import annotations

import string

import pytest

from ingest.extract.document import ExtractOptions, extract
from ingest.extract.pdf import MAX_GARBLED_SHARE, extract_page_text
from ingest.extract.plausible import decipher, is_doubtful, is_implausible
from ingest.models import Chunk, Code, Document, OcrResult, PreparedDocument
from ingest.pipeline.transaction import describe_missing
from tests.pdfs import draw_text, objects_pdf, prose, stream

LETTER = (
    "The tenant must give notice three months before the end of the lease and return all keys to "
    "the caretaker, who signs for them on the same day. Rent is due on the third day of each month "
    "and is paid by transfer. Pets need written consent of the landlord, which may be withdrawn."
)
LINES = [LETTER[start : start + 60] for start in range(0, len(LETTER), 60)]
BAD_MAP = (
    "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def /CMapType 2 def "
    "1 begincodespacerange <00> <ff> endcodespacerange "
    "1 beginbfrange <20> <7e> [" + "<fffd> " * 95 + "] endbfrange "
    "endcmap CMapName currentdict /CMap defineresource pop end end"
)


def undecodable_pdf(*, mode: int = 0, image: bool = False) -> bytes:
    """A page whose font maps each letter to the replacement character."""
    lines = "".join(draw_text(line, 700 - 16 * number) for number, line in enumerate(LINES))
    picture = "q 400 0 0 400 72 300 cm /Image Do Q " if image else ""
    return objects_pdf(
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding "
        "/ToUnicode 6 0 R >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 5 0 R "
        "/Resources << /Font << /F1 3 0 R >> /XObject << /Image 7 0 R >> >> >>",
        stream(f"{picture}{mode} Tr {lines}"),
        stream(BAD_MAP),
        stream("\x80", "/Type /XObject /Subtype /Image /Width 1 /Height 1 /BitsPerComponent 8 "
               "/ColorSpace /DeviceGray"),
    )  # fmt: skip


def prepare(document: Document) -> PreparedDocument:
    chunks = tuple(
        Chunk(str(n), text, 1, n, 0, 1, n + 1, n + 1, (), ())
        for n, text in enumerate(document.pages)
        if text
    )
    return PreparedDocument("f", len(document.pages), 0, "t", chunks, document.details)


def test_visible_text_that_no_engine_decodes_needs_action() -> None:
    """I am told of the page, in every run until somebody acts, rather than that it is empty."""
    document = extract(undecodable_pdf(), ExtractOptions())

    assert document.pages == ("",)
    assert document.details.undecoded == (1,)
    assert document.details.needs_attention
    reason, code = describe_missing(prepare(document))
    assert code == Code.UNDECODED
    assert "--ocr local" in reason


def test_ocr_reads_visible_text_that_no_engine_decodes() -> None:
    """Such a page is a picture with text."""
    options = ExtractOptions(ocr="an engine", recognise=lambda _: OcrResult("As seen.", 0.95))

    document = extract(undecodable_pdf(), options)

    assert document.pages == ("As seen.",)
    assert not document.details.needs_attention
    assert describe_missing(prepare(document))[1] != Code.UNDECODED


def test_a_page_that_ocr_cannot_read_either_needs_action() -> None:
    """OCR that finds nothing does not hide that there is something."""
    options = ExtractOptions(ocr="an engine", recognise=lambda _: OcrResult("", 1.0))

    document = extract(undecodable_pdf(), options)

    assert document.details.undecoded == (1,)


def test_a_scan_with_an_undecodable_layer_is_a_scan() -> None:
    """An invisible text layer that cannot be decoded does not hide that the page is a scan."""
    document = extract(undecodable_pdf(mode=3, image=True), ExtractOptions())

    assert document.details.scanned == (1,)
    assert not document.details.needs_attention
    assert describe_missing(prepare(document))[1] == Code.NO_TEXT


def shift(text: str, by: int) -> str:
    """A text with the letters of the alphabet shifted."""
    lower, upper = string.ascii_lowercase, string.ascii_uppercase
    table = str.maketrans(lower + upper, lower[by:] + lower[:by] + upper[by:] + upper[:by])
    return text.translate(table)


LEASE = (
    "The owner shall keep the building in good repair and shall not let any part of it without the "
    "written consent of the lender, who may enter the rooms by day after giving notice of a week."
)
MUSICAL = str.maketrans("etaoinsrhldcumfpgwybvkxjqz", "sanidetourlmchgpyfkbwvjzqx")
IN_GREEK = str.maketrans(string.ascii_lowercase, "αβχδεφγηιϕκλμνοπθρστυϖωξψζ")
SCRAMBLED = str.maketrans(string.ascii_lowercase, "qjxkzvbwmgpyfcuhrldtsnaoie")


@pytest.mark.parametrize(
    ("garbage", "text"),
    [
        *(pytest.param(shift(LETTER, by), LETTER, id=f"shifted by {by}") for by in (2, 3, 13, 25)),
        pytest.param(shift(LEASE, 3), LEASE, id="shifted words like those of a language"),
        pytest.param("".join(chr(ord(c) - 29) for c in LETTER), LETTER, id="glyph numbers"),
        pytest.param(
            ("Арендатор должен уведомить за три месяца до окончания срока. " * 2)
            .encode("cp1251").decode("cp1252"),
            "Арендатор должен уведомить за три месяца до окончания срока. " * 2,
            id="Cyrillic as Latin",
        ),
        pytest.param(LETTER.lower().translate(SCRAMBLED), "", id="a scrambled alphabet"),
        pytest.param(
            LETTER.lower().translate(MUSICAL), "", id="an alphabet with as many vowels as words"
        ),
        pytest.param("".join(c if n % 2 else chr(ord(c) + 0x3F0) for n, c in enumerate(LETTER)
                             if c.isalpha() or c == " "), "", id="two scripts in a word"),
    ],
)  # fmt: skip
def test_garbage_that_looks_like_text_is_found(garbage: str, text: str) -> None:
    """A font's codes are not letters; where they are shifted alike, the text is known."""
    assert is_implausible(garbage)
    assert decipher(garbage) == text


def test_what_is_undecoded_is_no_other_code_page() -> None:
    """Beside text that is right, a line of unknown characters does not become question marks."""
    assert decipher(LETTER + 90 * "\ufffd") == ""


def test_the_names_of_glyphs_are_not_deciphered() -> None:
    """What pypdf returns for glyphs without letters stays what it is: no text."""
    assert decipher("".join(f"/g{31 * n % 60}" for n in range(300))) == ""


@pytest.mark.parametrize(
    "text",
    [
        LETTER,
        prose("lathes"),
        "Mae gan bawb yr hawl i ryddid barn a mynegiant; mae'r hawl hon yn cynnwys rhyddid. " * 3,
        "Strč prst skrz krk. Vlk zmrzl, zhltl hrst zrn. Chrt pln skvrn vtrhl skrz trs chrp. " * 3,
        "for (i = 0; i < n; i++) { ptr->next = malloc(sizeof(*ptr)); strcpy(buf, src); } " * 5,
        "Part BX-4411-KL 12.50 Part CZ-9921-RT 7.80 Part DW-1123-PQ 99.00 " * 9,
        "Die µm-Skala und ΔT werden mit dem α-Wert verglichen, in kΩ und als β-Faktor. " * 4,
        "Ключ GPG створюється програмою gnupg, а пакунок збирає debhelper. " * 5,
        "ראש הממשלה קנה Microsoft Azure עבור המשרד. " * 9,
        "ACGTTGCAAGGCTTAACCGGTTAACGTTGCAAGGCTTAACCGGTTACG " * 9,
    ],
)
def test_unusual_text_is_not_garbage(text: str) -> None:
    """Languages with few vowels, programs, part numbers and formulas are not called garbage."""
    assert not is_implausible(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param("К4:8GR 69EAG Г>B?P= EK<F4RF Н4?J ;4?<64. " * 3, True, id="Cyrillic"),
        pytest.param("К4><9-?<5B <;@9A9A<O 8B7B6BD4 6B;@B:AK на сайте", True, id="half"),
        pytest.param("Κ¯º· ¾°½¿Â ¾À¿Á·² ¿³ ¶³¿·»ÃÄ· °ÉÂ µ¹³ ¸¹Ä¼·Ã¼Â", True, id="Greek"),
        pytest.param(
            "شنبه ۸ تا ø÷ ۴÷ عصر ۸÷ دوشنبه ۸ تا ø÷ پنجشنبه ۹ تا ù÷ صبح" * 3, True, id="Persian"
        ),
        pytest.param(LETTER.lower().translate(IN_GREEK), True, id="English in a symbol font"),
        pytest.param("أبرG هذا العقد في يوG الأحد بين شركة النوN لتأجير", True, id="Arabic"),
        pytest.param("رقم ۴ö۴ تاریخ ۴ö۵ تلفن ø۵۶ نامه در روز شنبه است", True, id="figures"),
        pytest.param("îÖíßÕó Õbéîé îקàÖá éÙæçê ÙéààÙ Öåéà " * 4, True, id="Hebrew"),
        pytest.param(
            "체육관을 처음 이용Ý는 분은 회원 등ý을 해 운동화ü 갈아" * 3, True, id="Korean"
        ),
        pytest.param(
            "会議室を予約·¹ます。予定を変える場合さ¼て連絡¿ださ¸いº" * 3, True, id="Japanese"
        ),
        pytest.param(
            "همه می‌توانند عضو کتابخاౕ شوند و اماౕ آن را ౾رداز بگیرد تا شنبه" * 3, True, id="bytes"
        ),
        pytest.param("วันศ\ufffdกร์ที่ห้องสม\ufffdดประช\ufffdชนเปิดให้บริการทุกวัน", True, id="marks"),
        pytest.param("Zürich市とŁódź市とCafé店でWindows®は約½の±5℃、縦×横×高さ", False, id="names"),
        pytest.param(
            "Вода Н2О, этанол С2Н5ОН и соль К2СО3 по 5 г; А4:В5 " * 2, False, id="chemistry"
        ),
        pytest.param("½ cup, ¼ tsp, 180 °C, ¾ l, £4, ¥5, ©, ®, ¶ 3 " * 4, False, id="recipe"),
    ],
)
def test_letters_that_programs_change_into_others_are_doubted(text: str, wanted: bool) -> None:
    """Ghostscript loses bytes of letters that Chromium and others print: I am told of the page."""
    assert (is_implausible(text) or is_doubtful(text)) is wanted


def encipher(codes: str) -> bytes:
    """A page of two-byte codes in a font without a map to Unicode."""
    lines = [codes[start : start + 60] for start in range(0, len(codes), 60)]
    drawn = " T* ".join(f"<{line.encode('utf-16-be').hex()}> Tj" for line in lines)
    return objects_pdf(
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
        "<< /Type /Font /Subtype /Type0 /BaseFont /ABCDEF+Arial /Encoding /Identity-H "
        "/DescendantFonts [6 0 R] >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 5 0 R "
        "/Resources << /Font << /F1 3 0 R >> >> >>",
        stream(f"BT /F1 10 Tf 14 TL 72 700 Td {drawn} ET"),
        "<< /Type /Font /Subtype /CIDFontType2 /BaseFont /ABCDEF+Arial /DW 500 /CIDSystemInfo "
        "<< /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> /FontDescriptor 7 0 R >>",
        "<< /Type /FontDescriptor /FontName /ABCDEF+Arial /Flags 4 /FontBBox [0 0 1000 1000] "
        "/ItalicAngle 0 /Ascent 800 /Descent -200 /CapHeight 700 /StemV 80 >>",
    )


def test_a_page_of_glyph_numbers_is_read_and_called_doubtful() -> None:
    """Its text is found, and I know that nobody but a guess says that it is right."""
    document = extract(encipher("".join(chr(ord(c) - 29) for c in LETTER)), ExtractOptions())

    assert "tenant must give notice" in " ".join(document.pages[0].split())
    assert document.details.doubtful == (1,)
    assert not document.details.needs_attention
    assert "not what the page shows" in describe_missing(prepare(document))[0]


def test_ocr_reads_a_page_of_garbage_that_looks_like_text() -> None:
    """OCR of the page is preferred to text that was guessed from font codes."""
    options = ExtractOptions(ocr="an engine", recognise=lambda _: OcrResult(LETTER, 0.95))

    document = extract(encipher(LETTER.lower().translate(SCRAMBLED)), options)

    assert document.pages == (LETTER,)
    assert document.details.doubtful == ()


def test_what_ocr_makes_of_a_missing_font_is_worth_less_than_a_deciphered_text() -> None:
    """A font that is not in the file is drawn with the wrong letters, which OCR reads well."""
    wrong = OcrResult("V@^Ác^}æ}cÁ{·cÁ*āç^Á}[cã&^Ác@|^^Á{[}c@·Áà^~[I^", 0.83)
    options = ExtractOptions(ocr="an engine", recognise=lambda _: wrong)

    document = extract(encipher("".join(chr(ord(c) - 29) for c in LETTER)), options)

    assert "tenant must give notice" in " ".join(document.pages[0].split())
    assert document.details.doubtful == (1,)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param("पुस्तकालय के əनियम शहर का हर əनिवासी बनि ɛलए पहचानि यɘद əकसी", True, id="Latin"),
        pytest.param("पुस㡍तकालय न⠿यम सदस㡍यता शहर वा⠿सी", True, id="Chinese"),
        pytest.param("শহ{রেরে |যে |কো{নো হ{তে পো{রেন", True, id="brackets"),
        pytest.param(
            "मंगलवार को 5वीं और 10वीं कक्षा, (PDF) फ़ाइल, 12% छूट; email देखें।", False, id="words"
        ),
    ],
)
def test_foreign_letters_in_words_of_india_are_garbage(text: str, wanted: bool) -> None:
    """A font with a wrong map is not taken for Hindi or Bengali; figures and names are no sign."""
    assert is_implausible(text) is wanted


def test_a_wrong_map_of_a_font_is_doubted_whichever_engine_reads_it() -> None:
    """A page is not called right because an engine drops letters that its font does not map."""

    class Engine:
        def __init__(self, text: str) -> None:
            self.shown = text

        def text(self, index: int) -> str:
            return self.shown

        def has_unseen_text(self, index: int) -> bool:
            return False

    engines = [Engine("पुस्त əनियम əनिवासी ɛलए यɘद əकसी"), Engine("पुस् त नियम नि वासी लए")]
    found = extract_page_text(engines, 0)  # type: ignore[arg-type]

    assert found is not None
    assert found.text == "पुस्त नियम निवासी लए यद कसी"
    assert found.garbled > MAX_GARBLED_SHARE
