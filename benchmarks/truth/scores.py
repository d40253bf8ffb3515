"""Compare a text with the known one: words, pairs of neighbours, order."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from rapidfuzz.distance import LCSseq
from texts import WITHOUT_SPACES

BULLETS = {"•", "◦", "▪", "‣", "●", "\uf0b7"}
ALIKE = str.maketrans({"’": "'", "\u2010": "-", "\u2212": "-"})  # as makers choose among
INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


class Score(NamedTuple):
    """Similarity to the known text: shares from 0 to 1."""

    words: float  # F1 of the words, each as often as it stands
    bigrams: float  # F1 of the pairs of neighbouring words
    order: float  # share of both texts that is in their longest common subsequence of words


def score(wanted: Sequence[str], found: Sequence[str]) -> Score:
    """Compare two lists of words."""
    total = len(wanted) + len(found)
    return Score(
        f1(Counter(wanted), Counter(found)),
        f1(Counter(pairwise(wanted)), Counter(pairwise(found))),
        2 * LCSseq.similarity(wanted, found) / total if total else 1.0,
    )


def f1(some: Counter[object], others: Counter[object]) -> float:
    """F1 of two bags."""
    total = some.total() + others.total()
    return 2 * (some & others).total() / total if total else 1.0


def split_words(text: str, language: str) -> list[str]:
    """Split a text into words without the punctuation around them.

    Texts are compared in NFKC, without invisible marks of direction and bullets. Where a language
    has no spaces between words, each character counts as one. What is nothing but punctuation
    counts, as the dash in an empty cell does.
    """
    plain = INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).translate(ALIKE)
    words = [strip_punctuation(word) for word in plain.split() if word not in BULLETS]
    return list("".join(words)) if language in WITHOUT_SPACES else words


def strip_punctuation(word: str) -> str:
    """Return a word without the punctuation around it; punctuation alone stays."""
    start, end = 0, len(word)
    while start < end and is_punctuation(word[start]):
        start += 1
    while end > start and is_punctuation(word[end - 1]):
        end -= 1
    return word[start:end] or word


def is_punctuation(char: str) -> bool:
    """Return whether a character is punctuation that may stand around a word; a minus is not."""
    return char != "-" and unicodedata.category(char).startswith("P")
