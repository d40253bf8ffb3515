"""Correct the characters that PDFium reads, one for one, where the page shows something else.

Pages without such characters are not looked at more closely: their text decides. A character that
stands for several, or for none, is a placeholder until the page is in reading order.
"""

from __future__ import annotations

import ctypes
import re
from itertools import repeat

from ingest.extract.ascii_parts import non_ascii
from ingest.extract.engines.pdfium_accents import ACCENT, compose_accents
from ingest.extract.engines.pdfium_footnotes import (
    NUMBER_AFTER_WORD,
    RAISED_PART,
    join_raised_parts,
    part_footnote_marks,
)
from ingest.extract.engines.pdfium_initials import LINE_END, LONE_CAPITAL, attach_initials
from ingest.extract.engines.pdfium_raw import (
    BOX_FIELDS,
    TextHandle,
    char_code,
    char_unicode,
    count_characters,
    list_char_edges,
    origin_of,
)
from ingest.extract.engines.pdfium_spaces import correct_spaces
from ingest.extract.engines.placeholders import NOTHING, Placeholders

# Next to a letter: a glyph by itself is a sign, or music.
UNDECODED_LETTER = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\ufffd\ue000-\uefff](?:(?=[^\\W\\d_])|(?<=[^\\W\\d_].))"
)
PAIR = re.compile("[\U00010000-\U0010ffff]")  # two units of UTF-16
HYPHEN_MARK = re.compile("\ufffe")
SPACE = ord(" ")
SOFT_HYPHEN = re.compile("\xad")
MIN_DRAWN_HEIGHTS = 0.05  # width of a hyphen that is drawn, in heights of its font

# Symbol fonts have the codes of their glyphs from U+F000 on, those of text fonts too.
SYMBOL_CHARS = re.compile("[\uf020-\uf07e]")
SYMBOL_WORD = re.compile("[\uf021-\uf07e]+")
SYMBOL_BASE = 0xF000
# Ghostscript writes the letters of a ligature with the bytes of each in reverse, so that "f" is
# U+6600, and adds the second and the third up: "ffi" becomes U+6600 U+CF00. Beside a Latin letter,
# they are no Chinese and Korean.
REVERSED_LETTERS = [chr(ord(letter) << 8) for letter in "Tbcfhijklst"]
REVERSED_SUMS = {chr(sum(map(ord, pair)) << 8): pair for pair in ("fi", "fl", "fj", "ft", "tt")}
REVERSED_LIGATURE = re.compile(
    f"[{''.join(REVERSED_LETTERS)}][{''.join((*REVERSED_LETTERS, *REVERSED_SUMS))}]"
    "(?:(?<=[A-Za-z\u00c0-\u024f]..)|(?=[A-Za-z\u00c0-\u024f]))"
    "(?<![\u3040-\uffdc]..)(?![\u3040-\uffdc])"
)
PLAIN_WORD = re.compile("[A-Za-z]{3,}[.,:;!?]?")
VOWELS = frozenset("aeiouyAEIOUY")
MIN_WORD_SHARE = 0.5  # of the runs of symbols of a line, that are words if read as ASCII

MAX_INITIAL_CHARS = 6  # of the line of an initial


def correct_characters(handle: TextHandle, text: str, placeholders: Placeholders) -> str:
    """Return the characters of a page as it shows them; as many as PDFium reads."""
    if "\ufffe" in text:
        text = correct_unmapped(handle, text)
    if "\xad" in text:
        text = correct_soft_hyphens(handle, text)
    if SYMBOL_CHARS.search(non_ascii(text)):
        text = correct_symbols(text)
    if "`" in text or ACCENT.search(non_ascii(text)):
        text = compose_accents(handle, text)
    if places := [match.start() for match in RAISED_PART.finditer(text)]:
        text = join_raised_parts(handle, text, places)
    if places := [match.start() for match in NUMBER_AFTER_WORD.finditer(text)]:
        text = part_footnote_marks(handle, text, places, placeholders)
    text = correct_spaces(handle, text, placeholders)
    if LONE_CAPITAL.search(text, 0) or not text.find(LINE_END, 0, MAX_INITIAL_CHARS) < 0:
        text = attach_initials(handle, text, placeholders)
    return text


