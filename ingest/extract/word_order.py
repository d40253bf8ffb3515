"""Tell in which order a page stores the letters of its Hebrew or Arabic words. Pure.

Most pages draw them from left to right, so that the last letter of a word comes first. The text
behind a scan, and what simple programs print, has the first letter first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

WORD = re.compile("[\u05d0-\u05ea\u0620-\u064a\u066e-\u06d3]{2,}")
# Letters that only end a word, and the article that begins one.
FINAL_LETTERS = frozenset("ךםןףץةىےں")
ARTICLE = "ال"
MIN_ARTICLE_WORD = 4  # letters of a word with it
COMMON_WORDS = frozenset(
    word
    for line in (
        "של את על לא זה עם או כל גם היא הוא כי אם אך יש בין לפי אל לפני",
        "في من على إلى أن هذا التي الذي ما عن أو كل بعد قبل هو هي بين كان ذلك حتى",
        "و در به از که را این است با برای آن یا شود باید همه هر تا خود نیز شد بود دارد کند پس",
        "کے کی میں ہے کو سے اور کا پر نے یہ ہیں کریں ہر گا",
    )
    for word in line.split()
)
MIN_EVIDENCE = 2  # more words that are in the one order than in the other


def are_words_forwards(shown: Iterable[str]) -> bool:
    """Return whether the words of lines are right as they are seen from the left to the right."""
    evidence = 0
    for line in shown:
        for word in WORD.findall(line):
            evidence += is_likely_word(word) - is_likely_word(word[::-1])
    return evidence >= MIN_EVIDENCE


def is_likely_word(word: str) -> bool:
    """Return whether there is a sign that the letters of a word are in the right order."""
    return (
        word in COMMON_WORDS
        or word[-1] in FINAL_LETTERS
        or (len(word) >= MIN_ARTICLE_WORD and word.startswith(ARTICLE))
    )
