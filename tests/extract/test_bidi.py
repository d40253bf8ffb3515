"""Lines of Hebrew and Arabic in the order in which they are read."""

from __future__ import annotations

import pytest
from bidi.algorithm import get_display
from hypothesis import given
from hypothesis import strategies as st

from ingest.extract.bidi import is_read_from_right, mirror, read_order
from ingest.extract.word_order import are_words_forwards


def read(seen: str, *, right_to_left: bool = True) -> str:
    """A line in the order of reading, given as it is seen from the left to the right."""
    order = read_order(seen, right_to_left=right_to_left)
    return "".join(mirror(seen[index]) if leftward else seen[index] for index, leftward in order)


@pytest.mark.parametrize(
    "line",
    [
        "שלחו דואר אל office@example.com עד 2026-05-12",
        "הסכם Microsoft Azure בתוקף",
        'דגם XJ-900 עולה 12.50 ש"ח (כולל מע"מ)',
        "טלפון 03-1234567 או 054-7654321",
        "לפי סעיף 15(ב)(4) לחוק מבקר המדינה",
        "מחיר 20-50% (נטו) או $1,250.00",
        "ראו https://www.example.org/a/b?c=1 שם",
        "שפת C++ היא נפוצה",
        "הפורמט (PDF) נתמך",
        "Azure (PDF) נתמך",
        "גרסה Windows 11 בלבד",
        "משקל 3.5 kg בלבד",
        "(א) ראשון; (ב) שני.",
        "السعر 12.50 دولار (شامل الضريبة)",
        "في 2026-05-12 من الشهر",
        "نسبة 50% من المبلغ $20 فقط",
        "راسلوا test@example.com اليوم.",
        "تاريخ ۱۴۰۳/۰۵/۱۲ است",
        "العام ٢٠٢٤ هو ١٢٫٥",
    ],
)
def test_a_line_is_read_as_it_was_written(line: str) -> None:
    """Mail addresses, numbers, brackets and foreign words inside of a line keep their order."""
    assert read(get_display(line, base_dir="R")) == line


def test_a_telephone_number_is_read_from_its_plus() -> None:
    """What a page shows from left to right, with the plus first, is dialled so."""
    for end in (".", ""):
        line = read(f"{end}+966 11 555 0182 {get_display('على الرقم', base_dir='R')}")
        assert line == f"على الرقم +966 11 555 0182{end}"


@pytest.mark.parametrize(
    "line",
    [
        "The word שלום means peace.",
        "See section (א) of the law",
        "Names: דוד לוי, Tel Aviv, and שרה כהן, Haifa.",
        "He said כתב 15 ספרים and left",
    ],
)
def test_a_hebrew_phrase_inside_an_english_line_is_read_from_its_right(line: str) -> None:
    """A line of English stays one; only what is Hebrew in it is turned."""
    assert read(get_display(line, base_dir="L"), right_to_left=False) == line


@pytest.mark.parametrize(
    ("seen", "line"),
    [
        ("انه (4)(b)15 فتاهلا مقر", "رقم الهاتف 15(b)(4) هنا"),
        ("ךמתנ Azure (PDF)", "Azure (PDF) נתמך"),
    ],
)
def test_pairs_of_brackets_belong_together(seen: str, line: str) -> None:
    """Newer programs keep both brackets of a pair in one direction."""
    assert read(seen) == line


HEBREW = st.text("אבגדהוזחטיכלמנ", min_size=1, max_size=6)
ENGLISH = st.text("abcdefgh", min_size=4, max_size=6)
NUMBERS = st.integers(0, 10**6).map(str)


@given(st.lists(st.tuples(HEBREW, ENGLISH | NUMBERS), min_size=1, max_size=6))
def test_any_mixed_line_is_read_as_it_was_written(words: list[tuple[str, str]]) -> None:
    """Whatever words alternate, the order of reading is that of writing."""
    line = " ".join(word for pair in words for word in pair)
    assert read(get_display(line, base_dir="R")) == line


@given(st.text("אבﷲ ab١2.,-+%$()[]\"'", max_size=40), st.booleans())
def test_no_character_of_a_line_is_lost(line: str, right_to_left: bool) -> None:
    """Each character is read once, whatever a line holds."""
    order = [index for index, _ in read_order(line, right_to_left=right_to_left)]
    assert sorted(order) == list(range(len(line)))


@pytest.mark.parametrize(
    ("line", "usual", "expected"),
    [
        ("Microsoft Azure והסכם", True, True),
        ("Microsoft Azure והסכם", False, False),
        ("Plain English.", True, False),
        (".5.1", True, True),
        ("12 - 15", True, True),
        ("12 - 15", False, False),
    ],
)
def test_most_lines_of_a_page_say_how_a_line_is_read(
    line: str, usual: bool, expected: bool
) -> None:
    """A line with a few Hebrew words is Hebrew on a Hebrew page, and English on an English one."""
    assert is_read_from_right(line, usual=usual) is expected


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (["يجب على المستأجر تقديم إشعار قبل ثلاثة أشهر"], True),
        (["יש להודיע לשוכרים על כך של הדיירים"], True),
        (["مستاجر باید همه کلیدها را روز تخلیه برگرداند"], True),
        (["אין לפנות אל הדייר לפני השעה"], True),
        ([get_display("يجب على المستأجر تقديم إشعار قبل ثلاثة أشهر")], False),
        ([get_display("יש להודיע לשוכרים על כך של הדיירים")], False),
        (["כך"], False),
        (["Plain English"], False),
    ],
)
def test_the_letters_of_words_say_how_they_are_stored(seen: list[str], expected: bool) -> None:
    """Letters that only end a word, and common words, tell the first letter from the last."""
    assert are_words_forwards(seen) is expected
