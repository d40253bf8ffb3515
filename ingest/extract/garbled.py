"""Measure how much of a page's text is garbage. Pure, and fast enough for every page.

An engine that misreads a font raises no error: it returns glyph names, private-use characters, or
words without spaces.
"""

from __future__ import annotations

import re

from ingest.extract.ascii_parts import non_ascii, only_ascii

UNDECODED = re.compile("[\ufffd\ue000-\uf8ff\U000f0000-\U0010ffff]")
CONTROL_CODES = bytes({*range(0x20)} - {0x02, *range(0x09, 0x0E)})  # but white space
GLYPH_NAMES = re.compile(r"(?:/[A-Za-z]{1,3}\d{1,5}){3,}")
# Letters of scripts with spaces between words, which have no word this long.
OVERLONG_WORDS = re.compile(r"[A-Za-z\u00c0-\u04ff\u0590-\u06ff]{45,}")

MAX_MEAN_WORD_CHARS = 12  # with more on average, search for overlong words


def garbled_share(text: str) -> float:
    """Return the share of meaningless characters, from 0 (clean) to 1 (garbage)."""
    if not text:
        return 0.0
    plain = only_ascii(text)
    bad = len(plain) - len(plain.translate(None, CONTROL_CODES))
    bad += len(UNDECODED.findall(non_ascii(text)))
    if plain.count(b"/") > len(text) // 10:
        bad += count_matched_chars(GLYPH_NAMES, text)
    if len(text) > MAX_MEAN_WORD_CHARS * (plain.count(b" ") + plain.count(b"\n") + 1):
        bad += count_matched_chars(OVERLONG_WORDS, text)
    return min(1.0, bad / len(text))


def count_matched_chars(pattern: re.Pattern[str], text: str) -> int:
    """Count the characters that the matches of a pattern cover."""
    return sum(len(match) for match in pattern.findall(text))
