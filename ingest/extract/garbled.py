"""Measure how much of a page's text is garbage. Pure, and fast enough for every page.

An engine that misreads a font raises no error: it returns glyph names, private-use characters, or
words without spaces.
"""

from __future__ import annotations

import re

UNDECODED = re.compile("[\x00-\x01\x03-\x08\x0e-\x1f\ufffd\ue000-\uf8ff\U000f0000-\U0010ffff]")
GLYPH_NAMES = re.compile(r"(?:/[A-Za-z]{1,3}\d{1,5}){3,}")
# Letters of scripts with spaces between words, which have no word this long.
OVERLONG_WORDS = re.compile(r"[A-Za-z\u00c0-\u04ff\u0590-\u06ff]{45,}")

MAX_MEAN_WORD_CHARS = 12  # with more on average, search for overlong words


def garbled_share(text: str) -> float:
    """Return the share of meaningless characters, from 0 (clean) to 1 (garbage)."""
    if not text:
        return 0.0
    # Printable characters other than U+FFFD are decoded. So are line ends and PDFium's mark of a
    # broken word, U+FFFE, which are not printable.
    spaced = text.replace("\r\n", " ").replace("\n", " ")
    plain = "\ufffd" not in text and spaced.replace("\ufffe", "").isprintable()
    bad = 0 if plain else len(UNDECODED.findall(text))
    if text.count("/") > len(text) // 10:
        bad += count_matched_chars(GLYPH_NAMES, text)
    if len(text) > MAX_MEAN_WORD_CHARS * (spaced.count(" ") + 1):
        bad += count_matched_chars(OVERLONG_WORDS, text)
    return min(1.0, bad / len(text))


def count_matched_chars(pattern: re.Pattern[str], text: str) -> int:
    """Count the characters that the matches of a pattern cover."""
    return sum(len(match) for match in pattern.findall(text))
