"""Correct the vowel am of Thai and Lao, which is drawn as a ring and the vowel aa. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

NOTHING = "\u2060"  # cleaning drops it; a page's text keeps the number of its characters until then
MIN_RINGS = 2  # of a page, to know that its font has one vowel for the other

AM, AA, RING, TONES = "\u0e33", "\u0e32", "\u0e4d", "\u0e48-\u0e4b"
LAO_AM, LAO_AA, LAO_RING, LAO_TONES = "\u0eb3", "\u0eb2", "\u0ecd", "\u0ec8-\u0ecb"
# Ghostscript writes these for am in the map of a glyph that stands for a tone and am.
MANGLED_AM = re.compile(f"(?<=[{TONES}])[\u4833\u4933\u4a33\u4b33]")
TONE_AND_AM = re.compile(f"[{TONES}]{AM}")
MIN_TONES_AND_AM = 5  # of a page with fewer vowels aa, to know that they stand for it
PARTED_AM = re.compile(f"{RING}([{TONES}]?){AA}|{LAO_RING}([{LAO_TONES}]?){LAO_AA}")
# A font may map the ring to anything, and the vowel aa, after it or not, to what both stand for.
UNKNOWN_RING = f"[!-~\xa1-\xff\ufffd\ue000-\uf8ff{RING}]"
RING_BEFORE_AA = re.compile(
    f"(?<=[\u0e01-\u0e2e{TONES}])([!-~\xa1-\xff\ufffd\ufffe])[{TONES}]?{AA}"
)
AM_AFTER_RING = re.compile(f"[\u0e01-\u0e2e][{TONES}]?({UNKNOWN_RING})[{TONES}]?{AM}")
ANY_AM = re.compile(f"({UNKNOWN_RING}?)([{TONES}]?){AM}")


def correct_unmapped(text: str, hangs_over: Callable[[int], bool]) -> str:
    """Return the text of a page with the glyphs of a tone, ring and vowel aa as they are drawn.

    A program that maps glyphs by the syllable each is first used in may map aa to a tone and the
    vowel am, and the glyphs of the ring and of a tone above it to nothing. `hangs_over`
    returns whether the character at an offset is drawn over the one before, as a mark is.
    """
    text = MANGLED_AM.sub(AM, text)
    chars = list(text)
    for match in RING_BEFORE_AA.finditer(text):
        if hangs_over(match.start(1)):
            chars[match.start(1)] = RING
    found = TONE_AND_AM.findall(text)
    # Aa is the commonest vowel; another font of the page may be mapped as it should be.
    if len(found) < max(MIN_TONES_AND_AM, text.count(AA)) or len(set(found)) > 1:
        return "".join(chars)
    tone = found[0][0]
    above: set[str] = set()  # what the tone is read as above a ring
    for match in TONE_AND_AM.finditer(text):
        start = place = match.start()
        while is_unmapped(text, place - 1) and hangs_over(place - 1):
            place -= 1
        if place < start:
            chars[place] = RING
            above.update(text[place + 1 : start])
        chars[start : start + 2] = AA, NOTHING
    for place, char in enumerate(chars):
        if char in above and hangs_over(place):
            chars[place] = tone
    return "".join(chars)


def is_unmapped(text: str, place: int) -> bool:
    """Return whether a character may be that of a glyph which a font maps to nothing."""
    return place >= 0 and re.fullmatch(f"{UNKNOWN_RING}|\ufffe", text[place]) is not None


def correct_am(text: str) -> str:
    """Return the text of a page with its vowels aa and am as they are drawn; as long as before."""
    if AM + AA in text or LAO_AM + LAO_AA in text:
        text = text.replace(AM + AA, AM + NOTHING).replace(LAO_AM + LAO_AA, LAO_AM + NOTHING)
    if RING in text or LAO_RING in text:
        text = PARTED_AM.sub(join_am, text)
    if AM in text:
        rings = Counter(AM_AFTER_RING.findall(text))
        if rings and max(rings.values()) >= MIN_RINGS:
            text = ANY_AM.sub(lambda m: f"{NOTHING}{m[2]}{AM}" if m[1] else f"{m[2]}{AA}", text)
    return text


def join_am(match: re.Match[str]) -> str:
    """Return a ring, a tone and the vowel aa as they are written, in as many characters."""
    thai = match[0][0] == RING
    tone = (match[1] if thai else match[2]) or ""
    return f"{tone}{AM if thai else LAO_AM}{NOTHING}"
