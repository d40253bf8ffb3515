"""Light stemming of Arabic words for the word index. Pure.

The article, conjunctions and prepositions are written as one word with the noun, and so are endings
of number, gender and possession: "بطارية", "البطاريات" and "وبطارياته" are one word of a question.
The prefixes and suffixes are those of Light10 (Larkey, Ballesteros and Connell, 2007), which keeps
more of a word than its root, and the alef of the accusative ("نهارًا" and "النهار").
"""

from __future__ import annotations

import re

LETTERS = "\u0621-\u063a\u0641-\u064a"
LETTER = re.compile(f"[{LETTERS}]")
WORD = re.compile(f"[{LETTERS}]{{3,}}")
# Vowel signs, and the line that stretches a word.
MARKS = re.compile("[\u0610-\u061a\u0640\u064b-\u065f\u0670]+")
SPELLINGS = str.maketrans("أإآىة", "ااايه")
AND = "و"
ARTICLES = ("وال", "بال", "كال", "فال", "ال", "لل")  # with particles in front of them
ENDINGS = ("ها", "ه", "ان", "ات", "ون", "ين", "ي")  # from the end of a word
ACCUSATIVE = "ا"  # its vowel sign is left out as often as written
MIN_LETTERS = 2  # that are left
MIN_LETTERS_OF_ACCUSATIVE = 3
MIN_LETTERS_AFTER_AND = 3


def stem_arabic(text: str) -> str:
    """Stem the Arabic words of a text; a text without any is returned unchanged."""
    if not LETTER.search(text):
        return text
    return WORD.sub(stem_word, MARKS.sub("", text).translate(SPELLINGS))


def stem_word(match: re.Match[str]) -> str:
    """Remove the prefixes and suffixes of a word."""
    word = match.group()
    for article in ARTICLES:
        if word.startswith(article) and len(word) >= len(article) + MIN_LETTERS:
            word = word[len(article) :]
            break
    else:
        if word.startswith(AND) and len(word) > MIN_LETTERS_AFTER_AND:
            word = word[len(AND) :]
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) >= len(ending) + MIN_LETTERS:
            word = word[: -len(ending)]
    if word.endswith(ACCUSATIVE) and len(word) > MIN_LETTERS_OF_ACCUSATIVE:
        word = word[: -len(ACCUSATIVE)]
    return word
