"""A page in the order in which it is read, its tables as Markdown. Only run it in a child process.

A page whose lines follow each other downwards and have no holes is left as it is, after one call
of PDFium for some of its lines; only the others are looked at word by word. Whatever is made of a
page, it keeps all characters that are not white space: what is moved is whole pieces of its text.
"""

from __future__ import annotations

from ingest.extract.engines.pdfium_raw import (
    PageHandle,
    TextHandle,
    count_items,
    count_rects,
    rotation_of,
)
from ingest.extract.layout.lines import (
    LINE_END,
    PageLines,
    arrange_by_lines,
    find_line_starts,
    measure_some_lines,
)

TABLE_MARK = "\n| --- |"  # is in the text of a page that has a table

MAX_RULES = 2  # that an ordinary page may have
MAX_LAYOUT_CHARS = 20_000  # characters of a page that is looked at word by word


def arrange_page(page: PageHandle, handle: TextHandle, text: str, lines: PageLines | None) -> str:
    """The text of a page in the order in which it is read; `lines` are all of its, if known.

    `text` must have a character for each of PDFium's.
    """
    if LINE_END not in text or len(text) > MAX_LAYOUT_CHARS:
        return text
    starts = lines.starts if lines else find_line_starts(text)
    count = len(starts) - 1
    turned = rotation_of(page)
    plain = (
        None
        if turned
        else arrange_by_lines(handle, text, lines or measure_some_lines(handle, starts), starts)
    )
    if plain is not None and has_unbroken_lines(page, handle, count + text.count("\ufffe")):
        return plain
    from ingest.extract.layout.words import arrange_by_words

    return arrange_by_words(page, handle, text, plain)


def has_unbroken_lines(page: PageHandle, handle: TextHandle, lines: int) -> bool:
    """Whether a page writes each of its lines in one go, a rule or two aside."""
    if lines / 2 < count_items(page) <= lines + MAX_RULES:
        return True
    return bool(count_rects(handle, 0, -1) <= lines + 1)
