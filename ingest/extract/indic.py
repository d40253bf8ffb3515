"""Put the vowels that are drawn left of their consonants behind them, as they are stored. Pure."""

from __future__ import annotations

import re

# The vowel signs of the scripts of India, Burmese and Khmer that are drawn before their syllable.
LEFT_VOWEL = (
    "\u093f\u09bf\u09c7\u09c8\u0a3f\u0abf\u0b47\u0bc6-\u0bc8\u0d46-\u0d48\u0dd9\u0ddb\u1031"
    "\u17c1-\u17c3"
)
CONSONANT = (
    "(?:[\u0915-\u0939\u0958-\u095f\u0995-\u09b9\u09dc-\u09df\u0a15-\u0a39\u0a59-\u0a5e"
    "\u0a95-\u0ab9\u0b15-\u0b39\u0b5c-\u0b5f\u0b95-\u0bb9\u0d15-\u0d39\u0d9a-\u0dc6"
    "\u1000-\u1021\u1780-\u17a2][\u093c\u09bc\u0a3c\u0abc\u0b3c]?)"
)
JOINER = "[\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0d4d\u0dca\u1039\u17d2]"  # virama
CONSONANTS = f"(?:{CONSONANT}{JOINER})*{CONSONANT}"
LETTER = "\u0900-\u0dff\u1000-\u109f\u1780-\u17ff\u200c\u200d"

LEFT_VOWELS = re.compile(f"[{LEFT_VOWEL}]")
FIRST_VOWEL = re.compile(f"(?<![{LETTER}])[{LEFT_VOWEL}]")
LAST_VOWEL = re.compile(f"[{LEFT_VOWEL}](?![{LETTER}])")
SYLLABLE = re.compile(f"([{LEFT_VOWEL}])({CONSONANTS})")


def order_vowels(text: str) -> str:
    """Return the text of a page with its vowels in the order of storing; as long as before.

    Where glyphs are read one by one, a vowel that is drawn first begins a word, where no stored one
    stands, and ends none.
    """
    if len(FIRST_VOWEL.findall(text)) > len(LAST_VOWEL.findall(text)):
        return SYLLABLE.sub(r"\2\1", text)
    return text
