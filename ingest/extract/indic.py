"""Put the vowels that are drawn left of their consonants behind them, as they are stored. Pure."""

from __future__ import annotations

import re

# The vowel signs of the scripts of India that are drawn before their syllable.
LEFT_VOWEL = "\u093f\u09bf\u09c7\u09c8\u0a3f\u0abf\u0b47\u0bc6-\u0bc8\u0d46-\u0d48\u0dd9\u0ddb"
CONSONANT = (
    "(?:[\u0915-\u0939\u0958-\u095f\u0995-\u09b9\u09dc-\u09df\u0a15-\u0a39\u0a59-\u0a5e"
    "\u0a95-\u0ab9\u0b15-\u0b39\u0b5c-\u0b5f\u0b95-\u0bb9\u0d15-\u0d39\u0d9a-\u0dc6"
    "][\u093c\u09bc\u0a3c\u0abc\u0b3c]?)"
)
JOINER = "[\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0d4d\u0dca]"  # virama
CONSONANTS = f"(?:{CONSONANT}{JOINER})*{CONSONANT}"
LETTER = "\u0900-\u0dff\u200c\u200d"

# Next to a letter of these scripts, no character of any text.
MIXED_BYTES = re.compile("[\u0900-\u0dff][\u0e80-\u1fff\u2800-\ud7ff]")
LEFT_VOWELS = re.compile(f"[{LEFT_VOWEL}]")
INDIC = re.compile("[\u0900-\u0dff]")
SCRIPTS = range(0x900, 0xE00)  # of India, in blocks of the same order
VIRAMA = 0x4D  # in a block
# The letters of a block that ra and ya are drawn on, as one glyph.
JOINED = {
    0x30: frozenset(
        b"\x15\x17\x18\x1b\x1c\x1f\x21\x24\x26\x27\x2a\x2b\x2c\x2d\x2e\x35\x36\x38\x39"
    ),
    0x2F: frozenset(range(0x15, 0x3A)),
}

FIRST_VOWEL = re.compile(f"(?<![{LETTER}])[{LEFT_VOWEL}]")
LAST_VOWEL = re.compile(f"[{LEFT_VOWEL}](?![{LETTER}])")
SYLLABLE = re.compile(f"([{LEFT_VOWEL}])({CONSONANTS})")
# A vowel that is known to be drawn before its syllable, until it is put behind it.
DRAWN_LEFT = 0x100000  # from a vowel to the character that stands for it there
STORED = {code + DRAWN_LEFT: code for code in range(0x900, 0xE00)}
DRAWN_SYLLABLE = re.compile(
    f"([{chr(DRAWN_LEFT + 0x900)}-{chr(DRAWN_LEFT + 0xDFF)}])({CONSONANTS})"
)
# Further consonants may be drawn below a syllable, or right of it, after its vowel. Not in
# Malayalam, which writes a virama after a vowel.
VOWEL_SIGNS = "".join(
    f"{chr(base + 0x3E)}-{chr(base + 0x4C)}" for base in range(0x900, 0xD00, 0x80)
)
LOW_CONSONANTS = re.compile(
    f"([{VOWEL_SIGNS}]+)((?:[\u094d\u09cd\u0a4d\u0acd\u0b4d\u0c4d\u0ccd][\u0915-\u0cb9])+)"
)


def draw_left(vowel: str) -> str:
    """Return the character that stands for a vowel before its syllable."""
    return chr(ord(vowel) + DRAWN_LEFT)


def order_vowels(text: str) -> str:
    """Return the text of a page with its vowels in the order of storing; as long as before.

    Where glyphs are read one by one, a vowel that is drawn first begins a word, where no stored one
    stands, and ends none.
    """
    text = DRAWN_SYLLABLE.sub(r"\2\1", LOW_CONSONANTS.sub(r"\2\1", text))
    if len(FIRST_VOWEL.findall(text)) > len(LAST_VOWEL.findall(text)):
        text = SYLLABLE.sub(r"\2\1", text)
    return text.translate(STORED)


def restore_letters(text: str) -> str:
    """Return the letters of a glyph, of which Ghostscript has mixed up the bytes.

    The high byte of the second letter is the low byte of the first one; "त्र" is its second letter,
    and the low bytes of the first and the third added up.
    """
    first, second = ord(text[0]), ord(text[1])
    if not (first in SCRIPTS and second not in SCRIPTS and second >> 8 == first & 0xFF):
        return text
    block = first & ~0x7F
    if first & 0x7F != VIRAMA:
        return text[0] + chr((first & 0xFF00) | (second & 0xFF)) + text[2:]
    for last, joined in JOINED.items():
        letter = (second - last) & 0x7F
        if letter in joined:
            return "".join(chr(block | code) for code in (letter, VIRAMA, last)) + text[2:]
    return text
