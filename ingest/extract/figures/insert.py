"""Put the words of figures into the text of a page."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ingest.models import Figure

MAX_ANCHOR_CHARS = 40
MAX_CAPTION_LINES = 6


def insert_words(text: str, figures: Sequence[Figure]) -> str:
    """Put the words of each figure into a page's text, as a paragraph before its caption."""
    for figure in figures:
        text = move_caption(text, figure)
        if not figure.words:
            continue
        place = find_line(text, figure.caption)
        if place is None:
            place = find_place(text, figure)
        before, after = text[:place].rstrip(), text[place:].lstrip("\n")
        text = "\n\n".join(filter(None, [before, figure.words, after]))
    return text


def find_place(text: str, figure: Figure) -> int:
    """Return the offset where a figure belongs: between its neighbours, or at the page's end."""
    below = find_line(text, figure.below)
    if below is not None:
        return below
    above = find_line(text, figure.above)
    end = -1 if above is None else text.find("\n", above)
    return end + 1 if end >= 0 else len(text)


def find_line(text: str, line: str) -> int | None:
    """Return the offset of the line that begins as another; None if none does."""
    words = line[:MAX_ANCHOR_CHARS].split()
    if not words:
        return None
    pattern = r"^[ \t]*" + r"\s+".join(map(re.escape, words))
    found = re.search(pattern, text, re.MULTILINE)
    return found.start() if found else None


def move_caption(text: str, figure: Figure) -> str:
    """Move a caption that the page draws last to its place, between the figure's neighbours."""
    start, place = find_line(text, figure.caption), find_place(text, figure)
    if start is None or start <= place:
        return text
    end = text.find("\n\n", start)
    end = len(text) if end < 0 else end
    caption = text[start:end].strip()
    if not text[place:start].strip() or caption.count("\n") >= MAX_CAPTION_LINES:
        return text
    rest = "\n\n".join(filter(None, [text[place:start].strip(), text[end:].strip()]))
    return "\n\n".join(filter(None, [text[:place].rstrip(), caption, rest]))
