"""Find the words of a document around its figures: heading, paragraph before and after. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ingest.extract.figures.insert import find_line
from ingest.models import Figure, Heading

MAX_PARAGRAPH_CHARS = 700  # sent with a figure, of each paragraph
PARAGRAPH_BREAK = re.compile(r"\n[ \t]*\n")


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
            before=find_paragraph(text, figure.above)[-MAX_PARAGRAPH_CHARS:],
            after=find_paragraph(text, figure.below)[:MAX_PARAGRAPH_CHARS],
        )


def find_paragraph(text: str, line: str) -> str:
    """Return the paragraph of a page that has a line; the line itself if none has."""
    start = find_line(text, line)
    if start is None:
        return " ".join(line.split())
    breaks = [found.span() for found in PARAGRAPH_BREAK.finditer(text)]
    begin = max((end for _, end in breaks if end <= start), default=0)
    finish = min((first for first, _ in breaks if first > start), default=len(text))
    return " ".join(text[begin:finish].split())


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
