"""A page in the order in which it is read, its tables as Markdown. Only run it in a child process.

A page whose lines follow each other downwards and have no holes is left as it is, after one call
of PDFium for some of its lines; only the others are looked at word by word. Whatever is made of a
page, it keeps all characters that are not white space: what is moved is whole pieces of its text.
"""

from __future__ import annotations

from ingest.extract.engines.pdfium_raw import Page, Text, count_items, count_rects, rotation_of
from ingest.extract.layout.lines import END, Lines, by_lines, some, starts_of

TABLE = "\n| --- |"  # is in the text of a page that has a table

RULES = 2  # that an ordinary page may have
MOST = 20_000  # characters of a page that is looked at word by word


def arranged(page: Page, handle: Text, text: str, lines: Lines | None) -> str:
    """The text of a page in the order in which it is read; `lines` are all of its, if known.

    `text` must have a character for each of PDFium's.
    """
    if END not in text or len(text) > MOST:
        return text
    starts = lines.starts if lines else starts_of(text)
    count = len(starts) - 1
    turned = rotation_of(page)
    plain = None if turned else by_lines(handle, text, lines or some(handle, starts), starts)
    if plain is not None and whole(page, handle, count + text.count("\ufffe")):
        return plain
    from ingest.extract.layout.words import read

    return read(page, handle, text, plain)


def whole(page: Page, handle: Text, lines: int) -> bool:
    """Whether a page writes each of its lines in one go, a rule or two aside."""
    if lines / 2 < count_items(page) <= lines + RULES:
        return True
    return bool(count_rects(handle, 0, -1) <= lines + 1)
