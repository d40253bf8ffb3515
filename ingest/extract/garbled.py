"""How much of a page's text is garbage. Pure, and cheap enough to ask of every page.

An engine that reads a font wrongly does not raise: it returns glyph names, private-use
characters, or words without spaces.
"""

from __future__ import annotations

import re

UNDECODED = re.compile("[\x00-\x01\x03-\x08\x0e-\x1f\ufffd\ue000-\uf8ff\U000f0000-\U0010ffff]")
GLYPH_NAMES = re.compile(r"(?:/[A-Za-z]{1,3}\d{1,5}){3,}")
# Letters of scripts that put spaces between words; no word in them is this long.
OVERLONG_WORDS = re.compile(r"[A-Za-z\u00c0-\u04ff\u0590-\u06ff]{45,}")

MAX_MEAN_WORD_CHARS = 12  # a mean of more characters a word is worth a closer look


def garbled_share(text: str) -> float:
    """The share of characters that no reader could make sense of: 0 is clean, 1 is garbage."""
    if not text:
        return 0.0
    # Nothing that is printable is undecoded, but for the replacement character; nor are the ends of
    # lines and PDFium's marks of broken words.
    spaced = text.replace("\r\n", " ").replace("\n", " ")
    plain = "\ufffd" not in text and spaced.replace("\ufffe", "").isprintable()
    bad = 0 if plain else len(UNDECODED.findall(text))
    if text.count("/") > len(text) // 10:
        bad += count_matched_chars(GLYPH_NAMES, text)
    if len(text) > MAX_MEAN_WORD_CHARS * (spaced.count(" ") + 1):
        bad += count_matched_chars(OVERLONG_WORDS, text)
    return min(1.0, bad / len(text))


def count_matched_chars(pattern: re.Pattern[str], text: str) -> int:
    """How many characters the matches of a pattern cover."""
    return sum(len(match) for match in pattern.findall(text))
