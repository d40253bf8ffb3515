"""Put the words of figures into the text of a page."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ingest.models import Figure

MAX_ANCHOR_CHARS = 40


def insert_words(text: str, figures: Sequence[Figure]) -> str:
    """Put the words of each figure into a page's text, as a paragraph before its caption."""
    for figure in figures:
        if not figure.words:
            continue
        place = find_line(text, figure.anchor)
        if place is None:
            text = f"{text.rstrip()}\n\n{figure.words}" if text.strip() else figure.words
        else:
            before = text[:place].rstrip()
            text = f"{before}\n\n{figure.words}\n\n{text[place:]}".lstrip("\n")
    return text


def find_line(text: str, line: str) -> int | None:
    """Return the offset of the line that begins as another; None if none does."""
    words = line[:MAX_ANCHOR_CHARS].split()
    if not words:
        return None
    pattern = r"^[ \t]*" + r"\s+".join(map(re.escape, words))
    found = re.search(pattern, text, re.MULTILINE)
    return found.start() if found else None
