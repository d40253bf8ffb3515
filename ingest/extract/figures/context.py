"""Find the words of a document around its figures: heading, paragraph before and after. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from ingest.extract.figures.insert import MAX_ANCHOR_CHARS, find_line
from ingest.models import Figure, Heading

MAX_PARAGRAPH_CHARS = 700  # sent with a figure, of each paragraph
MIN_ANCHOR_WORDS = 3  # of a line that begins within one of the text
PARAGRAPH_BREAK = re.compile(r"\n[ \t]*\n")  # which the text of many pages has none of


def add_context(
    figures: Sequence[Figure], pages: Sequence[str], headings: Sequence[Heading]
) -> Iterator[Figure]:
    """Yield figures with the heading, the paragraph before and the paragraph after each.

    Only the figure's own page is searched for paragraphs, so an edit of another page changes none.
    """
    for figure in figures:
        text = pages[figure.page - 1] if figure.page <= len(pages) else ""
        yield replace(
            figure,
            heading=find_heading(figure, text, headings),
            before=end_of(paragraph_until(text, figure.above)),
            after=start_of(paragraph_from(text, figure.below, figure.caption)),
        )


def paragraph_until(text: str, line: str) -> str:
    """Return a paragraph of a page up to the end of a line; the line if the page has none."""
    start = find_words(text, line)
    if start is None:
        return line
    end = text.find("\n", start)
    begin = max((found.end() for found in PARAGRAPH_BREAK.finditer(text, 0, start)), default=0)
    return text[begin : end if end >= 0 else len(text)]


def paragraph_from(text: str, line: str, caption: str) -> str:
    """Return a paragraph of a page from a line on; the line if the page has none.

    If the line continues a caption, the paragraph after the caption belongs to it.
    """
    start = find_words(text, line)
    if start is None:
        return line
    above = find_line(text, caption)
    is_caption = above is not None and not PARAGRAPH_BREAK.search(text, above, start)
    ends = [
        found.start() for found in islice(PARAGRAPH_BREAK.finditer(text, start), 1 + is_caption)
    ]
    return text[start : ends[-1] if len(ends) > is_caption else len(text)]


def find_words(text: str, line: str) -> int | None:
    """Return the offset of a line of a page, as drawn; None if the text has no such line.

    The text has a line after a broken word in the middle of another one.
    """
    start = find_line(text, line)
    words = line[:MAX_ANCHOR_CHARS].split()
    if start is not None or len(words) < MIN_ANCHOR_WORDS:
        return start
    found = re.search(r"\s+".join(map(re.escape, words)), text)
    return found.start() if found else None


def end_of(text: str) -> str:
    """Return the last words of a text, on one line."""
    words = " ".join(text.split())
    if len(words) <= MAX_PARAGRAPH_CHARS:
        return words
    return words[-MAX_PARAGRAPH_CHARS:].partition(" ")[2] or words[-MAX_PARAGRAPH_CHARS:]


def start_of(text: str) -> str:
    """Return the first words of a text, on one line."""
    words = " ".join(text.split())
    if len(words) <= MAX_PARAGRAPH_CHARS:
        return words
    return words[:MAX_PARAGRAPH_CHARS].rpartition(" ")[0] or words[:MAX_PARAGRAPH_CHARS]


def find_heading(figure: Figure, text: str, headings: Sequence[Heading]) -> str:
    """Return the title of the last heading before a figure; "" if there is none."""
    place = find_line(text, figure.above)
    found = ""
    for heading in headings:
        if heading.page > figure.page:
            break
        if heading.page == figure.page:
            start = find_line(text, heading.title)
            if start is not None and place is not None and start > place:
                break
        found = heading.title
    return found