def pad_characters(handle: TextHandle, text: str) -> str:
    """Return the characters of a page, as many as PDFium counts; if that fails, as many as before.

    It counts a character beyond the first 65,536, such as a letter of mathematics, as two, and
    control characters, such as the notes of a music font, that it leaves out.
    """
    count = count_characters(handle)
    if len(text) == count:
        return text
    padded = PAIR.sub(rf"\g<0>{NOTHING}", text)
    if len(padded) >= count:
        return padded
    chars, place = [], 0
    for code in map(char_code, repeat(handle), range(count)):
        char = padded[place : place + 1]
        is_left_out = code < SPACE and char != chr(code) and char != "\ufffe"
        chars.append(NOTHING if is_left_out else char)
        place += not is_left_out
    return "".join(chars) if place == len(padded) else text


def has_undecoded_letters(handle: TextHandle, text: str) -> bool:
    """Return whether some letters of a page are unknown to PDFium."""
    if UNDECODED_LETTER.search(text):
        return True
    # U+FFFE is a hyphen at a line end, or a character that is mapped to nothing.
    return "\ufffe" in text and not all(
        char_unicode(handle, match.start()) for match in HYPHEN_MARK.finditer(text)
    )


def correct_unmapped(handle: TextHandle, text: str) -> str:
    """Replace characters that a font maps to nothing by U+FFFD: PDFium reads them as U+FFFE."""
    unmapped = [
        m.start() for m in HYPHEN_MARK.finditer(text) if not char_unicode(handle, m.start())
    ]
    if not unmapped:
        return text
    chars = list(text)
    for place in unmapped:
        chars[place] = "\ufffd"
    return "".join(chars)


def correct_soft_hyphens(handle: TextHandle, text: str) -> str:
    """Replace the soft hyphens that are drawn by hyphens.

    Many fonts name one glyph as both, so that a minus or a hyphen is read as U+00AD. A glyph may
    also stand for letters and a soft hyphen after them, which is not drawn.
    """
    places = [match.start() for match in SOFT_HYPHEN.finditer(text)]
    boxes = list_char_edges(handle, places)
    chars = list(text)
    for place, left, top, right, bottom in zip(
        places, *(boxes[field::BOX_FIELDS] for field in range(BOX_FIELDS)), strict=True
    ):
        is_wide = right - left > MIN_DRAWN_HEIGHTS * (top - bottom)
        if is_wide and not (text[place - 1 : place].isalpha() and is_one_glyph(handle, place)):
            chars[place] = "-"
    return "".join(chars)


def is_one_glyph(handle: TextHandle, place: int) -> bool:
    """Return whether a character and the one before it are drawn by the same glyph."""
    points = [ctypes.c_double() for _ in range(4)]
    one, before = points[:2], points[2:]
    found = origin_of(handle, place, *map(ctypes.addressof, one)) and origin_of(
        handle, place - 1, *map(ctypes.addressof, before)
    )
    return bool(found) and [p.value for p in one] == [p.value for p in before]


def correct_symbols(text: str) -> str:
    """Read the symbols of a line as ASCII if that makes words. A bullet or an arrow stays."""
    lines = text.split("\r\n")
    worded = [is_text_in_symbols(line) for line in lines]
    if not any(worded):
        return text
    return "\r\n".join(
        SYMBOL_CHARS.sub(lambda match: chr(ord(match.group()) - SYMBOL_BASE), line)
        if is_worded or not has_letters_in_symbols(line)
        else line
        for line, is_worded in zip(lines, worded, strict=True)
    )


def correct_reversed(text: str, placeholders: Placeholders) -> str:
    """Put the bytes of the letters of ligatures right that Ghostscript has reversed."""
    return REVERSED_LIGATURE.sub(
        lambda match: "".join(
            placeholders.standing_for(REVERSED_SUMS[char])
            if char in REVERSED_SUMS
            else chr(ord(char) >> 8)
            for char in match.group()
        ),
        text,
    )


def is_text_in_symbols(line: str) -> bool:
    """Return whether the symbols of a line make words if read as ASCII."""
    runs = [to_ascii(run) for run in SYMBOL_WORD.findall(line)]
    words = [
        run
        for run in runs
        if PLAIN_WORD.fullmatch(run) and VOWELS.intersection(run) and len(set(run)) > 1
    ]
    return bool(words) and len(words) >= MIN_WORD_SHARE * sum(len(run) > 1 for run in runs)


def has_letters_in_symbols(line: str) -> bool:
    """Return whether symbols of a line are letters if read as ASCII: they may be dingbats."""
    return any(map(str.isalpha, map(to_ascii, SYMBOL_WORD.findall(line))))


def to_ascii(symbols: str) -> str:
    """Read symbols as ASCII."""
    return "".join(chr(ord(symbol) - SYMBOL_BASE) for symbol in symbols)
