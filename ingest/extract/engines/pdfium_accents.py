"""Compose letters with the accents that a page draws over them, as TeX and old fonts do."""

from __future__ import annotations

import re
import unicodedata

from ingest.extract.engines.pdfium_raw import BOX_FIELDS, TextHandle, is_generated, list_char_edges
from ingest.extract.engines.placeholders import NOTHING
from ingest.extract.figures.shapes import Box

# Accents with a width of their own, and the combining mark of each.
COMBINING = {
    "`": "\u0300",
    "\u00b4": "\u0301",
    "\u02c6": "\u0302",
    "\u02dc": "\u0303",
    "\u00af": "\u0304",
    "\u02c9": "\u0304",
    "\u02d8": "\u0306",
    "\u02d9": "\u0307",
    "\u00a8": "\u0308",
    "\u02da": "\u030a",
    "\u02dd": "\u030b",
    "\u02c7": "\u030c",
    "\u00b8": "\u0327",
    "\u02db": "\u0328",
} | {chr(code): chr(code) for code in (*range(0x300, 0x30D), 0x327, 0x328)}
ACCENTS = re.escape("".join(COMBINING))
DOTTED = {"\u0131": "i", "\u0237": "j"}  # letters that lose their dot below an accent

# Accents next to a letter, with the space that PDFium puts before an accent or a letter.
ACCENT = re.compile(f"[{ACCENTS}]")
# Begins with the accent, since a look behind would be tried at every character.
SPACED_ACCENT = re.compile(
    rf"[{ACCENTS}](?:(?<=[^\W\d_].)|(?=[ {ACCENTS}]{{0,3}}[^\W\d_]))", re.DOTALL
)

MAX_WORD_GAP_HEIGHTS = 0.15  # between letters of a word


def compose_accents(handle: TextHandle, text: str) -> str:
    """Compose each letter with the accents over it; a character that goes is a placeholder."""
    chars = list(text)
    composed = False
    for match in SPACED_ACCENT.finditer(text):
        place = match.start()
        if chars[place] != NOTHING:
            composed |= compose_accent(handle, chars, place)
    return "".join(chars) if composed else text


def compose_accent(handle: TextHandle, chars: list[str], place: int) -> bool:
    """Compose an accent with the letter that it is over; return False if there is none."""
    accent = COMBINING[chars[place]]
    bases = [next_letter(chars, place), previous_letter(chars, place)]
    # TeX draws an accent before its letter, Unicode has it after.
    for base in reversed(bases) if accent == chars[place] else bases:
        if base is None:
            continue
        written = DOTTED.get(chars[base], chars[base])
        composed = unicodedata.normalize("NFC", written + accent)
        is_repeated = unicodedata.normalize("NFD", written).endswith(accent)
        if len(composed) > 1 and not is_repeated:
            continue
        if is_over(handle, place, base):
            if not is_repeated:
                chars[base] = composed
            drop_accent(handle, chars, place, base)
            return True
    return False


def drop_accent(handle: TextHandle, chars: list[str], place: int, base: int) -> None:
    """Drop an accent, a copy of it before it, and the space that PDFium put around it."""
    for between in range(min(place, base) + 1, max(place, base)):
        if chars[between] == " ":
            chars[between] = NOTHING
    copy = place - 1
    if (
        base > place
        and copy >= 0
        and chars[copy] == chars[place]
        and char_box(handle, copy)[2] > char_box(handle, base)[0]
    ):
        chars[copy] = NOTHING
        copy -= 1
    chars[place] = NOTHING
    following = place + 1
    if base < place and chars[following : following + 1] == [" "] and following + 1 < len(chars):
        drop_space(handle, chars, following, (base, following + 1))
    if base > place and copy > 0 and chars[copy] == " ":
        drop_space(handle, chars, copy, (copy - 1, base))


def drop_space(handle: TextHandle, chars: list[str], place: int, between: tuple[int, int]) -> None:
    """Drop a space that PDFium put between two letters that are next to each other."""
    before, after = (char_box(handle, letter) for letter in between)
    gap = after[0] - before[2]
    if is_generated(handle, place) and gap < MAX_WORD_GAP_HEIGHTS * (after[1] - after[3]):
        chars[place] = NOTHING


def is_over(handle: TextHandle, accent: int, letter: int) -> bool:
    """Return whether the middle of an accent is over or under a letter of its line."""
    edges = list_char_edges(handle, (accent, letter))
    start, _, end, base, left, top, right, bottom = edges
    return left < (start + end) / 2 < right and abs(base - bottom) < (top - bottom) / 2


def next_letter(chars: list[str], place: int) -> int | None:
    """Return the place of the letter after an accent, beyond spaces and other accents."""
    for following in range(place + 1, min(len(chars), place + 4)):
        if chars[following].isalpha() and chars[following] not in COMBINING:
            return following
        if chars[following] not in COMBINING and chars[following] not in (" ", NOTHING):
            return None
    return None


def previous_letter(chars: list[str], place: int) -> int | None:
    """Return the place of the letter before an accent, beyond accents that were composed."""
    previous = place - 1
    while previous >= 0 and chars[previous] == NOTHING:
        previous -= 1
    return previous if previous >= 0 and chars[previous].isalpha() else None


def char_box(handle: TextHandle, place: int) -> Box:
    """Return the box of a character: left, top, right, bottom."""
    left, top, right, bottom = list_char_edges(handle, (place,))[:BOX_FIELDS]
    return left, top, right, bottom
