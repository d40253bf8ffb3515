"""Words of a question that no document has, to warn of hits that are merely similar."""

from __future__ import annotations

from collections.abc import Callable

from ingest.index.function_words import content_words
from ingest.index.sqlite.tokenize import fold_case, split_query

MAX_WORDS = 2  # of a question, besides function words, that is looked up as a whole
MAX_CODES = 3  # that are looked up, each by itself
MIN_CODE_CHARS = 3


def find_missing_words(question: str, is_found: Callable[[str], bool]) -> tuple[str, ...]:
    """Return the codes of a question that no document has; of one or two words, both if none has.

    Longer questions have words of the questioner that no document needs. `is_found` tells whether
    a search finds any of the words of a text.
    """
    written = {fold_case(word): word for word in split_query(question)}
    words = [written[word] for word in content_words(list(written))]
    if words and len(words) <= MAX_WORDS and not is_found(" ".join(words)):
        return tuple(words)
    codes = [word for word in words if is_code(word)]
    return tuple(word for word in codes[:MAX_CODES] if not is_found(word))


def is_code(word: str) -> bool:
    """Return whether a word is a number or code that stands for itself: "XJ-900", "4,000"."""
    return len(word) >= MIN_CODE_CHARS and any(c.isdigit() for c in word)
